//! A simulated pod for scripts: the machine, and a small environment around it in which time is stepped.
//!
//! Time is in seconds since the start of the pod. A script must expect every [`Effect`] at the instant at which it
//! happens: an early, late or unexpected effect fails the script. The machine is woken only when it asked for it.
//!
//! Under the usual policy, with a call at second [`CALL`], the signal follows at [`SIGNAL`] and the deadline at
//! [`DEADLINE`]. After the signal, zero must last for [`CONFIRMATION`] seconds until the drain ends.

mod actions;
mod behaviour;
mod expectations;

use std::collections::VecDeque;
use std::time::Duration;

use lameduck_machine::controller::Controller;
use lameduck_machine::io::{CallKind, CallerId, ChildSignal, Input, PollRequest, RecordReason, Reply, TargetEnded};
use lameduck_machine::policy::Policy;
use lameduck_machine::reading::{PageProcess, ReadErrorKind, Reading, Source};
use lameduck_machine::result::{DrainResult, ExitStatus, Outcome, Trigger};
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::target::{Incarnation, ObservationStart, SearchResult};
use lameduck_machine::time::Time;
use lameduck_test_support::traffic::Traffic;

pub(crate) use lameduck_test_support::machine::{
    BUDGET, EXIT_MARGIN, EXIT_WAIT, GRACE_PERIOD, LAME_DUCK, QUIET_PERIOD, count, failure, found, incarnation, policy,
    second,
};
pub(crate) use lameduck_test_support::traffic::PORT;

/// When most scripts call.
pub(crate) const CALL: u32 = 10;
/// The seconds between searches while the target lives.
pub(crate) const SEARCH_INTERVAL: f64 = 20.0;
/// When the signal of a drain that starts at [`CALL`] is sent.
pub(crate) const SIGNAL: u32 = CALL + LAME_DUCK;
/// The deadline of a drain that starts at [`CALL`].
pub(crate) const DEADLINE: u32 = CALL + BUDGET;
/// How long zero must last after the signal until the drain ends.
pub(crate) const CONFIRMATION: u32 = QUIET_PERIOD + EXIT_WAIT;

/// The externally visible effects of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The signal is sent to this incarnation.
    Signal(u32),
    /// SIGKILL is sent to this incarnation.
    Kill(u32),
    /// This signal is sent to the child.
    SignalChild(ChildSignal),
    /// Every authorized caller is answered, with this many stragglers.
    Release(Outcome, Option<u64>),
    /// This unauthorized caller is answered, with this many stragglers.
    ReleaseUnauthorized(u64, Outcome, Option<u64>),
    /// The sidecar exits.
    Exit,
}

/// How the sources respond to a poll.
#[derive(Clone, Debug)]
enum Page {
    Answers(Vec<(Source, Reading)>),
    /// Processes that answer in turn: the process facts on the page of each, and its readings.
    Workers(Vec<(PageProcess, Vec<(Source, Reading)>)>),
    Hangs,
}

/// The ID of the first unauthorized caller; all IDs below belong to authorized callers.
const FIRST_UNAUTHORIZED: u64 = 1_000_000;

/// The machine in its environment.
pub(crate) struct Pod {
    pub(crate) controller: Controller,
    pub(crate) policy: Policy,
    pub(crate) saved: Option<SavedDrain>,
    pub(crate) result: Option<DrainResult>,
    /// Every record that was written before a drain was over, and why.
    pub(crate) records: Vec<(DrainResult, RecordReason)>,
    /// Every reported exit of the target.
    pub(crate) target_ends: Vec<TargetEnded>,
    /// How many stragglers were counted.
    pub(crate) stragglers: u64,
    /// The answers to cancellations, and to the callers whose drain was cancelled.
    pub(crate) cancellations: Vec<Reply>,
    /// The last result that an unauthorized caller received.
    pub(crate) unauthorized_result: Option<DrainResult>,
    /// The polls that were not answered: when each was requested, and its timeout.
    pub(crate) unanswered_polls: Vec<(Time, Duration)>,
    /// Every poll that was requested.
    poll_requests: Vec<PollRequest>,
    /// When each search was requested.
    pub(crate) searches: Vec<Time>,
    /// When each search was requested that was not answered.
    pub(crate) unanswered_searches: Vec<Time>,
    /// The durations of the streams that have ended.
    pub(crate) stream_durations: Vec<Duration>,
    now: Time,
    page: Page,
    traffic: Traffic,
    table_readable: bool,
    table_hangs: bool,
    capacity: Option<u64>,
    /// The result of every search; `None` if searches hang.
    search: Option<SearchResult>,
    exiting: Option<Incarnation>,
    ended: Vec<Incarnation>,
    signals_fail: bool,
    /// The authorized callers that wait, and the trigger of each.
    callers: Vec<(CallerId, Trigger)>,
    next_caller: u64,
    /// The answers to give once all actions are performed.
    answers: VecDeque<Input>,
    /// The answers to give later, and when.
    delayed: Vec<(Time, Input)>,
    effects: Vec<(Time, Effect)>,
}

