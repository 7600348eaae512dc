//! The glance that tells lines of other families apart without parsing them.

use crate::readers::selector::Selector;

/// What a line is, by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A comment, or metadata.
    Comment,
    /// A piece of a web page.
    Html,
    /// A line that could be a sample of a wanted series.
    Wanted,
    /// A blank line, or one of another family.
    Other,
}

/// The names that some selector could match.
#[derive(Debug)]
pub(super) struct Names<'s> {
    selectors: &'s [Selector],
    fixed: Vec<&'s [u8]>,
    /// Whether some selector has no fixed name.
    open: bool,
    /// The bytes with which some fixed name begins.
    first: [bool; 256],
}

impl<'s> Names<'s> {
    pub(super) fn new(selectors: &'s [Selector]) -> Self {
        let fixed: Vec<_> = selectors.iter().filter_map(Selector::name).map(str::as_bytes).collect();
        let mut first = [false; 256];
        for byte in fixed.iter().filter_map(|name| name.first()) {
            first[usize::from(*byte)] = true;
        }
        Self { selectors, open: fixed.len() < selectors.len(), fixed, first }
    }

    /// Tells at a glance that a line cannot matter; when in doubt, it can.
    #[inline]
    pub(super) fn is_foreign(&self, line: &[u8]) -> bool {
        match line {
            // Not the mark of the end.
            [b'#', b' ', third, ..] => *third != b'E',
            [first, ..] if is_name_byte(*first) && !self.open => {
                !self.first[usize::from(*first)] || !self.fixed.iter().any(|name| begins_with(line, name))
            }
            _ => false,
        }
    }

    /// Sorts a line that has no leading blanks.
    #[inline]
    pub(super) fn sort(&self, line: &[u8]) -> Sort {
        match line.first() {
            Some(b'#') => Sort::Comment,
            Some(b'<') => Sort::Html,
            // The name stands somewhere in the braces.
            Some(b'{') => Sort::Wanted,
            Some(_) if self.fixed.iter().any(|name| begins_with(line, name)) => Sort::Wanted,
            Some(_) if self.open && self.wants_start(line) => Sort::Wanted,
            Some(_) | None => Sort::Other,
        }
    }

    /// Tells whether some selector could match this name.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.selectors.iter().any(|selector| selector.could_match(name))
    }

    /// Tells whether the line's name is wanted, or cannot be read.
    fn wants_start(&self, line: &[u8]) -> bool {
        let end = line.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(line.len());
        match str::from_utf8(&line[..end]) {
            Ok(name) if !name.is_empty() && !line[0].is_ascii_digit() => self.wants(name),
            Ok(_) | Err(_) => true,
        }
    }
}

/// Tells whether a line's start ends before its name does.
pub(super) fn is_cut_off(start: &[u8]) -> bool {
    start.iter().all(|byte| is_name_byte(*byte))
}

/// Tells whether the line starts with this name and not with a longer one.
#[inline]
fn begins_with(line: &[u8], name: &[u8]) -> bool {
    // The byte after the name rules out nearly every other family, so it comes first.
    line.get(name.len()).is_none_or(|next| !is_name_byte(*next)) && line.starts_with(name)
}

#[inline]
fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)]
}

static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b':');
        byte += 1;
    }
    table
};
