//! How the environment behaves, and what a poll of it reads.

use std::time::Duration;

use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::socket_table::SocketTable;
use lameduck_test_support::traffic::PORT;

use super::Simulation;
use crate::simulations::history::Page;

/// How the environment behaves from now on.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each can change alone")]
pub(super) struct Behaviour {
    pub(super) page: Page,
    /// Whether the page shows the lazy series.
    pub(super) lazy_series: bool,
    pub(super) table_readable: bool,
    /// Whether a second process matches the target.
    pub(super) second_match: bool,
    /// Whether the target does not catch the signal.
    pub(super) not_caught: bool,
    pub(super) signals_fail: bool,
    /// Whether a signalled target exits once it has no streams.
    pub(super) exits_when_empty: bool,
    /// Whether each poll is answered twice.
    pub(super) answers_twice: bool,
    /// The duration of a poll; `None` if polls are never answered.
    pub(super) poll: Option<Duration>,
    /// The duration of a search.
    pub(super) search: Duration,
}

impl Default for Behaviour {
    /// Everything works, and answers immediately.
    fn default() -> Self {
        Self {
            page: Page::Up,
            lazy_series: true,
            table_readable: true,
            second_match: false,
            not_caught: false,
            signals_fail: false,
            exits_when_empty: false,
            answers_twice: false,
            poll: Some(Duration::ZERO),
            search: Duration::ZERO,
        }
    }
}

impl Simulation {
    /// Reads the socket table now.
    pub(super) fn table(&mut self) -> Result<SocketTable, ReadError> {
        let now = self.now;
        let table = self.process.as_mut().map(|process| process.traffic.table(now)).unwrap_or_default();
        if self.behaviour.table_readable { Ok(table) } else { Err(ReadError::new(ReadErrorKind::Invalid, "")) }
    }

    /// Reads a source now.
    pub(super) fn read(&mut self, source: Source) -> Reading {
        let failure = |kind| Reading::Unknown(ReadError::new(kind, ""));
        if source == Source::Sockets {
            return match self.table() {
                Ok(table) => Reading::Counts(vec![table.count(PORT)]),
                Err(error) => Reading::Unknown(error),
            };
        }
        let Some(process) = &self.process else { return failure(ReadErrorKind::ConnectionRefused) };
        match (self.behaviour.page, source) {
            (Page::Up, Source::Lazy) => {
                Reading::Counts(vec![self.behaviour.lazy_series.then_some(Count::of(process.streams))])
            }
            (Page::Absent, _) => Reading::Counts(vec![None]),
            (Page::Up, Source::Metrics | Source::Sockets | Source::Status) => {
                let batch = Count { streams: process.batch, never_idle: process.batch };
                Reading::Counts(vec![Some(Count::of(process.streams).plus(batch))])
            }
            (Page::Refused, _) => failure(ReadErrorKind::ConnectionRefused),
            (Page::NoResponse, _) => failure(ReadErrorKind::NoResponse),
            (Page::Invalid, _) => failure(ReadErrorKind::Invalid),
        }
    }
}
