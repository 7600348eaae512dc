//! Documents name the tests that support a statement; every named test must exist.

mod code;
mod events;
mod links;
mod names;
mod reference;
mod workflows;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The prefixes of scenarios, and where their sources are: those that run on a real Kubernetes, those with real Helm and
/// kustomize, and those with a real Docker engine and systemd.
const SCENARIOS: [(&str, &str); 3] =
    [("cluster: ", "tests/cluster"), ("gitops: ", "tests/gitops"), ("run-examples: ", "tests/run-examples")];
/// The crates with unit tests, and where their sources are.
const CRATES: [(&str, &str); 4] = [
    ("lameduck", "src"),
    ("lameduck_machine", "crates/machine/src"),
    ("lameduck_manifests", "crates/manifests/src"),
    ("lameduck_parsers", "crates/parsers/src"),
];

/// The path of a file in this repository.
fn repository(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: impl AsRef<Path>) -> String {
    let path = repository(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page in docs/, relative to the repository.
fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(repository("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let pages = entries.map(|name| Path::new("docs").join(name));
    pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The test names on a line: code spans that are paths or scenarios.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|code| is_scenario(code) || is_path(code))
}

fn is_scenario(code: &str) -> bool {
    SCENARIOS.iter().any(|(prefix, _)| code.starts_with(prefix))
}

fn is_path(code: &str) -> bool {
    let is_identifier =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    code.contains("::") && code.split("::").all(is_identifier)
}

/// Whether the test exists.
///
/// `module::name` is a test of the binary `integration`; `crate::module::tests::name` is a unit test.
fn exists(path: &str) -> bool {
    let Some((module, name)) = path.rsplit_once("::") else { return false };
    sources_of(module).iter().any(|file| repository(file).exists() && tests_of(&read(file)).contains(name))
}

/// The files that may contain the module's tests.
fn sources_of(module: &str) -> Vec<String> {
    let (root, rest) = module.split_once("::").unwrap_or((module, ""));
    let Some((_, folder)) = CRATES.iter().find(|(name, _)| *name == root) else {
        return vec![format!("tests/integration/{}.rs", module.replace("::", "/"))];
    };
    let file = if rest == "tests" { "lib" } else { rest.strip_suffix("::tests").unwrap_or_default() };
    let file = file.replace("::", "/");
    vec![format!("{folder}/{file}.rs"), format!("{folder}/{file}/tests.rs")]
}

/// The test functions of a source file.
fn tests_of(source: &str) -> BTreeSet<String> {
    let after_attribute = source.split("#[test]").skip(1).chain(source.split("#[tokio::test").skip(1));
    let name = |rest: &str| Some(rest.split_once("fn ")?.1.split_once('(')?.0.to_owned());
    after_attribute.filter_map(name).collect()
}

/// The names of all scenarios, with their prefixes.
fn scenarios() -> BTreeSet<String> {
    SCENARIOS.iter().flat_map(|(prefix, folder)| scenarios_in(prefix, folder)).collect()
}

fn scenarios_in(prefix: &str, folder: &str) -> Vec<String> {
    let files = fs::read_dir(repository(folder)).unwrap().map(|entry| entry.unwrap().path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let names = sources.flat_map(|path| names_of(&read(path)));
    names.map(|name| format!("{prefix}{name}")).collect()
}

/// The first string of every entry in a file's list of scenarios, whatever the constructor is called.
fn names_of(source: &str) -> Vec<String> {
    let Some((_, list)) = source.split_once("SCENARIOS: &[Scenario] =") else { return Vec::new() };
    let (list, _) = list.split_once("];").unwrap();
    let first_strings = list.split('(').skip(1).filter_map(|entry| entry.trim_start().strip_prefix('"'));
    first_strings.filter_map(|entry| Some(entry.split_once('"')?.0.to_owned())).collect()
}

#[test]
fn every_test_named_in_documents_exists() {
    let scenarios = scenarios();
    let is_known = |name: &str| if is_scenario(name) { scenarios.contains(name) } else { exists(name) };
    let (mut named, mut missing) = (0, Vec::new());
    for path in pages().into_iter().chain(["SECURITY.md".into()]) {
        for (number, line) in read(&path).lines().enumerate() {
            let unknown = names(line).inspect(|_| named += 1).filter(|name| !is_known(name));
            missing.extend(unknown.map(|name| format!("{}:{}: {name}", path.display(), number + 1)));
        }
    }
    assert!(missing.is_empty(), "these tests do not exist:\n{}", missing.join("\n"));
    assert!(named > 100, "only {named} names were found");
}

/// The table rows whose first cell is a mark of at most three characters.
fn rows(text: &str) -> Vec<(&str, &str)> {
    let cells = |line| str::split_once(str::strip_prefix(line, "| ")?, " | ");
    text.lines().filter_map(cells).filter(|(mark, _)| mark.len() <= 3 && *mark != "#").collect()
}

#[test]
fn every_row_of_the_test_matrix_names_a_test() {
    let text = read("docs/test-matrix.md");
    let marks: Vec<&str> = rows(&text).iter().map(|(mark, _)| *mark).collect();
    let kubernetes = (1..=35).map(|number| number.to_string());
    let reports = ('A'..='M').map(String::from);
    assert_eq!(marks, kubernetes.chain(reports).collect::<Vec<_>>());
    for (mark, row) in rows(&text) {
        let last = row.rsplit(" | ").next().unwrap();
        assert!(names(last).next().is_some(), "row {mark} names no test");
    }
}

#[test]
fn every_public_report_names_a_test_or_the_reason_for_none() {
    let text = read("docs/public-reports.md");
    let marks: BTreeSet<&str> = rows(&text).iter().map(|(mark, _)| *mark).collect();
    let counts = ['C', 'D', 'E', 'F', 'G'].map(|part| marks.iter().filter(|mark| mark.starts_with(part)).count());
    assert!(counts.iter().all(|count| *count > 0) && marks.len() == rows(&text).len(), "{counts:?}");
    for (mark, row) in rows(&text) {
        let last = row.rsplit(" | ").next().unwrap();
        assert!(names(last).next().is_some() || last.contains("*not tested*"), "row {mark} names no test");
    }
}

#[test]
fn only_test_functions_count_as_tests() {
    assert!(exists("docs::only_test_functions_count_as_tests"));
    for name in ["docs::exists", "docs::nothing", "nowhere::nothing", "lameduck::nothing", "lameduck::lib::nothing"] {
        assert!(!exists(name), "{name}");
    }
    let scenarios = scenarios();
    assert!(scenarios.len() > 30, "{scenarios:#?}");
    assert!(!scenarios.contains("cluster: delete: nothing"));
    assert!(scenarios.contains("gitops: function: the build is what inject writes"), "{scenarios:#?}");
    assert!(!scenarios.contains("gitops: nothing"));
    let line = "a `b::c_1`, `B::c`, `d`, `cluster: e: f`, `gitops: g`";
    assert_eq!(names(line).collect::<Vec<_>>(), ["b::c_1", "cluster: e: f", "gitops: g"]);
}
