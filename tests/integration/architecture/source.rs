//! Rust source files as code: without comments, strings and tests.

use std::fs;
use std::path::Path;

use super::brackets::closing;

/// The folder of each crate, its name in `use`, and its module path here. The main crate has no name of its own here,
/// so that `crate::io` is `io`.
pub(super) const CRATES: [(&str, &str, &str); 10] = [
    ("src/", "lameduck", ""),
    ("crates/cli-reference/src/", "lameduck_cli_reference", "cli_reference"),
    ("crates/fleet/src/", "lameduck_fleet", "fleet"),
    ("crates/fleet-machine/src/", "lameduck_fleet_machine", "fleet_machine"),
    ("crates/machine/src/", "lameduck_machine", "machine"),
    ("crates/manifests/src/", "lameduck_manifests", "manifests"),
    ("crates/parsers/src/", "lameduck_parsers", "parsers"),
    ("crates/pidfd-exit/src/", "pidfd_exit", "pidfd_exit"),
    ("crates/rt-signal/src/", "rt_signal", "rt_signal"),
    ("crates/test-support/src/", "lameduck_test_support", "test_support"),
];

/// A source file.
pub(super) struct Source {
    /// Relative to the repository.
    pub(super) path: String,
    pub(super) lines: usize,
    /// With comments and literals replaced by spaces, so that every line keeps its number.
    pub(super) code: String,
}

impl Source {
    /// The sources in a folder of the repository, and in the folders below it.
    pub(super) fn all_in(folder: &str) -> Vec<Self> {
        let mut sources = Vec::new();
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                sources.extend(Self::all_in(&path));
            } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(entry.path()).unwrap();
                sources.push(Self { path, lines: text.lines().count(), code: code_only(&text) });
            }
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    }

    /// The sources of all crates that are no test modules.
    pub(super) fn all_modules() -> Vec<Self> {
        let sources = [Self::all_in("src"), Self::all_in("crates")].into_iter().flatten();
        sources.filter(|source| source.path.contains("src/") && !source.path.ends_with("/tests.rs")).collect()
    }

    /// The module path of its crate, and of the module, such as `machine` and `machine::drain`.
    pub(super) fn module(&self) -> (&'static str, String) {
        let crates = CRATES.iter();
        let mut matching = crates.filter_map(|(folder, _, name)| Some((*name, self.path.strip_prefix(folder)?)));
        let (name, file) = matching.next().unwrap_or_else(|| panic!("{} is in no known crate", self.path));
        let module = file.strip_suffix(".rs").unwrap_or(file).replace('/', "::");
        (name, join(name, if module == "lib" { "" } else { &module }))
    }

    /// The code outside `#[cfg(test)]`.
    pub(super) fn production_code(&self) -> String {
        let mut code = self.code.clone();
        while let Some(start) = code.find("#[cfg(test)]") {
            let end = item_end(&code, start);
            let blank = blank(&code[start..end]);
            code.replace_range(start..end, &blank);
        }
        code
    }
}

/// Joins two parts of a module path, of which each may be empty.
pub(super) fn join(parent: &str, rest: &str) -> String {
    let separator = if parent.is_empty() || rest.is_empty() { "" } else { "::" };
    format!("{parent}{separator}{rest}")
}

/// The number of the line at this offset.
pub(super) fn line_at(code: &str, offset: usize) -> usize {
    code[..offset].matches('\n').count() + 1
}

/// Where the item that starts here ends.
fn item_end(code: &str, start: usize) -> usize {
    match code[start..].find(['{', ';']).map(|at| start + at) {
        Some(at) if code[at..].starts_with('{') => closing(code, at) + 1,
        Some(at) => at + 1,
        None => code.len(),
    }
}

fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { ' ' }).collect()
}

fn code_only(text: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        if let Some(length) = comment_or_literal(rest) {
            code.push_str(&blank(&rest[..length]));
            rest = &rest[length..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// The length of the comment, the string or the character with which this begins, if it begins with one.
fn comment_or_literal(text: &str) -> Option<usize> {
    match text.as_bytes() {
        [b'/', b'/', ..] => Some(text.find('\n').unwrap_or(text.len())),
        [b'/', b'*', ..] => Some(text.find("*/")? + 2),
        [b'"', ..] => quoted(text, '"'),
        [b'\'', b'\\', ..] => quoted(text, '\''),
        [b'\'', ..] => {
            // Without the second quote it is a lifetime.
            let character = text[1..].chars().next()?;
            text[1 + character.len_utf8()..].starts_with('\'').then_some(character.len_utf8() + 2)
        }
        [b'r', b'"' | b'#', ..] => raw_string(text),
        _ => None,
    }
}

fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    let ends = |c: char| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    };
    text[1..].find(ends).map(|at| at + 2)
}

fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let content = 1 + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    text[content - 1..].starts_with('"').then_some(())?;
    Some(content + text[content..].find(&end)? + end.len())
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, code) in [
        ("a // fn b\nc", "a        \nc"),
        ("a/* { */b", "a       b"),
        (r#"a("\"{", '{', '\'', b"}")"#, "a(     ,    ,     , b   )"),
        ("r#\"{\"}\"# 'a>", "         'a>"),
        ("r#type", "r#type"),
    ] {
        assert_eq!(code_only(text), code, "{text}");
    }
}

#[test]
fn test_modules_are_no_production_code() {
    let code = "a;\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[cfg(test)]\nmod tests;\nc;\n".to_owned();
    let source = Source { path: "src/a.rs".into(), lines: 8, code };
    assert_eq!(source.production_code().split_whitespace().collect::<Vec<_>>(), ["a;", "c;"]);
    assert_eq!(line_at(&source.production_code(), source.production_code().find('c').unwrap()), 8);
}
