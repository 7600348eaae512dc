//! The machine: it owns the parts, passes each input to them, and collects the resulting actions.
//!
//! [`Controller::handle`] takes an input. [`Controller::poll_action`] returns the actions, which must be performed in
//! order. [`Controller::poll_timeout`] returns when to call `handle` next if nothing else happens.

use crate::account::Account;
use crate::drain::Drain;
use crate::drain_record::{DrainRecord, TargetEnd};
use crate::drain_state::DrainState;
use crate::history::History;
use crate::hook_callers::HookCallers;
use crate::incarnation::IncarnationState;
use crate::io::{Action, Actions, Input, Poll, PollRequest, RecordReason, Reply};
use crate::policy::Policy;
use crate::poll_schedule::PollSchedule;
use crate::recorder::Recorder;
use crate::result::{Outcome, Trigger};
use crate::saved_drain::SavedDrain;
use crate::sent_signal::SentSignal;
use crate::shutdown::{Shutdown, ShutdownInput};
use crate::target::TargetState;
use crate::target_tracker::{Target, TargetTracker};
use crate::time::Time;
use crate::warnings::Warning;

mod requests;
mod target_events;
mod views;

/// Whether a target that never served may be signalled now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignalAttempt {
    NotMade,
    /// The signal has just been attempted. If that failed, an immediate second attempt would loop.
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
    history: History,
    actions: Actions,
}

impl Controller {
    /// Creates a machine that starts serving at `now`, or resumes a saved drain.
    #[must_use]
    pub fn new(now: Time, policy: Policy, saved: Option<SavedDrain>) -> Self {
        let mut controller = Self {
            now,
            target: TargetTracker::new(&policy),
            incarnation: IncarnationState::new(&policy),
            drain: DrainState::Serving,
            callers: HookCallers::default(),
            shutdown: Shutdown::default(),
            polls: PollSchedule::new(policy.times.poll_interval),
            history: History::new(&policy),
            actions: Actions::default(),
            policy,
        };
        if let Some(saved) = saved {
            controller.drain = DrainState::resume(&saved, &controller.policy, now);
            if let Some(incarnation) = saved.incarnation {
                controller.target.resume(incarnation, saved.signal, &mut controller.actions);
                if saved.signal.is_some() {
                    controller.incarnation.sources.expect_closed_port();
                }
            }
            if controller.drain.deadline() != Some(saved.deadline) {
                controller.drain.save(&controller.target, &mut controller.actions);
            }
            controller.drain.report(&controller.target, &mut controller.actions);
            match controller.drain.finished().map(|finished| finished.result) {
                Some(result) => controller.history.on_result(result),
                None => controller.recorder().write(RecordReason::Started),
            }
        }
        controller.advance();
        controller
    }

