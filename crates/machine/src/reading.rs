//! What the sources say: the plain words between the edges that read and the census that fuses.

use std::fmt;

/// Something that counts streams. All sources witness the same streams, so they are compared and never added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The series of a metrics page that are there from the start.
    Metrics,
    /// The series of the same page that appear with the first request.
    Lazy,
    /// The kernel's socket table: established connections to the target's ports.
    Sockets,
    /// A JSON status page, which lives and dies with the port that streams come to.
    Status,
}

impl Source {
    /// The name users see in `/status` and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Lazy => "lazy",
            Self::Sockets => "sockets",
            Self::Status => "status",
        }
    }

    /// What it means that this source is absent.
    #[must_use]
    pub const fn absence(self) -> &'static str {
        match self {
            Self::Metrics | Self::Lazy => "a selector matches nothing on the page; is its name right?",
            Self::Sockets => "nobody listens on a port of --streams-port; is its number right?",
            Self::Status => "the page has none of the fields that count",
        }
    }
}

/// The streams that one selector, port or field counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub streams: u64,
    /// Of these, the ones that work without receiving a byte (batch, speech synthesis), and so are never idle.
    pub never_idle: u64,
}

impl Count {
    /// Streams of which every one could be idle.
    #[must_use]
    pub const fn of(streams: u64) -> Self {
        Self { streams, never_idle: 0 }
    }

    /// The two together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            streams: self.streams.saturating_add(other.streams),
            never_idle: self.never_idle.saturating_add(other.never_idle),
        }
    }
}

/// What a source said when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A count for each selector, port or field; `None` where there is nothing to count on.
    Counts(Vec<Option<Count>>),
    /// It could not be read.
    Unknown(ReadError),
}

impl Reading {
    pub(super) fn is_of_a_page(&self) -> bool {
        match self {
            Self::Counts(_) | Self::Unknown(ReadError { kind: ReadErrorKind::Invalid, .. }) => true,
            Self::Unknown(ReadError { kind: ReadErrorKind::ConnectionRefused | ReadErrorKind::NoResponse, .. }) => {
                false
            }
        }
    }
}

/// Why a source could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// What kind of failure it was.
    pub kind: ReadErrorKind,
    /// The reason, for people.
    pub message: String,
}

impl ReadError {
    /// A failure of this kind, for this reason.
    pub fn new(kind: ReadErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}

/// The kinds of failure that a drain tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadErrorKind {
    /// Nothing listens there: the connection was refused.
    ConnectionRefused,
    /// No answer, or an answer that says that there is no page yet (not a 200).
    NoResponse,
    /// A page came, so somebody serves, but it does not say how many streams there are.
    Invalid,
}
