//! Metadata lines, which have only a name and one word.

use super::sample::{Escapes, quoted, skip_whitespace, token};
use crate::cursor::Cursor;

/// Returns what follows the name in a `# TYPE` or `# UNIT` line if it is more than one word: a newline may be missing.
/// Returns an empty text for all other comments, whose text is free.
pub(super) fn excess(line: &[u8]) -> &[u8] {
    let start = line.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let mut cursor = Cursor::new(start);
    if !cursor.eat("# ") && !cursor.eat("#\t") || !matches!(token(&mut cursor), "TYPE" | "UNIT") {
        return &[];
    }
    skip_whitespace(&mut cursor);
    // A name whose quote is not closed is a word: it must not hide what follows.
    let mut after_quotes = cursor.clone();
    if matches!(quoted(&mut after_quotes, Escapes::Any), Ok(Some(_))) {
        cursor = after_quotes;
    } else {
        token(&mut cursor);
    }
    let rest = &line[start.len() - cursor.rest().len()..];
    let is_word = rest.trim_ascii().iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if is_word { &[] } else { rest }
}

#[cfg(test)]
mod tests {
    use super::excess;

    #[test]
    fn only_types_and_units_are_one_word() {
        for (line, text) in [
            ("# TYPE a gauge", ""),
            ("# TYPE a gauge b", " gauge b"),
            ("#\t TYPE\t\"a b\" gaugeb 3", " gaugeb 3"),
            ("# TYPE a gaugeb{c=\"d\"}", " gaugeb{c=\"d\"}"),
            ("# TYPE \"a gauge b 3", " gauge b 3"),
            ("# TYPE \"a", ""),
            ("# UNIT a seconds\r", ""),
            ("# UNIT a seconds 3", " seconds 3"),
            ("# HELP a text text", ""),
            ("# a text text", ""),
            ("#TYPE a gauge 3", ""),
            ("# TYPE", ""),
            ("# TYPE a", ""),
        ] {
            assert_eq!(excess(line.as_bytes()), text.as_bytes(), "{line}");
        }
        assert_eq!(excess(b"# TYPE a b\xffc"), b" b\xffc");
    }
}
