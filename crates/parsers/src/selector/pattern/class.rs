//! Character classes: `[a-z]`, `[^[:alpha:]\d]`.

use super::set::Set;
use super::{Reason, escape, invalid};
use crate::cursor::Cursor;

/// The classes that have a name. All are ASCII.
const NAMED: [(&str, &[(char, char)]); 14] = [
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("ascii", &[('\0', '\x7f')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("digit", &[('0', '9')]),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("word", &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];

/// Parses a class after its `[`.
pub(super) fn parse(cursor: &mut Cursor<'_>, fold_case: bool) -> Result<Set, Reason> {
    let is_negated = cursor.eat("^");
    let mut set = Set::default();
    let mut is_first = true;
    // A bracket that is first is literal.
    while is_first || !cursor.eat("]") {
        is_first = false;
        if let Some(part) = named(cursor, fold_case)? {
            set.extend(part);
            continue;
        }
        let mut escaped = cursor.clone();
        if escaped.eat("\\")
            && let Some(part) = escape::class(&mut escaped, fold_case)
        {
            *cursor = escaped;
            set.extend(part);
            continue;
        }
        let first = character(cursor)?;
        let last = if is_range(cursor) { character(cursor)? } else { first };
        if last < first {
            return Err(invalid("the range of a class ends before its start"));
        }
        set.add(first, last, fold_case)?;
    }
    Ok(set.negated_if(is_negated))
}

/// Parses `[:alpha:]` or `[:^alpha:]`; `None` if the bracket is literal.
fn named(cursor: &mut Cursor<'_>, fold_case: bool) -> Result<Option<Set>, Reason> {
    let Some((name, _)) = cursor.rest().strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else {
        return Ok(None);
    };
    cursor.eat("[:");
    cursor.eat(name);
    cursor.eat(":]");
    let (is_negated, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let (_, ranges) =
        NAMED.iter().find(|(known, _)| *known == name).ok_or_else(|| invalid("unknown class in `[:…:]`"))?;
    Ok(Some(Set::of_ascii(ranges, fold_case).negated_if(is_negated)))
}

/// Consumes the dash of a range. Before the closing bracket it is literal.
fn is_range(cursor: &mut Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    let is_range = ahead.eat("-") && !matches!(ahead.peek(), Some(']') | None);
    is_range && cursor.eat("-")
}

fn character(cursor: &mut Cursor<'_>) -> Result<char, Reason> {
    match cursor.next() {
        Some('\\') => escape::character(cursor),
        Some(literal) => Ok(literal),
        None => Err(invalid("unclosed class")),
    }
}
