//! Relative links in documents lead to existing files and headings, and the README stays short.
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{pages, read, repository};

/// The README's maximum size, in bytes.
const MAX_README: usize = 9 * 1024;

/// Every document whose links are checked, relative to the repository.
pub(super) fn documents() -> Vec<PathBuf> {
    let others = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md", "RELEASING.md"];
    let folders =
        ["CODE_OF_CONDUCT.md", "k8s-examples/README.md", "run-examples/README.md", "tests/README.md", "fuzz/README.md"];
    pages().into_iter().chain(others.into_iter().chain(folders).map(PathBuf::from)).collect()
}

/// The lines that are not in a fenced code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// The text without its code spans.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect()
}

/// The targets of all inline links: `[text](target)`.
fn links(text: &str) -> Vec<String> {
    // Links and code spans may be wrapped onto a second line.
    let text = without_code(&prose(text).collect::<Vec<_>>().join(" "));
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The path with `..` resolved; `None` outside the repository.
fn normalized(path: &Path) -> Option<PathBuf> {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => result.pop().then_some(())?,
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => result.push(component),
        }
    }
    Some(result)
}

/// Why a link leads nowhere.
fn broken(document: &Path, link: &str) -> Option<String> {
    let (path, fragment) = link.split_once('#').map_or((link, None), |(path, fragment)| (path, Some(fragment)));
    let target = document.parent()?.join(path);
    let target = if path.is_empty() { Some(document.to_owned()) } else { normalized(&target) };
    let Some(target) = target else { return Some("outside the repository".into()) };
    if !repository(&target).exists() {
        return Some("no such file".into());
    }
    let fragment = fragment?;
    (!anchors(&read(&target)).contains(fragment)).then(|| "no such heading".into())
}

#[test]
fn every_relative_link_leads_to_a_file_and_heading() {
    let (mut checked, mut failures) = (0, Vec::new());
    for document in documents() {
        for link in links(&read(&document)).iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        {
            checked += 1;
            let why = broken(&document, link);
            failures.extend(why.map(|why| format!("{}: {link}: {why}", document.display())));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(checked > 60, "only {checked} links were found");
}

/// The book has the pages in the order of the index, and no others.
#[test]
fn index_lists_every_page_once() {
    let index = read("docs/README.md");
    let listed = index.lines().filter_map(|line| line.strip_prefix("- [")?.split_once("](")?.1.split_once(')'));
    let mut listed: Vec<PathBuf> = listed.map(|(page, _)| Path::new("docs").join(page)).collect();
    let mut pages: Vec<PathBuf> = pages().into_iter().filter(|page| page != Path::new("docs/README.md")).collect();
    listed.sort();
    pages.sort();
    assert_eq!(listed, pages);
}

#[test]
fn readme_is_at_most_9_kb() {
    let size = read("README.md").len();
    assert!(size <= MAX_README, "README.md has {size} bytes, of at most {MAX_README}; move details to docs/");
}

#[test]
fn broken_links_are_found() {
    let text = "[a](b.md) `[no](code.md)`\n```\n[no](fence.md)\n```\n[wrapped\ntext](c.md#d) [e](https://f)";
    assert_eq!(links(text), ["b.md", "c.md#d", "https://f"]);
    assert_eq!(anchor("Exit codes, and `/status`?"), "exit-codes-and-status");
    let index = Path::new("docs/README.md");
    assert_eq!(broken(index, "../README.md"), None);
    for link in ["nothing.md", "../README.md#no-such-heading", "#no-such-heading", "../../outside.md"] {
        assert!(broken(index, link).is_some(), "{link}");
    }
}
