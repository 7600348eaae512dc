//! Regular expressions as Prometheus reads them.
//!
//! Prometheus uses Go's package regexp, whose syntax is that of RE2. The crate regex-lite reads some patterns
//! differently: `{1, 2}` is a repetition in regex-lite and literal text in Go, and only the `\s` of regex-lite includes
//! the vertical tab. So each pattern is parsed by the rules of Go, and rewritten in the few forms that mean the same to
//! both.
//! <https://github.com/google/re2/wiki/Syntax>

mod class;
mod escape;
mod flags;
mod set;

use regex_lite::{Regex, RegexBuilder};

use super::Reason;
use crate::cursor::Cursor;
use flags::Flags;
use set::Set;

/// Maximum size of a compiled pattern, in bytes: each of its steps may run at every character of a value.
const MAX_SIZE: usize = 64 * 1024;

/// Maximum number in a repetition such as `{1,1000}`.
const MAX_REPETITION: u32 = 1000;

/// A regular expression and its source text.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) source: String,
    /// The text that every match starts with, as far as it is certain.
    pub(super) prefix: String,
    anchored: Regex,
}

impl Pattern {
    pub(super) fn new(source: String) -> Result<Self, Reason> {
        let translated = Translator::new(&source).translate()?;
        let invalid = |error: regex_lite::Error| Reason::InvalidPattern(error.to_string());
        let anchored =
            RegexBuilder::new(&format!("^(?:{translated})$")).size_limit(MAX_SIZE).build().map_err(invalid)?;
        let prefix = literal_prefix(&source).to_owned();
        Ok(Self { source, prefix, anchored })
    }

    /// Returns whether the whole value matches.
    pub(super) fn is_match(&self, value: &str) -> bool {
        self.anchored.is_match(value)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

/// Returns the letters, digits, underscores and colons that every match starts with.
fn literal_prefix(source: &str) -> &str {
    let end = source.find(|next: char| !next.is_ascii_alphanumeric() && !matches!(next, '_' | ':'));
    let (prefix, rest) = source.split_at(end.unwrap_or(source.len()));
    // An alternative may start with something else.
    if rest.contains('|') && !is_one_group(rest) {
        return "";
    }
    // A repetition repeats the last character, perhaps zero times.
    let is_repeated = rest.starts_with(['*', '?', '{']);
    &prefix[..prefix.len() - usize::from(is_repeated && !prefix.is_empty())]
}

/// Returns whether this is a group of words, such as `(a|b)`, so that its alternatives end with it.
fn is_one_group(rest: &str) -> bool {
    let words = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    words.is_some_and(|words| words.chars().all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | ':' | '|')))
}

/// What the last token was, which decides whether it may be repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing that can be repeated.
    Start,
    Operand,
    Repetition,
}

/// Rewrites one pattern.
struct Translator<'a> {
    cursor: Cursor<'a>,
    flags: Flags,
    /// The flags outside of each open group.
    outer: Vec<Flags>,
    last: Last,
    output: String,
}

impl<'a> Translator<'a> {
    fn new(source: &'a str) -> Self {
        let flags = Flags::DEFAULT;
        Self { cursor: Cursor::new(source), flags, outer: Vec::new(), last: Last::Start, output: String::new() }
    }

    fn translate(mut self) -> Result<String, Reason> {
        while self.cursor.peek().is_some() {
            self.token()?;
        }
        if self.outer.is_empty() { Ok(self.output) } else { Err(invalid("unclosed group")) }
    }

    fn token(&mut self) -> Result<(), Reason> {
        if let Some((least, most)) = self.repetition()? {
            return self.repeat(least, most);
        }
        match self.cursor.next() {
            Some('(') => return self.open_group(),
            Some(')') => {
                self.flags = self.outer.pop().ok_or_else(|| invalid("unopened group"))?;
                self.output.push(')');
            }
            Some('|') => {
                self.output.push('|');
                self.last = Last::Start;
                return Ok(());
            }
            Some('.') => self.output.push_str(if self.flags.dot_matches_newline { "(?s:.)" } else { r"[^\n]" }),
            Some('^') => self.output.push_str(if self.flags.multi_line { "(?m:^)" } else { r"\A" }),
            Some('$') => self.output.push_str(if self.flags.multi_line { "(?m:$)" } else { r"\z" }),
            Some('[') => {
                let set = class::parse(&mut self.cursor, self.flags.fold_case)?;
                set.write(&mut self.output);
            }
            Some('\\') => self.escape()?,
            Some(literal) => self.literal(literal)?,
            None => {}
        }
        self.last = Last::Operand;
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), Reason> {
        let outside = self.flags;
        if self.cursor.eat("?") && flags::parse(&mut self.cursor, &mut self.flags)? {
            // Flags until the end of the group. A repetition after them repeats what precedes them.
            if self.last == Last::Repetition {
                self.last = Last::Operand;
            }
            return Ok(());
        }
        self.last = Last::Start;
        self.outer.push(outside);
        self.output.push_str("(?:");
        Ok(())
    }

