//! Whether a drain is on: serving, draining or finished, and what is saved and reported of it.

use crate::drain::Drain;
use crate::drain_times::DrainTimes;
use crate::hook_callers::HookCallers;
use crate::incarnation::IncarnationState;
use crate::io::{Action, Actions};
use crate::policy::Policy;
use crate::result::{DrainResult, Outcome, Trigger};
use crate::saved_drain::{SavedDrain, SavedResult};
use crate::target_tracker::TargetTracker;
use crate::time::Time;

/// The drain of the target, if there is one.
#[derive(Clone, Debug)]
pub enum DrainState {
    /// No drain is on.
    Serving,
    /// A drain is on.
    Active(Drain),
    /// The drain is over.
    Finished(FinishedDrain),
}

/// A drain that is over.
#[derive(Clone, Debug)]
pub struct FinishedDrain {
    /// The drain.
    pub drain: Drain,
    /// When it ended.
    pub ended_at: Time,
    /// What it came to.
    pub result: DrainResult,
    reported: bool,
}

impl DrainState {
    /// The drain that an earlier process saved. Its deadline is never later than a whole budget of ours from now.
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

    /// The drain that is on.
    #[must_use]
    pub const fn active(&self) -> Option<&Drain> {
        match self {
            Self::Active(drain) => Some(drain),
            Self::Serving | Self::Finished(_) => None,
        }
    }

    /// The drain that is on, to be changed.
    pub const fn active_mut(&mut self) -> Option<&mut Drain> {
        match self {
            Self::Active(drain) => Some(drain),
            Self::Serving | Self::Finished(_) => None,
        }
    }

    /// The drain that is over.
    #[must_use]
    pub const fn finished(&self) -> Option<&FinishedDrain> {
        match self {
            Self::Finished(finished) => Some(finished),
            Self::Serving | Self::Active(_) => None,
        }
    }

    /// Whether no drain is on, nor remembered.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        matches!(self, Self::Serving)
    }

    /// The deadline of the drain that is on, or of the last one.
    #[must_use]
    pub const fn deadline(&self) -> Option<Time> {
        match self {
            Self::Serving => None,
            Self::Active(drain) => Some(drain.deadline),
            Self::Finished(finished) => Some(finished.drain.deadline),
        }
    }

    /// Whether it is unknown whether the target can be signalled: nobody has searched for it since it may be.
    #[must_use]
    pub fn is_search_pending(&self, target: &TargetTracker, policy: &Policy) -> bool {
        let draining_since = self.active().and_then(Drain::draining_since);
        let searched = draining_since.is_none_or(|since| target.searches.searched_since(since));
        policy.signal.is_some() && !target.is_signalled() && !searched
    }

    /// Sends the signal if that is permitted, after saving that it is sent.
    pub fn send_signal(&self, target: &mut TargetTracker, policy: &Policy, actions: &mut Actions) {
        if let Some(incarnation) = target.take_signal(policy) {
            self.save(target, actions);
            actions.push(Action::SendSignal(incarnation));
        }
    }

    /// Saves the drain, with what a restarted sidecar must know of the target.
    pub fn save(&self, target: &TargetTracker, actions: &mut Actions) {
        let (drain, finished) = match self {
            Self::Serving => return,
            Self::Active(drain) => (drain, None),
            Self::Finished(finished) => (&finished.drain, Some(finished.saved())),
        };
        actions.push(Action::SaveState(SavedDrain {
            incarnation: target.target().map(|target| target.incarnation),
            trigger: drain.trigger,
            started_at: drain.started_at,
            deadline: drain.deadline,
            streams_at_start: drain.streams_at_start,
            signalled: target.is_signalled(),
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
        callers.release(result, actions);
        // At a deadline that is not theirs unauthorized callers wait on, like those that come after it.
        if result.outcome != Outcome::Expired {
            callers.release_unauthorized(result, actions);
        }
    }

    /// Reports a result that has not been reported, and saves that it has: after a crash in between it is reported
    /// again rather than never.
    pub fn report(&mut self, target: &TargetTracker, actions: &mut Actions) {
        let Self::Finished(finished) = self else { return };
        if !finished.reported {
            finished.reported = true;
            actions.push(Action::ReportOutcome(finished.result));
            self.save(target, actions);
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

    /// Forgets the drain: the pod serves again.
    pub fn clear(&mut self, actions: &mut Actions) {
        if !self.is_serving() {
            *self = Self::Serving;
            actions.push(Action::ClearState);
        }
    }
}

impl FinishedDrain {
    /// Whether a hook that comes now has something left to wait for.
    #[must_use]
    pub const fn can_reopen(&self, target_ended: bool, ever_answered: bool) -> bool {
        match self.result.outcome {
            Outcome::Expired => !target_ended,
            // It has begun to serve since, in spite of the signal.
            Outcome::NeverServed => !target_ended && ever_answered,
            Outcome::Drained | Outcome::Idle | Outcome::Exited => false,
        }
    }

    /// When a target that lingers after `idle` is killed: it would wait for its idle streams until the grace period
    /// ends. A target that nobody has told to stop, or that was active again since, is not killed.
    #[must_use]
    pub fn kill_at(&self, target: &TargetTracker, incarnation: &IncarnationState, policy: &Policy) -> Option<Time> {
        let Self { drain, ended_at, result, .. } = self;
        target.target().filter(|target| target.can_be_killed())?;
        // After a hook and with SIGTERM the kubelet stops it; after a person's drain nobody does.
        let is_stopped = result.signalled || drain.trigger != Trigger::Cli;
        let active_again = incarnation.activity.was_active_since(*ended_at);
        let kills = result.outcome == Outcome::Idle && is_stopped && !active_again;
        kills.then_some(*ended_at + policy.times.exit_margin)
    }

    /// When a drain that told no target to stop is taken back: the pod evidently lives on.
    #[must_use]
    pub fn resume_serving_at(
        &self,
        target: &TargetTracker,
        incarnation: &IncarnationState,
        policy: &Policy,
        shutting_down: bool,
    ) -> Option<Time> {
        let is_stopped = target.is_awaiting_exit() || shutting_down;
        let is_alive = target.alive().is_some() || incarnation.sources.answers();
        (!is_stopped && is_alive).then(|| self.ended_at + policy.times.grace_period)
    }

    const fn saved(&self) -> SavedResult {
        SavedResult { ended_at: self.ended_at, result: self.result, reported: self.reported }
    }
}
