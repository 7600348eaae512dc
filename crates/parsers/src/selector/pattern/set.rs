//! Sets of characters.

use super::{Reason, invalid, write_char};

/// A set of characters, as ranges that may overlap.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Set {
    ranges: Vec<(char, char)>,
}

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

    /// Adds the characters of another set.
    pub(super) fn extend(&mut self, other: Self) {
        self.ranges.extend(other.ranges);
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
