//! Why a page gives no reading.

use std::fmt;

use super::{MAX_LINE, MAX_PAGE, MAX_SERIES};

/// A page that cannot be trusted, and the line that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The line, counted from one.
    pub line: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What makes a page untrustworthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A line starts with `<`, as the error page of some proxy does.
    Html,
    /// A line is too long to be held.
    LineTooLong,
    /// The page is too long to be read to its end.
    PageTooLong,
    /// The page stopped inside a line.
    CutOff,
    /// An `OpenMetrics` page stopped before its mark of the end.
    NoEof,
    /// An `OpenMetrics` page goes on after its mark of the end.
    AfterEof,
    /// A line is not UTF-8.
    NotUtf8,
    /// A metric name is missing, given twice, or followed by what cannot follow it.
    Name,
    /// The labels are malformed.
    Labels,
    /// A label stands twice on one line.
    DuplicateLabel(String),
    /// An escape other than `\\`, `\"` and `\n`.
    Escape,
    /// There is no value.
    NoValue,
    /// The value is not a number.
    NotANumber(String),
    /// The value is a number that cannot count anything.
    NotACount(String),
    /// The timestamp is not a number.
    Timestamp(String),
    /// The line goes on after its sample.
    Trailing(String),
    /// The exemplar is malformed.
    Exemplar,
    /// A series stands on the page twice.
    DuplicateSeries(String),
    /// More series match than are remembered.
    TooManySeries,
    /// The sum does not fit.
    Overflow,
}

/// Returns a piece of a page, short enough for a log line.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Html => f.write_str("looks like HTML, not like metrics"),
            Self::LineTooLong => write!(f, "longer than {} KiB", MAX_LINE >> 10),
            Self::PageTooLong => write!(f, "the page is longer than {} MiB", MAX_PAGE >> 20),
            Self::CutOff => f.write_str("cut off inside the line"),
            Self::NoEof => f.write_str("cut off, for `# EOF` is missing"),
            Self::AfterEof => f.write_str("the page goes on after `# EOF`"),
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::Name => f.write_str("malformed metric name"),
            Self::Labels => f.write_str("malformed labels"),
            Self::DuplicateLabel(label) => write!(f, "label {label} is given twice"),
            Self::Escape => f.write_str("unknown escape in quotes"),
            Self::NoValue => f.write_str("no value"),
            Self::NotANumber(value) => write!(f, "value {value} is not a number"),
            Self::NotACount(value) => write!(f, "value {value} is not a count"),
            Self::Timestamp(time) => write!(f, "{time} is not a timestamp"),
            Self::Trailing(rest) => write!(f, "{rest} after the end of the sample"),
            Self::Exemplar => f.write_str("malformed exemplar"),
            Self::DuplicateSeries(name) => write!(f, "a series of {name} is given twice"),
            Self::TooManySeries => write!(f, "more than {MAX_SERIES} series match"),
            Self::Overflow => f.write_str("the sum does not fit into 64 bits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_printable() {
        assert_eq!(excerpt("a\u{7}\n"), "a\\u{7}\\n");
        assert_eq!(excerpt(&"é".repeat(40)), "é".repeat(40));
        assert_eq!(excerpt(&"é".repeat(41)), "é".repeat(40) + "…");
    }

    #[test]
    fn errors_name_the_line() {
        let error = Error { line: 12, reason: Reason::NotACount(excerpt("NaN")) };
        assert_eq!(error.to_string(), "line 12: value NaN is not a count");
    }
}
