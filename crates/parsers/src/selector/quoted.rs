//! String literals of `PromQL`: Go's escapes in single and double quotes, raw text in backticks.

use super::Reason;
use crate::cursor::Cursor;

/// Parses the literal at the cursor; `None` if the next character is not a quote.
///
/// Leaves the cursor after the literal, or at the error position.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Option<String>, Reason> {
    let start = cursor.clone();
    let Some(quote) = cursor.peek().filter(|next| matches!(next, '"' | '\'' | '`')) else { return Ok(None) };
    cursor.next();
    let bytes = parse_body(cursor, quote)?;
    String::from_utf8(bytes).map(Some).map_err(|_| {
        *cursor = start;
        Reason::NotUtf8
    })
}

/// Writes a literal in double quotes.
pub(super) fn write(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

/// Parses up to and including the closing quote.
fn parse_body(cursor: &mut Cursor<'_>, quote: char) -> Result<Vec<u8>, Reason> {
    let raw = quote == '`';
    let mut bytes = Vec::new();
    loop {
        let here = cursor.clone();
        let error = match cursor.next() {
            Some(next) if next == quote => return Ok(bytes),
            Some('\\') if !raw => escape(cursor, quote, &mut bytes).err(),
            Some(next) if raw || next != '\n' => {
                push(&mut bytes, next);
                None
            }
            Some(_) | None => Some(Reason::UnterminatedString(quote)),
        };
        if let Some(reason) = error {
            *cursor = here;
            return Err(reason);
        }
    }
}

/// Parses what follows a backslash.
fn escape(cursor: &mut Cursor<'_>, quote: char, bytes: &mut Vec<u8>) -> Result<(), Reason> {
    match cursor.next().ok_or(Reason::InvalidEscape)? {
        'a' => bytes.push(0x07),
        'b' => bytes.push(0x08),
        'f' => bytes.push(0x0c),
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        'v' => bytes.push(0x0b),
        'x' => bytes.push(byte(number(cursor, 16, 2, 0)?)?),
        'u' => push(bytes, character(number(cursor, 16, 4, 0)?)?),
        'U' => push(bytes, character(number(cursor, 16, 8, 0)?)?),
        first @ '0'..='7' => bytes.push(byte(number(cursor, 8, 2, u32::from(first) - u32::from('0'))?)?),
        other if other == '\\' || other == quote => push(bytes, other),
        _ => return Err(Reason::InvalidEscape),
    }
    Ok(())
}

/// Parses exactly `count` more digits of a number whose first digits are `start`.
fn number(cursor: &mut Cursor<'_>, radix: u32, count: usize, start: u32) -> Result<u32, Reason> {
    (0..count)
        .try_fold(start, |sum, _| sum.checked_mul(radix)?.checked_add(cursor.next()?.to_digit(radix)?))
        .ok_or(Reason::InvalidEscape)
}

fn byte(number: u32) -> Result<u8, Reason> {
    u8::try_from(number).map_err(|_| Reason::InvalidEscape)
}

fn character(number: u32) -> Result<char, Reason> {
    char::from_u32(number).ok_or(Reason::InvalidEscape)
}

fn push(bytes: &mut Vec<u8>, next: char) {
    bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_go_escapes() {
        assert_eq!(text(r#""\a\b\f\n\r\t\v\"\\""#), "\x07\x08\x0c\n\r\t\x0b\"\\");
        assert_eq!(text(r#""\101\x41\u0041\U00000041\xc3\xa9""#), "AAAAé");
        assert_eq!(text(r"'it\'s'"), "it's");
        assert_eq!(text("'\"` '"), "\"` ");
    }

    #[test]
    fn backticks_are_raw_and_multiline() {
        assert_eq!(text("`\\d\"'\n`"), "\\d\"'\n");
    }

    #[test]
    fn invalid_escapes_are_rejected_at_their_position() {
        for bad in [r"\q", r"\'", r"\8", r"\1", r"\400", r"\x4", r"\xgg", r"\ud800", r"\U00110000", r"\"] {
            assert_eq!(error(&format!("\"a{bad}")), (Reason::InvalidEscape, 3), "{bad}");
        }
        assert_eq!(error(r#"'\"'"#), (Reason::InvalidEscape, 2));
    }

    #[test]
    fn quoted_strings_end_on_their_line() {
        assert_eq!(error("\"ab"), (Reason::UnterminatedString('"'), 4));
        assert_eq!(error("'a\n'"), (Reason::UnterminatedString('\''), 3));
        assert_eq!(error("`a\n"), (Reason::UnterminatedString('`'), 4));
    }

    #[test]
    fn escapes_must_produce_utf8() {
        assert_eq!(error(r#""a\xff""#), (Reason::NotUtf8, 1));
        assert_eq!(error(r#""\377""#), (Reason::NotUtf8, 1));
    }

    #[test]
    fn no_literal_without_quote() {
        assert_eq!(parse(&mut Cursor::new("a")), Ok(None));
    }

    #[test]
    fn written_literals_round_trip() {
        for plain in ["", "a\"b", "\\n", "\n", "é\t'`"] {
            assert_eq!(text(&write(plain)), plain);
        }
    }

    fn text(literal: &str) -> String {
        parse(&mut Cursor::new(literal)).unwrap().unwrap()
    }

    fn error(literal: &str) -> (Reason, usize) {
        let mut cursor = Cursor::new(literal);
        (parse(&mut cursor).unwrap_err(), cursor.column())
    }
}
