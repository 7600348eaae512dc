//! State that is kept across drains and incarnations.

use crate::drain_id::{DrainId, DrainIds};
use crate::drain_record::TargetEnd;
use crate::durations::DurationHistogram;
use crate::incarnation::StreamsSeen;
use crate::io::{Action, Actions, RecordReason};
use crate::policy::Policy;
use crate::result::DrainResult;

/// State that is kept across drains and incarnations.
#[derive(Clone, Debug)]
pub struct History {
    ids: DrainIds,
    /// The durations of streams, which do not depend on the process that serves them.
    pub durations: DurationHistogram,
    /// The result of the last drain, until the next one starts.
    pub last_result: Option<DrainResult>,
    /// The last written record, provisional or not. `None` while the pod serves, unless a hook is awaited after SIGTERM.
    pub record: Option<DrainResult>,
    /// The end of the target outside a drain, until another target is found or a drain's record includes it.
    pub target_end: Option<TargetEnd>,
}

impl History {
    /// An empty history.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            ids: DrainIds::from_seed(policy.id_seed),
            durations: DurationHistogram::default(),
            last_result: None,
            record: None,
            target_end: None,
        }
    }

    /// The id of a new drain.
    pub const fn new_id(&mut self) -> DrainId {
        self.ids.take()
    }

    /// The id of a drain that starts now, or would start. It is kept from a record that was written before.
    pub fn drain_id(&mut self) -> DrainId {
        self.record.map_or_else(|| self.new_id(), |record| record.id)
    }

    /// Records the durations of streams that a poll shows.
    pub fn observe(&mut self, seen: &StreamsSeen, actions: &mut Actions) {
        if let Some(age) = seen.oldest_active {
            self.durations.observe_active(age);
        }
        for duration in &seen.ended {
            self.durations.observe(*duration);
            actions.push(Action::StreamEnded(*duration));
        }
    }

    /// Writes a provisional record. For [`RecordReason::CountChanged`], writes nothing if the record is unchanged.
    pub fn write_provisional(&mut self, result: DrainResult, reason: RecordReason, actions: &mut Actions) {
        let unchanged = self.record.is_some_and(|last| DrainResult { duration: last.duration, ..result } == last);
        if reason == RecordReason::CountChanged && unchanged {
            return;
        }
        self.record = Some(result);
        actions.push(Action::WriteRecord(result, reason));
    }

    /// Keeps the result of a finished drain.
    pub const fn on_result(&mut self, result: DrainResult) {
        self.last_result = Some(result);
        self.record = Some(result);
    }
}
