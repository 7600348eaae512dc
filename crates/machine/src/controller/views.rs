//! What others may see of the machine. Nothing here changes it.

use std::time::Duration;

use super::Controller;
use crate::durations::DurationHistogram;
use crate::readiness::Readiness;
use crate::snapshot::{DrainView, Phase, Snapshot, StreamsView, TargetView};
use crate::time::Time;

impl Controller {
    /// The state of the machine at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Time) -> Snapshot {
        let readiness = self.readiness(now);
        let disagreement = self.incarnation.disagreeing_since.map(|since| now.since(since));
        Snapshot {
            now,
            not_ready: readiness.not_ready_reason(),
            signal_blocker: readiness.blocker(),
            streams: StreamsView {
                count: self.incarnation.sources.streams(),
                idle: self.incarnation.idle(&self.policy).map(|idle| idle.streams),
                leaked: self.incarnation.sources.leaked(),
                disagreement: disagreement.filter(|time| *time > self.policy.times.quiet_period),
                sources: self.incarnation.sources.states().to_vec(),
            },
            target: self.target.target().map(TargetView::of),
            phase: Phase::of(&self.drain),
            drain: DrainView::of(&self.drain, &self.target, &self.policy.times, now),
            result: self.history.last_result,
            record: self.history.record,
            hook_callers: self.callers.hooks(),
        }
    }

    /// The readiness of the pod at `now`.
    #[must_use]
    pub const fn readiness(&self, now: Time) -> Readiness<'_> {
        let Self { policy, drain, target, incarnation, polls, .. } = self;
        Readiness { now, policy, drain, target, incarnation, is_polling: polls.is_in_flight() }
    }

    /// The durations of the streams observed since the sidecar started, and the median estimate of the time until all
    /// open streams have ended; `None` if unknown.
    #[must_use]
    pub fn stream_durations(&self, now: Time) -> (&DurationHistogram, Option<Duration>) {
        let ages: Vec<Duration> = self.incarnation.ages(now).collect();
        (&self.history.durations, self.history.durations.estimated_time_to_zero(&ages))
    }
}
