//! The workflows run only code that is fixed, with few permissions, and only scripts that exist.
//! `tools/lint-workflows` checks more.

use std::fs;

use super::{read, repository};

/// The path and the text of each workflow.
fn workflows() -> Vec<(String, String)> {
    let names = fs::read_dir(repository(".github/workflows")).unwrap().map(|entry| entry.unwrap().file_name());
    let paths = names.map(|name| format!(".github/workflows/{}", name.to_string_lossy()));
    paths.map(|path| (path.clone(), read(path))).collect()
}

/// Whether an action is fixed by the hash of a commit, with its version as a comment.
fn is_pinned(action: &str) -> bool {
    let Some((_, reference)) = action.split_once('@') else { return false };
    let Some((commit, version)) = reference.split_once(" # v") else { return false };
    commit.len() == 40 && commit.chars().all(|digit| digit.is_ascii_hexdigit()) && !version.is_empty()
}

#[test]
fn actions_are_pinned_by_commit() {
    let mut count = 0;
    for (path, text) in workflows() {
        for (_, action) in text.lines().filter_map(|line| line.split_once("uses: ")) {
            count += 1;
            assert!(is_pinned(action), "{path}: {action} is not fixed by the hash of a commit");
        }
    }
    assert!(count > 10, "only {count} actions were found");
    assert!(!is_pinned("actions/checkout@v7") && !is_pinned("./local"));
}

#[test]
fn workflows_have_no_permissions_but_those_of_jobs() {
    for (path, text) in workflows() {
        assert!(text.contains("\npermissions: {}\n"), "{path} has permissions for all jobs");
        let jobs = text.split("\n    runs-on: ").count() - 1;
        assert_eq!(text.matches("\n    permissions:\n").count(), jobs, "{path}: a job has no permissions of its own");
    }
}

#[test]
fn scripts_of_workflows_exist() {
    let mut count = 0;
    for (path, text) in workflows() {
        let words = text.split(|letter: char| letter.is_whitespace() || "()\"$;<".contains(letter));
        for script in words.filter(|word| ["tools/", "tests/", ".ci/"].iter().any(|folder| word.starts_with(folder))) {
            count += 1;
            assert!(repository(script).exists(), "{path}: {script} does not exist");
        }
    }
    assert!(count > 5, "only {count} scripts were found");
}
