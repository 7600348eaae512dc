//! Recognition of irrelevant lines by their names, without parsing them.

use memchr::memmem::Finder;

use super::metadata;
use crate::selector::Selector;

/// What a line is, judging by its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    /// A comment or metadata.
    Comment,
    /// Part of a web page.
    Html,
    /// Part of a JSON document.
    Json,
    /// A line that may be a sample of a selected series.
    Relevant,
    /// A line of another series that contains the name of a selected one.
    Suspicious,
    /// An empty line, or a sample that no selector can match.
    Other,
}

/// The metric names that the selectors can match.
#[derive(Debug)]
pub(super) struct Names<'s> {
    selectors: &'s [Selector],
    /// The texts that a line must contain to be relevant. None contains another.
    needles: Vec<Needle<'s>>,
    /// Whether some selector has no such text.
    open: bool,
}

#[derive(Debug)]
struct Needle<'s> {
    finder: &'s Finder<'static>,
    /// Where it occurs next in the current chunk.
    next: usize,
}

impl<'s> Names<'s> {
    pub(super) fn new(selectors: &'s [Selector]) -> Self {
        let mut needles: Vec<Needle<'s>> = Vec::new();
        let all = || selectors.iter().filter_map(Selector::needle);
        for finder in all() {
            let is_repeated = needles.iter().any(|kept| kept.finder.needle() == finder.needle());
            let contains_other = all()
                .any(|other| other.needle().len() < finder.needle().len() && other.find(finder.needle()).is_some());
            if !is_repeated && !contains_other {
                needles.push(Needle { finder, next: 0 });
            }
        }
        let open = all().count() < selectors.len();
        Self { selectors, needles, open }
    }

    /// Starts a chunk of the page.
    pub(super) fn start_chunk(&mut self) {
        for needle in &mut self.needles {
            needle.next = 0;
        }
    }

    /// Returns where the next needle starts, from `start` of the chunk on; `usize::MAX` if there is none.
    ///
    /// The starts of one chunk must not decrease.
    #[inline]
    pub(super) fn next_needle(&mut self, chunk: &[u8], start: usize) -> usize {
        let mut nearest = usize::MAX;
        for Needle { finder, next } in &mut self.needles {
            if *next <= start {
                *next = finder.find(&chunk[start..]).map_or(usize::MAX, |at| start + at);
            }
            nearest = nearest.min(*next);
        }
        nearest
    }

    /// Returns whether a line without a needle is known to be irrelevant. Fast and conservative: `false` means that it
    /// may be relevant.
    #[inline]
    pub(super) fn is_irrelevant(&self, line: &[u8]) -> bool {
        match line {
            // Not `# EOF`.
            [b'#', b' ', third, ..] => *third != b'E',
            [first, ..] => is_name_byte(*first) && !self.open,
            [] => false,
        }
    }

    /// Classifies a line that has no leading whitespace.
    pub(super) fn classify(&self, line: &[u8]) -> LineKind {
        match line.first() {
            Some(b'#') if self.occur_in(line) && self.occur_in(metadata::excess(line)) => LineKind::Suspicious,
            Some(b'#') => LineKind::Comment,
            Some(b'<') => LineKind::Html,
            Some(b'{' | b'[') if is_json(line) => LineKind::Json,
            // The name is somewhere in the braces.
            Some(b'{') => LineKind::Relevant,
            Some(_) if self.could_match_line(line) => LineKind::Relevant,
            Some(_) if self.occur_after_name(line) => LineKind::Suspicious,
            Some(_) | None => LineKind::Other,
        }
    }

    /// Returns whether some selector could match this name.
    pub(super) fn could_match(&self, name: &str) -> bool {
        self.selectors.iter().any(|selector| selector.could_match(name))
    }

    /// Returns whether a selected series could be hidden in this text, because it contains a name, or because no text
    /// can be ruled out.
    pub(super) fn may_occur_in(&self, text: &[u8]) -> bool {
        self.open || self.occur_in(text)
    }

