//! Recognition of irrelevant lines by their names, without parsing them.

use crate::selector::Selector;

/// What a line is, judging by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    /// A comment or metadata.
    Comment,
    /// Part of a web page.
    Html,
    /// A line that may be a sample of a selected series.
    Relevant,
    /// An empty line, or a sample that no selector can match.
    Other,
}

/// The metric names that the selectors can match.
#[derive(Debug)]
pub(super) struct Names<'s> {
    selectors: &'s [Selector],
    fixed: Vec<&'s [u8]>,
    /// Whether some selector has no fixed name.
    open: bool,
    /// The first bytes of the fixed names.
    first_bytes: [bool; 256],
}

impl<'s> Names<'s> {
    pub(super) fn new(selectors: &'s [Selector]) -> Self {
        let fixed: Vec<_> = selectors.iter().filter_map(Selector::name).map(str::as_bytes).collect();
        let mut first_bytes = [false; 256];
        for byte in fixed.iter().filter_map(|name| name.first()) {
            first_bytes[usize::from(*byte)] = true;
        }
        Self { selectors, open: fixed.len() < selectors.len(), fixed, first_bytes }
    }

    /// Returns whether a line is known to be irrelevant. Fast and conservative: `false` means that it may be relevant.
    #[inline]
    pub(super) fn is_irrelevant(&self, line: &[u8]) -> bool {
        match line {
            // Not `# EOF`.
            [b'#', b' ', third, ..] => *third != b'E',
            [first, ..] if is_name_byte(*first) && !self.open => {
                !self.first_bytes[usize::from(*first)] || !self.fixed.iter().any(|name| has_name(line, name))
            }
            _ => false,
        }
    }

    /// Classifies a line that has no leading whitespace.
    #[inline]
    pub(super) fn classify(&self, line: &[u8]) -> LineKind {
        match line.first() {
            Some(b'#') => LineKind::Comment,
            Some(b'<') => LineKind::Html,
            // The name is somewhere in the braces.
            Some(b'{') => LineKind::Relevant,
            Some(_) if self.fixed.iter().any(|name| has_name(line, name)) => LineKind::Relevant,
            Some(_) if self.open && self.could_match_line(line) => LineKind::Relevant,
            Some(_) | None => LineKind::Other,
        }
    }

    /// Returns whether some selector could match this name.
    pub(super) fn could_match(&self, name: &str) -> bool {
        self.selectors.iter().any(|selector| selector.could_match(name))
    }

    /// Returns whether this start of a line ends before its name is known.
    pub(super) fn is_incomplete(&self, start: &[u8]) -> bool {
        start.is_empty() || self.open && start.iter().all(|byte| is_name_byte(*byte))
    }

    /// Returns whether some selector could match the line's name, or the name is invalid.
    fn could_match_line(&self, line: &[u8]) -> bool {
        let end = line.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(line.len());
        match str::from_utf8(&line[..end]) {
            Ok(name) if !name.is_empty() && !line[0].is_ascii_digit() => self.could_match(name),
            Ok(_) | Err(_) => true,
        }
    }
}

/// Returns whether the line starts with this name and not with a longer one.
#[inline]
fn has_name(line: &[u8], name: &[u8]) -> bool {
    // The byte after the name rules out nearly every other name, so it is compared first.
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
    fn lines_are_classified_by_their_start() {
        let selectors = [selector("active"), selector(r#"{"my.metric"}"#)];
        let names = Names::new(&selectors);
        for (line, kind, irrelevant) in [
            ("", LineKind::Other, false),
            ("# HELP active", LineKind::Comment, true),
            ("# EOF", LineKind::Comment, false),
            ("#", LineKind::Comment, false),
            ("<html>", LineKind::Html, false),
            ("{", LineKind::Relevant, false),
            ("active", LineKind::Relevant, false),
            ("active{", LineKind::Relevant, false),
            ("active-x", LineKind::Relevant, false),
            ("my.metric 1", LineKind::Relevant, false),
            ("my_metric 1", LineKind::Other, true),
            ("active_total 1", LineKind::Other, true),
            ("active:sum 1", LineKind::Other, true),
            ("activ 1", LineKind::Other, true),
            ("other 1", LineKind::Other, true),
            ("\0", LineKind::Other, false),
        ] {
            assert_eq!(
                (names.classify(line.as_bytes()), names.is_irrelevant(line.as_bytes())),
                (kind, irrelevant),
                "{line}"
            );
        }
    }

    #[test]
    fn open_selectors_keep_lines_they_cannot_rule_out() {
        let selectors = [selector("active"), selector(r#"{__name__=~"a.+"}"#)];
        let names = Names::new(&selectors);
        for (line, kind) in [
            ("ab 1", LineKind::Relevant),
            ("b 1", LineKind::Other),
            ("5 1", LineKind::Relevant),
            ("\0", LineKind::Relevant),
        ] {
            assert_eq!(names.classify(line.as_bytes()), kind, "{line}");
            assert!(!names.is_irrelevant(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_line_is_incomplete_until_its_name_ends() {
        let fixed = [selector("active")];
        let open = [selector(r#"{__name__=~"a.+"}"#)];
        for (start, by_fixed, by_open) in [("", true, true), ("abc", false, true), ("abc ", false, false)] {
            assert_eq!(Names::new(&fixed).is_incomplete(start.as_bytes()), by_fixed, "{start}");
            assert_eq!(Names::new(&open).is_incomplete(start.as_bytes()), by_open, "{start}");
        }
    }

    fn selector(text: &str) -> Selector {
        text.parse().unwrap()
    }
}
