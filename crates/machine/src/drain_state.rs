//! The state of the drain: serving, draining or finished; and when it is saved and reported.

use crate::drain::Drain;
use crate::drain_times::DrainTimes;
use crate::hook_callers::HookCallers;
use crate::incarnation::IncarnationState;
use crate::io::{Action, Actions, NotCancelled, Reply};
use crate::policy::Policy;
use crate::result::{DrainResult, Outcome, Trigger};
use crate::saved_drain::{SavedDrain, SavedResult};
use crate::target_tracker::{Target, TargetTracker};
use crate::time::Time;

/// The state of the target's drain.
#[derive(Clone, Debug)]
pub enum DrainState {
    /// There is no drain.
    Serving,
    /// A drain is in progress.
    Active(Drain),
    /// The drain has finished.
    Finished(FinishedDrain),
}

/// A finished drain.
#[derive(Clone, Debug)]
pub struct FinishedDrain {
    /// The drain.
    pub drain: Drain,
    /// When it ended.
    pub ended_at: Time,
    /// Its result.
    pub result: DrainResult,
    reported: bool,
}

impl DrainState {
    /// Resumes the drain that an earlier process saved. Its deadline is at most one current budget from now.
    #[must_use]
    pub fn resume(saved: &SavedDrain, policy: &Policy, now: Time) -> Self {
        let deadline = saved.deadline.min(now + policy.times.budget());
        let drain = Drain::resume(saved, &policy.times, deadline);
        match saved.finished {
            Some(SavedResult { ended_at, result, reported }) => {
                Self::Finished(FinishedDrain { drain, ended_at, result, reported })
            }
            None => Self::Active(drain),
        }
    }

    /// The drain in progress.
    #[must_use]
    pub const fn active(&self) -> Option<&Drain> {
        match self {
            Self::Active(drain) => Some(drain),
            Self::Serving | Self::Finished(_) => None,
        }
    }

    /// The drain in progress.
    pub const fn active_mut(&mut self) -> Option<&mut Drain> {
        match self {
            Self::Active(drain) => Some(drain),
            Self::Serving | Self::Finished(_) => None,
        }
    }

    /// The finished drain.
    #[must_use]
    pub const fn finished(&self) -> Option<&FinishedDrain> {
        match self {
            Self::Finished(finished) => Some(finished),
            Self::Serving | Self::Active(_) => None,
        }
    }

