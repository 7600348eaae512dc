//! Checks the machine against its contract: it sees every input and action of a simulation, and knows nothing else.

mod results;

use std::time::Duration;

use lameduck_machine::controller::Controller;
use lameduck_machine::io::{Action, CallerId, Input};
use lameduck_machine::policy::{Policy, SigtermPolicy};
use lameduck_machine::result::{DrainResult, ExitStatus, Outcome, Trigger};
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::{Found, Incarnation, SearchResult};
use lameduck_machine::time::Time;

use crate::simulations::oracle_readings::Readings;

const HOOK_WAIT: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(10);

/// A drain as the contract has it.
#[derive(Clone, Debug)]
struct Drain {
    started_at: Time,
    deadline: Time,
    /// From when on a zero may count, and a search may permit the signal.
    since: Time,
    finished: Option<(Time, DrainResult)>,
    /// Whether the result has been reported, or is saved as reported.
    reported: bool,
}

/// What was seen so far.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Oracle {
    policy: Policy,
    drain: Option<Drain>,
    readings: Readings,
    found: Option<(Time, SearchResult)>,
    target: Option<Incarnation>,
    ended: Option<ExitStatus>,
    /// When the target was first seen exiting.
    exiting: Option<Time>,
    last_exit_at: Option<Time>,
    /// Whether it is saved that the signal was sent, or is about to be.
    signalled: bool,
    /// Whether it is known to have been sent.
    sent: bool,
    sigterm: Option<Time>,
    /// Whether a drain was on since the SIGTERM.
    drained: bool,
    /// A signal that only `never_served` can excuse.
    early: bool,
    new_incarnation: bool,
    /// Whether a signal has failed.
    refused: bool,
}

impl Oracle {
    pub(crate) fn new(policy: Policy) -> Self {
        let readings = Readings::new(&policy);
        Self {
            policy,
            drain: None,
            readings,
            found: None,
            target: None,
            ended: None,
            exiting: None,
            last_exit_at: None,
            signalled: false,
            sent: false,
            sigterm: None,
            drained: false,
            early: false,
            new_incarnation: false,
            refused: false,
        }
    }

    /// Another sidecar resumes what was saved.
    pub(crate) fn resume(&mut self, now: Time, own_start_ticks: u64, saved: Option<SavedDrain>) {
        let policy = Policy { own_start_ticks, ..self.policy.clone() };
        let lame_duck = self.policy.times.lame_duck;
        let drain = saved.map(|saved| Drain {
            started_at: saved.started_at,
            deadline: saved.deadline,
            since: if saved.signalled { now } else { now.max(saved.started_at + lame_duck) },
            finished: saved.finished.map(|finished| (finished.ended_at, finished.result)),
            reported: saved.finished.is_some_and(|finished| finished.reported),
        });
        let target = saved.and_then(|saved| saved.incarnation);
        let signalled = saved.is_some_and(|saved| saved.signalled);
        *self = Self { drain, target, signalled, sent: signalled, ..Self::new(policy) };
    }

    pub(crate) fn result(&self) -> Option<DrainResult> {
        let (_, result) = self.drain.as_ref()?.finished?;
        Some(result)
    }

    // === what happens ===

    /// A call, while so many hooks are connected.
    pub(crate) fn call(&mut self, now: Time, trigger: Trigger, hooks: usize) {
        let deadline = now + self.policy.times.budget();
        let hook = trigger == Trigger::Hook;
        let reopens = hook && self.reopens();
        match &mut self.drain {
            None => self.begins(now),
            Some(drain @ Drain { finished: None, .. }) if hook && hooks == 0 => drain.deadline = deadline,
            Some(drain @ Drain { finished: Some(_), .. }) if reopens => {
                *drain = Drain { deadline, since: now, finished: None, reported: false, ..drain.clone() };
            }
            Some(_) => {}
        }
    }

    /// Whether a hook has something left to wait for.
    fn reopens(&self) -> bool {
        let over = self.drain.as_ref().and_then(|drain| drain.finished);
        let waits = over.is_some_and(|(_, result)| match result.outcome {
            Outcome::Expired => true,
            Outcome::NeverServed => self.readings.ever_answered,
            Outcome::Drained | Outcome::Idle | Outcome::Exited => false,
        });
        waits && self.ended.is_none()
    }

    fn begins(&mut self, now: Time) {
        let times = &self.policy.times;
        let (deadline, since) = (now + times.budget(), now + times.lame_duck);
        self.drain = Some(Drain { started_at: now, deadline, since, finished: None, reported: false });
        self.drained = self.sigterm.is_some();
    }

    pub(crate) fn sigterm(&mut self, now: Time) {
        self.sigterm = self.sigterm.or(Some(now));
        self.drained |= self.drain.is_some();
        if self.drain.is_none() && self.policy.on_sigterm == SigtermPolicy::Drain {
            self.begins(now);
        }
    }

