//! The rules of one drain, from its trigger to its verdict. It exists only while a drain is on.
//!
//! 1. *Lame duck*: unready, still accepting, so that endpoints forget the pod.
//! 2. *Draining*: the target has been told to take no more, as soon as it may be told.
//! 3. Zero must hold for the quiet period, and a reading that was **asked for after that** must say so: no timer
//!    alone ever ends a drain as `drained`. A signalled target then has the exit wait to leave by itself.
//! 4. Where only idle streams are left, and that is to end it, it is over.
//! 5. The target's exit ends it at once, and the deadline in any case.

use std::time::Duration;

use crate::drain_times::DrainTimes;
use crate::result::{DrainResult, ExitStatus, Outcome, Trigger};
use crate::source_set::StreamCount;
use crate::time::Time;

/// One drain under way.
#[derive(Clone, Debug)]
pub struct Drain {
    /// Who asked for it.
    pub trigger: Trigger,
    /// When it began.
    pub started_at: Time,
    /// The instant at which the budget is spent.
    pub deadline: Time,
    /// The streams when it began; `None` while nobody knows.
    pub streams_at_start: Option<u64>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    LameDuck { until: Time },
    Draining { since: Time, zero: Option<Zero> },
}

/// A zero that has held in every reading since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Zero {
    since: Time,
    /// A reading asked for after the quiet period said zero again.
    held: bool,
}

/// The streams that are left when a drain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// See [`DrainResult::stragglers`].
    pub stragglers: Option<u64>,
    /// See [`DrainResult::idle_streams`].
    pub idle_streams: u64,
}

/// What a drain is told about the target and the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// What the sources say.
    pub tally: Option<StreamCount>,
    /// The instant for which only idle streams are left, where that is to end the drain.
    pub only_idle: Option<Time>,
    /// Whether the target was signalled and is still alive, so that its exit is worth waiting for.
    pub exiting: bool,
    /// Whether only the target's own exit ends the drain.
    pub wait_for_exit: bool,
}

impl Drain {
    /// Begins a drain.
    #[must_use]
    pub fn begin(started_at: Time, plan: &DrainTimes, trigger: Trigger, streams_at_start: Option<u64>) -> Self {
        let stage = Stage::LameDuck { until: started_at + plan.lame_duck };
        Self { trigger, started_at, deadline: started_at + plan.budget(), streams_at_start, stage }
    }

    /// Begins a wait as long as a drain that nobody is told of: it has no lame duck.
    #[must_use]
    pub fn begin_untold(started_at: Time, plan: &DrainTimes, streams_at_start: Option<u64>) -> Self {
        let stage = Stage::Draining { since: started_at, zero: None };
        Self { trigger: Trigger::Hook, started_at, deadline: started_at + plan.budget(), streams_at_start, stage }
    }

    /// Goes on with a drain that another process began. A zero that it saw is not inherited.
    #[must_use]
    pub fn resume(
        plan: &DrainTimes,
        trigger: Trigger,
        started_at: Time,
        deadline: Time,
        streams: Option<u64>,
        signalled: bool,
    ) -> Self {
        let until = started_at + if signalled { Duration::ZERO } else { plan.lame_duck };
        Self { trigger, started_at, deadline, streams_at_start: streams, stage: Stage::LameDuck { until } }
    }

    /// Starts the whole budget again: a kubelet that restarted calls the hook once more with the full grace period.
    pub fn rebase(&mut self, called: Time, plan: &DrainTimes) {
        self.deadline = called + plan.budget();
    }

    /// Goes on after the deadline, with a new one: the target has been told already, so there is no lame duck.
    pub fn reopen(&mut self, now: Time, called: Time, plan: &DrainTimes) {
        self.rebase(called, plan);
        self.stage = Stage::Draining { since: now, zero: None };
    }

    /// Whether the target may still take new streams.
    #[must_use]
    pub const fn is_lame_duck(&self) -> bool {
        matches!(self.stage, Stage::LameDuck { .. })
    }

    /// The instant from which the signal may go out: the end of the lame duck, once it has been reached.
    #[must_use]
    pub const fn draining_since(&self) -> Option<Time> {
        match self.stage {
            Stage::LameDuck { .. } => None,
            Stage::Draining { since, .. } => Some(since),
        }
    }

    /// Lets time pass; the verdict if that was the deadline.
    #[must_use]
    pub fn advance(&mut self, now: Time, view: View) -> Option<Outcome> {
        if let Stage::LameDuck { until } = self.stage
            && now >= until
        {
            self.stage = Stage::Draining { since: now, zero: None };
        }
        if now < self.deadline {
            return None;
        }
        // Zero had held and been confirmed: only the exit was still being waited for.
        let zero_held = matches!(self.stage, Stage::Draining { zero: Some(Zero { held: true, .. }), .. });
        Some(if zero_held && !view.wait_for_exit { Outcome::Drained } else { Outcome::Expired })
    }

