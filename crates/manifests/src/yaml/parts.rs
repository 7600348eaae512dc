//! Cutting a stream into documents, so that each can be read by itself.

use std::ops::Range;

/// A yaml_value of a stream that can be read by itself: a document, with what stands before and behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its bytes.
    pub range: Range<usize>,
    /// The line that it begins in, from 1.
    pub line: usize,
}

/// Cuts a stream in front of each line that begins with `---`; that is nowhere a yaml_value of a value.
#[must_use]
pub fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut yaml_value = Part { range: 0..0, line: 1 };
    let mut directive = false;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker =
            line.strip_prefix("---").is_some_and(|rest| rest.trim_start().len() < rest.len() || rest.is_empty());
        // Directives belong to the document behind them.
        if marker && !directive && !yaml_value.range.is_empty() {
            let next = Part { range: yaml_value.range.end..yaml_value.range.end, line: index + 1 };
            parts.push(std::mem::replace(&mut yaml_value, next));
        }
        if !line.trim().is_empty() && !line.starts_with('#') {
            directive = line.starts_with('%');
        }
        yaml_value.range.end += line.len();
    }
    parts.push(yaml_value);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_where_documents_begin_and_directives_stay_with_theirs() {
        let text = "# a\n---\nb: |\n  ---\n---- no\n--- # c\n...\n%YAML 1.1\n# d\n---\ne\n---";
        let cut: Vec<_> = parts(text)
            .into_iter()
            .map(|yaml_value| (text[yaml_value.range.clone()].to_owned(), yaml_value.line))
            .collect();
        let expected = [
            ("# a\n", 1),
            ("---\nb: |\n  ---\n---- no\n", 2),
            ("--- # c\n...\n%YAML 1.1\n# d\n---\ne\n", 6),
            ("---", 12),
        ];
        assert_eq!(cut, expected.map(|(text, line)| (text.to_owned(), line)));
    }
}
