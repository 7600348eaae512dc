//! Readings of the sources that count streams.

use std::fmt;
use std::time::Duration;

/// Something that counts streams. All sources count the same streams, so their counts are never added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The series of a metrics page that exist from the start.
    Metrics,
    /// The series of the same page that appear with the first request.
    Lazy,
    /// The kernel's socket table: established connections to the target's ports.
    Sockets,
    /// A JSON status page, which is served on the port that streams connect to.
    Status,
}

impl Source {
    /// Whether the target serves it as a page.
    #[must_use]
    pub const fn is_page(self) -> bool {
        match self {
            Self::Metrics | Self::Lazy | Self::Status => true,
            Self::Sockets => false,
        }
    }

    /// The name in `/status` and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Lazy => "lazy",
            Self::Sockets => "sockets",
            Self::Status => "status",
        }
    }

    /// Whether it is read from the metrics page.
    #[must_use]
    pub const fn is_on_page(self) -> bool {
        match self {
            Self::Metrics | Self::Lazy => true,
            Self::Sockets | Self::Status => false,
        }
    }
}

/// The streams that one selector, port or field counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub streams: u64,
    /// The part of them that works without receiving bytes (batch, speech synthesis) and so is never idle.
    pub never_idle: u64,
}

impl Count {
    /// This many streams, all of which can be idle.
    #[must_use]
    pub const fn of(streams: u64) -> Self {
        Self { streams, never_idle: 0 }
    }

    /// The sum of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            streams: self.streams.saturating_add(other.streams),
            never_idle: self.never_idle.saturating_add(other.never_idle),
        }
    }
}

/// What a metrics page says about the process that served it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageProcess {
    /// `process_start_time_seconds`, since 1970; `None` if it is not on the page.
    pub started_at: Option<Duration>,
    /// Counters, which never decrease while one process answers.
    pub counters: Vec<Counter>,
}

/// A counter on a metrics page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The name of the metric.
    pub name: String,
    /// A hash of the series: equal for equal series.
    pub series: u64,
    /// The value in thousandths, rounded; `u64::MAX` if it does not fit.
    pub thousandths: u64,
}

/// The result of reading a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A count for each selector, port or field; `None` where nothing matches it.
    Counts(Vec<Option<Count>>),
    /// It could not be read.
    Unknown(ReadError),
}

impl Reading {
    /// Whether a server answered, readable or not.
    #[must_use]
    pub const fn came_from_server(&self) -> bool {
        match self {
            Self::Counts(_)
            | Self::Unknown(ReadError { kind: ReadErrorKind::Invalid | ReadErrorKind::SeveralProcesses, .. }) => true,
            Self::Unknown(ReadError { kind: ReadErrorKind::ConnectionRefused | ReadErrorKind::NoResponse, .. }) => {
                false
            }
        }
    }

    /// Whether several processes answer on the source's port.
    #[must_use]
    pub const fn is_of_several_processes(&self) -> bool {
        matches!(self, Self::Unknown(ReadError { kind: ReadErrorKind::SeveralProcesses, .. }))
    }
}

/// Why a source could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// What kind of failure it was.
    pub kind: ReadErrorKind,
    /// A message for users.
    pub message: String,
}

impl ReadError {
    /// A failure of this kind, for this reason.
    pub fn new(kind: ReadErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}

/// The kinds of failure that a drain distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadErrorKind {
    /// Nothing listens on the port: the connection was refused.
    ConnectionRefused,
    /// No answer in time, or an answer without a page (not status 200).
    NoResponse,
    /// A server answered, but not with a number of streams.
    Invalid,
    /// Several processes answer on one port, each with its own number of streams.
    SeveralProcesses,
}
