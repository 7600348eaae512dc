//! String literals of `PromQL`: Go's escapes in single and double quotes, everything as it stands in backticks.

use super::Reason;
use crate::cursor::Cursor;

/// Reads the literal at the cursor, or nothing when no quote stands there.
///
/// The cursor is left behind the literal, or at the offence.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Option<String>, Reason> {
    let start = cursor.clone();
    let Some(quote) = cursor.peek().filter(|next| matches!(next, '"' | '\'' | '`')) else { return Ok(None) };
    cursor.next();
    let bytes = inside(cursor, quote)?;
    String::from_utf8(bytes).map(Some).map_err(|_| {
        *cursor = start;
        Reason::NotUtf8
    })
}

/// Writes a literal in double quotes.
pub(super) fn write(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

/// Reads up to and over the closing quote.
fn inside(cursor: &mut Cursor<'_>, quote: char) -> Result<Vec<u8>, Reason> {
    let raw = quote == '`';
    let mut bytes = Vec::new();
    loop {
        let here = cursor.clone();
        let offence = match cursor.next() {
            Some(next) if next == quote => return Ok(bytes),
            Some('\\') if !raw => escape(cursor, quote, &mut bytes).err(),
            Some(next) if raw || next != '\n' => {
                push(&mut bytes, next);
                None
            }
            Some(_) | None => Some(Reason::UnterminatedString(quote)),
        };
        if let Some(reason) = offence {
            *cursor = here;
            return Err(reason);
        }
    }
}

/// Reads what follows a backslash.
fn escape(cursor: &mut Cursor<'_>, quote: char, bytes: &mut Vec<u8>) -> Result<(), Reason> {
    match cursor.next().ok_or(Reason::Escape)? {
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
        _ => return Err(Reason::Escape),
    }
    Ok(())
}

/// Reads exactly `count` further digits of a number that begins with `start`.
fn number(cursor: &mut Cursor<'_>, radix: u32, count: usize, start: u32) -> Result<u32, Reason> {
    (0..count)
        .try_fold(start, |sum, _| sum.checked_mul(radix)?.checked_add(cursor.next()?.to_digit(radix)?))
        .ok_or(Reason::Escape)
}

fn byte(number: u32) -> Result<u8, Reason> {
    u8::try_from(number).map_err(|_| Reason::Escape)
}

fn character(number: u32) -> Result<char, Reason> {
    char::from_u32(number).ok_or(Reason::Escape)
}

fn push(bytes: &mut Vec<u8>, next: char) {
    bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_escapes_of_go() {
        assert_eq!(text(r#""\a\b\f\n\r\t\v\"\\""#), "\x07\x08\x0c\n\r\t\x0b\"\\");
        assert_eq!(text(r#""\101\x41\u0041\U00000041\xc3\xa9""#), "AAAAé");
        assert_eq!(text(r"'it\'s'"), "it's");
        assert_eq!(text("'\"` '"), "\"` ");
    }

    #[test]
    fn backticks_are_raw_over_lines() {
        assert_eq!(text("`\\d\"'\n`"), "\\d\"'\n");
    }

    #[test]
    fn bad_escapes_are_refused_where_they_stand() {
        for bad in [r"\q", r"\'", r"\8", r"\1", r"\400", r"\x4", r"\xgg", r"\ud800", r"\U00110000", r"\"] {
            assert_eq!(flaw(&format!("\"a{bad}")), (Reason::Escape, 3), "{bad}");
        }
        assert_eq!(flaw(r#"'\"'"#), (Reason::Escape, 2));
    }

    #[test]
    fn strings_end_on_their_line() {
        assert_eq!(flaw("\"ab"), (Reason::UnterminatedString('"'), 4));
        assert_eq!(flaw("'a\n'"), (Reason::UnterminatedString('\''), 3));
        assert_eq!(flaw("`a\n"), (Reason::UnterminatedString('`'), 4));
    }

    #[test]
    fn escapes_must_make_utf8() {
        assert_eq!(flaw(r#""a\xff""#), (Reason::NotUtf8, 1));
        assert_eq!(flaw(r#""\377""#), (Reason::NotUtf8, 1));
    }

    #[test]
    fn nothing_is_read_where_no_quote_stands() {
        assert_eq!(read(&mut Cursor::new("a")), Ok(None));
    }

    #[test]
    fn reads_back_what_it_writes() {
        for plain in ["", "a\"b", "\\n", "\n", "é\t'`"] {
            assert_eq!(text(&write(plain)), plain);
        }
    }

    fn text(literal: &str) -> String {
        read(&mut Cursor::new(literal)).unwrap().unwrap()
    }

    fn flaw(literal: &str) -> (Reason, usize) {
        let mut cursor = Cursor::new(literal);
        (read(&mut cursor).unwrap_err(), cursor.column())
    }
}
