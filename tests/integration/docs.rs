//! The documents name tests that stand behind what they say: each of these must exist.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How a scenario on a real Kubernetes is named.
const CLUSTER: &str = "cluster: ";

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document that may name tests, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.push("SECURITY.md".into());
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

/// What stands in backticks on a line, and looks like a test's name.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|code| code.starts_with(CLUSTER) || is_path(code))
}

fn is_path(code: &str) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    code.contains("::") && code.split("::").all(word)
}

/// Whether this is a test: `suite::module::name`, as `cargo test --test suite` calls it `module::name`; or
/// `src::module::name`, beside the code.
fn exists(path: &str) -> bool {
    let (module, name) = path.rsplit_once("::").unwrap();
    let file = module.replace("::", "/");
    let candidates = match file.strip_prefix("src/") {
        Some(file) => [format!("src/{file}.rs"), format!("src/{file}/tests.rs")],
        None => [format!("tests/{file}.rs"), format!("tests/{file}/main.rs")],
    };
    let found = candidates.iter().find(|path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists());
    found.is_some_and(|path| tests_of(&read(path)).contains(name))
}

/// The functions of a source that are tests.
fn tests_of(source: &str) -> BTreeSet<String> {
    let after_mark = source.split("#[test]").skip(1).chain(source.split("#[tokio::test").skip(1));
    let name = |rest: &str| Some(rest.split_once("fn ")?.1.split_once('(')?.0.to_owned());
    after_mark.filter_map(name).collect()
}

/// The names of all scenarios in the themes that are run.
fn scenarios() -> BTreeSet<String> {
    let main = read("tests/cluster/main.rs");
    let themes = main.split("::SCENARIOS").filter_map(|before| before.split_whitespace().last());
    let themes: Vec<&str> = themes.filter(|theme| main.contains(&format!("{theme}::SCENARIOS"))).collect();
    themes.into_iter().flat_map(|theme| names_of(&read(format!("tests/cluster/{theme}.rs")))).collect()
}

/// The first string of every `together(…)` and `alone(…)`.
fn names_of(source: &str) -> Vec<String> {
    let (_, list) = source.split_once("SCENARIOS: &[Scenario] = &[").expect("a theme has its scenarios");
    let (list, _) = list.split_once("];").unwrap();
    let calls = list.split("together(").flat_map(|part| part.split("alone(")).skip(1);
    calls.filter_map(|call| Some(call.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned())).collect()
}

#[test]
fn every_test_that_a_document_names_exists() {
    let scenarios = scenarios();
    let known = |name: &str| match name.strip_prefix(CLUSTER) {
        Some(scenario) => scenarios.contains(scenario),
        None => exists(name),
    };
    let mut named = 0;
    for (path, text) in documents() {
        for (number, line) in text.lines().enumerate() {
            for name in names(line) {
                assert!(known(name), "{}:{}: there is no test `{name}`", path.display(), number + 1);
                named += 1;
            }
        }
    }
    assert!(named > 100, "only {named} names were found");
}

/// The rows of the tables, by the mark in their first cell.
fn rows(text: &str) -> Vec<(&str, &str)> {
    let cells = |line| str::split_once(str::strip_prefix(line, "| ")?, " | ");
    text.lines().filter_map(cells).filter(|(mark, _)| mark.len() <= 2 && *mark != "#").collect()
}

#[test]
fn every_sharp_edge_and_every_complaint_names_a_test() {
    let text = read("docs/sharp-edges.md");
    let marks: Vec<&str> = rows(&text).iter().map(|(mark, _)| *mark).collect();
    let edges = (1..=35).map(|number| number.to_string());
    let complaints = ('A'..='M').map(String::from);
    assert_eq!(marks, edges.chain(complaints).collect::<Vec<_>>());
    for (mark, row) in rows(&text) {
        let last = row.rsplit(" | ").next().unwrap();
        assert!(names(last).next().is_some(), "row {mark} names no test");
    }
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    assert!(exists("docs::what_is_no_test_is_not_taken_for_one"));
    for name in ["docs::exists", "docs::nothing", "nowhere::nothing", "lifecycle::hook::engine", "src::lib::nothing"] {
        assert!(!exists(name), "{name}");
    }
    let scenarios = scenarios();
    assert!(scenarios.len() > 30, "{scenarios:#?}");
    assert!(!scenarios.contains("delete: nothing"));
    assert_eq!(names("a `b::c_1`, `B::c`, `d`, `cluster: e: f`").collect::<Vec<_>>(), ["b::c_1", "cluster: e: f"]);
}
