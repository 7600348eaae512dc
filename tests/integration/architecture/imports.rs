//! What a module imports: by `use`, or by a path in its code.

use std::collections::BTreeSet;
use std::iter;

use super::brackets::{closing, is_identifier, split_outside, words};
use super::source::{CRATES, Source, join, line_at};

/// A path that a module names.
#[derive(Debug, PartialEq)]
pub(super) struct Import {
    pub(super) line: usize,
    /// From the root of the repository, such as `machine::time::Time`.
    pub(super) path: String,
}

/// The paths into this repository that the source names outside its tests.
pub(super) fn imports(source: &Source) -> Vec<Import> {
    let code = source.production_code();
    let (crate_name, module) = source.module();
    let roots = CRATES.iter().map(|(_, name, _)| *name).chain(["crate", "self", "super"]);
    let starts = roots.flat_map(|root| words(&code, root).filter(|start| is_root(&code, *start, root)));
    let imports = starts.flat_map(|start| {
        let line = line_at(&code, start);
        let paths = expand(&code[start..]).into_iter().map(|path| absolute(crate_name, &module, &path));
        paths.map(|path| Import { line, path }).collect::<Vec<_>>()
    });
    imports.collect()
}

/// Whether a path begins with this word.
fn is_root(code: &str, start: usize, word: &str) -> bool {
    code[start + word.len()..].starts_with("::") && !code[..start].ends_with("::")
}

/// The paths of a tree such as `a::{b, c::{d, e}}`.
pub(super) fn expand(tree: &str) -> Vec<String> {
    let end = tree.find(|c| !is_identifier(c) && c != ':' && c != '*').unwrap_or(tree.len());
    let (path, rest) = tree.split_at(end);
    if !rest.starts_with('{') {
        return vec![path.trim_end_matches(':').to_owned()];
    }
    let branches = split_outside(&rest[1..closing(rest, 0)], ',');
    branches.into_iter().flat_map(expand).map(|branch| format!("{path}{branch}")).collect()
}

fn absolute(crate_name: &str, module: &str, path: &str) -> String {
    let (root, rest) = path.split_once("::").unwrap_or((path, ""));
    match root {
        "crate" => join(crate_name, rest),
        "self" => join(module, rest),
        "super" => {
            let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
            if rest.starts_with("super") { absolute(crate_name, parent, rest) } else { join(parent, rest) }
        }
        name => {
            let (.., module) = CRATES.iter().find(|(_, crate_name, _)| *crate_name == name).unwrap();
            join(module, rest)
        }
    }
}

/// The path, its parent, and so on.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    iter::successors(Some(path), |path| path.rsplit_once("::").map(|(parent, _)| parent))
}

/// The module that a path leads into.
pub(super) fn module_of<'a>(modules: &BTreeSet<String>, path: &'a str) -> &'a str {
    ancestors(path).find(|path| modules.contains(*path)).unwrap_or_default()
}

#[test]
fn imports_are_resolved() {
    let code = "use crate::a::{self, B, c::{D, E as F}};\nuse lameduck_machine::time::Time;\nuse std::io;\n\
                fn f(g: super::G) {\n    self.h(super::super::i::j());\n    k::crate::l\n}\n\
                #[cfg(test)]\nuse crate::m;\n";
    let source = Source { path: "src/io/hook/token.rs".into(), lines: 9, code: code.into() };
    let found: Vec<(usize, String)> = imports(&source).into_iter().map(|import| (import.line, import.path)).collect();
    let expected = [
        (2, "machine::time::Time"),
        (1, "a::self"),
        (1, "a::B"),
        (1, "a::c::D"),
        (1, "a::c::E"),
        (4, "io::hook::G"),
        (5, "io::i::j"),
    ];
    assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
    let modules = BTreeSet::from(["io".to_owned(), "io::hook".to_owned()]);
    assert_eq!(module_of(&modules, "io::hook::token::Token"), "io::hook");
}
