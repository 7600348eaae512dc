//! The state of one source in one incarnation of the target. Unknown is never zero.

use crate::reading::{Count, ReadError, Reading, Source};
use crate::time::Time;

/// The result of the last reading of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// Not polled in this incarnation.
    NotPolled,
    /// It counts this many streams.
    Counted(Count),
    /// Something that should exist to be counted is missing. This is never zero.
    Absent,
    /// It could not be read.
    Unknown(ReadError),
}

/// One source and its readings in this incarnation.
#[derive(Clone, Debug)]
pub struct SourceState {
    /// Which source it is.
    pub source: Source,
    /// The result of its last reading.
    pub status: SourceStatus,
    /// Which of its selectors, ports or fields make it absent, by their position in its reading; empty if it is not.
    pub missing: Vec<usize>,
    /// When its last reading was requested.
    pub requested_at: Option<Time>,
    /// The last count, kept while the source fails.
    last_count: Option<u64>,
    /// The largest count so far.
    greatest_count: u64,
    /// For each selector or port, whether it has ever matched something.
    seen: Vec<bool>,
    /// Whether the target was signalled before this process could see its port open.
    port_may_close: bool,
    /// Whether a server ever answered, readable or not.
    pub(crate) ever_answered: bool,
}

impl SourceState {
    pub(crate) const fn new(source: Source) -> Self {
        Self {
            source,
            status: SourceStatus::NotPolled,
            missing: Vec::new(),
            requested_at: None,
            last_count: None,
            greatest_count: 0,
            seen: Vec::new(),
            port_may_close: false,
            ever_answered: false,
        }
    }

    /// From now on, a closed port is not absent.
    pub(crate) const fn expect_closed_port(&mut self) {
        self.port_may_close = true;
    }

    /// Records a reading, and returns whether it counts more streams than the last count.
    pub(crate) fn record(&mut self, requested_at: Time, reading: Reading) -> bool {
        let before = self.last_count;
        self.requested_at = Some(requested_at);
        self.missing.clear();
        let came_from_server = reading.came_from_server();
        if reading.is_of_several_processes() {
            // The zero of one process does not contradict the streams of another.
            self.last_count = self.last_count.max(Some(self.greatest_count));
        }
        self.status = match reading {
            Reading::Unknown(error) => SourceStatus::Unknown(error),
            Reading::Counts(counts) => self.count(&counts),
        };
        if let SourceStatus::Counted(Count { streams, .. }) = self.status {
            self.remember(streams);
        }
        self.ever_answered |= match self.source {
            Source::Metrics | Source::Lazy | Source::Status => came_from_server,
            // The kernel always provides a table. Only its content shows whether the target has a server.
            Source::Sockets => self.has_evidence(),
        };
        self.last_count.unwrap_or(0) > before.unwrap_or(0)
    }

    const fn remember(&mut self, streams: u64) {
        self.last_count = Some(streams);
        if streams > self.greatest_count {
            self.greatest_count = streams;
        }
    }

    /// Whether it has ever counted more than zero.
    pub(crate) const fn saw_streams(&self) -> bool {
        self.greatest_count > 0
    }

    fn count(&mut self, counts: &[Option<Count>]) -> SourceStatus {
        self.seen.resize(counts.len(), false);
        for (seen, count) in self.seen.iter_mut().zip(counts) {
            *seen |= count.is_some();
        }
        let matches = counts.iter().zip(&self.seen).enumerate();
        let missing = matches.filter(|(_, (count, seen))| count.is_none() && self.is_missing(**seen));
        self.missing = missing.map(|(position, _)| position).collect();
        let sum = counts.iter().flatten().fold(Count::default(), |sum, count| sum.plus(*count));
        if !self.missing.is_empty() || counts.is_empty() {
            // The sum of the other selectors is incomplete, but it proves that there are streams.
            if sum.streams > 0 {
                self.remember(sum.streams);
            }
            return SourceStatus::Absent;
        }
        SourceStatus::Counted(sum)
    }

    /// Whether a selector or port without a match makes the source absent, given whether it has ever matched.
    ///
    /// A lazy series is expected once it has been seen. A port is expected only until it has been seen, because the
    /// signal makes the target close it.
    const fn is_missing(&self, seen: bool) -> bool {
        match self.source {
            Source::Metrics | Source::Status => true,
            Source::Lazy => seen,
            Source::Sockets => !seen && !self.port_may_close,
        }
    }

    /// Whether a zero of this source is based on something that it has seen.
    pub(crate) fn has_evidence(&self) -> bool {
        self.seen.contains(&true)
    }

    /// Whether each of its selectors or ports has matched something.
    pub(crate) fn saw_all(&self) -> bool {
        !self.seen.is_empty() && !self.seen.contains(&false)
    }

    /// The streams that it counts; `None` while it does not.
    pub(crate) fn streams(&self) -> Option<u64> {
        self.counted().map(|count| count.streams)
    }

    pub(crate) const fn counted(&self) -> Option<Count> {
        match self.status {
            SourceStatus::Counted(count) => Some(count),
            SourceStatus::NotPolled | SourceStatus::Absent | SourceStatus::Unknown(_) => None,
        }
    }

    pub(crate) fn failed_above_zero(&self) -> bool {
        matches!(self.status, SourceStatus::Unknown(_)) && self.last_count > Some(0)
    }

    /// The number of its streams that are never idle; `None` while it cannot be read.
    ///
    /// A socket table has no such streams. If it is unreadable, it is unknown anyway whether streams are active.
    pub(crate) const fn never_idle(&self) -> Option<u64> {
        match (self.source, self.counted()) {
            (_, Some(count)) => Some(count.never_idle),
            (Source::Sockets, None) => Some(0),
            (Source::Metrics | Source::Lazy | Source::Status, None) => None,
        }
    }
}
