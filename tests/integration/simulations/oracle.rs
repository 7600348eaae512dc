//! Checks the machine against its contract, only by the inputs and actions of a simulation.

mod actions;
mod invariants;
mod parent;
mod readings;
mod records;
mod results;

use std::time::Duration;

use lameduck_machine::io::Input;
use lameduck_machine::policy::{Policy, SigtermPolicy};
use lameduck_machine::result::{DrainResult, ExitStatus, Outcome, Trigger};
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::target::{Incarnation, ObservationStart, SearchResult, TargetState};
use lameduck_machine::time::Time;
use lameduck_machine::warnings::Warning;

use parent::Child;
use readings::Readings;
use records::Records;

/// How long the sidecar waits for a hook after SIGTERM.
const HOOK_WAIT: Duration = Duration::from_secs(30);
/// The precision of the start time of a process.
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// The drain that the contract requires.
#[derive(Clone, Debug)]
struct Drain {
    started_at: Time,
    deadline: Time,
    /// Whether the deadline was shortened, and so is not moved any more.
    shortened: bool,
    /// The start of the readings that may show zero, and of the searches that may permit the signal.
    evaluated_from: Time,
    /// From when on the pod must be unready.
    unready_from: Time,
    finished: Option<(Time, DrainResult)>,
    /// Whether the result was reported, or is saved as reported.
    reported: bool,
}

/// The state of the pod, as known from inputs and actions.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is independent")]
pub(crate) struct Oracle {
    policy: Policy,
    drain: Option<Drain>,
    readings: Readings,
    /// The last search result, and when that search was requested.
    last_search: Option<(Time, SearchResult)>,
    target: Option<Incarnation>,
    exit_status: Option<ExitStatus>,
    /// When a poll first reported the target as exiting.
    exiting_since: Option<Time>,
    last_exit_at: Option<Time>,
    /// Whether it is saved that the signal was sent, or is about to be.
    signalled: bool,
    /// Whether the signal is known to have been sent.
    sent: bool,
    sigterm_at: Option<Time>,
    /// Whether there was a drain after the SIGTERM.
    drained_after_sigterm: bool,
    /// Whether the signal was sent in the lame duck, which only the outcome `never_served` allows.
    signalled_early: bool,
    /// Whether the target was replaced since the last check.
    new_incarnation: bool,
    /// Whether a signal failed to be sent.
    signal_failed: bool,
    /// Whether the drain may be cancelled by the input that is being handled.
    may_cancel: bool,
    /// Whether the connection to the page may be open.
    connection_kept: bool,
    records: Records,
    child: Child,
}

impl Drain {
    /// A finished drain continues.
    fn reopen(&mut self, now: Time, deadline: Time) {
        self.deadline = if self.shortened { deadline.min(self.deadline) } else { deadline };
        (self.evaluated_from, self.unready_from) = (now, now);
        (self.finished, self.reported) = (None, false);
    }
}

impl Oracle {
    pub(crate) fn new(policy: Policy) -> Self {
        let readings = Readings::new(&policy);
        Self {
            policy,
            drain: None,
            readings,
            last_search: None,
            target: None,
            exit_status: None,
            exiting_since: None,
            last_exit_at: None,
            signalled: false,
            sent: false,
            sigterm_at: None,
            drained_after_sigterm: false,
            signalled_early: false,
            new_incarnation: false,
            signal_failed: false,
            may_cancel: false,
            connection_kept: false,
            records: Records::default(),
            child: Child::default(),
        }
    }

    /// The next sidecar resumes the saved drain.
    pub(crate) fn resume(&mut self, now: Time, observed_since: ObservationStart, saved: Option<SavedDrain>) {
        let policy = Policy { observed_since, ..self.policy.clone() };
        let is_shortened = |saved: &SavedDrain| saved.warnings.contains(Warning::DeadlineShortened);
        let lame_duck = |saved: &SavedDrain| {
            let half = saved.deadline.since(saved.started_at) / 2;
            let longest = if is_shortened(saved) { half } else { Duration::MAX };
            self.policy.times.lame_duck.min(longest)
        };
        let ended = |saved: &SavedDrain| saved.signal.is_some() || saved.finished.is_some();
        let drain = saved.map(|saved| Drain {
            unready_from: if ended(&saved) { now } else { self.unready_from(saved.started_at, saved.trigger) },
            started_at: saved.started_at,
            deadline: saved.deadline,
            shortened: is_shortened(&saved),
            evaluated_from: if saved.signal.is_some() { now } else { now.max(saved.started_at + lame_duck(&saved)) },
            finished: saved.finished.map(|finished| (finished.ended_at, finished.result)),
            reported: saved.finished.is_some_and(|finished| finished.reported),
        });
        let target = saved.and_then(|saved| saved.incarnation);
        let signalled = saved.is_some_and(|saved| saved.signal.is_some());
        let records = Records::resume(saved.as_ref());
        *self = Self { drain, target, signalled, sent: signalled, records, ..Self::new(policy) };
    }

    pub(crate) fn result(&self) -> Option<DrainResult> {
        let (_, result) = self.drain.as_ref()?.finished?;
        Some(result)
    }

    // === events ===

    /// An authorized call, while this many hooks are connected.
    pub(crate) fn call(&mut self, now: Time, trigger: Trigger, hooks: usize) {
        let deadline = now + self.policy.times.budget();
        let hook = trigger == Trigger::Hook;
        let reopens = hook && self.can_reopen();
        match &mut self.drain {
            None => self.start_drain(now, trigger),
            Some(drain @ Drain { finished: None, .. }) if hook && hooks == 0 => {
                drain.deadline = if drain.shortened { deadline.min(drain.deadline) } else { deadline };
                self.records.hook_disconnected = false;
            }
            Some(drain @ Drain { finished: Some(_), .. }) if reopens => drain.reopen(now, deadline),
            Some(_) => {}
        }
    }