    /// Takes the sources' word after a round of readings; the verdict if the drain is over.
    #[must_use]
    pub fn judge(&mut self, plan: &DrainTimes, view: View) -> Option<Outcome> {
        self.streams_at_start = self.streams_at_start.or(view.tally.map(|tally| tally.streams));
        let Stage::Draining { since, zero } = &mut self.stage else { return None };
        *zero = match view.tally {
            Some(tally) if tally.streams == 0 && tally.as_of >= *since => Some(Zero::again(*zero, plan, tally.as_of)),
            Some(_) | None => None,
        };
        if view.only_idle >= Some(*since) && !view.wait_for_exit {
            return Some(Outcome::Idle);
        }
        let Some(Zero { since: zero_since, held: true }) = *zero else { return None };
        let as_of = view.tally?.as_of;
        let over = as_of >= settled_at(plan, zero_since, view.exiting) && !view.wait_for_exit;
        over.then_some(Outcome::Drained)
    }

    /// Takes back a zero that half a round of readings denies already; only a whole round may assert one.
    pub fn doubt(&mut self, tally: Option<StreamCount>) {
        if let Stage::Draining { zero, .. } = &mut self.stage {
            zero.take_if(|_| tally.is_none_or(|tally| tally.streams > 0));
        }
    }

    /// Takes the target's exit.
    #[must_use]
    pub const fn exited(&self, wait_for_exit: bool) -> Outcome {
        match self.stage {
            Stage::Draining { zero: Some(Zero { held: true, .. }), .. } if !wait_for_exit => Outcome::Drained,
            Stage::Draining { .. } | Stage::LameDuck { .. } => Outcome::Exited,
        }
    }

    /// The instants at which a reading must be asked for whatever the poll interval says, if none was asked since.
    pub fn looks(&self, plan: &DrainTimes, exiting: bool) -> impl Iterator<Item = Time> {
        let settled = |zero: Zero| settled_at(plan, zero.since, exiting);
        let (since, zero) = match self.stage {
            Stage::LameDuck { .. } => (None, None),
            Stage::Draining { since, zero } => (Some(since), zero),
        };
        let held = zero.map(|zero| zero.since + plan.quiet_period);
        let last = Some(self.deadline - plan.last_look());
        [Some(self.started_at), since, held, zero.map(settled), last].into_iter().flatten()
    }

    /// When the machine must look at this drain again even if nothing happens.
    #[must_use]
    pub fn timeout(&self) -> Time {
        match self.stage {
            Stage::LameDuck { until } => until.min(self.deadline),
            Stage::Draining { .. } => self.deadline,
        }
    }

    /// The account of this drain, ended at `now`.
    #[must_use]
    pub fn result(&self, now: Time, outcome: Outcome, left: Left, signalled: bool) -> DrainResult {
        let (streams_at_start, took) = (self.streams_at_start, now.since(self.started_at));
        let Left { stragglers, idle_streams } = left;
        DrainResult { outcome, streams_at_start, stragglers, idle_streams, took, signalled }
    }
}

impl Zero {
    fn again(before: Option<Self>, plan: &DrainTimes, as_of: Time) -> Self {
        let since = before.map_or(as_of, |zero| zero.since);
        let held = before.is_some_and(|zero| zero.held) || as_of >= since + plan.quiet_period;
        Self { since, held }
    }
}

/// From when on a reading of zero ends the drain.
fn settled_at(plan: &DrainTimes, zero_since: Time, exiting: bool) -> Time {
    let exit_wait = if exiting { plan.exit_wait } else { Duration::ZERO };
    zero_since + plan.quiet_period + exit_wait
}

/// How many streams a target took with it when it ended, by its last reading and by what the kernel told.
///
/// A target that was told to stop may have ended its last streams itself after the last reading, so a count above
/// zero, or a stale one, decides nothing; its own exit with code 0 and its death by another's signal do.
#[must_use]
pub fn stragglers_of_exit(signalled: bool, ending: ExitStatus, our_signal: i32, fresh: Option<u64>) -> Option<u64> {
    match ending {
        ExitStatus::Killed(signal) if signal != our_signal => fresh,
        ExitStatus::Code(0) if signalled => Some(0),
        ExitStatus::Unknown | ExitStatus::Code(_) | ExitStatus::Killed(_) if signalled => {
            fresh.filter(|streams| *streams == 0)
        }
        ExitStatus::Unknown | ExitStatus::Code(_) | ExitStatus::Killed(_) => fresh,
    }
}