    /// Returns the first name that the text contains.
    pub(super) fn found_in(&self, text: &[u8]) -> Option<&str> {
        let finder = self.needles.iter().map(|needle| needle.finder).find(|finder| finder.find(text).is_some())?;
        str::from_utf8(finder.needle()).ok()
    }

    /// Returns whether this start of a line ends before it is known whether a selector could match its name.
    pub(super) fn is_incomplete(&self, start: &[u8]) -> bool {
        let has_patterns = || self.selectors.iter().any(|selector| selector.name().is_none());
        start.is_empty() || line_name(start).len() == start.len() && has_patterns()
    }

    /// Returns how many bytes of a text may be the start of a needle that continues after it.
    pub(super) fn overlap(&self) -> usize {
        self.needles.iter().map(|needle| needle.finder.needle().len()).max().unwrap_or(1) - 1
    }

    fn occur_in(&self, text: &[u8]) -> bool {
        self.found_in(text).is_some()
    }

    /// Returns whether a needle ends after the metric name that the line starts with.
    fn occur_after_name(&self, line: &[u8]) -> bool {
        let name = line_name(line).len();
        self.open
            || self.needles.iter().any(|Needle { finder, .. }| {
                let start = (name + 1).saturating_sub(finder.needle().len());
                finder.find(&line[start..]).is_some()
            })
    }

    /// Returns whether some selector could match the name that the line starts with.
    fn could_match_line(&self, line: &[u8]) -> bool {
        // All name bytes are ASCII.
        str::from_utf8(line_name(line)).is_ok_and(|name| !name.is_empty() && self.could_match(name))
    }
}

/// Returns the unquoted metric name that a line starts with, or an empty one.
fn line_name(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(line.len());
    if line.first().is_some_and(u8::is_ascii_digit) { &[] } else { &line[..end] }
}

/// Returns whether a line that starts with `{` or `[` starts a JSON document: a brace alone, or a key and its colon.
fn is_json(line: &[u8]) -> bool {
    let rest = line[1..].trim_ascii();
    match rest.first() {
        None => true,
        Some(first) if line[0] == b'[' => matches!(first, b'{' | b'[' | b'"' | b']'),
        Some(b'}') => rest.len() == 1,
        Some(b'"') => is_json_key(&rest[1..]),
        Some(_) => false,
    }
}

