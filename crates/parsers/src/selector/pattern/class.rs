//! Character classes: `[a-z]`, `[^[:alpha:]\d]`.

use super::{Reason, escape, invalid, write_char};
use crate::cursor::Cursor;

/// A set of characters, as ranges that may overlap.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Set {
    ranges: Vec<(char, char)>,
}

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

/// The other characters that are equal to an ASCII letter regardless of case.
const FOLDS: [(char, char); 2] = [('k', '\u{212a}'), ('s', '\u{17f}')];

impl Set {
    /// The set of these ASCII ranges.
    pub(super) fn of_ascii(ranges: &[(char, char)], fold_case: bool) -> Self {
        let mut set = Self::default();
        for (first, last) in ranges {
            set.ranges.push((*first, *last));
            if fold_case {
                set.fold_ascii(*first, *last);
            }
        }
        set
    }

    /// Adds a range. Fails where case folding would need the tables of Unicode.
    pub(super) fn add(&mut self, first: char, last: char, fold_case: bool) -> Result<(), Reason> {
        self.ranges.push((first, last));
        if fold_case {
            if !last.is_ascii() {
                return Err(invalid("`(?i)` supports only ASCII characters"));
            }
            self.fold_ascii(first, last);
        }
        Ok(())
    }

    pub(super) fn negated_if(self, is_negated: bool) -> Self {
        if is_negated { self.negated() } else { self }
    }

    /// Writes the set as a class.
    pub(super) fn write(&self, output: &mut String) {
        // An empty class is not valid everywhere.
        if self.ranges.is_empty() {
            return output.push_str(r"[^\x{0}-\x{10ffff}]");
        }
        output.push('[');
        for (first, last) in &self.ranges {
            write_char(output, *first);
            if first < last {
                output.push('-');
                write_char(output, *last);
            }
        }
        output.push(']');
    }

    /// Adds the letters that equal one of the range regardless of case.
    fn fold_ascii(&mut self, first: char, last: char) {
        let is_in_range = |letter: char| (first..=last).contains(&letter);
        for lower in 'a'..='z' {
            let upper = lower.to_ascii_uppercase();
            if is_in_range(lower) || is_in_range(upper) {
                self.ranges.extend([(lower, lower), (upper, upper)]);
                self.ranges
                    .extend(FOLDS.iter().filter(|(letter, _)| *letter == lower).map(|(_, other)| (*other, *other)));
            }
        }
    }

    fn negated(mut self) -> Self {
        self.ranges.sort_unstable();
        let mut gaps = Vec::new();
        let mut next = Some('\0');
        for (first, last) in self.ranges {
            match next {
                Some(start) if start < first => gaps.push((start, before(first))),
                Some(_) => {}
                None => break,
            }
            next = next.max(after(last)).filter(|_| last != char::MAX);
        }
        gaps.extend(next.map(|start| (start, char::MAX)));
        Self { ranges: gaps }
    }
}

/// Returns the character before one that is not the first.
fn before(next: char) -> char {
    ('\0'..next).next_back().unwrap_or('\0')
}

fn after(last: char) -> Option<char> {
    (last..=char::MAX).nth(1)
}

/// Parses a class after its `[`.
pub(super) fn parse(cursor: &mut Cursor<'_>, fold_case: bool) -> Result<Set, Reason> {
    let is_negated = cursor.eat("^");
    let mut set = Set::default();
    let mut is_first = true;
    // A bracket that is first is literal.
    while is_first || !cursor.eat("]") {
        is_first = false;
        if let Some(part) = named(cursor, fold_case)? {
            set.ranges.extend(part.ranges);
            continue;
        }
        let mut escaped = cursor.clone();
        if escaped.eat("\\")
            && let Some(part) = escape::class(&mut escaped, fold_case)
        {
            *cursor = escaped;
            set.ranges.extend(part.ranges);
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
