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
}
