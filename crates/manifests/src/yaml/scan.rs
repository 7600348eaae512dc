//! Places in the text that the parser does not report.

/// The first characters of an anchor and of a tag.
pub(super) const PROPERTIES: &[u8] = b"&!";

/// The place of the next token, after whitespace, comments, and words with one of the given first characters. A comma and
/// a colon are single tokens.
pub(super) fn skip(text: &str, from: usize, words: &[u8]) -> usize {
    let mut at = from;
    loop {
        let rest = &text[at..];
        at += match rest.bytes().next() {
            Some(b'#') => rest.find('\n').unwrap_or(rest.len()),
            Some(byte @ (b',' | b':')) if words.contains(&byte) => 1,
            Some(byte) if words.contains(&byte) => rest.find(char::is_whitespace).unwrap_or(rest.len()),
            Some(byte) if byte.is_ascii_whitespace() => 1,
            Some(_) | None => return at,
        };
    }
}

/// The column of a place, from 0; a byte order mark has no width.
pub(super) fn column(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..at].trim_start_matches('\u{feff}').chars().count()
}

/// The length of the quoted scalar at the start of a text, with its quotes.
pub(super) fn quoted_len(text: &str) -> usize {
    let quote = text.chars().next();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        let next = text[at + letter.len_utf8()..].chars().next();
        let is_escape = letter == '\\' && quote == Some('"') || letter == '\'' && next == Some('\'');
        if is_escape {
            letters.next();
        } else if Some(letter) == quote {
            return at + 1;
        }
    }
    text.len()
}