    pub(crate) fn on_input(&mut self, now: Time, input: &Input) {
        match input {
            Input::Polled(poll) => match poll.target_exiting {
                Some(incarnation) => self.begin_exit(now, incarnation),
                None if self.exiting.is_none() || self.ended.is_some() => self.readings.answer(now, poll),
                None => {}
            },
            Input::SearchResult { requested_at, result } => self.on_search_result(now, *requested_at, result),
            Input::Exited(incarnation, status) if self.target == Some(*incarnation) => self.ends(now, *status),
            Input::SignalResult(incarnation, false) if self.target == Some(*incarnation) && self.ended.is_none() => {
                (self.signalled, self.sent, self.refused) = (false, false, true);
            }
            Input::SignalResult(_, true) => self.sent = true,
            Input::Tick
            | Input::Call { .. }
            | Input::Hangup(_)
            | Input::Sigterm
            | Input::Exited(..)
            | Input::SignalResult(..) => {}
        }
    }

    fn begin_exit(&mut self, now: Time, incarnation: Incarnation) {
        if self.target == Some(incarnation) && self.ended.is_none() {
            self.exiting.get_or_insert(now);
        }
    }

    fn on_search_result(&mut self, now: Time, requested_at: Time, result: &SearchResult) {
        if Some(requested_at) < self.last_exit_at {
            return;
        }
        if let SearchResult::Found(found) = result
            && self.target.is_some_and(|target| target != found.incarnation)
        {
            self.ends(now, ExitStatus::Unknown);
        }
        self.found = Some((requested_at, result.clone()));
    }

    fn ends(&mut self, now: Time, status: ExitStatus) {
        if self.ended.is_none() {
            (self.ended, self.last_exit_at, self.found) = (Some(status), Some(now), None);
            self.readings.end();
        }
    }

    // === what the machine does ===

    pub(crate) fn on_action(&mut self, now: Time, action: &Action, saved: Option<&SavedDrain>) {
        match action {
            Action::FindTarget { requested_at, .. } => assert_eq!(*requested_at, now),
            Action::PollSources { requested_at, timeout, .. } => {
                let open = self.drain.as_ref().filter(|drain| drain.finished.is_none());
                let in_time = open.is_none_or(|drain| *requested_at + *timeout <= drain.deadline);
                assert!(in_time, "a poll outlasts the deadline");
                self.readings.request(*requested_at, *timeout);
            }
            Action::WatchTarget(incarnation) => self.watches(*incarnation),
            Action::SaveState(saved) => self.saves(saved),
            Action::ClearState => self.clears(now),
            Action::SendSignal(incarnation) => self.signals(now, *incarnation, saved),
            Action::KillTarget(incarnation) => self.kills(now, *incarnation),
            // The simulation knows which caller is answered.
            Action::StreamEnded(_) | Action::Reply(..) => {}
            Action::ReportOutcome(result) => self.reports(now, result),
            Action::Exit => self.exits(now),
        }
    }

    /// An authorized caller is answered.
    pub(crate) fn on_reply(&self, result: &DrainResult) {
        let finished = self.drain.as_ref().and_then(|drain| drain.finished);
        assert_eq!(finished.map(|(_, finished)| finished), Some(*result), "an answer without its result");
    }

    fn watches(&mut self, incarnation: Incarnation) {
        if self.target == Some(incarnation) {
            return;
        }
        let open = self.drain.as_ref().is_some_and(|drain| drain.finished.is_none());
        assert!(!open || self.target.is_none(), "a new life inherits a drain");
        (self.target, self.ended, self.exiting) = (Some(incarnation), None, None);
        (self.signalled, self.sent) = (false, false);
        if !open {
            self.readings.reset();
            self.new_incarnation = true;
        }
    }

    fn saves(&mut self, saved: &SavedDrain) {
        let drain = self.drain.as_ref().expect("a saved is of a drain");
        assert_eq!((saved.started_at, saved.deadline), (drain.started_at, drain.deadline));
        let over = saved.finished.map(|finished| (finished.ended_at, finished.result));
        assert!(drain.finished.is_none() || over == drain.finished, "a verdict is unwritten");
        assert_eq!(
            saved.finished.is_some_and(|finished| finished.reported),
            drain.reported,
            "noted as reported, and not reported"
        );
        assert_eq!(saved.incarnation, self.target);
        self.signalled = saved.signalled;
    }

    fn clears(&mut self, now: Time) {
        let drain = self.drain.take().expect("there is one to forget");
        assert!(drain.reported, "a verdict is never reported");
        let (at, _) = drain.finished.expect("only a drain that is over is forgotten");
        let untold = !self.signalled || self.ended.is_some();
        let served_out = now >= at + self.policy.times.grace_period && untold && self.sigterm.is_none();
        assert!(self.new_incarnation || served_out, "a drain is forgotten early");
    }

