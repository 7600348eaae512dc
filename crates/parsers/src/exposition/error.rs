//! Why a page is rejected.

use std::fmt;

use super::{MAX_LINE, MAX_PAGE, MAX_SERIES};

/// The first error on a page, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The line number, from one.
    pub line: u64,
    /// What is wrong with the line.
    pub reason: Reason,
}

/// What makes a page unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A line starts with `<`, as the error page of a proxy does.
    Html,
    /// A line starts like a JSON document.
    Json,
    /// An invalid line of another series contains the name of a selected one, as it does if the newline before that name
    /// is missing.
    HiddenSeries {
        /// The name.
        name: String,
        /// Why the line is invalid.
        cause: Box<Reason>,
    },
    /// A `# TYPE` or `# UNIT` line has more than one word after the name.
    InvalidMetadata,
    /// A line is longer than [`MAX_LINE`].
    LineTooLong,
    /// The page is longer than [`MAX_PAGE`].
    PageTooLong,
    /// The page ends inside a line.
    Truncated,
    /// An `OpenMetrics` page ends without `# EOF`.
    MissingEof,
    /// An `OpenMetrics` page continues after `# EOF`.
    AfterEof,
    /// A line is not UTF-8.
    NotUtf8,
    /// A line contains a NUL, at which Prometheus stops reading.
    Nul,
    /// A metric name is missing, duplicated, or followed by an invalid character.
    InvalidName,
    /// The labels are malformed.
    InvalidLabels,
    /// A line has the same label twice.
    DuplicateLabel(String),
    /// An escape other than `\\`, `\"` and `\n`.
    InvalidEscape,
    /// There is no value.
    MissingValue,
    /// The value is not a number.
    NotANumber(String),
    /// The value is a number, but not an exact count: negative, fractional, or 2⁵³ and more.
    NotACount(String),
    /// The timestamp is not a number.
    InvalidTimestamp(String),
    /// The line continues after its sample.
    TrailingText(String),
    /// The exemplar is malformed.
    InvalidExemplar,
    /// The page has the same series twice.
    DuplicateSeries(String),
    /// More than [`MAX_SERIES`] series match.
    TooManySeries,
    /// The sum does not fit into 64 bits.
    Overflow,
}

/// Returns the start of a text, escaped and short enough for a log line.
pub(super) fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    match text.char_indices().nth(MAX_CHARS) {
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
            Self::Html => f.write_str("not Prometheus text (HTML?); is the path right?"),
            Self::Json => f.write_str("not Prometheus text (JSON?); is the path right?"),
            Self::HiddenSeries { name, cause } => {
                write!(f, "invalid line that contains {name} ({cause}); is a newline missing before {name}?")
            }
            Self::InvalidMetadata => f.write_str("malformed metadata"),
            Self::LineTooLong => write!(f, "longer than {} KiB", MAX_LINE >> 10),
            Self::PageTooLong => write!(f, "the page is longer than {} MiB", MAX_PAGE >> 20),
            Self::Truncated => f.write_str("truncated inside the line"),
            Self::MissingEof => f.write_str("truncated: `# EOF` is missing"),
            Self::AfterEof => f.write_str("the page continues after `# EOF`"),
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::Nul => f.write_str("a NUL byte"),
            Self::InvalidName => f.write_str("malformed metric name"),
            Self::InvalidLabels => f.write_str("malformed labels"),
            Self::DuplicateLabel(label) => write!(f, "duplicate label {label}"),
            Self::InvalidEscape => f.write_str("unknown escape in a quoted string"),
            Self::MissingValue => f.write_str("no value"),
            Self::NotANumber(value) => write!(f, "value {value} is not a number"),
            Self::NotACount(value) => write!(f, "value {value} is not a count"),
            Self::InvalidTimestamp(time) => write!(f, "{time} is not a timestamp"),
            Self::TrailingText(rest) => write!(f, "{rest} after the end of the sample"),
            Self::InvalidExemplar => f.write_str("malformed exemplar"),
            Self::DuplicateSeries(name) => write!(f, "duplicate series of {name}"),
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
