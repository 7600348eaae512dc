//! A simulated pod for scripts: the machine, and a small environment around it in which time is stepped.
//!
//! Time is in seconds since the start of the pod. Every [`Effect`] must be expected at its very instant: an effect that
//! comes early, late or unexpected fails the script. The environment wakes the machine only when the machine asked for it.

use std::collections::VecDeque;
use std::time::Duration;

use lameduck_machine::controller::Controller;
use lameduck_machine::durations::DurationHistogram;
use lameduck_machine::io::{Action, CallKind, CallerId, Input, Poll, Reply, SocketReading};
use lameduck_machine::policy::Policy;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::{ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::result::{DrainResult, ExitStatus, Outcome, Trigger};
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::snapshot::{Phase, Snapshot};
use lameduck_machine::target::{Incarnation, SearchResult};
use lameduck_machine::time::Time;
use lameduck_test_support::traffic::Traffic;

pub(crate) use lameduck_test_support::machine::{count, failure, found, incarnation, policy, second};
pub(crate) use lameduck_test_support::traffic::PORT;

/// What the machine does that is seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The signal is sent to this incarnation.
    Signal(u32),
    /// SIGKILL is sent to this incarnation.
    Kill(u32),
    /// Every authorized caller is answered, with this many stragglers.
    Release(Outcome, Option<u64>),
    /// This unauthorized caller is answered, with this many stragglers.
    ReleaseUnauthorized(u64, Outcome, Option<u64>),
    /// The sidecar exits.
    Exit,
}

/// What the sources do when they are polled.
#[derive(Clone, Debug)]
enum Page {
    Answers(Vec<(Source, Reading)>),
    Hangs,
}

/// The numbers of unauthorized callers begin here.
const UNAUTHORIZED: u64 = 1_000_000;

/// The machine in its environment.
pub(crate) struct Pod {
    pub(crate) controller: Controller,
    pub(crate) policy: Policy,
    pub(crate) saved: Option<SavedDrain>,
    pub(crate) result: Option<DrainResult>,
    /// The last answer to an unauthorized caller.
    pub(crate) unauthorized_result: Option<DrainResult>,
    /// The polls and searches that were requested and not answered.
    pub(crate) unanswered_polls: Vec<(Time, Duration)>,
    pub(crate) unanswered_searches: Vec<Time>,
    now: Time,
    page: Page,
    traffic: Traffic,
    table_readable: bool,
    table_hangs: bool,
    capacity: Option<u64>,
    search: Option<SearchResult>,
    exiting: Option<Incarnation>,
    ended: Vec<Incarnation>,
    signals_fail: bool,
    /// The authorized callers that wait, by number and trigger.
    callers: Vec<(CallerId, Trigger)>,
    next_caller: u64,
    /// Answers that are given when all actions are done, and answers that come later.
    answers: VecDeque<Input>,
    delayed: Vec<(Time, Input)>,
    effects: Vec<(Time, Effect)>,
    /// How long the streams lasted that have ended.
    pub(crate) stream_durations: Vec<Duration>,
}

impl Pod {
    /// A pod that has just started, whose first incarnation serves this many streams.
    pub(crate) fn serving(streams: u64) -> Self {
        Self::with(streams, |_| ())
    }

    /// The same under another policy.
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
            unauthorized_result: None,
            unanswered_polls: Vec::new(),
            unanswered_searches: Vec::new(),
            now,
            page: Page::Answers(readings.to_vec()),
            traffic: Traffic::begin(now),
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
            stream_durations: Vec::new(),
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
            assert!(wake > self.now, "the machine asks to be woken at {wake:?}, and it is {:?}", self.now);
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

    // === what happens ===

    pub(crate) fn input(&mut self, input: Input) -> &mut Self {
        self.controller.handle(self.now, input);
        self.run_actions();
        self
    }

    pub(crate) fn call(&mut self, trigger: Trigger) -> &mut Self {
        self.call_made_at(trigger, self.now)
    }

