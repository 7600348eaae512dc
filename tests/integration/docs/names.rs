//! Every command, flag, variable, metric, file, target and recipe that a document names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;

use super::code::{Code, code, words};
use super::links::documents;
use super::{read, repository};

/// Flags of other programs, and of this repository's scripts, that documents name without their program.
const OTHER_FLAGS: [&str; 15] = [
    "--check",
    "--enable-alpha-plugins",
    "--enable-exec",
    "--enable-helm",
    "--init",
    "--iterate",
    "--locked",
    "--max-graceful-termination-sec",
    "--max-time",
    "--post-renderer",
    "--post-renderer-args",
    "--stop-timeout",
    "--timeout-graceful-shutdown",
    "--workers",
    "--write-docs",
];
/// Variables that documents name because they do not exist.
const MISSPELT_VARIABLES: [&str; 1] = ["LAMEDUCK_IDLEAFTER"];
/// The folders whose files documents name by their path.
const FOLDERS: [&str; 12] = [
    ".ci/",
    ".github/",
    "benches/",
    "crates/",
    "docs/",
    "examples/",
    "fuzz/",
    "k8s-examples/",
    "run-examples/",
    "src/",
    "tests/",
    "tools/",
];

/// The folders of files that programs make.
const GENERATED: [&str; 3] = ["fuzz/artifacts/", "fuzz/corpus/", "fuzz/target/"];

/// The documents of today. The changelog also names what is gone.
fn current_documents() -> impl Iterator<Item = (PathBuf, String)> {
    let current = documents().into_iter().filter(|path| path != Path::new("CHANGELOG.md"));
    current.map(|path| (path.clone(), read(path)))
}

fn assert_all_exist(checked: usize, missing: &[String]) {
    assert!(missing.is_empty(), "documents name what does not exist:\n{}", missing.join("\n"));
    assert!(checked > 10, "only {checked} names were found");
}

/// Checks every piece of code with a function that returns how many names it has checked, and what does not exist.
fn check_code(check: impl Fn(&Path, &Code) -> (usize, Vec<String>)) {
    let (mut checked, mut missing) = (0, Vec::new());
    for (path, text) in current_documents() {
        for code in code(&text) {
            let (count, unknown) = check(&path, &code);
            checked += count;
            missing.extend(unknown.into_iter().map(|name| format!("{}: {name} in {:?}", path.display(), code.text)));
        }
    }
    assert_all_exist(checked, &missing);
}

/// The flags of a command with their dashes.
fn flags(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?)));
    own.chain(["--help".into(), "--version".into()]).collect()
}

/// The part of a command line after `lameduck`, up to the next shell operator or another program's command line.
fn calls<'a>(words: &'a [&'a str]) -> impl Iterator<Item = &'a [&'a str]> {
    let is_program = |index: usize| {
        let is_name = words[index] == "lameduck" || words[index].ends_with("/lameduck");
        // Otherwise it is the name of the container, or of a plugin.
        is_name && !index.checked_sub(1).is_some_and(|before| ["-c", "--container", "kubectl"].contains(&words[before]))
    };
    let starts = (0..words.len()).filter(move |index| is_program(*index));
    starts.map(|start| {
        let rest = &words[start + 1..];
        let is_end = |word: &&str| word.starts_with(['|', '<', '>', '&', '#', '$']) || word.is_empty() || *word == "--";
        &rest[..rest.iter().position(is_end).unwrap_or(rest.len())]
    })
}

fn check_calls(code: &str) -> (usize, Vec<String>) {
    let cli = lameduck::cli::command();
    let words = words(code);
    let (mut checked, mut missing) = (0, Vec::new());
    for call in calls(&words) {
        let Some(name) = call.first().filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase())) else {
            continue;
        };
        let Some(command) = cli.find_subcommand(name) else {
            missing.push(format!("lameduck {name}"));
            continue;
        };
        let known = flags(command);
        let named = call.iter().filter(|word| word.starts_with("--") && word.len() > 2);
        let named: Vec<&str> = named.map(|word| word.split('=').next().unwrap()).collect();
        checked += 1 + named.len();
        missing
            .extend(named.iter().filter(|flag| !known.contains(**flag)).map(|flag| format!("lameduck {name} {flag}")));
    }
    (checked, missing)
}

#[test]
fn commands_and_their_flags_exist() {
    check_code(|_, code| code.command().map(check_calls).unwrap_or_default());
}

/// Code that begins with a flag is about a flag of lameduck.
#[test]
fn flags_without_a_command_exist() {
    let known: BTreeSet<String> = lameduck::cli::command().get_subcommands().flat_map(flags).collect();
    check_code(|_, code| {
        let words = words(&code.text);
        let Some(flag) = words.first().filter(|word| word.starts_with("--") && word.len() > 2) else {
            return (0, Vec::new());
        };
        let flag = flag.split(['=', '[', '…']).next().unwrap();
        let exists = known.contains(flag) || OTHER_FLAGS.contains(&flag);
        (1, if exists { Vec::new() } else { vec![flag.to_owned()] })
    });
}

/// All words in a text that consist of this prefix and any number of these characters.
fn words_with<'a>(text: &'a str, prefix: &str, is_letter: impl Fn(char) -> bool) -> Vec<&'a str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let starts = text.match_indices(prefix).filter(|(start, _)| !text[..*start].ends_with(is_part));
    let end =
        |start: usize| text[start..].find(|letter| !is_letter(letter)).map_or(text.len(), |length| start + length);
    starts.map(|(start, _)| &text[start..end(start)]).filter(|word| word.len() > prefix.len()).collect()
}

