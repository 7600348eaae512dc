//! The machine: it owns the parts, passes each input to them, and collects the actions that come of it.
//!
//! Inputs go in by [`Controller::handle`]. Actions come out of [`Controller::poll_action`] and are performed in their
//! order. [`Controller::poll_timeout`] says when to come back if nothing happens.

use std::time::Duration;

use crate::account::Account;
use crate::drain::Drain;
use crate::drain_state::{DrainState, FinishedDrain};
use crate::durations::DurationHistogram;
use crate::hook_callers::HookCallers;
use crate::incarnation::IncarnationState;
use crate::io::{Action, Actions, CallKind, CallerId, Input, Poll, Reply};
use crate::policy::Policy;
use crate::poll_schedule::PollSchedule;
use crate::readiness::Readiness;
use crate::result::{ExitStatus, Outcome, Trigger};
use crate::saved_drain::SavedDrain;
use crate::shutdown::{Shutdown, ShutdownInput};
use crate::snapshot::{DrainView, Phase, Snapshot, StreamsView, TargetView};
use crate::target::{Found, Incarnation, SearchResult};
use crate::target_tracker::{Match, TargetTracker};
use crate::time::Time;

/// How long before the deadline the last poll ends at the latest.
const DEADLINE_LEAD: Duration = Duration::from_millis(50);

/// Whether the signal of a target that never served may be attempted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignalAttempt {
    Pending,
    /// It has just been attempted; if it failed, it must not be repeated at once.
    Made,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Controller {
    policy: Policy,
    now: Time,
    target: TargetTracker,
    incarnation: IncarnationState,
    drain: DrainState,
    callers: HookCallers,
    shutdown: Shutdown,
    polls: PollSchedule,
    /// Of all incarnations: how long streams last does not depend on the process that serves them.
    durations: DurationHistogram,
    actions: Actions,
}

impl Controller {
    /// A machine that begins to serve at `now`, or resumes a saved drain.
    #[must_use]
    pub fn new(now: Time, policy: Policy, saved: Option<SavedDrain>) -> Self {
        let mut controller = Self {
            now,
            target: TargetTracker::new(now, &policy),
            incarnation: IncarnationState::new(&policy),
            drain: DrainState::Serving,
            callers: HookCallers::default(),
            shutdown: Shutdown::default(),
            polls: PollSchedule::default(),
            durations: DurationHistogram::default(),
            actions: Actions::default(),
            policy,
        };
        if let Some(saved) = saved {
            controller.drain = DrainState::resume(&saved, &controller.policy, now);
            if let Some(incarnation) = saved.incarnation {
                controller.target.resume(incarnation, saved.signalled, &mut controller.actions);
                if saved.signalled {
                    controller.incarnation.sources.expect_closed_port();
                }
            }
            if controller.drain.deadline() != Some(saved.deadline) {
                controller.drain.save(&controller.target, &mut controller.actions);
            }
            controller.drain.report(&controller.target, &mut controller.actions);
        }
        controller.advance();
        controller
    }