impl Pod {
    /// A pod that has just started, whose first incarnation serves this many streams.
    pub(crate) fn serving(streams: u64) -> Self {
        Self::with(streams, |_| ())
    }

    /// The same under a changed policy.
    pub(crate) fn with(streams: u64, change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = policy();
        change(&mut policy);
        Self::start(policy, Some(found(1, None)), &[(Source::Metrics, count(streams))])
    }

    /// A pod in which searches and polls have these results; without a search result, searches hang.
    pub(crate) fn start(policy: Policy, search: Option<SearchResult>, readings: &[(Source, Reading)]) -> Self {
        let now = second(0);
        let mut pod = Self {
            controller: Controller::new(now, policy.clone(), None),
            policy,
            saved: None,
            result: None,
            records: Vec::new(),
            target_ends: Vec::new(),
            stragglers: 0,
            cancellations: Vec::new(),
            unauthorized_result: None,
            unanswered_polls: Vec::new(),
            poll_requests: Vec::new(),
            searches: Vec::new(),
            unanswered_searches: Vec::new(),
            stream_durations: Vec::new(),
            now,
            page: Page::Answers(readings.to_vec()),
            traffic: Traffic::new(now),
            table_readable: true,
            table_hangs: false,
            capacity: None,
            search,
            exiting: None,
            ended: Vec::new(),
            signals_fail: false,
            callers: Vec::new(),
            next_caller: 0,
            answers: VecDeque::new(),
            delayed: Vec::new(),
            effects: Vec::new(),
        };
        pod.run_actions();
        pod
    }

    // === time ===

    /// Lets time pass up to this second. The machine is woken when it asked for it.
    pub(crate) fn at(&mut self, seconds: impl Into<f64>) -> &mut Self {
        let until = second(seconds);
        loop {
            let wake = self.controller.poll_timeout();
            assert!(wake > self.now, "the wake-up time {wake:?} is not after {:?}", self.now);
            let delayed = self.delayed.iter().map(|(at, _)| *at).min().filter(|at| *at <= wake);
            if delayed.unwrap_or(wake) > until {
                break;
            }
            self.assert_no_unexpected_effects();
            self.now = delayed.unwrap_or(wake);
            let due = self.delayed.iter().position(|(at, _)| *at <= self.now);
            let input = due.map_or(Input::Tick, |due| self.delayed.remove(due).1);
            self.input(input);
        }
        if until > self.now {
            self.assert_no_unexpected_effects();
        }
        self.now = until;
        self
    }

    /// The clock jumps to this second, and the machine is woken late.
    pub(crate) fn jump_to(&mut self, seconds: impl Into<f64>) -> &mut Self {
        self.now = second(seconds);
        self.input(Input::Tick)
    }

    // === events ===

    pub(crate) fn input(&mut self, input: Input) -> &mut Self {
        self.controller.handle(self.now, input);
        self.run_actions();
        self
    }

    /// An authorized caller asks for a drain now.
    pub(crate) fn call(&mut self, trigger: Trigger) -> &mut Self {
        self.call_made_at(trigger, self.now)
    }

    /// A call that was made at an earlier second reaches the machine now.
    pub(crate) fn earlier_call(&mut self, trigger: Trigger, seconds: impl Into<f64>) -> &mut Self {
        self.call_made_at(trigger, second(seconds))
    }