/// The text of every source and script.
fn sources() -> String {
    fn add(path: &Path, text: &mut String) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                add(&entry.unwrap().path(), text);
            }
        } else if let Ok(source) = fs::read_to_string(path) {
            text.push_str(&source);
        }
    }
    let mut text = String::new();
    for dir in ["src", "crates", "tests", "benches", "examples", "fuzz/src"] {
        add(&repository(dir), &mut text);
    }
    text
}

fn check_text(prefix: &str, is_letter: impl Fn(char) -> bool + Copy, exists: impl Fn(&str) -> bool) {
    let (mut checked, mut missing) = (0, Vec::new());
    for (path, text) in current_documents() {
        for name in words_with(&text, prefix, is_letter) {
            checked += 1;
            if !exists(name) {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert_all_exist(checked, &missing);
}

#[test]
fn variables_exist() {
    let (cli, sources) = (lameduck::cli::command(), sources());
    let names = cli.get_subcommands().flat_map(Command::get_arguments).filter_map(|arg| arg.get_env()?.to_str());
    let settings: BTreeSet<&str> = names.collect();
    let of_tests = |name: &str| sources.contains(&format!("\"{name}\"")) || sources.contains(&format!("${{{name}"));
    check_text(
        "LAMEDUCK_",
        |letter| letter.is_ascii_uppercase() || letter == '_',
        |name| settings.contains(name) || MISSPELT_VARIABLES.contains(&name) || of_tests(name),
    );
}

#[test]
fn metrics_and_crates_exist() {
    let (families, sources) = (crate::readme::metric_families(), sources());
    let of_fleet = read("crates/fleet/src/metrics.rs");
    let is_of_fleet = |name: &str| {
        name.strip_prefix("lameduck_fleet_").is_some_and(|family| of_fleet.contains(&format!("\"{family}\"")))
    };
    let is_crate =
        |name: &str| repository("crates").join(name.trim_start_matches("lameduck_").replace('_', "-")).exists();
    check_text(
        "lameduck_",
        |letter| letter.is_ascii_lowercase() || letter == '_',
        |name| {
            let family =
                ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            families.contains(&family["lameduck_".len()..])
                || is_of_fleet(name)
                || is_crate(name)
                || sources.contains(&format!("\"{family}"))
        },
    );
}

/// Whether a path names a file or a module, relative to the repository or to the document's folder.
fn path_exists(document: &Path, path: &str) -> bool {
    let folder = document.parent().unwrap_or(Path::new(""));
    let candidates = [PathBuf::from(path), folder.join(path), PathBuf::from(format!("{path}.rs"))];
    candidates.iter().any(|candidate| repository(candidate).exists())
}

#[test]
fn files_exist() {
    check_code(|document, code| {
        let words = words(&code.text);
        let paths = words.into_iter().filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)));
        // Names with variable parts stand for many files; the fuzzer makes some files itself.
        let is_fixed = |path: &&str| {
            !path.contains(['*', '…', '<', '{', '$']) && !GENERATED.iter().any(|dir| path.starts_with(dir))
        };
        let paths: Vec<&str> = paths.filter(is_fixed).collect();
        let missing = paths.iter().filter(|path| !path_exists(document, path));
        (paths.len(), missing.map(|path| (*path).to_owned()).collect())
    });
}

/// The names that Cargo.toml and the folders of targets give.
fn targets() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let named = manifest.split("\nname = \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    let files = ["benches", "examples", "tests"].iter().flat_map(|folder| fs::read_dir(repository(folder)).unwrap());
    let files = files.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
    named.chain(files).collect()
}

#[test]
fn targets_and_recipes_exist() {
    let (targets, justfile) = (targets(), read("justfile"));
    let has_recipe = |name: &str| justfile.lines().any(|line| line.split([' ', ':']).next() == Some(name));
    check_code(|_, code| {
        let words = words(&code.text);
        let pairs = words.windows(2).filter_map(|pair| <[&str; 2]>::try_from(pair).ok());
        let named: Vec<_> =
            pairs.filter(|[word, _]| ["--bench", "--test", "--example", "just"].contains(word)).collect();
        let exists =
            |[word, name]: &&[&str; 2]| if *word == "just" { has_recipe(name) } else { targets.contains(*name) };
        let missing = named.iter().filter(|pair| !exists(pair)).map(|pair| pair.join(" "));
        (named.len(), missing.collect())
    });
}

#[test]
fn names_that_do_not_exist_are_found() {
    assert!(
        path_exists(Path::new("fuzz/README.md"), "fuzz_targets") && !path_exists(Path::new("README.md"), "src/other")
    );
    for (code, missing) in [
        ("lameduck sidecar --grace-period 5 | other --flag", ""),
        ("kubectl exec POD -c lameduck -- /lameduck status --json", ""),
        ("lameduck start", "lameduck start"),
        ("/lameduck status --wach", "lameduck status --wach"),
        ("lameduck check --watch", "lameduck check --watch"),
    ] {
        assert_eq!(check_calls(code).1.join(""), missing);
    }
    let text = "`LAMEDUCK_A_B`, other_LAMEDUCK_C LAMEDUCK_";
    assert_eq!(words_with(text, "LAMEDUCK_", |letter| letter.is_ascii_uppercase() || letter == '_'), ["LAMEDUCK_A_B"]);
}