    /// Whether there is no drain, neither in progress nor finished.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        matches!(self, Self::Serving)
    }

    /// The deadline of the drain in progress or of the finished one.
    #[must_use]
    pub const fn deadline(&self) -> Option<Time> {
        match self {
            Self::Serving => None,
            Self::Active(drain) => Some(drain.deadline),
            Self::Finished(finished) => Some(finished.drain.deadline),
        }
    }

    /// Whether the search that decides if the target can be signalled is still pending.
    #[must_use]
    pub fn is_search_pending(&self, target: &TargetTracker, policy: &Policy) -> bool {
        let draining_since = self.active().and_then(Drain::draining_since);
        let searched = draining_since.is_none_or(|since| target.searches.searched_since(since));
        policy.signal.is_some() && !target.is_signalled() && !searched
    }

    /// Since when a search for the target is required; `None` without a drain in progress. A drain needs one since its
    /// start, one since its draining stage, and one right before the signal. While something prevents the signal, each
    /// poll shows whether it still does.
    #[must_use]
    pub fn search_required_since(&self, now: Time, target: &TargetTracker, policy: &Policy) -> Option<Time> {
        let drain = self.active()?;
        let awaits_signal = policy.signal.is_some() && !target.is_signalled();
        let Some(draining_since) = drain.draining_since().filter(|_| awaits_signal) else {
            return Some(drain.started_at);
        };
        Some(if target.searches.is_blocked() { draining_since } else { now })
    }

    /// Saves the drain and its target, so that a restarted sidecar can resume it.
    pub fn save(&self, target: &TargetTracker, actions: &mut Actions) {
        let (drain, finished) = match self {
            Self::Serving => return,
            Self::Active(drain) => (drain, None),
            Self::Finished(finished) => (&finished.drain, Some(finished.saved())),
        };
        actions.push(Action::SaveState(SavedDrain {
            id: drain.record.id,
            incarnation: target.target().map(|target| target.incarnation),
            trigger: drain.trigger,
            started_at: drain.started_at,
            deadline: drain.deadline,
            streams_at_start: drain.record.streams_at_start,
            signal: target.target().and_then(Target::sent_signal).copied(),
            hook_joined: drain.record.hook_joined,
            warnings: drain.record.warnings,
            finished,
        }));
    }

    /// Ends the drain with this result: saves it, reports it, and answers the callers.
    pub fn finish(
        &mut self,
        result: DrainResult,
        target: &TargetTracker,
        callers: &mut HookCallers,
        actions: &mut Actions,
    ) {
        let Self::Active(drain) = self else { return };
        let ended_at = drain.started_at + result.duration;
        *self = Self::Finished(FinishedDrain { drain: drain.clone(), ended_at, result, reported: false });
        self.save(target, actions);
        self.report(target, actions);
        callers.release(Reply::Finished(result), actions);
        // Unauthorized callers have deadlines of their own, and may call after this one.
        if result.outcome != Outcome::Expired {
            callers.release_unauthorized(result, actions);
        }
    }

    /// Reports the result unless it has been reported, and then saves that it has. After a crash in between it is
    /// reported again rather than never.
    pub fn report(&mut self, target: &TargetTracker, actions: &mut Actions) {
        let Self::Finished(finished) = self else { return };
        if !finished.reported {
            finished.reported = true;
            actions.push(Action::ReportOutcome(finished.result));
            let stragglers = finished.drain.record.count_stragglers(finished.result.stragglers);
            self.save(target, actions);
            if stragglers > 0 {
                actions.push(Action::CountStragglers(stragglers));
            }
        }
    }

    /// Continues a finished drain until a new deadline.
    pub fn reopen(&mut self, now: Time, called_at: Time, times: &DrainTimes) {
        if let Self::Finished(finished) = self {
            let mut drain = finished.drain.clone();
            drain.reopen(now, called_at, times);
            *self = Self::Active(drain);
        }
    }

    /// Why a user cannot take this drain back; `None` if they can. `is_stopping` says whether a hook waits, or SIGTERM has
    /// arrived.
    #[must_use]
    pub fn not_cancelled(&self, target: &TargetTracker, is_stopping: bool) -> Option<NotCancelled> {
        match self {
            Self::Serving => Some(NotCancelled::NoDrain),
            Self::Finished(_) => Some(NotCancelled::Finished),
            Self::Active(drain) if drain.trigger != Trigger::Cli || drain.record.hook_joined || is_stopping => {
                Some(NotCancelled::PodIsStopping)
            }
            Self::Active(_) => target.is_signalled().then_some(NotCancelled::Signalled),
        }
    }

    /// Counts streams that were open when the target ended after the drain, and returns how many of them had not been
    /// counted. Idle streams are no stragglers.
    pub fn count_later_stragglers(&mut self, streams: u64) -> u64 {
        match self {
            Self::Finished(finished) if finished.result.outcome != Outcome::Idle => {
                finished.drain.record.count_stragglers(Some(streams))
            }
            Self::Finished(_) | Self::Active(_) | Self::Serving => 0,
        }
    }

    /// Adds streams that were cut after a finished drain to its result, and returns it. An unknown number stays unknown.
    pub fn add_stragglers(&mut self, streams: u64) -> Option<DrainResult> {
        let Self::Finished(finished) = self else { return None };
        finished.result.stragglers = finished.result.stragglers.map(|known| known + streams);
        Some(finished.result)
    }

    /// Discards the drain: the pod serves again.
    pub fn clear(&mut self, actions: &mut Actions) {
        if !self.is_serving() {
            *self = Self::Serving;
            actions.push(Action::ClearState);
        }
    }
}

impl FinishedDrain {
    /// Whether a hook that is called now has something to wait for.
    #[must_use]
    pub const fn can_reopen(&self, target_ended: bool, ever_answered: bool) -> bool {
        match self.result.outcome {
            Outcome::Expired => !target_ended,
            // The target has started to serve since then, in spite of the signal.
            Outcome::NeverServed => !target_ended && ever_answered,
            Outcome::Drained | Outcome::Idle | Outcome::Exited | Outcome::Interrupted => false,
        }
    }

    /// When a target that is still running after `idle` is killed: it would keep its idle streams until the grace
    /// period ends. `None` if nothing stops the target, or if it has been active again.
    #[must_use]
    pub fn kill_at(&self, target: &TargetTracker, incarnation: &IncarnationState, policy: &Policy) -> Option<Time> {
        let Self { drain, ended_at, result, .. } = self;
        target.target().filter(|target| target.can_be_killed())?;
        // The kubelet stops the target after a hook or SIGTERM, but not after a user's drain.
        let is_stopped = result.signalled || drain.trigger != Trigger::Cli;
        let active_again = incarnation.activity.was_active_since(*ended_at);
        let kills = result.outcome == Outcome::Idle && is_stopped && !active_again;
        kills.then_some(*ended_at + policy.times.exit_margin)
    }

    /// When the pod serves again after a drain without a signal, because its target evidently keeps running. A sidecar
    /// that shuts down serves no more.
    #[must_use]
    pub fn resume_serving_at(
        &self,
        target: &TargetTracker,
        incarnation: &IncarnationState,
        policy: &Policy,
    ) -> Option<Time> {
        let is_alive = target.alive().is_some() || incarnation.sources.answers();
        (is_alive && !target.is_awaiting_exit()).then(|| self.ended_at + policy.times.grace_period)
    }

    const fn saved(&self) -> SavedResult {
        SavedResult { ended_at: self.ended_at, result: self.result, reported: self.reported }
    }
}
