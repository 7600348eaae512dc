//! What a script expects of the machine at this instant.

use lameduck_machine::durations::DurationHistogram;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::snapshot::{Phase, Snapshot};

use super::{Effect, Pod, second};

impl Pod {
    /// Exactly these effects happened, at this instant.
    pub(crate) fn expect<const N: usize>(&mut self, effects: [Effect; N]) -> &mut Self {
        let expected: Vec<_> = effects.into_iter().map(|effect| (self.now, effect)).collect();
        assert_eq!(std::mem::take(&mut self.effects), expected);
        self
    }

    pub(crate) fn phase(&mut self, phase: Phase) -> &mut Self {
        assert_eq!(self.snapshot().phase, phase, "at {:?}", self.now);
        self
    }

    /// The number of streams is this.
    pub(crate) fn counted(&mut self, streams: Option<u64>) -> &mut Self {
        assert_eq!(self.snapshot().streams.count, streams, "at {:?}", self.now);
        self
    }

    /// The number of idle streams is this.
    pub(crate) fn idle(&mut self, streams: Option<u64>) -> &mut Self {
        assert_eq!(self.snapshot().streams.idle, streams, "at {:?}", self.now);
        self
    }

    /// Whether the last poll may keep its connection to the page.
    pub(crate) fn keeps_connection(&mut self, keeps: bool) -> &mut Self {
        let last = self.poll_requests.last().expect("a poll");
        assert_eq!(last.keep_connection, keeps, "{last:?}, at {:?}", self.now);
        self
    }

    pub(crate) fn ready(&mut self) -> &mut Self {
        self.not_ready(None)
    }

    /// The pod is not ready for this reason; with `None` it is ready.
    pub(crate) fn not_ready(&mut self, reason: impl Into<Option<NotReady>>) -> &mut Self {
        assert_eq!(self.snapshot().not_ready, reason.into(), "at {:?}", self.now);
        self
    }

    /// The pod accepts no streams for this reason; with `None` it accepts them.
    pub(crate) fn not_accepting(&mut self, reason: impl Into<Option<NotReady>>) -> &mut Self {
        assert_eq!(self.controller.readiness(self.now).not_accepting_reason(), reason.into(), "at {:?}", self.now);
        self
    }

    pub(crate) fn deadline(&mut self, seconds: impl Into<f64>) -> &mut Self {
        assert_eq!(self.snapshot().drain.map(|drain| drain.deadline), Some(second(seconds)));
        self
    }

    /// The observed durations of streams.
    pub(crate) fn durations(&self) -> &DurationHistogram {
        self.controller.stream_durations(self.now).0
    }

    /// The estimated seconds until all streams have ended.
    pub(crate) fn seconds_to_zero(&self) -> Option<u64> {
        self.controller.stream_durations(self.now).1.map(|time| time.as_secs())
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.controller.snapshot(self.now)
    }

    pub(super) fn assert_no_unexpected_effects(&self) {
        assert!(self.effects.is_empty(), "unexpected: {:?}", self.effects);
    }
}
