//! How the environment of the machine behaves from now on.

use std::time::Duration;

use lameduck_machine::activity::WorkDirection;
use lameduck_machine::reading::{PageProcess, ReadErrorKind, Reading, Source};
use lameduck_machine::target::SearchResult;

use super::{Page, Pod, count, failure};

impl Pod {
    /// The page counts this many streams.
    pub(crate) fn streams(&mut self, streams: u64) -> &mut Self {
        self.readings(&[(Source::Metrics, count(streams))])
    }

    /// Every source fails, except the socket table.
    pub(crate) fn page_fails(&mut self, kind: ReadErrorKind) -> &mut Self {
        let sources = self.policy.sources.iter().filter(|source| **source != Source::Sockets);
        let failures: Vec<_> = sources.map(|source| (*source, failure(kind))).collect();
        self.readings(&failures)
    }

    /// The sources have these readings.
    pub(crate) fn readings(&mut self, readings: &[(Source, Reading)]) -> &mut Self {
        self.page = Page::Answers(readings.to_vec());
        self
    }

    /// Processes serve the page in turn, each with its own process facts and this many streams.
    pub(crate) fn workers(&mut self, workers: &[(PageProcess, u64)]) -> &mut Self {
        let readings = |streams| vec![(Source::Metrics, count(streams))];
        let workers: Vec<_> = workers.iter().map(|(process, streams)| (process.clone(), readings(*streams))).collect();
        self.page_of_workers(&workers)
    }

    /// Processes serve the page in turn, each with its own process facts and these readings.
    pub(crate) fn page_of_workers(&mut self, workers: &[(PageProcess, Vec<(Source, Reading)>)]) -> &mut Self {
        self.page = Page::Workers(workers.to_vec());
        self
    }

    /// The page reports this as the target's own limit of streams.
    pub(crate) fn capacity(&mut self, capacity: u64) -> &mut Self {
        self.capacity = Some(capacity);
        self
    }

    /// Polls are not answered.
    pub(crate) fn polls_hang(&mut self) -> &mut Self {
        self.page = Page::Hangs;
        self
    }

    /// Exactly these connections are open, and carry this many bytes a second to the target.
    pub(crate) fn traffic(&mut self, rates: &[u64]) -> &mut Self {
        self.traffic.set_rates(self.now, rates);
        self
    }

    /// The connections carry their bytes from the target, not to it.
    pub(crate) fn target_sends(&mut self) -> &mut Self {
        self.traffic = self.traffic.clone().in_direction(WorkDirection::Sent);
        self
    }

    /// A health check connects now, and disconnects after this many seconds.
    pub(crate) fn health_check(&mut self, seconds: f64) -> &mut Self {
        self.traffic.connect_until(self.now + Duration::from_secs_f64(seconds));
        self
    }

    /// Whether a process listens on the target's port.
    pub(crate) fn listening(&mut self, listening: bool) -> &mut Self {
        self.traffic.listening = listening;
        self
    }

    /// Whether the socket table can be read.
    pub(crate) fn table_readable(&mut self, readable: bool) -> &mut Self {
        self.table_readable = readable;
        self
    }

    /// The socket table is not returned, so that a poll lasts until its timeout.
    pub(crate) fn table_hangs(&mut self) -> &mut Self {
        self.table_hangs = true;
        self
    }

    /// Searches have this result.
    pub(crate) fn search_finds(&mut self, result: SearchResult) -> &mut Self {
        self.search = Some(result);
        self
    }

    /// Searches are not answered.
    pub(crate) fn searches_hang(&mut self) -> &mut Self {
        self.search = None;
        self
    }

    /// Whether signals fail to be sent.
    pub(crate) fn signals_fail(&mut self, fail: bool) -> &mut Self {
        self.signals_fail = fail;
        self
    }

    /// Polls no longer report a process as exiting.
    pub(crate) fn no_process_exits(&mut self) -> &mut Self {
        self.exiting = None;
        self
    }
}
