//! The rules of one drain, from its trigger to its end.
//!
//! 1. *Lame duck*: not ready but still accepting, until the pod is removed from all endpoints.
//! 2. *Draining*: the target is signalled as soon as a fresh search permits it, and accepts no more streams.
//! 3. The count must stay at zero for the quiet period, and a reading **requested at its end or later** must confirm
//!    it: a timer alone never ends a drain as `drained`. A signalled target then gets the exit wait to exit by itself.
//!    Connections that exist in one poll only, such as those of health checks, do not interrupt the quiet period.
//! 4. If only idle streams are left, the drain ends if the settings allow it.
//! 5. The target's exit and the deadline end the drain immediately.

use std::time::Duration;

use crate::drain_record::DrainRecord;
use crate::drain_times::DrainTimes;
use crate::result::{Outcome, Trigger};
use crate::saved_drain::SavedDrain;
use crate::source_set::StreamCount;
use crate::time::Time;
use crate::warnings::Warning;
use crate::zero_streak::ZeroStreak;

/// How long before the deadline the last poll ends.
const DEADLINE_MARGIN: Duration = Duration::from_millis(50);

/// How long before the end of the lame duck the sources are polled. Activity is sampled every 250 ms at most, and the
/// poll at the end must still be a sample.
const LEAD_BEFORE_SIGNAL: Duration = Duration::from_millis(300);

/// A drain in progress.
#[derive(Clone, Debug)]
pub struct Drain {
    /// What started it.
    pub trigger: Trigger,
    /// When it started.
    pub started_at: Time,
    /// When the budget is used up.
    pub deadline: Time,
    /// The data for its record.
    pub record: DrainRecord,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    LameDuck { until: Time },
    Draining { since: Time, zero: Option<ZeroStreak> },
}

/// What the rules of a drain depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainInput {
    /// The count of all sources; `None` if unknown.
    pub count: Option<StreamCount>,
    /// Whether the count is zero except for connections that the poll before did not show.
    pub only_new: bool,
    /// The time of the reading with only idle streams; `None` if others are left, or if that does not end the drain.
    pub only_idle: Option<Time>,
    /// Whether the target was signalled and is still alive, so that its exit is worth waiting for.
    pub awaiting_exit: bool,
    /// Whether only the target's own exit ends the drain.
    pub wait_for_exit: bool,
}

impl Drain {
    /// Starts a drain.
    #[must_use]
    pub fn begin(started_at: Time, times: &DrainTimes, trigger: Trigger, record: DrainRecord) -> Self {
        let stage = Stage::LameDuck { until: started_at + times.lame_duck };
        Self { trigger, started_at, deadline: started_at + times.budget(), record, stage }
    }

    /// Starts a wait with the rules of a drain. The pod stays ready, so there is no lame duck.
    #[must_use]
    pub fn begin_unauthorized_wait(started_at: Time, times: &DrainTimes, record: DrainRecord) -> Self {
        let stage = Stage::Draining { since: started_at, zero: None };
        Self { trigger: Trigger::Hook, started_at, deadline: started_at + times.budget(), record, stage }
    }

    /// Resumes a drain that another process started, with this deadline. The count must be zero for a whole quiet
    /// period again.
    #[must_use]
    pub fn resume(saved: &SavedDrain, times: &DrainTimes, deadline: Time) -> Self {
        let &SavedDrain { trigger, started_at, signal, .. } = saved;
        let record = DrainRecord::resume(saved);
        let is_shortened = record.warnings.contains(Warning::DeadlineShortened);
        let longest = if is_shortened { deadline.since(started_at) / 2 } else { times.lame_duck };
        let lame_duck = if signal.is_some() { Duration::ZERO } else { times.lame_duck.min(longest) };
        Self { trigger, started_at, deadline, record, stage: Stage::LameDuck { until: started_at + lame_duck } }
    }

    /// Records the call of a hook, and restarts the budget. Returns whether this has changed the drain.
    pub fn on_hook(&mut self, called_at: Time, times: &DrainTimes) -> bool {
        let is_moved = self.restart_budget(called_at, times);
        self.record.on_hook() || is_moved
    }

    /// Restarts the budget: a restarted kubelet calls the hook again, with the full grace period.
    ///
    /// A shortened deadline stays: the grace period for the second call is the shorter one, too. Returns whether the
    /// deadline has changed.
    pub fn restart_budget(&mut self, called_at: Time, times: &DrainTimes) -> bool {
        let deadline = called_at + times.budget();
        let is_shortened = self.record.warnings.contains(Warning::DeadlineShortened);
        let deadline = if is_shortened { deadline.min(self.deadline) } else { deadline };
        std::mem::replace(&mut self.deadline, deadline) != deadline
    }

    /// Shortens the deadline to this time from now, and returns whether it was later. At least half of that time is left
    /// to the target after its signal.
    pub fn shorten(&mut self, now: Time, remaining: Duration) -> bool {
        let deadline = now + remaining;
        if deadline >= self.deadline {
            return false;
        }
        self.deadline = deadline;
        self.record.warnings.insert(Warning::DeadlineShortened);
        if let Stage::LameDuck { until } = &mut self.stage {
            *until = (*until).min(now + remaining / 2);
        }
        true
    }

