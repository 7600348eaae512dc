//! The data that a drain keeps only for its record.

use crate::drain_id::DrainId;
use crate::saved_drain::SavedDrain;
use crate::time::Time;
use crate::warnings::{Warning, Warnings};

/// The part of a drain that only its record depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainRecord {
    /// The id of the drain.
    pub id: DrainId,
    /// The streams when it started; `None` while unknown.
    pub streams_at_start: Option<u64>,
    /// The last known count.
    pub last_known: Option<u64>,
    /// The warnings so far.
    pub warnings: Warnings,
    /// Whether a hook has started or joined the drain.
    pub hook_joined: bool,
    /// What has become of the last hook caller.
    pub hook: HookState,
    /// The end of the target, if the target ended before the drain.
    pub ended_before: Option<TargetEnd>,
    /// How many stragglers this process has already counted.
    pub counted_stragglers: u64,
}

/// What has become of the last hook caller. If its connection has ended before the drain, the kubelet stops the containers
/// itself, and the target's exit code no longer shows that it has drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookState {
    /// It waits, or there was none.
    Waiting,
    /// It has disconnected, while this many streams were open; `None` if unknown.
    Disconnected(Option<u64>),
    /// The sidecar was restarted, which has ended its connection.
    EndedByRestart,
}

/// The end of the target outside a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetEnd {
    /// When it ended.
    pub at: Time,
    /// The streams that it had; `None` if unknown.
    pub streams: Option<u64>,
}

impl DrainRecord {
    /// The record of a drain that starts with this many streams.
    #[must_use]
    pub fn new(id: DrainId, streams_at_start: Option<u64>) -> Self {
        Self {
            id,
            streams_at_start,
            last_known: streams_at_start,
            warnings: Warnings::default(),
            hook_joined: false,
            hook: HookState::Waiting,
            ended_before: None,
            counted_stragglers: 0,
        }
    }

    /// The record of a drain whose target had ended before.
    #[must_use]
    pub fn of_ended_target(id: DrainId, end: TargetEnd) -> Self {
        let counted_stragglers = end.streams.unwrap_or(0);
        Self { ended_before: Some(end), counted_stragglers, ..Self::new(id, end.streams) }
    }

    /// The record of a drain that starts with this many streams, shortly after something else has told the target to
    /// stop, which had `before` then. Streams that have ended in between may have been cut.
    #[must_use]
    pub fn of_told_target(id: DrainId, before: Option<u64>, streams: Option<u64>) -> Self {
        let record = Self { streams_at_start: before.max(streams), ..Self::new(id, streams) };
        record.warned(Warning::ToldByOthers)
    }

    /// The same record with this warning.
    #[must_use]
    pub fn warned(mut self, warning: Warning) -> Self {
        self.warnings.insert(warning);
        self
    }

    /// The record of a drain that another process started.
    #[must_use]
    pub fn resume(saved: &SavedDrain) -> Self {
        let hook = if saved.hook_joined { HookState::EndedByRestart } else { HookState::Waiting };
        // The count may have changed since it was saved.
        let record = Self { last_known: None, ..Self::new(saved.id, saved.streams_at_start) };
        Self { warnings: saved.warnings, hook_joined: saved.hook_joined, hook, ..record }
    }

    /// Forgets the end of a target before the drain: another target was found.
    pub fn forget_earlier_end(&mut self) {
        if self.ended_before.is_some() {
            let Self { warnings, hook_joined, hook, .. } = *self;
            *self = Self { warnings, hook_joined, hook, ..Self::new(self.id, None) };
        }
    }

    /// Records a hook caller that waits. Returns whether it is the first one.
    pub const fn on_hook(&mut self) -> bool {
        self.hook = HookState::Waiting;
        !std::mem::replace(&mut self.hook_joined, true)
    }

    /// Records that the last hook caller has disconnected.
    pub const fn on_hook_disconnected(&mut self) {
        self.hook = HookState::Disconnected(self.last_known);
    }

    /// Records a known count.
    pub const fn observe(&mut self, streams: u64) {
        if self.streams_at_start.is_none() {
            self.streams_at_start = Some(streams);
        }
        self.last_known = Some(streams);
    }

    /// Counts the stragglers of a result, and returns how many of them had not been counted. A drain that is re-opened
    /// has several results.
    pub const fn count_stragglers(&mut self, stragglers: Option<u64>) -> u64 {
        let Some(stragglers) = stragglers else { return 0 };
        let new = stragglers.saturating_sub(self.counted_stragglers);
        self.counted_stragglers += new;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stragglers_are_counted_once() {
        let mut record = DrainRecord::new(DrainId(1), Some(3));
        assert_eq!([Some(2), None, Some(1), Some(3)].map(|count| record.count_stragglers(count)), [2, 0, 0, 1]);
        let end = TargetEnd { at: Time::default(), streams: Some(3) };
        assert_eq!(DrainRecord::of_ended_target(DrainId(1), end).count_stragglers(Some(3)), 0);
    }

    #[test]
    fn first_known_count_is_the_one_at_start() {
        let mut record = DrainRecord::new(DrainId(1), None);
        record.observe(4);
        record.observe(2);
        assert_eq!((record.streams_at_start, record.last_known), (Some(4), Some(2)));
    }
}
