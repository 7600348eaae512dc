//! What follows a backslash, inside and outside of classes.

use super::set::Set;
use super::{Reason, invalid};
use crate::cursor::Cursor;

const DIGITS: &[(char, char)] = &[('0', '9')];
/// Without the vertical tab.
const SPACES: &[(char, char)] = &[('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')];
const WORDS: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

/// Parses the letter of a class such as `\d`; `None`, and the cursor unchanged, if it is another escape.
pub(super) fn class(cursor: &mut Cursor<'_>, fold_case: bool) -> Option<Set> {
    let (ranges, is_negated) = match cursor.peek()? {
        'd' => (DIGITS, false),
        'D' => (DIGITS, true),
        's' => (SPACES, false),
        'S' => (SPACES, true),
        'w' => (WORDS, false),
        'W' => (WORDS, true),
        _ => return None,
    };
    cursor.next();
    Some(Set::of_ascii(ranges, fold_case).negated_if(is_negated))
}

/// Parses the escape of a single character.
pub(super) fn character(cursor: &mut Cursor<'_>) -> Result<char, Reason> {
    match cursor.next() {
        Some('a') => Ok('\u{7}'),
        Some('f') => Ok('\u{c}'),
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('v') => Ok('\u{b}'),
        Some('x') => hexadecimal(cursor).ok_or_else(|| invalid(r"malformed `\x`")),
        Some(other) if other.is_ascii_punctuation() || other.is_ascii() && !other.is_ascii_alphanumeric() => Ok(other),
        Some(other) => Err(invalid(&format!(r"`\{}` is not supported", other.escape_debug()))),
        None => Err(invalid("trailing backslash")),
    }
}

/// Parses `7f` or `{10ffff}`.
fn hexadecimal(cursor: &mut Cursor<'_>) -> Option<char> {
    let is_hexadecimal = |next: char| next.is_ascii_hexdigit();
    let digits: String = if cursor.eat("{") {
        let digits = cursor.take_while(is_hexadecimal).to_owned();
        cursor.eat("}").then_some(digits)?
    } else {
        [cursor.next()?, cursor.next()?].into_iter().collect()
    };
    if !digits.chars().all(is_hexadecimal) {
        return None;
    }
    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
}