/// Returns whether a closing quote and a colon follow.
fn is_json_key(mut text: &[u8]) -> bool {
    while let Some(at) = memchr::memchr2(b'"', b'\\', text) {
        if text[at] == b'"' {
            return text[at + 1..].trim_ascii_start().starts_with(b":");
        }
        text = text.get(at + 2..).unwrap_or_default();
    }
    false
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
    fn lines_are_classified_by_name_and_needle() {
        let selectors = [selector("active"), selector(r#"{"my.metric"}"#)];
        let names = Names::new(&selectors);
        for (line, kind) in [
            ("", LineKind::Other),
            ("# HELP active", LineKind::Comment),
            ("# EOF", LineKind::Comment),
            ("#", LineKind::Comment),
            ("# TYPE active gauge", LineKind::Comment),
            ("# TYPE up gaugeactive 3", LineKind::Suspicious),
            ("# UNIT up active", LineKind::Comment),
            ("<html>", LineKind::Html),
            ("{", LineKind::Json),
            (r#"{ "a\"" : 1"#, LineKind::Json),
            (r#"[{"a": 1}]"#, LineKind::Json),
            ("{}", LineKind::Json),
            (r#"{"a"} 1"#, LineKind::Relevant),
            (r#"{a="\"b\":"} 1"#, LineKind::Relevant),
            ("[INFO] started", LineKind::Other),
            ("active", LineKind::Relevant),
            ("active{", LineKind::Relevant),
            ("active-x", LineKind::Relevant),
            ("my.metric 1", LineKind::Suspicious),
            ("my_metric 1", LineKind::Other),
            ("active_total 1", LineKind::Other),
            ("active:sum 1", LineKind::Other),
            ("inactive 1", LineKind::Other),
            ("1active 1", LineKind::Suspicious),
            ("inactive 1active 1", LineKind::Suspicious),
            ("activ 1", LineKind::Other),
            ("\0", LineKind::Other),
        ] {
            assert_eq!(names.classify(line.as_bytes()), kind, "{line}");
        }
    }

    #[test]
    fn only_lines_that_start_like_samples_and_comments_are_irrelevant() {
        let (fixed, open) = ([selector("active")], [selector("active"), selector(r#"{a="b"}"#)]);
        let (fixed, open) = (Names::new(&fixed), Names::new(&open));
        for (line, by_fixed, by_open) in [
            ("", false, false),
            ("# HELP x", true, true),
            ("# EOF", false, false),
            ("#", false, false),
            ("{", false, false),
            (" x 1", false, false),
            ("x 1", true, false),
            ("\0", false, false),
        ] {
            let line = line.as_bytes();
            assert_eq!((fixed.is_irrelevant(line), open.is_irrelevant(line)), (by_fixed, by_open), "{line:?}");
        }
    }

    #[test]
    fn a_line_is_incomplete_until_its_name_ends() {
        let (fixed, pattern) = ([selector("active")], [selector(r#"{__name__=~"a.+"}"#)]);
        for (start, by_fixed, by_pattern) in [("", true, true), ("abc", false, true), ("abc ", false, false)] {
            assert_eq!(Names::new(&fixed).is_incomplete(start.as_bytes()), by_fixed, "{start}");
            assert_eq!(Names::new(&pattern).is_incomplete(start.as_bytes()), by_pattern, "{start}");
        }
    }

    #[test]
    fn needles_are_found_in_order() {
        let selectors = ["active", "idle_active", "idle", "idle"].map(selector);
        let mut names = Names::new(&selectors);
        assert_eq!((names.needles.len(), names.overlap()), (2, 5), "`idle_active` contains `active`");
        for chunk in [&b"idle 1\nactive 2\nidle_active 3\n"[..], b"active"] {
            names.start_chunk();
            let mut found = Vec::new();
            let mut start = 0;
            while start <= chunk.len() && names.next_needle(chunk, start) != usize::MAX {
                found.push(names.next_needle(chunk, start));
                start = found[found.len() - 1] + 1;
            }
            assert_eq!(found, if chunk.len() > 6 { vec![0, 7, 16, 21] } else { vec![0] });
        }
    }

    #[test]
    fn pattern_with_literal_prefix_has_a_needle() {
        let selectors = [selector("active"), selector(r#"{__name__=~"ab.+"}"#)];
        let names = Names::new(&selectors);
        for (line, kind) in [
            ("abc 1", LineKind::Relevant),
            ("ab 1", LineKind::Other),
            ("b 1", LineKind::Other),
            ("5 1", LineKind::Other),
            ("5ab 1", LineKind::Suspicious),
            ("\0", LineKind::Other),
        ] {
            assert_eq!(names.classify(line.as_bytes()), kind, "{line}");
        }
    }

    #[test]
    fn without_needle_every_line_may_be_relevant() {
        let selectors = [selector("active"), selector(r#"{a="b"}"#)];
        let names = Names::new(&selectors);
        for (line, kind) in [
            ("b 1", LineKind::Relevant),
            ("5 1", LineKind::Suspicious),
            ("\0", LineKind::Suspicious),
            ("# b", LineKind::Comment),
        ] {
            assert_eq!(names.classify(line.as_bytes()), kind, "{line}");
        }
    }

    fn selector(text: &str) -> Selector {
        text.parse().unwrap()
    }
}
