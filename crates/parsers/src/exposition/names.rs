//! The glance that tells lines of other families apart without parsing them.

use crate::selector::Selector;

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

    /// Tells whether this start of a line ends before its name can be known.
    pub(super) fn is_unknown(&self, start: &[u8]) -> bool {
        start.is_empty() || self.open && start.iter().all(|byte| is_name_byte(*byte))
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
    let mut byte = 0_u8;
    while byte < u8::MAX {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_by_their_start() {
        let selectors = [selector("active"), selector(r#"{"my.metric"}"#)];
        let names = Names::new(&selectors);
        for (line, sort, foreign) in [
            ("", Sort::Other, false),
            ("# HELP active", Sort::Comment, true),
            ("# EOF", Sort::Comment, false),
            ("#", Sort::Comment, false),
            ("<html>", Sort::Html, false),
            ("{", Sort::Wanted, false),
            ("active", Sort::Wanted, false),
            ("active{", Sort::Wanted, false),
            ("active-x", Sort::Wanted, false),
            ("my.metric 1", Sort::Wanted, false),
            ("my_metric 1", Sort::Other, true),
            ("active_total 1", Sort::Other, true),
            ("active:sum 1", Sort::Other, true),
            ("activ 1", Sort::Other, true),
            ("other 1", Sort::Other, true),
            ("\0", Sort::Other, false),
        ] {
            assert_eq!((names.sort(line.as_bytes()), names.is_foreign(line.as_bytes())), (sort, foreign), "{line}");
        }
    }

    #[test]
    fn an_open_selector_wants_what_it_cannot_rule_out() {
        let selectors = [selector("active"), selector(r#"{__name__=~"a.+"}"#)];
        let names = Names::new(&selectors);
        for (line, sort) in [("ab 1", Sort::Wanted), ("b 1", Sort::Other), ("5 1", Sort::Wanted), ("\0", Sort::Wanted)]
        {
            assert_eq!(names.sort(line.as_bytes()), sort, "{line}");
            assert!(!names.is_foreign(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_line_is_unknown_until_its_name_ends() {
        let fixed = [selector("active")];
        let open = [selector(r#"{__name__=~"a.+"}"#)];
        for (start, by_fixed, by_open) in [("", true, true), ("abc", false, true), ("abc ", false, false)] {
            assert_eq!(Names::new(&fixed).is_unknown(start.as_bytes()), by_fixed, "{start}");
            assert_eq!(Names::new(&open).is_unknown(start.as_bytes()), by_open, "{start}");
        }
    }

    fn selector(text: &str) -> Selector {
        text.parse().unwrap()
    }
}