    fn call_made_at(&mut self, trigger: Trigger, at: Time) -> &mut Self {
        let caller = CallerId(self.next_caller);
        self.next_caller += 1;
        self.callers.push((caller, trigger));
        let kind = match trigger {
            Trigger::Hook => CallKind::Hook,
            Trigger::Cli => CallKind::Person,
            Trigger::Sigterm => panic!("SIGTERM is not a call"),
        };
        self.input(Input::Call { caller, kind, at })
    }

    /// A hook calls at [`CALL`], and the signal is sent at [`SIGNAL`].
    pub(crate) fn drain_to_signal(&mut self) -> &mut Self {
        self.at(CALL).call(Trigger::Hook).at(SIGNAL).expect([Effect::Signal(1)])
    }

    /// The first caller with this trigger disconnects.
    pub(crate) fn hang_up(&mut self, trigger: Trigger) -> &mut Self {
        let index = self.callers.iter().position(|(_, of)| *of == trigger).expect("such a caller waits");
        let (caller, _) = self.callers.remove(index);
        self.input(Input::Hangup(caller))
    }

    /// Another process shortens the deadline to this many seconds from now.
    pub(crate) fn shorten_deadline(&mut self, seconds: u32) -> &mut Self {
        self.input(Input::ShortenDeadline(Duration::from_secs(seconds.into())))
    }

    /// A user cancels the drain.
    pub(crate) fn cancel(&mut self) -> &mut Self {
        let caller = CallerId(self.next_caller);
        self.next_caller += 1;
        self.input(Input::Cancel(caller))
    }

    pub(crate) fn call_unauthorized(&mut self, number: u64) -> &mut Self {
        let caller = CallerId(FIRST_UNAUTHORIZED + number);
        self.input(Input::Call { caller, kind: CallKind::Unauthorized, at: self.now })
    }

    pub(crate) fn hang_up_unauthorized(&mut self, number: u64) -> &mut Self {
        self.input(Input::Hangup(CallerId(FIRST_UNAUTHORIZED + number)))
    }

    pub(crate) fn sigterm(&mut self) -> &mut Self {
        self.input(Input::Sigterm)
    }

    /// The poll that was requested then is answered now.
    pub(crate) fn answer_poll(&mut self, requested_at: Time, readings: &[(Source, Reading)]) -> &mut Self {
        let poll = self.poll(requested_at, readings.to_vec());
        self.input(Input::Polled(poll))
    }

    /// The newest unanswered poll is answered now.
    pub(crate) fn answer_newest_poll(&mut self, readings: &[(Source, Reading)]) -> &mut Self {
        let (requested_at, _) = self.unanswered_polls.pop().expect("an unanswered poll");
        self.answer_poll(requested_at, readings)
    }

    /// The kernel begins to end this incarnation, as the next poll reports. A poll in flight is answered now.
    pub(crate) fn begins_to_exit(&mut self, n: u32) -> &mut Self {
        self.exiting = Some(incarnation(n));
        if let Some((requested_at, _)) = self.unanswered_polls.pop() {
            self.answer_poll(requested_at, &[]);
        }
        self
    }

    /// This incarnation exits, and its page with it.
    pub(crate) fn exits(&mut self, n: u32, status: ExitStatus) -> &mut Self {
        self.ended.push(incarnation(n));
        self.exiting = None;
        self.search_finds(SearchResult::NotFound)
            .page_fails(ReadErrorKind::ConnectionRefused)
            .input(Input::Exited(incarnation(n), status))
    }

    /// This incarnation has ended when it is found: that shows when it is to be watched.
    pub(crate) fn ends_before_it_is_watched(&mut self, n: u32) -> &mut Self {
        self.ended.push(incarnation(n));
        self.search_finds(found(n, None))
    }

    /// The sidecar crashes, and a new one resumes the saved drain.
    pub(crate) fn sidecar_restarts(&mut self) -> &mut Self {
        self.unanswered_polls.clear();
        self.unanswered_searches.clear();
        self.delayed.clear();
        self.callers.clear();
        let ticks = self.now.since(second(0)).as_millis() / 10;
        let ticks = policy().observed_since.ticks + u64::try_from(ticks).expect("a script is short");
        self.policy.observed_since = ObservationStart { at: self.now, ticks };
        self.policy.id_seed += 1;
        self.controller = Controller::new(self.now, self.policy.clone(), self.saved);
        self.run_actions();
        self
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_no_unexpected_effects();
        }
    }
}
