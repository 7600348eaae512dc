//! Splits a stream into documents, so that each can be parsed on its own.

use std::ops::Range;

/// A piece of a stream that can be parsed on its own: a document and the lines around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentText {
    /// Its bytes.
    pub range: Range<usize>,
    /// Its first line, from 1.
    pub line: usize,
}

/// Splits a stream before each line that begins with `---`, which cannot be part of a value.
#[must_use]
pub fn split_documents(text: &str) -> Vec<DocumentText> {
    let mut pieces = Vec::new();
    let mut piece = DocumentText { range: 0..0, line: 1 };
    let mut directive = false;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker =
            line.strip_prefix("---").is_some_and(|rest| rest.trim_start().len() < rest.len() || rest.is_empty());
        // Directives belong to the document after them.
        if marker && !directive && !piece.range.is_empty() {
            let next = DocumentText { range: piece.range.end..piece.range.end, line: index + 1 };
            pieces.push(std::mem::replace(&mut piece, next));
        }
        if !line.trim().is_empty() && !line.starts_with('#') {
            directive = line.starts_with('%');
        }
        piece.range.end += line.len();
    }
    pieces.push(piece);
    pieces
}

/// Splits a piece that consists of JSON objects, one after the other, as `kubectl` reads them. YAML does not allow this, so
/// a piece of YAML is not split.
pub(super) fn split_json(text: &str, document: &DocumentText) -> Vec<DocumentText> {
    let piece = &text[document.range.clone()];
    let mut objects: Vec<DocumentText> = Vec::new();
    let mut at = 0;
    while let Some(start) = piece[at..].find('{').map(|start| at + start) {
        let before = piece[at..start].trim_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        let Some(length) = object_len(&piece[start..]) else { return Vec::new() };
        let is_marker = objects.is_empty() && before == "---";
        if !before.is_empty() && !is_marker {
            return Vec::new();
        }
        let line = document.line + piece[..start].matches('\n').count();
        at = start + length;
        objects.push(DocumentText { range: document.range.start + start..document.range.start + at, line });
    }
    let is_rest_empty = piece[at..].trim().is_empty();
    if is_rest_empty { objects } else { Vec::new() }
}

/// The length of the JSON object at the start of a text.
fn object_len(text: &str) -> Option<usize> {
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            _ if is_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_is_split_before_markers_and_their_directives() {
        let text = "# a\n---\nb: |\n  ---\n---- no\n--- # c\n...\n%YAML 1.1\n# d\n---\ne\n---";
        let cut: Vec<_> =
            split_documents(text).into_iter().map(|piece| (text[piece.range.clone()].to_owned(), piece.line)).collect();
        let expected = [
            ("# a\n", 1),
            ("---\nb: |\n  ---\n---- no\n", 2),
            ("--- # c\n...\n%YAML 1.1\n# d\n---\ne\n", 6),
            ("---", 12),
        ];
        assert_eq!(cut, expected.map(|(text, line)| (text.to_owned(), line)));
    }

    #[test]
    fn json_objects_are_split_and_yaml_is_not() {
        let split = |text: &str| {
            let pieces = split_json(text, &DocumentText { range: 0..text.len(), line: 1 });
            pieces.into_iter().map(|piece| (text[piece.range].to_owned(), piece.line)).collect::<Vec<_>>()
        };
        let text = "--- {\"a\": \"}{\\\"\"}{}\n\n{\"b\": [{}]}\n";
        let expected = [("{\"a\": \"}{\\\"\"}", 1), ("{}", 1), ("{\"b\": [{}]}", 3)];
        assert_eq!(split(text), expected.map(|(text, line)| (text.to_owned(), line)));
        for yaml in ["a: {b: c}\nd: {}", "{} x {}", "{}, {}", "{a: 'b\"'}\n{", "{}]", "a: b"] {
            assert_eq!(split(yaml), [], "{yaml:?}");
        }
    }
}