    /// Takes one input, and lets time advance to `now`.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => {}
            Input::Call { caller, kind, at } => self.on_call(caller, kind, at.min(self.now)),
            Input::Hangup(caller) => self.callers.remove(caller),
            Input::Sigterm => {
                if self.shutdown.on_sigterm(&self.policy, &self.drain, self.now) {
                    self.start_drain(Trigger::Sigterm, self.now);
                }
            }
            Input::SearchResult { requested_at, result } => self.on_search_result(requested_at, result),
            Input::Polled(poll) => self.on_poll(&poll),
            Input::Exited(incarnation, status) => self.on_exit(incarnation, status),
            Input::SignalResult(incarnation, sent) => {
                if self.target.on_signal_result(incarnation, sent) && !sent {
                    self.drain.save(&self.target, &mut self.actions);
                }
                // A poll in flight may still show that the target serves.
                if !self.polls.is_in_flight() {
                    self.finish_if_never_served(SignalAttempt::Made);
                }
            }
        }
        self.advance();
    }

    /// The next action; call it until there is none, after each input.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop()
    }

    /// When to call [`Controller::handle`] with [`Input::Tick`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Time {
        let finished = self.drain.finished();
        let shutting_down = self.shutdown != Shutdown::Running;
        let timeouts = [
            self.drain.active().map(Drain::timeout),
            finished.and_then(|drain| {
                drain.resume_serving_at(&self.target, &self.incarnation, &self.policy, shutting_down)
            }),
            finished.and_then(|drain| drain.kill_at(&self.target, &self.incarnation, &self.policy)),
            self.shutdown.timeout(self.callers.has_unauthorized()),
            self.callers.timeout(),
        ];
        timeouts.into_iter().flatten().fold(self.next_poll_at(), Time::min)
    }

    // === callers ===

    fn on_call(&mut self, caller: CallerId, kind: CallKind, at: Time) {
        let (ended, ever_answered) = (self.target.has_ended(), self.incarnation.sources.ever_answered());
        let reopens = |finished: &FinishedDrain| finished.can_reopen(ended, ever_answered);
        let Some(trigger) = kind.trigger() else {
            match self.drain.finished().filter(|finished| !reopens(finished)) {
                Some(finished) => self.actions.push(Action::Reply(caller, Reply::Finished(finished.result))),
                None => {
                    let drain = Drain::begin_silent(self.now, &self.policy.times, self.incarnation.sources.streams());
                    self.callers.hold(caller, drain, &mut self.actions);
                }
            }
            return;
        };
        let first_hook = self.callers.add(caller, trigger);
        match &mut self.drain {
            DrainState::Serving => self.start_drain(trigger, at),
            DrainState::Active(drain) if first_hook => {
                drain.rebase(at, &self.policy.times);
                self.drain.save(&self.target, &mut self.actions);
            }
            DrainState::Active(_) => {}
            DrainState::Finished(finished) if trigger == Trigger::Hook && reopens(finished) => {
                self.drain.reopen(self.now, at, &self.policy.times);
                self.drain.save(&self.target, &mut self.actions);
            }
            DrainState::Finished(finished) => self.callers.release(finished.result, &mut self.actions),
        }
    }

    fn start_drain(&mut self, trigger: Trigger, at: Time) {
        let drain = Drain::begin(at, &self.policy.times, trigger, self.incarnation.sources.streams());
        self.drain = DrainState::Active(drain);
        self.shutdown.on_drain();
        self.polls.cancel();
        self.drain.save(&self.target, &mut self.actions);
    }

    // === the target ===

    fn on_search_result(&mut self, requested_at: Time, result: SearchResult) {
        if self.target.searches.is_outdated(requested_at) {
            return;
        }
        if let SearchResult::Found(found) = &result {
            self.on_found(found);
        }
        self.target.searches.record(requested_at, result);
        let draining_since = self.drain.active().and_then(Drain::draining_since);
        if draining_since.is_some_and(|since| requested_at >= since) {
            self.drain.send_signal(&mut self.target, &self.policy, &mut self.actions);
        }
        if !self.polls.is_in_flight() {
            self.finish_if_never_served(SignalAttempt::Pending);
        }
    }

    fn on_found(&mut self, found: &Found) {
        match self.target.compare(found) {
            Match::Same => return self.target.rename(found),
            Match::Replaces(previous) => self.on_exit(previous, ExitStatus::Unknown),
            Match::New => {}
        }
        if let Some(drain) = self.drain.active() {
            // A drain that began without a target is not inherited by a younger process, and its callers still wait:
            // that process is tracked when the drain is over.
            if drain.started_at >= self.target.start.start_of(found.incarnation) {
                self.target.track(found, &mut self.actions);
                self.drain.save(&self.target, &mut self.actions);
            }
        } else {
            self.target.track(found, &mut self.actions);
            self.drain.clear(&mut self.actions);
            self.reset_incarnation();
            self.callers.invalidate_zeros();
        }
    }

    fn on_exit(&mut self, incarnation: Incarnation, status: ExitStatus) {
        let streams = self.incarnation.fresh_streams(&self.policy, self.now);
        if !self.target.exit(incarnation, status, streams, self.now) {
            return;
        }
        let wait_for_exit = self.policy.wait_for_exit;
        if let Some(drain) = self.drain.active() {
            self.finish(drain.at_exit(wait_for_exit));
        }
        self.release_unauthorized(|drain, _| Some(drain.at_exit(wait_for_exit)));
        self.reset_incarnation();
        if self.drain.is_serving() {
            self.target.forget_ended();
        }
    }

    /// Starts afresh with another incarnation: nothing is inherited.
    fn reset_incarnation(&mut self) {
        for duration in self.incarnation.end_streams(self.now) {
            self.durations.observe(duration);
            self.actions.push(Action::StreamEnded(duration));
        }
        self.incarnation = IncarnationState::new(&self.policy);
        self.polls.cancel();
    }

    // === readings ===

    fn on_poll(&mut self, poll: &Poll) {
        let is_current = self.polls.complete(poll.requested_at, poll.target);
        if let Some(incarnation) = poll.target.filter(|_| poll.target_exiting) {
            let streams = self.incarnation.fresh_streams(&self.policy, self.now);
            self.target.begin_exit(incarnation, streams);
        }
        if !is_current || poll.target_exiting || self.target.is_exiting() {
            return;
        }
        let seen = self.incarnation.observe(poll, &self.policy, self.now);
        if let Some(age) = seen.oldest_active {
            self.durations.observe_active(age);
        }
        for duration in seen.ended {
            self.durations.observe(duration);
            self.actions.push(Action::StreamEnded(duration));
        }
        let input = self.incarnation.drain_input(&self.target, &self.policy, self.now);
        let outcome = self.drain.active_mut().and_then(|drain| drain.evaluate(&self.policy.times, input));
        match outcome {
            // Until it is known whether the target can be signalled it accepts streams, so that zero is no end.
            Some(_) if self.drain.is_search_pending(&self.target, &self.policy) => {}
            Some(outcome) => self.finish(outcome),
            None => self.finish_if_never_served(SignalAttempt::Pending),
        }
        // While a drain is on, unauthorized callers wait for its end.
        let is_draining = self.drain.active().is_some();
        self.release_unauthorized(|drain, account| {
            let outcome = drain.evaluate(&account.policy.times, input);
            let never_served = || account.never_served(drain).then_some(Outcome::NeverServed);
            outcome.or_else(never_served).filter(|_| !is_draining)
        });
    }

    // === the end of a drain ===

    /// Ends the drain with this outcome. While a signal is about to be sent it does nothing: the result of the signal,
    /// which is the next input, belongs to the account, and the end is found again after it.
    fn finish(&mut self, outcome: Outcome) {
        let Some(drain) = self.drain.active().filter(|_| !self.target.is_signal_pending()) else { return };
        let account = Account::new(self.now, &self.policy, &self.target, &self.incarnation);
        let result = account.result(drain, outcome);
        self.drain.finish(result, &self.target, &mut self.callers, &mut self.actions);
    }

    /// Ends a drain in which there is nothing to wait for; where the target can be signalled, after the signal.
    fn finish_if_never_served(&mut self, attempt: SignalAttempt) {
        let account = Account::new(self.now, &self.policy, &self.target, &self.incarnation);
        if !self.drain.active().is_some_and(|drain| account.never_served(drain)) {
            return;
        }
        if attempt == SignalAttempt::Pending {
            self.drain.send_signal(&mut self.target, &self.policy, &mut self.actions);
        }
        self.finish(Outcome::NeverServed);
    }

    /// Answers the unauthorized callers whose wait has this outcome.
    fn release_unauthorized(&mut self, mut outcome: impl FnMut(&mut Drain, &Account<'_>) -> Option<Outcome>) {
        let account = Account::new(self.now, &self.policy, &self.target, &self.incarnation);
        self.callers.release_finished(&account, &mut self.actions, |drain| outcome(drain, &account));
    }

    // === time ===

    fn advance(&mut self) {
        let now = self.now;
        if let Some(poll) = self.polls.expired(now) {
            self.on_poll(&poll);
        }
        if self.target.is_signal_pending() {
            // The next input is its result, and belongs to everything that is decided here.
            return;
        }
        if self.drain.active_mut().is_some_and(|drain| drain.end_lame_duck(now)) {
            // The signal needs a fresh search, which must not wait for a page that does not answer.
            self.polls.cancel();
        }
        let wait_for_exit = self.policy.wait_for_exit;
        if let Some(outcome) = self.drain.active().and_then(|drain| drain.at_deadline(now, wait_for_exit)) {
            self.finish(outcome);
        }
        self.release_unauthorized(|drain, _| drain.at_deadline(now, wait_for_exit));
        if let Some(finished) = self.drain.finished() {
            let shutting_down = self.shutdown != Shutdown::Running;
            let is_due = |at: Option<Time>| at.is_some_and(|at| now >= at);
            let kills = is_due(finished.kill_at(&self.target, &self.incarnation, &self.policy));
            let resumes =
                is_due(finished.resume_serving_at(&self.target, &self.incarnation, &self.policy, shutting_down));
            if let Some(incarnation) = kills.then(|| self.target.take_kill()).flatten() {
                self.actions.push(Action::KillTarget(incarnation));
            }
            if resumes {
                self.drain.clear(&mut self.actions);
                self.target.forget_ended();
            }
        }
        self.incarnation.ready_once |= self.readiness(now).is_reached();
        let has_unauthorized = self.callers.has_unauthorized();
        let input = ShutdownInput::new(now, &self.policy, &self.target, &self.incarnation, has_unauthorized);
        if self.shutdown.should_exit(&self.drain, input) {
            self.shutdown = Shutdown::Running;
            self.actions.push(Action::Exit);
        }
        if self.next_poll_at() <= now {
            self.request_poll();
        }
    }

    fn next_poll_at(&self) -> Time {
        let awaiting_exit = self.target.is_awaiting_exit();
        // Unauthorized callers add no polls: they must not have the sources polled at will.
        let required = self.drain.active().map(|drain| drain.required_polls(&self.policy.times, awaiting_exit));
        self.polls.due(self.now, self.policy.times.poll_interval, required.into_iter().flatten())
    }

    fn request_poll(&mut self) {
        let left = self.drain.active().map_or(Duration::MAX, |drain| drain.deadline.since(self.now));
        // The last poll must be answered before the deadline, even where a source does not answer.
        let timeout = self.policy.times.scrape_timeout.min(left - (left / 4).min(DEADLINE_LEAD));
        let (requested_at, target) = (self.now, self.target.alive().map(|target| target.incarnation));
        self.polls.begin(requested_at, timeout, target);
        self.actions.push(Action::FindTarget { requested_at, target });
        self.actions.push(Action::PollSources { requested_at, timeout, target });
    }

    // === views ===

    /// The machine as it is at `now`.
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
                disagreement: disagreement.filter(|time| *time > self.policy.times.quiet_period),
                sources: self.incarnation.sources.states().to_vec(),
            },
            target: self.target.target().map(TargetView::of),
            phase: Phase::of(&self.drain),
            drain: DrainView::of(&self.drain, &self.target, now),
            result: self.drain.finished().map(|finished| finished.result),
            hook_callers: self.callers.hooks(),
        }
    }

    /// Whether the pod is ready, and accepting.
    #[must_use]
    pub const fn readiness(&self, now: Time) -> Readiness<'_> {
        let Self { policy, drain, target, incarnation, polls, .. } = self;
        Readiness { now, policy, drain, target, incarnation, is_polling: polls.is_in_flight() }
    }

    /// How long streams last, as far as it was seen since the sidecar started, and the time within which the open
    /// streams have all ended with a probability of one half; `None` if unknown.
    #[must_use]
    pub fn stream_durations(&self, now: Time) -> (&DurationHistogram, Option<Duration>) {
        let ages: Vec<Duration> = self.incarnation.ages(now).collect();
        (&self.durations, self.durations.estimated_time_to_zero(&ages))
    }
}