    /// Handles one input at the time `now`.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => {}
            Input::Call { caller, kind, at } => self.on_call(caller, kind, at.min(self.now)),
            Input::Hangup(caller) => {
                if self.callers.remove(caller) {
                    self.recorder().on_hook_disconnected();
                }
            }
            Input::Cancel(caller) => {
                let is_stopping = self.callers.has_hook() || self.shutdown != Shutdown::Running;
                if self.recorder().cancel(caller, is_stopping) {
                    self.callers.release(Reply::Cancelled, &mut self.actions);
                }
            }
            Input::Sigterm | Input::Interrupt => {
                let is_first = self.recorder().request_stop(input == Input::Interrupt);
                if self.shutdown.on_sigterm(&self.policy, &self.drain, self.now) {
                    self.start_drain(Trigger::Sigterm, self.now);
                } else if is_first {
                    self.recorder().join_stop();
                }
            }
            Input::ChildEnded { may_leave_target } => self.target.child.end(self.now, may_leave_target),
            Input::ShortenDeadline(remaining) => self.recorder().shorten_deadline(remaining),
            Input::SearchResult { requested_at, result } => self.on_search_result(requested_at, result),
            Input::Polled(poll) => self.on_poll(&poll),
            Input::Exited(incarnation, status) => self.on_exit(incarnation, status),
            Input::SignalResult(incarnation, sent) => {
                if self.target.on_signal_result(incarnation, sent, self.now) {
                    if !sent {
                        self.drain.save(&self.target, &mut self.actions);
                    }
                    self.recorder().write(RecordReason::CountChanged);
                }
                // A poll in flight may still show that the target serves.
                if !self.polls.is_in_flight() {
                    self.finish_if_never_served(SignalAttempt::Made);
                }
            }
        }
        self.advance();
    }

    /// The next action. After each input, call this until it returns `None`.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop()
    }

    /// When to call [`Controller::handle`] with [`Input::Tick`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Time {
        let finished = self.drain.finished();
        let resumable = finished.filter(|_| self.shutdown == Shutdown::Running);
        let timeouts = [
            self.drain.active().map(Drain::timeout),
            resumable.and_then(|drain| drain.resume_serving_at(&self.target, &self.incarnation, &self.policy)),
            finished.and_then(|drain| drain.kill_at(&self.target, &self.incarnation, &self.policy)),
            self.shutdown.timeout(self.callers.has_unauthorized()),
            self.callers.timeout(),
            self.target.child.timeout(self.now, &self.policy.times).filter(|_| self.policy.is_parent()),
        ];
        timeouts.into_iter().flatten().fold(self.next_poll_at(), Time::min)
    }

    const fn recorder(&mut self) -> Recorder<'_> {
        let Self { policy, now, target, incarnation, drain, history, actions, .. } = self;
        Recorder { now: *now, policy, target, incarnation, drain, history, actions }
    }

    fn start_drain(&mut self, trigger: Trigger, at: Time) {
        let id = self.history.drain_id();
        // The end of the target before a user's drain has nothing to do with it, and one without streams cut none.
        let concerns = |end: &mut TargetEnd| trigger != Trigger::Cli && end.streams != Some(0);
        let closed = self.incarnation.stop_signs.closed_before_drain(self.now).filter(|_| trigger != Trigger::Cli);
        let streams = self.incarnation.sources.streams();
        let record = match (self.history.target_end.take_if(concerns), closed) {
            (Some(end), _) => DrainRecord::of_ended_target(id, end),
            (None, Some(closed)) => DrainRecord::of_told_target(id, closed.streams, streams),
            (None, None) => DrainRecord::new(id, streams),
        };
        let mut drain = Drain::begin(at, &self.policy.times, trigger, record);
        if trigger == Trigger::Hook {
            drain.record.on_hook();
        }
        self.drain = DrainState::Active(drain);
        (self.history.last_result, self.history.record) = (None, None);
        self.shutdown.on_drain();
        self.polls.cancel();
        self.drain.save(&self.target, &mut self.actions);
        self.recorder().write(RecordReason::Started);
    }

    // === readings ===

    fn on_poll(&mut self, poll: &Poll) {
        let is_current = self.polls.complete(poll.requested_at, poll.target);
        let is_target_exiting = poll.target_state == TargetState::Exiting;
        if let Some(incarnation) = poll.target.filter(|_| is_target_exiting) {
            let streams = self.incarnation.fresh_streams(&self.policy, self.now);
            self.target.begin_exit(incarnation, streams);
        }
        if !is_current || is_target_exiting || self.target.is_exiting() {
            return;
        }
        if let (Some(incarnation), TargetState::Intact(blocker)) = (poll.target, &poll.target_state) {
            self.target.searches.update_blocker(incarnation, blocker.as_ref());
        }
        let is_first = !self.incarnation.sources.is_polled();
        let seen = self.incarnation.observe(poll, &self.policy, self.now);
        if is_first {
            self.recorder().send_due_signal(false);
        }
        self.recorder().observe(&seen);
        let input = self.incarnation.drain_input(&self.target, &self.policy, self.now);
        let outcome = self.drain.active_mut().and_then(|drain| drain.evaluate(&self.policy.times, input));
        match outcome {
            // Until it is known whether the target can be signalled, it accepts streams, so zero does not end the
            // drain.
            Some(_) if self.drain.is_search_pending(&self.target, &self.policy) => {}
            Some(outcome) => self.finish(outcome),
            None => self.finish_if_never_served(SignalAttempt::NotMade),
        }
        self.recorder().write(RecordReason::CountChanged);
        // During a drain, unauthorized callers wait for its end.
        let is_draining = self.drain.active().is_some();
        self.release_unauthorized(|drain, account| {
            let outcome = drain.evaluate(&account.policy.times, input);
            let never_served = || account.never_served(drain).then_some(Outcome::NeverServed);
            outcome.or_else(never_served).filter(|_| !is_draining)
        });
    }

    // === the end of a drain ===

    /// Ends the drain with this outcome. Does nothing while the result of sending the signal is pending: the drain's
    /// result depends on it. It is the next input, after which the drain is evaluated again.
    fn finish(&mut self, outcome: Outcome) {
        let Some(drain) = self.drain.active().filter(|_| !self.target.is_signal_pending()) else { return };
        let account = Account::new(self.now, &self.policy, &self.target, &self.incarnation);
        let result = account.result(drain, outcome);
        self.history.on_result(result);
        self.drain.finish(result, &self.target, &mut self.callers, &mut self.actions);
    }

    /// Ends a drain that has nothing to wait for. If the target can be signalled, it is signalled first.
    fn finish_if_never_served(&mut self, attempt: SignalAttempt) {
        let account = Account::new(self.now, &self.policy, &self.target, &self.incarnation);
        let Some(drain) = self.drain.active().filter(|drain| account.never_served(drain)) else { return };
        let (ended_before, trigger) = (drain.record.ended_before.is_some(), drain.trigger);
        if ended_before {
            let by_sigterm = trigger == Trigger::Sigterm;
            // A parent needs no hook.
            if !(by_sigterm && self.policy.is_parent()) {
                self.recorder().warn(if by_sigterm { Warning::NoHook } else { Warning::ToldByOthers });
            }
            return self.finish(Outcome::Exited);
        }
        if attempt == SignalAttempt::NotMade {
            self.recorder().send_signal();
        }
        self.finish(Outcome::NeverServed);
    }

    /// Answers the unauthorized callers for whom `outcome` returns a value.
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
            return; // The next input is the result of sending the signal: every decision below depends on it.
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
        if let Some(outcome) = self.recorder().child_outcome() {
            self.finish(outcome);
        }
        let is_stopping = self.shutdown != Shutdown::Running;
        self.recorder().follow_up(is_stopping);
        self.incarnation.ready_once |= self.readiness(now).is_reached();
        let input = ShutdownInput::new(now, &self.policy, &self.target, &self.incarnation, &self.callers);
        if self.shutdown.should_exit(&self.drain, input) {
            self.recorder().on_exit(input.may_have_streams);
            self.shutdown = Shutdown::Running;
            self.actions.push(Action::Exit);
        } else if self.shutdown.awaits_hook() && input.may_have_streams {
            self.recorder().write_without_drain(RecordReason::CountChanged);
        }
        if self.next_poll_at() <= now {
            let required_since = self.drain.search_required_since(now, &self.target, &self.policy);
            self.target.search_if_due(now, required_since.max(self.callers.unauthorized_since()), &mut self.actions);
            let (limit, target) = (self.policy.times.scrape_timeout, self.target.alive().map(|it| it.incarnation));
            let timeout = self.drain.active().map_or(limit, |drain| limit.min(drain.max_poll_time(now)));
            let keep_connection = self.shutdown.lets_target_serve(&self.drain, &self.callers);
            self.polls.request(PollRequest { requested_at: now, timeout, target, keep_connection }, &mut self.actions);
        }
    }

    fn next_poll_at(&self) -> Time {
        let awaiting_exit = self.target.is_awaiting_exit();
        // Unauthorized callers add no polls: they must not be able to cause traffic to the sources.
        let required = self.drain.active().map(|drain| drain.required_polls(&self.policy.times, awaiting_exit));
        let signal = self.target.alive().and_then(Target::sent_signal);
        let after_signal = signal.into_iter().flat_map(SentSignal::required_polls);
        let required = required.into_iter().flatten().chain(after_signal);
        self.polls.due(self.now, required)
    }
}
