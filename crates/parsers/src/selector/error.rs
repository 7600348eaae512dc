//! Why a selector is invalid, with messages that say how to fix it.

use std::fmt;

/// An invalid selector, and the position of the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The position of the error in characters, from one.
    pub column: usize,
    /// What is wrong at this position.
    pub reason: Reason,
}

/// What is wrong with a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The text is empty.
    Empty,
    /// It is an expression, or a range or offset selector.
    NotInstant(&'static str),
    /// Something else is required here.
    Expected(&'static str),
    /// The metric name is empty.
    EmptyName,
    /// An unquoted name contains a character that is valid only in quotes.
    NeedsQuotes(char),
    /// The metric name is a word that has another meaning in `PromQL`.
    ReservedName(String),
    /// There are two metric names.
    DuplicateName,
    /// A string has no closing quote.
    UnterminatedString(char),
    /// A string contains an unknown escape.
    InvalidEscape,
    /// The escapes of a string produce bytes that are not UTF-8.
    NotUtf8,
    /// A regular expression is invalid, too large, or uses an unsupported feature.
    InvalidPattern(String),
    /// Every series of a page matches.
    MatchesEverything,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.column, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the selector is empty: name a metric, such as `engine_active_requests`"),
            Self::NotInstant(what) => write!(f, "only instant selectors are supported: remove {what}"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::EmptyName => f.write_str("the metric name is empty: write it between the quotes"),
            Self::NeedsQuotes(character) => {
                write!(f, "`{}` is not valid in an unquoted name: write `{{\"the name\"}}`", character.escape_debug())
            }
            Self::ReservedName(name) => write!(f, "`{name}` is a word of PromQL: write `{{\"{name}\"}}`"),
            Self::DuplicateName => f.write_str("duplicate metric name: keep one"),
            Self::UnterminatedString(quote) => write!(f, "unterminated string: add {quote} on the same line"),
            Self::InvalidEscape => f.write_str("unknown escape: write the backslash twice, or the string in backticks"),
            Self::NotUtf8 => {
                f.write_str("the escapes in this string do not produce UTF-8: write the character as `\\u`")
            }
            Self::InvalidPattern(error) => write!(f, "invalid regular expression: {error}"),
            Self::MatchesEverything => f.write_str(
                "it matches every series: add a metric name, or a matcher that a missing label does not satisfy",
            ),
        }
    }
}