    /// Continues with a new deadline. The target has been signalled already, so there is no lame duck.
    pub fn reopen(&mut self, now: Time, called_at: Time, times: &DrainTimes) {
        self.restart_budget(called_at, times);
        self.stage = Stage::Draining { since: now, zero: None };
    }

    /// Whether the target may still accept new streams.
    #[must_use]
    pub const fn is_lame_duck(&self) -> bool {
        matches!(self.stage, Stage::LameDuck { .. })
    }

    /// When readiness starts to show this drain; `None` if it has done so from the start, or since the lame duck ended.
    ///
    /// Only a hook means that the pod may be terminating. A terminating pod that is ready is still used if no other pod
    /// is; only readiness keeps new streams from a pod whose drain was not started by a hook.
    #[must_use]
    pub fn unready_at(&self, times: &DrainTimes) -> Option<Time> {
        let delayed = self.is_lame_duck() && self.trigger == Trigger::Hook;
        delayed.then(|| self.started_at + times.unready_after)
    }

    /// When the lame duck ended, after which the signal may be sent; `None` before that.
    #[must_use]
    pub const fn draining_since(&self) -> Option<Time> {
        match self.stage {
            Stage::LameDuck { .. } => None,
            Stage::Draining { since, .. } => Some(since),
        }
    }

    /// Ends the lame duck if it is due, and returns whether it did.
    pub fn end_lame_duck(&mut self, now: Time) -> bool {
        let Stage::LameDuck { until } = self.stage else { return false };
        let ends = now >= until;
        if ends {
            self.stage = Stage::Draining { since: now, zero: None };
        }
        ends
    }

    /// The outcome at the deadline; `None` before it.
    #[must_use]
    pub fn at_deadline(&self, now: Time, wait_for_exit: bool) -> Option<Outcome> {
        // A drain with a confirmed zero only waits for the exit. The zero holds until a poll contradicts it.
        let drained = self.zero_is_confirmed() && !wait_for_exit;
        (now >= self.deadline).then_some(if drained { Outcome::Drained } else { Outcome::Expired })
    }

    /// The outcome at the target's exit.
    #[must_use]
    pub const fn at_exit(&self, wait_for_exit: bool) -> Outcome {
        if self.zero_is_confirmed() && !wait_for_exit { Outcome::Drained } else { Outcome::Exited }
    }

    /// Applies the rules after a poll; returns the outcome if the drain is over.
    #[must_use]
    pub fn evaluate(&mut self, times: &DrainTimes, input: DrainInput) -> Option<Outcome> {
        if let Some(count) = input.count {
            self.record.observe(count.streams);
        }
        let Stage::Draining { since, zero } = &mut self.stage else { return None };
        *zero = match input.count {
            Some(count) if count.streams == 0 && count.as_of >= *since => {
                Some(ZeroStreak::extend(*zero, times, count.as_of))
            }
            Some(_) if input.only_new => zero.map(ZeroStreak::interrupt),
            Some(_) | None => None,
        };
        if input.wait_for_exit {
            return None;
        }
        if input.only_idle >= Some(*since) {
            return Some(Outcome::Idle);
        }
        let zero = zero.filter(|zero| zero.is_confirmed())?;
        let over = input.count?.as_of >= zero.completes_at(times, input.awaiting_exit);
        over.then_some(Outcome::Drained)
    }

    /// Discards a zero count of another incarnation.
    pub const fn invalidate_zero(&mut self) {
        if let Stage::Draining { zero, .. } = &mut self.stage {
            *zero = None;
        }
    }

    /// The times at which a poll is required regardless of the poll interval, unless one was requested since.
    pub fn required_polls(&self, times: &DrainTimes, awaiting_exit: bool) -> impl Iterator<Item = Time> {
        let (since, zero) = match self.stage {
            // The count before the signal must be recent: it is compared with the one after it.
            Stage::LameDuck { until } => (Some(until - LEAD_BEFORE_SIGNAL), None),
            Stage::Draining { since, zero } => (Some(since), zero),
        };
        let confirms = zero.map(|zero| zero.since + times.quiet_period);
        let completes = zero.map(|zero| zero.completes_at(times, awaiting_exit));
        let last = Some(self.deadline - times.final_poll_lead());
        [Some(self.started_at), since, confirms, completes, last].into_iter().flatten()
    }

    /// How long a poll that is requested now may take. It is answered before the deadline, even where a source is silent.
    #[must_use]
    pub fn max_poll_time(&self, now: Time) -> Duration {
        let left = self.deadline.since(now);
        left.saturating_sub(DEADLINE_MARGIN.min(left / 4))
    }

    /// When this drain must be evaluated next even if nothing happens.
    #[must_use]
    pub fn timeout(&self) -> Time {
        match self.stage {
            Stage::LameDuck { until } => until.min(self.deadline),
            Stage::Draining { .. } => self.deadline,
        }
    }

    const fn zero_is_confirmed(&self) -> bool {
        matches!(self.stage, Stage::Draining { zero: Some(zero), .. } if zero.is_confirmed())
    }
}

#[cfg(test)]
mod tests;