    /// The first stop of the child reopens a finished drain if there are streams.
    fn reopen_by_stop(&mut self) {
        if let (Some(drain @ Drain { finished: Some(_), .. }), Some(at)) = (&mut self.drain, self.child.may_reopen_at) {
            assert!(self.exit_status.is_none(), "a drain continues without a target");
            drain.reopen(at, at + self.policy.times.budget());
        }
        self.child.may_reopen_at = None;
    }

    /// Whether a hook reopens a finished drain.
    fn can_reopen(&self) -> bool {
        let finished = self.drain.as_ref().and_then(|drain| drain.finished);
        let may_wait = finished.is_some_and(|(_, result)| match result.outcome {
            Outcome::Expired => true,
            Outcome::NeverServed => self.readings.ever_answered,
            Outcome::Drained | Outcome::Idle | Outcome::Exited | Outcome::Interrupted => false,
        });
        may_wait && self.exit_status.is_none()
    }

    fn unready_from(&self, started_at: Time, trigger: Trigger) -> Time {
        let delay = if trigger == Trigger::Hook { self.policy.times.unready_after } else { Duration::ZERO };
        started_at + delay
    }

    fn start_drain(&mut self, now: Time, trigger: Trigger) {
        let unready_from = self.unready_from(now, trigger);
        let times = &self.policy.times;
        let (deadline, evaluated_from) = (now + times.budget(), now + times.lame_duck);
        let started_at = now;
        self.drain = Some(Drain {
            started_at,
            deadline,
            shortened: false,
            evaluated_from,
            unready_from,
            finished: None,
            reported: false,
        });
        self.records.start_drain();
        self.drained_after_sigterm = self.sigterm_at.is_some();
    }

    /// The deadline is shortened to this time from now.
    pub(crate) fn shorten_deadline(&mut self, now: Time, remaining: Duration) {
        let deadline = now + remaining;
        let active = self.drain.as_mut().filter(|drain| drain.finished.is_none() && deadline < drain.deadline);
        if let Some(drain) = active {
            (drain.deadline, drain.shortened) = (deadline, true);
            if now < drain.evaluated_from {
                drain.evaluated_from = drain.evaluated_from.min(now + remaining / 2);
            }
        }
    }

    /// A user cancels the drain, while this many hooks are connected.
    pub(crate) fn cancel(&mut self, hooks: usize) {
        let is_active = self.drain.as_ref().is_some_and(|drain| drain.finished.is_none());
        self.may_cancel = is_active && !self.signalled && hooks == 0 && self.sigterm_at.is_none();
    }

    pub(crate) fn sigterm(&mut self, now: Time) {
        self.sigterm_at = self.sigterm_at.or(Some(now));
        self.drained_after_sigterm |= self.drain.is_some();
        let drains = matches!(self.policy.on_sigterm, SigtermPolicy::Drain | SigtermPolicy::StopChild);
        if self.drain.is_none() && drains {
            self.start_drain(now, Trigger::Sigterm);
        }
    }

    pub(crate) fn on_input(&mut self, now: Time, input: &Input) {
        match input {
            Input::Polled(poll) if poll.target_state == TargetState::Exiting => {
                if let Some(incarnation) = poll.target {
                    self.on_exiting(now, incarnation);
                }
            }
            Input::Polled(poll) if self.exiting_since.is_none() || self.exit_status.is_some() => {
                self.readings.answer(now, poll);
            }
            Input::SearchResult { requested_at, result } => self.on_search_result(now, *requested_at, result),
            Input::Exited(incarnation, status) if self.target == Some(*incarnation) => self.on_exit(now, *status),
            Input::SignalResult(incarnation, false)
                if self.target == Some(*incarnation) && self.exit_status.is_none() =>
            {
                (self.signalled, self.sent, self.signal_failed) = (false, false, true);
            }
            Input::ChildEnded { .. } => self.child.ended = true,
            Input::SignalResult(_, true) => {
                self.sent = true;
                self.records.sent_at = Some(now);
            }
            Input::Tick
            | Input::Call { .. }
            | Input::Hangup(_)
            | Input::Cancel(_)
            | Input::ShortenDeadline(_)
            | Input::Sigterm
            | Input::Interrupt
            | Input::Polled(_)
            | Input::Exited(..)
            | Input::SignalResult(..) => {}
        }
    }

    fn on_exiting(&mut self, now: Time, incarnation: Incarnation) {
        if self.target == Some(incarnation) && self.exit_status.is_none() {
            self.exiting_since.get_or_insert(now);
        }
    }

    fn on_search_result(&mut self, now: Time, requested_at: Time, result: &SearchResult) {
        if Some(requested_at) < self.last_exit_at {
            return;
        }
        if let SearchResult::Found(found) = result
            && self.target.is_some_and(|target| target != found.incarnation)
        {
            self.on_exit(now, ExitStatus::Unknown);
        }
        self.last_search = Some((requested_at, result.clone()));
    }

    fn on_exit(&mut self, now: Time, status: ExitStatus) {
        if self.exit_status.is_none() {
            (self.exit_status, self.last_exit_at, self.last_search) = (Some(status), Some(now), None);
            self.records.unreported_ends += usize::from(self.target.is_some());
            self.readings.end_incarnation();
        }
    }
}

/// The start of an incarnation, rounded down to a clock tick.
fn start_of(incarnation: Incarnation) -> Time {
    Time::since_boot(CLOCK_TICK * u32::try_from(incarnation.started).unwrap_or(u32::MAX))
}
