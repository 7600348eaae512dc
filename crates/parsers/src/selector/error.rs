//! What can be wrong with a selector, in words that say how to mend it.

use std::fmt;

/// A selector that cannot be used, and where it goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The offending character, counted from one.
    pub column: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is nothing to read.
    Empty,
    /// It asks for more than the series of this moment.
    NotInstant(&'static str),
    /// Something else had to stand here.
    Expected(&'static str),
    /// The metric name is empty.
    EmptyName,
    /// A bare name holds a character that it may hold only in quotes.
    NeedsQuotes(char),
    /// There are two metric names.
    DuplicateName,
    /// A string has no closing quote.
    UnterminatedString(char),
    /// A string holds an escape that does not exist.
    Escape,
    /// The escapes of a string give bytes that are not UTF-8.
    NotUtf8,
    /// A regular expression is not sound, or uses what is not supported.
    Pattern(String),
    /// A regular expression uses an escape that Prometheus reads in another way.
    UnsupportedEscape(&'static str),
    /// Every series of a page could match.
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
            Self::NotInstant(what) => write!(f, "an instant selector only: leave out {what}"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::EmptyName => f.write_str("the metric name is empty: write it between the quotes"),
            Self::NeedsQuotes(odd) => {
                write!(f, "`{}` cannot stand in a bare name: write `{{\"the name\"}}`", odd.escape_debug())
            }
            Self::DuplicateName => f.write_str("the metric name is given twice: keep one"),
            Self::UnterminatedString(quote) => write!(f, "the string is never closed: add {quote} on the same line"),
            Self::Escape => f.write_str("no such escape: write a backslash twice, or the string in backticks"),
            Self::NotUtf8 => f.write_str("the escapes in this string do not make UTF-8: use `\\u` for a character"),
            Self::Pattern(refusal) => write!(f, "the regular expression is refused: {refusal}"),
            Self::UnsupportedEscape(escape) => {
                write!(f, "`{escape}` means something else in Prometheus: say it without this escape")
            }
            Self::MatchesEverything => {
                f.write_str("it matches everything: add a metric name, or a matcher that a missing label fails")
            }
        }
    }
}
