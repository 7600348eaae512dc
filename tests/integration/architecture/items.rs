//! The functions and the types in code, and how large they are.

use std::collections::BTreeMap;

use super::brackets::{closing, find_outside, is_identifier, split_outside, words};
use super::source::line_at;

/// A function with a body.
#[derive(Debug, PartialEq)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    /// The line on which it starts.
    pub(super) line: usize,
    pub(super) lines: usize,
    /// How many parameters it has, `self` included.
    pub(super) parameters: usize,
}

/// All functions in the code, methods and nested ones included.
pub(super) fn functions(code: &str) -> Vec<Function<'_>> {
    words(code, "fn").filter_map(|start| function_at(code, start)).collect()
}

/// The function that starts here; `None` if this is the type of a pointer, or a declaration.
fn function_at(code: &str, start: usize) -> Option<Function<'_>> {
    let after = code[start..].strip_prefix("fn ")?;
    let name = identifier(after);
    let open = code.len() - after.len() + find_outside(after, &['('])?;
    let close = closing(code, open);
    let body = close + 1 + find_outside(&code[close + 1..], &['{', ';'])?;
    if name.is_empty() || code[body..].starts_with(';') {
        return None;
    }
    let lines = code[start..=closing(code, body)].lines().count();
    let parameters = split_outside(&code[open + 1..close], ',').len();
    Some(Function { name, line: line_at(code, start), lines, parameters })
}

/// The number of fields of each struct.
pub(super) fn fields(code: &str) -> Vec<(&str, usize)> {
    let structs = words(code, "struct").filter_map(|start| {
        let after = code[start..].strip_prefix("struct ")?;
        let open = find_outside(after, &['{', '(', ';'])?;
        let count = if after[open..].starts_with(';') { 0 } else { list_length(after, open) };
        Some((identifier(after), count))
    });
    structs.collect()
}

fn list_length(code: &str, open: usize) -> usize {
    split_outside(&code[open + 1..closing(code, open)], ',').len()
}

/// Adds the number of methods of each type to `methods`. Implemented traits count too.
pub(super) fn count_methods(code: &str, methods: &mut BTreeMap<String, usize>) {
    // An `impl` within a line is the type of a parameter or a result.
    for start in words(code, "impl").filter(|start| *start == 0 || code[..*start].ends_with('\n')) {
        let open = start + code[start..].find('{').unwrap();
        let body = &code[open..=closing(code, open)];
        *methods.entry(implementer(&code[start..open]).to_owned()).or_default() += functions(body).len();
    }
}

/// The name of the type in the head of an `impl` block.
fn implementer(head: &str) -> &str {
    let words = split_outside(head, ' ');
    let end = words.iter().position(|word| *word == "where").unwrap_or(words.len());
    identifier(words[end - 1])
}

/// The identifier at the beginning of the code.
fn identifier(code: &str) -> &str {
    code.split(|c| !is_identifier(c)).next().unwrap_or_default()
}

#[test]
fn functions_have_lines_and_parameters() {
    let code = "trait T {\n    fn declared(&self);\n}\nfn a<F: Fn(u8) -> u8>(\n    f: F,\n    g: fn(u8, u8),\n) -> [u8; 2] {\n}\n";
    assert_eq!(functions(code), [Function { name: "a", line: 4, lines: 5, parameters: 2 }]);
}

#[test]
fn types_have_fields_and_methods() {
    let code = "struct A<'a> {\n    b: Map<B, C>,\n    c: &'a (u8, u8),\n}\npub struct D(u8);\nstruct E;\n\
                impl<'a> A<'a> {\n    fn a() {}\n    fn b() -> impl Iterator<Item = u8> {}\n}\n\
                impl fmt::Display for A<'_> {\n    fn fmt() {}\n}\n";
    assert_eq!(fields(code), [("A", 2), ("D", 1), ("E", 0)]);
    let mut methods = BTreeMap::new();
    count_methods(code, &mut methods);
    assert_eq!(methods, BTreeMap::from([("A".to_owned(), 3)]));
}