    /// Translates what follows a backslash outside a class.
    fn escape(&mut self) -> Result<(), Reason> {
        if let Some(set) = escape::class(&mut self.cursor, self.flags.fold_case) {
            set.write(&mut self.output);
            return Ok(());
        }
        let assertion = [("b", r"\b"), ("B", r"\B"), ("A", r"\A"), ("z", r"\z")];
        if let Some((_, translated)) = assertion.into_iter().find(|(name, _)| self.cursor.eat(name)) {
            // Without a group, a brace would belong to it.
            self.output.extend(["(?:", translated, ")"]);
            return Ok(());
        }
        let literal = escape::character(&mut self.cursor)?;
        self.literal(literal)
    }

    fn literal(&mut self, literal: char) -> Result<(), Reason> {
        if self.flags.fold_case && (literal.is_ascii_alphabetic() || !literal.is_ascii()) {
            let mut set = Set::default();
            set.add(literal, literal, true)?;
            set.write(&mut self.output);
        } else {
            write_char(&mut self.output, literal);
        }
        Ok(())
    }

    /// Parses a repetition operator. A brace that does not start one is literal text.
    fn repetition(&mut self) -> Result<Option<(u32, Option<u32>)>, Reason> {
        for (operator, range) in [("*", (0, None)), ("+", (1, None)), ("?", (0, Some(1)))] {
            if self.cursor.eat(operator) {
                return Ok(Some(range));
            }
        }
        let mut ahead = self.cursor.clone();
        let Some((least, most)) = braces(&mut ahead) else { return Ok(None) };
        self.cursor = ahead;
        let is_valid = least <= MAX_REPETITION && most.is_none_or(|most| (least..=MAX_REPETITION).contains(&most));
        if is_valid {
            Ok(Some((least, most)))
        } else {
            Err(invalid("a repetition of more than 1000, or a maximum below the minimum"))
        }
    }

    fn repeat(&mut self, least: u32, most: Option<u32>) -> Result<(), Reason> {
        match self.last {
            Last::Start => return Err(invalid("a repetition operator has nothing to repeat")),
            Last::Repetition => return Err(invalid("nested repetition operator: put the inner one into a group")),
            Last::Operand => self.last = Last::Repetition,
        }
        // Lazy repetitions match the same values.
        self.cursor.eat("?");
        let most = most.map_or_else(String::new, |most| most.to_string());
        self.output.extend(["{", &least.to_string(), ",", &most, "}"]);
        Ok(())
    }
}

/// Parses `{1}`, `{1,}` or `{1,2}`: numbers without leading zeros, and no blanks.
fn braces(cursor: &mut Cursor<'_>) -> Option<(u32, Option<u32>)> {
    if !cursor.eat("{") {
        return None;
    }
    let least = number(cursor)?;
    let most = match (cursor.eat(","), cursor.peek()) {
        (false, _) => Some(least),
        (true, Some('}')) => None,
        (true, _) => Some(number(cursor)?),
    };
    cursor.eat("}").then_some((least, most))
}

fn number(cursor: &mut Cursor<'_>) -> Option<u32> {
    let digits = cursor.take_while(|next| next.is_ascii_digit());
    let is_number = !digits.is_empty() && (digits == "0" || !digits.starts_with('0'));
    // A number that does not fit is too large anyway.
    is_number.then(|| digits.parse().unwrap_or(u32::MAX))
}

/// Writes a character that has no special meaning.
fn write_char(output: &mut String, next: char) {
    if next.is_ascii_alphanumeric() || next == '_' {
        output.push(next);
    } else {
        output.push_str(r"\x");
        output.extend(next.escape_unicode().skip(2));
    }
}

fn invalid(cause: &str) -> Reason {
    Reason::InvalidPattern(cause.to_owned())
}

#[cfg(test)]
mod tests;