    fn signals(&mut self, now: Time, incarnation: Incarnation, saved: Option<&SavedDrain>) {
        assert!(saved.is_some_and(|saved| saved.signalled && saved.incarnation == Some(incarnation)), "{saved:?}");
        assert!(self.policy.signal.is_some());
        if self.ended.is_some() {
            // It was ordered when the end was not yet reported, and reaches nobody.
            return;
        }
        let drain = self.drain.as_ref().expect("no signal without a trigger");
        let Some((requested_at, SearchResult::Found(Found { incarnation: found, blocker: None, .. }))) = &self.found
        else {
            panic!("a signal to what is not clearly found: {:?}", self.found)
        };
        assert_eq!(*found, incarnation);
        assert!(start_of(incarnation) < drain.started_at + TICK + TICK, "a new life inherits a drain");
        self.early = now < drain.since || *requested_at < drain.since;
    }

    fn kills(&self, now: Time, incarnation: Incarnation) {
        let over = self.drain.as_ref().and_then(|drain| drain.finished);
        let (at, result) = over.expect("nobody is killed in a drain");
        assert_eq!(result.outcome, Outcome::Idle);
        assert!(now >= at + self.policy.times.exit_margin, "killed within the exit margin");
        // One whose end was not yet reported when this was ordered is reached by nobody.
        assert_eq!(self.target, Some(incarnation));
    }

    fn exits(&self, now: Time) {
        let at = self.sigterm.expect("it leaves unasked");
        let gone = self.target.is_none() || self.ended.is_some();
        match (self.policy.on_sigterm, &self.drain) {
            (SigtermPolicy::Exit, _) => {}
            (_, Some(drain)) => assert!(drain.finished.is_some() && gone, "it leaves a drain"),
            (SigtermPolicy::Drain, None) => assert!(self.drained),
            (SigtermPolicy::Auto, None) => {
                let idle = self.readings.fresh(self.exiting.unwrap_or(now), Duration::MAX) == Some(0);
                let rests = idle && (gone || !self.policy.wait_for_exit);
                assert!(self.drained || gone || rests || now >= at + HOOK_WAIT, "it leaves work alone");
            }
        }
    }

    // === how things stand when all actions are done ===

    pub(crate) fn check(
        &mut self,
        now: Time,
        controller: &Controller,
        callers: usize,
        unauthorized: &[(CallerId, Time)],
    ) {
        assert!(controller.poll_timeout() > now, "it wants to be woken in the past");
        let snapshot = controller.snapshot(now);
        let deadline = self.drain.as_ref().map(|drain| drain.deadline);
        assert_eq!(snapshot.drain.map(|drain| drain.deadline), deadline);
        match &mut self.drain {
            None => assert_eq!((snapshot.phase, callers), (Phase::Serving, 0)),
            Some(Drain { finished: Some(_), reported, .. }) => {
                assert!(*reported, "a verdict is not reported");
                assert_eq!((snapshot.phase, callers), (Phase::Done, 0));
            }
            Some(drain @ Drain { finished: None, .. }) => {
                assert!(now < drain.deadline, "held beyond the deadline");
                assert!(self.ended.is_none(), "held after the target's exit");
                assert_eq!(snapshot.phase == Phase::LameDuck, now < drain.since, "{:?}", snapshot.phase);
            }
        }
        assert!(self.drain.is_none() || controller.snapshot(now).not_ready.is_some(), "ready in a drain");
        assert!(!self.early, "a signal in the lame duck");
        if std::mem::take(&mut self.new_incarnation) {
            assert!(
                snapshot.streams.count.is_none() && controller.snapshot(now).not_ready.is_some(),
                "a new life inherits"
            );
        }
        self.readings.settle();
        if self.drain.is_none() && self.ended.is_some() {
            (self.target, self.ended, self.exiting) = (None, None, None);
            (self.signalled, self.sent) = (false, false);
        }
        self.must_have_been_told();
        if unauthorized.is_empty() {
            self.must_have_left(now);
        }
        let budget = self.policy.times.budget();
        assert!(
            unauthorized.iter().all(|(_, called)| now < *called + budget),
            "a stranger is held beyond the deadline"
        );
    }

    fn must_have_been_told(&self) {
        let Some(Drain { started_at, since, finished: None, .. }) = self.drain else { return };
        if let Some((requested_at, SearchResult::Found(Found { incarnation, blocker: None, .. }))) = self.found {
            let of_this_drain = self.target.is_some() || start_of(incarnation) + TICK + TICK < started_at;
            let reported = requested_at <= since || self.policy.signal.is_none() || self.tried();
            assert!(reported || !of_this_drain || self.exiting.is_some(), "the signal is forgotten");
        }
    }

    fn tried(&self) -> bool {
        self.signalled || self.refused
    }

    fn must_have_left(&self, now: Time) {
        let Some(at) = self.sigterm else { return };
        let gone = self.target.is_none() || self.ended.is_some();
        match &self.drain {
            Some(Drain { finished: Some(_), .. }) => assert!(!gone, "it stays without a target"),
            Some(Drain { finished: None, .. }) => {}
            None => assert!(now < at + HOOK_WAIT && !self.drained, "it stays without a hook"),
        }
    }
}

/// When a life began, to the tick.
fn start_of(incarnation: Incarnation) -> Time {
    Time::since_boot(TICK * u32::try_from(incarnation.started).unwrap_or(u32::MAX))
}
