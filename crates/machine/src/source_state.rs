//! One source and its memory of one incarnation of the target. Unknown is never zero.

use crate::reading::{Count, ReadError, Reading, Source};
use crate::time::Time;

/// What one source says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not heard from in this incarnation.
    NotPolled,
    /// It counts these.
    Counted(Count),
    /// There is nothing to count on: never zero.
    Absent,
    /// It could not be read.
    Unknown(ReadError),
}

/// One source and its memory of this incarnation.
#[derive(Clone, Debug)]
pub struct SourceState {
    /// Which source it is.
    pub source: Source,
    /// What it says now.
    pub state: State,
    /// When its last reading was asked for.
    pub requested_at: Option<Time>,
    /// The last count it gave, kept while it fails.
    last_count: Option<u64>,
    /// Whether it has said more than zero.
    pub(super) saw_streams: bool,
    /// For each selector or port, whether there has ever been anything to count on.
    shown: Vec<bool>,
    /// Whether the target was told to close its port before this process could see it open.
    told_to_close: bool,
    /// Whether somebody who serves ever answered, readable or not.
    pub(super) served: bool,
}

impl SourceState {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            state: State::NotPolled,
            requested_at: None,
            last_count: None,
            saw_streams: false,
            shown: Vec::new(),
            told_to_close: false,
            served: false,
        }
    }

    /// A port that is closed is then no longer missed.
    pub(super) const fn expect_closed_port(&mut self) {
        self.told_to_close = true;
    }

    pub(super) fn take(&mut self, requested_at: Time, reading: Reading) {
        self.requested_at = Some(requested_at);
        let is_of_a_page = reading.is_of_a_page();
        self.state = match reading {
            Reading::Unknown(fault) => State::Unknown(fault),
            Reading::Counts(counts) => self.count(&counts),
        };
        if let State::Counted(Count { streams, .. }) = self.state {
            self.remember(streams);
        }
        self.served |= match self.source {
            Source::Metrics | Source::Lazy | Source::Status => is_of_a_page,
            // The table is the kernel's own; only what is in it is of the target.
            Source::Sockets => self.testifies(),
        };
    }

    const fn remember(&mut self, streams: u64) {
        self.last_count = Some(streams);
        self.saw_streams |= streams > 0;
    }

    fn count(&mut self, counts: &[Option<Count>]) -> State {
        self.shown.resize(counts.len(), false);
        for (shown, count) in self.shown.iter_mut().zip(counts) {
            *shown |= count.is_some();
        }
        let missed = counts.iter().zip(&self.shown).any(|(count, shown)| count.is_none() && self.misses(*shown));
        let sum = counts.iter().flatten().fold(Count::default(), |sum, count| sum.plus(*count));
        if missed || counts.is_empty() {
            // What the other selectors count is no whole count, but more than zero it is.
            if sum.streams > 0 {
                self.remember(sum.streams);
            }
            return State::Absent;
        }
        State::Counted(sum)
    }

    /// Whether it is missed that there is nothing to count on.
    ///
    /// A lazy series is not, until it has been seen once. A port is, until it has been seen once: then it may close.
    const fn misses(&self, shown: bool) -> bool {
        match self.source {
            Source::Metrics | Source::Status => true,
            Source::Lazy => shown,
            Source::Sockets => !shown && !self.told_to_close,
        }
    }

    /// Whether a zero of this source rests on something that it saw, not on silence.
    pub(super) fn testifies(&self) -> bool {
        self.shown.contains(&true)
    }

    pub(super) const fn counted(&self) -> Option<Count> {
        match self.state {
            State::Counted(count) => Some(count),
            State::NotPolled | State::Absent | State::Unknown(_) => None,
        }
    }

    pub(super) fn failed_high(&self) -> bool {
        matches!(self.state, State::Unknown(_)) && self.last_count > Some(0)
    }

    /// How many streams it counts that are never idle; `None` while it cannot say.
    ///
    /// A socket table that cannot be read tells of nobody; whether streams work is then not known anyway.
    pub(super) const fn never_idle(&self) -> Option<u64> {
        match (self.source, self.counted()) {
            (_, Some(count)) => Some(count.never_idle),
            (Source::Sockets, None) => Some(0),
            (Source::Metrics | Source::Lazy | Source::Status, None) => None,
        }
    }
}
