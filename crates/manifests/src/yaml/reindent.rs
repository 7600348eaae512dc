//! Input for the parser, changed where the parser is stricter than the readers of Kubernetes.
//!
//! - Inside brackets and quotes, other readers accept lines that are indented less than their surroundings. The parser
//!   does not, so these lines are indented further. Indentation has no meaning there, so the tree stays the same.
//! - The parser rejects surrogate escapes, so they are replaced (see `surrogates`).
//!
//! [`ReindentedText::original_position`] maps the parser's positions back to the original text.
//!
//! The kind of a parser error is known only from its English message, which may change with any release. So the decision
//! to indent a line uses the text alone: the lines before it must not parse as a complete document, as is the case inside
//! brackets and quotes. Elsewhere, this happens only after an error that no following line can repair, so a text that
//! other readers reject is still rejected.

use saphyr_parser::{Marker, Parser};

use super::{scan, surrogates};

/// The additional indentation of a line, in columns: more than block style reaches.
const INDENT: usize = 128;

/// The largest number of bytes that are parsed again because of changed lines.
const MAX_REPARSED: usize = 1 << 29;

/// A text for the parser.
pub(super) struct ReindentedText {
    /// The changed text.
    pub(super) text: String,
    /// The starts of the indented lines, in characters of the changed text, in order.
    inserted_at: Vec<usize>,
    /// The remaining bytes that may be parsed again.
    budget: usize,
}

impl ReindentedText {
    pub(super) fn new(text: &str) -> Self {
        Self { text: surrogates::replace(text), inserted_at: Vec::new(), budget: MAX_REPARSED }
    }

    /// The position of a marker in the original text: its characters from the start, and its column.
    pub(super) fn original_position(&self, marker: &Marker) -> (usize, usize) {
        let (at, column) = (marker.index(), marker.col());
        let before = &self.inserted_at[..self.inserted_at.partition_point(|start| *start < at)];
        let Some(last) = before.last() else { return (at, column) };
        let inserted = INDENT.min(at - last);
        let is_same_line = at - last == column;
        (at - INDENT * (before.len() - 1) - inserted, column - if is_same_line { inserted } else { 0 })
    }

    /// Indents the lines that may have caused a parser error at a marker; returns whether any were. Each call changes later
    /// lines than the calls before it.
    pub(super) fn try_fix(&mut self, marker: &Marker) -> bool {
        let at = self.text.char_indices().nth(marker.index()).map_or(self.text.len(), |(at, _)| at);
        let line = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        self.indent_line(line) || self.indent_quoted(at)
    }

    /// Indents a line that begins inside brackets or quotes.
    fn indent_line(&mut self, start: usize) -> bool {
        let line = self.text[start..].lines().next().unwrap_or_default();
        if line.trim().is_empty() || !self.can_indent(&[start]) {
            return false;
        }
        self.indent(start);
        true
    }

    /// Indents the further lines of a quoted scalar.
    fn indent_quoted(&mut self, start: usize) -> bool {
        if !self.text[start..].starts_with(['"', '\'']) {
            return false;
        }
        let end = start + scan::quoted_len(&self.text[start..]);
        let newlines = self.text[start..end].match_indices('\n').map(|(newline, _)| start + newline + 1);
        let lines: Vec<_> = newlines.collect();
        if !self.can_indent(&lines) {
            return false;
        }
        for (index, line) in lines.iter().enumerate() {
            self.indent(line + INDENT * index);
        }
        true
    }

    /// Whether lines may be indented: they follow all lines that are already indented, the first begins inside brackets or
    /// quotes, and none is a document marker, which ends a document even there.
    fn can_indent(&mut self, lines: &[usize]) -> bool {
        let Some(&first) = lines.first() else { return false };
        let is_marker = |line: &usize| is_document_marker(&self.text[*line..]);
        let index = self.text[..first].chars().count();
        let is_later = self.inserted_at.last().is_none_or(|last| *last < index);
        is_later && !lines.iter().any(is_marker) && self.begins_inside(first)
    }

    /// Whether a line begins inside brackets or quotes.
    fn begins_inside(&mut self, start: usize) -> bool {
        // The whole text is parsed once more if this succeeds.
        let Some(budget) = self.budget.checked_sub(start + self.text.len()) else { return false };
        self.budget = budget;
        Parser::new_from_str(&self.text[..start]).any(|event| event.is_err())
    }

    fn indent(&mut self, start: usize) {
        self.inserted_at.push(self.text[..start].chars().count());
        self.text.insert_str(start, &" ".repeat(INDENT));
    }
}

/// Whether a text begins with `---` or `...` as a token of its own.
fn is_document_marker(text: &str) -> bool {
    let rest = text.strip_prefix("---").or_else(|| text.strip_prefix("..."));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Maps characters, which the parser counts, to bytes.
pub(super) struct Offsets(Option<Vec<usize>>);

impl Offsets {
    pub(super) fn new(text: &str) -> Self {
        let table = || text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
        Self((!text.is_ascii()).then(table))
    }

    pub(super) fn byte(&self, character: usize, length: usize) -> usize {
        match &self.0 {
            Some(table) => table.get(character).copied().unwrap_or(length),
            None => character.min(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::yaml::{Document, DocumentText, YamlError, read};

    fn parse(text: &str) -> Result<Vec<Document>, YamlError> {
        read(text, &DocumentText { range: 0..text.len(), line: 1 })
    }

    #[test]
    fn positions_in_indented_lines_are_those_of_the_original() {
        let text = "ü: [\n\"b\",\n \"ü\", c\n]\nd: 'e\nf' # g\nh: i\n";
        let documents = read(text, &DocumentText { range: 0..text.len(), line: 7 }).unwrap();
        let entries = documents[0].root.entries();
        let nodes = entries[0].value.items().iter().chain(entries[1..].iter().map(|entry| &entry.value));
        let places: Vec<_> = nodes.map(|node| (&text[node.span.clone()], node.line, node.column)).collect();
        assert_eq!(places, [("\"b\"", 8, 0), ("\"ü\"", 9, 1), ("c", 9, 6), ("'e\nf'", 11, 3), ("i", 13, 3)]);
    }

    #[test]
    fn unfixable_error_is_reported_at_its_original_position() {
        let text = "---\na: [\n\"b\",\n\"c\"\n";
        let error = read(text, &DocumentText { range: 0..text.len(), line: 3 }).unwrap_err();
        assert_eq!((error.line, error.column), (7, 1), "{error}");
    }

    #[test]
    fn lines_outside_brackets_and_quotes_are_not_indented() {
        // With more indentation, each of these would parse as something else than other readers see.
        for (text, line) in [
            ("a: b\nc\nd: e\n", 2),
            ("a:\n    - b: c\n   d: e\n", 3),
            ("a: [b]\nc\nd: e\n", 2),
            ("a: 'b'\nc\n", 2),
            ("a: |\n  b\n c\nd: e\n", 3),
            ("a: [\n  b,\n...\n]\n", 3),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.line == line || error.line == line + 1, "{text:?}: {error}");
        }
    }
}