    /// A call that was made at an earlier second.
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
            Trigger::Sigterm => panic!("SIGTERM is no call"),
        };
        self.input(Input::Call { caller, kind, at })
    }

    /// One of the callers with this trigger disconnects.
    pub(crate) fn hang_up(&mut self, trigger: Trigger) -> &mut Self {
        let which = self.callers.iter().position(|(_, of)| *of == trigger).expect("such a caller waits");
        let (caller, _) = self.callers.remove(which);
        self.input(Input::Hangup(caller))
    }

    pub(crate) fn call_unauthorized(&mut self, number: u64) -> &mut Self {
        let caller = CallerId(UNAUTHORIZED + number);
        self.input(Input::Call { caller, kind: CallKind::Unauthorized, at: self.now })
    }

    pub(crate) fn hang_up_unauthorized(&mut self, number: u64) -> &mut Self {
        self.input(Input::Hangup(CallerId(UNAUTHORIZED + number)))
    }

    pub(crate) fn sigterm(&mut self) -> &mut Self {
        self.input(Input::Sigterm)
    }

    /// From now on the page counts this many streams.
    pub(crate) fn streams(&mut self, streams: u64) -> &mut Self {
        self.readings(&[(Source::Metrics, count(streams))])
    }

    /// From now on every source but the socket table fails.
    pub(crate) fn fails(&mut self, kind: ReadErrorKind) -> &mut Self {
        let sources = self.policy.sources.iter().filter(|source| **source != Source::Sockets);
        let failures: Vec<_> = sources.map(|source| (*source, failure(kind))).collect();
        self.readings(&failures)
    }

    /// From now on the sources answer this.
    pub(crate) fn readings(&mut self, readings: &[(Source, Reading)]) -> &mut Self {
        self.page = Page::Answers(readings.to_vec());
        self
    }

    /// From now on exactly these connections are open, and carry this many bytes a second to the target.
    pub(crate) fn traffic(&mut self, rates: &[u64]) -> &mut Self {
        self.traffic.carry(self.now, rates);
        self
    }

    /// From now on the target's port has a listener, or not.
    pub(crate) fn listening(&mut self, listening: bool) -> &mut Self {
        self.traffic.listening = listening;
        self
    }

    /// From now on the socket table can be read, or not.
    pub(crate) fn table_readable(&mut self, readable: bool) -> &mut Self {
        self.table_readable = readable;
        self
    }

    /// From now on the socket table does not answer, so that a poll lasts until its timeout.
    pub(crate) fn table_hangs(&mut self) -> &mut Self {
        self.table_hangs = true;
        self
    }

    /// From now on the page names this limit of its own.
    pub(crate) fn capacity(&mut self, capacity: u64) -> &mut Self {
        self.capacity = Some(capacity);
        self
    }

    /// From now on polls are not answered.
    pub(crate) fn hangs(&mut self) -> &mut Self {
        self.page = Page::Hangs;
        self
    }

    /// The poll that was requested then is answered now.
    pub(crate) fn answer_poll(&mut self, requested_at: Time, readings: &[(Source, Reading)]) -> &mut Self {
        let poll = Poll { requested_at, readings: readings.to_vec(), ..self.poll(requested_at) };
        self.input(Input::Polled(poll))
    }

    /// The newest unanswered poll is answered now.
    pub(crate) fn answer_late(&mut self, readings: &[(Source, Reading)]) -> &mut Self {
        let (requested_at, _) = self.unanswered_polls.pop().expect("an unanswered poll");
        self.answer_poll(requested_at, readings)
    }

    /// From now on a search has this result.
    pub(crate) fn finds(&mut self, result: SearchResult) -> &mut Self {
        self.search = Some(result);
        self
    }

    /// From now on searches are not answered.
    pub(crate) fn searches_hang(&mut self) -> &mut Self {
        self.search = None;
        self
    }

    pub(crate) fn signals_fail(&mut self, fail: bool) -> &mut Self {
        self.signals_fail = fail;
        self
    }

    /// The kernel begins to end this incarnation: the next poll reports that. A poll in flight is answered now.
    pub(crate) fn begins_to_exit(&mut self, n: u32) -> &mut Self {
        self.exiting = Some(incarnation(n));
        if let Some((requested_at, _)) = self.unanswered_polls.pop() {
            self.answer_poll(requested_at, &[]);
        }
        self
    }

    /// The kernel ends no process any more.
    pub(crate) fn begins_to_exit_no_more(&mut self) -> &mut Self {
        self.exiting = None;
        self
    }

    /// This incarnation ends, and with it its page.
    pub(crate) fn exits(&mut self, n: u32, status: ExitStatus) -> &mut Self {
        self.ended.push(incarnation(n));
        self.exiting = None;
        self.finds(SearchResult::NotFound)
            .fails(ReadErrorKind::ConnectionRefused)
            .input(Input::Exited(incarnation(n), status))
    }

    /// This incarnation has ended when it is found: that shows when it is to be watched.
    pub(crate) fn ends_before_it_is_watched(&mut self, n: u32) -> &mut Self {
        self.ended.push(incarnation(n));
        self.finds(found(n, None))
    }

    /// The sidecar crashes, and a new one resumes what was saved.
    pub(crate) fn restarts(&mut self) -> &mut Self {
        self.unanswered_polls.clear();
        self.unanswered_searches.clear();
        self.delayed.clear();
        self.callers.clear();
        let ticks = self.now.since(second(0)).as_millis() / 10;
        self.policy.own_start_ticks = policy().own_start_ticks + u64::try_from(ticks).expect("a script is short");
        self.controller = Controller::new(self.now, self.policy.clone(), self.saved);
        self.run_actions();
        self
    }

    // === what comes of the machine's actions ===

    fn run_actions(&mut self) {
        loop {
            while let Some(action) = self.controller.poll_action() {
                if let Some(input) = self.perform(action) {
                    self.controller.handle(self.now, input);
                }
            }
            let Some(answer) = self.answers.pop_front() else { break };
            self.controller.handle(self.now, answer);
        }
        if self.snapshot().phase == Phase::Done {
            assert_eq!(self.callers, [], "callers are left without an answer");
        }
    }

    /// What comes of an action at once; searches and polls are answered when all actions are done.
    fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::FindTarget { requested_at, .. } => match self.search.clone() {
                Some(result) => self.answers.push_back(Input::SearchResult { requested_at, result }),
                None => self.unanswered_searches.push(requested_at),
            },
            Action::PollSources { requested_at, timeout, .. } => self.on_poll_request(requested_at, timeout),
            Action::WatchTarget(incarnation) => {
                let ended = self.ended.contains(&incarnation);
                return ended.then_some(Input::Exited(incarnation, ExitStatus::Unknown));
            }
            Action::SaveState(saved) => self.saved = Some(saved),
            Action::ClearState => self.saved = None,
            Action::SendSignal(incarnation) => return Some(self.send_signal(incarnation)),
            Action::KillTarget(incarnation) => self.effect(Effect::Kill(incarnation.pid)),
            Action::StreamEnded(duration) => self.stream_durations.push(duration),
            Action::ReportOutcome(result) => {
                self.result = Some(result);
                self.effect(Effect::Release(result.outcome, result.stragglers));
            }
            Action::Reply(caller, Reply::Finished(result)) => self.on_reply(caller, result),
            Action::Reply(_, Reply::TooManyUnauthorized) => panic!("scripts have few callers"),
            Action::Exit => self.effect(Effect::Exit),
        }
        None
    }

    fn on_poll_request(&mut self, requested_at: Time, timeout: Duration) {
        let Page::Answers(readings) = self.page.clone() else {
            return self.unanswered_polls.push((requested_at, timeout));
        };
        let poll = Poll { requested_at, readings, ..self.poll(requested_at) };
        let poll = if self.table_hangs { Poll { sockets: None, ..poll } } else { self.with_socket_count(poll) };
        let answers = |source: &Source| poll.readings.iter().any(|(answering, _)| answering == source);
        if self.table_hangs || !self.policy.sources.iter().all(answers) {
            // What does not answer holds up the whole poll.
            self.delayed.push((requested_at + timeout, Input::Polled(poll)));
        } else {
            self.answers.push_back(Input::Polled(poll));
        }
    }

    /// A poll of everything but the page, read now.
    fn poll(&mut self, requested_at: Time) -> Poll {
        let table = self.traffic.table(self.now);
        let table =
            if self.table_readable { Ok(table) } else { Err(ReadError::new(ReadErrorKind::Invalid, "no table")) };
        let sockets = Some(SocketReading { read_at: self.now, table });
        Poll { requested_at, readings: Vec::new(), sockets, capacity: self.capacity, target_exiting: self.exiting }
    }

    fn with_socket_count(&self, mut poll: Poll) -> Poll {
        let table = poll.sockets.as_ref().map(|sockets| &sockets.table);
        if let Some(table) = table.filter(|_| self.policy.sources.contains(&Source::Sockets)) {
            let reading = match table {
                Ok(table) => Reading::Counts(vec![table.count(PORT)]),
                Err(error) => Reading::Unknown(error.clone()),
            };
            poll.readings.push((Source::Sockets, reading));
        }
        poll
    }

    /// An authorized caller is answered: with the result of a drain that ends now, or of one that is over.
    fn on_reply(&mut self, caller: CallerId, result: DrainResult) {
        if caller.0 >= UNAUTHORIZED {
            self.unauthorized_result = Some(result);
            let number = caller.0 - UNAUTHORIZED;
            return self.effect(Effect::ReleaseUnauthorized(number, result.outcome, result.stragglers));
        }
        let which = self.callers.iter().position(|(waiting, _)| *waiting == caller).expect("a caller that waits");
        self.callers.remove(which);
        assert_eq!(Some(result), self.result, "an answer without its result");
        let release = (self.now, Effect::Release(result.outcome, result.stragglers));
        if !self.effects.contains(&release) {
            self.effects.push(release);
        }
    }

    fn send_signal(&mut self, incarnation: Incarnation) -> Input {
        let saved = self.saved.is_some_and(|saved| saved.signalled && saved.incarnation == Some(incarnation));
        assert!(saved, "a signal is sent before it is saved: {:?}", self.saved);
        if !self.signals_fail {
            self.effect(Effect::Signal(incarnation.pid));
        }
        Input::SignalResult(incarnation, !self.signals_fail)
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push((self.now, effect));
    }

    // === what must be so ===

    /// Exactly these effects happened, at this very instant.
    pub(crate) fn expect<const N: usize>(&mut self, effects: [Effect; N]) -> &mut Self {
        let expected: Vec<_> = effects.into_iter().map(|effect| (self.now, effect)).collect();
        assert_eq!(std::mem::take(&mut self.effects), expected);
        self
    }

    pub(crate) fn phase(&mut self, phase: Phase) -> &mut Self {
        assert_eq!(self.snapshot().phase, phase, "at {:?}", self.now);
        self
    }

    pub(crate) fn counted(&mut self, streams: Option<u64>) -> &mut Self {
        assert_eq!(self.snapshot().streams.count, streams, "at {:?}", self.now);
        self
    }

    pub(crate) fn idle(&mut self, streams: Option<u64>) -> &mut Self {
        assert_eq!(self.snapshot().streams.idle, streams, "at {:?}", self.now);
        self
    }

    pub(crate) fn ready(&mut self) -> &mut Self {
        self.not_ready(None)
    }

    pub(crate) fn not_ready(&mut self, reason: impl Into<Option<NotReady>>) -> &mut Self {
        assert_eq!(self.snapshot().not_ready, reason.into(), "at {:?}", self.now);
        self
    }

    pub(crate) fn not_accepting(&mut self, reason: impl Into<Option<NotReady>>) -> &mut Self {
        assert_eq!(self.controller.readiness(self.now).not_accepting_reason(), reason.into(), "at {:?}", self.now);
        self
    }

    pub(crate) fn deadline(&mut self, seconds: impl Into<f64>) -> &mut Self {
        assert_eq!(self.snapshot().drain.map(|drain| drain.deadline), Some(second(seconds)));
        self
    }

    /// How long streams last, as far as it was seen.
    pub(crate) fn durations(&self) -> &DurationHistogram {
        self.controller.stream_durations(self.now).0
    }

    /// The estimated seconds until all streams have ended.
    pub(crate) fn seconds_to_zero(&self) -> Option<u64> {
        self.controller.stream_durations(self.now).1.map(|time| time.as_secs())
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.controller.snapshot(self.now)
    }

    fn assert_no_unexpected_effects(&self) {
        assert!(self.effects.is_empty(), "unexpected: {:?}", self.effects);
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_no_unexpected_effects();
        }
    }
}
