//! A simulated environment of the machine: a target that starts and ends, its page, searches and polls that take their
//! time, callers, and a state dir that outlives the sidecar. The [`Oracle`] holds the machine to its contract.

use std::time::Duration;

use lameduck::io::state::StateFile;
use lameduck_machine::controller::Controller;
use lameduck_machine::io::{Action, CallKind, CallerId, Input, Poll, Reply, SocketReading};
use lameduck_machine::policy::{Policy, SigtermPolicy};
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::result::{DrainResult, ExitStatus, Outcome, Trigger};
use lameduck_machine::saved_drain::{SavedDrain, SavedResult};
use lameduck_machine::socket_table::SocketTable;
use lameduck_machine::target::{Found, Incarnation, SearchResult, SignalBlocker};
use lameduck_machine::time::Time;
use lameduck_test_support::traffic::{PORT, Traffic};

use crate::simulations::history::{Event, Page};
use crate::simulations::oracle::Oracle;

const START: Time = Time::since_boot(Duration::from_secs(1000));
/// How much later each further source answers.
const STAGGER: Duration = Duration::from_millis(50);
/// How long after its time the answer to a poll may still come, if it comes twice.
const REPEAT: Duration = Duration::from_millis(300);

/// One incarnation of the target.
#[derive(Clone, Debug)]
struct Process {
    incarnation: Incarnation,
    streams: u64,
    batch: u64,
    traffic: Traffic,
    signalled: bool,
    exiting: bool,
}

/// How the environment behaves from now on.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a behaviour of its own")]
struct Behaviour {
    page: Page,
    lazy_series: bool,
    table_readable: bool,
    second_match: bool,
    not_caught: bool,
    signals_fail: bool,
    exits_when_empty: bool,
    answers_twice: bool,
    /// How long a poll takes; `None` is for ever.
    poll: Option<Duration>,
    search: Duration,
}

/// When the sidecar crashes, and what happens until the next one starts.
#[derive(Clone, Copy, Debug)]
struct Crash {
    after_actions: u8,
    away: Duration,
    /// Whether another incarnation starts meanwhile.
    new_incarnation: bool,
}

/// The simulation.
pub(crate) struct Simulation {
    controller: Controller,
    policy: Policy,
    now: Time,
    saved: Option<SavedDrain>,
    oracle: Oracle,
    behaviour: Behaviour,
    /// The authorized callers that wait.
    callers: Vec<(CallerId, Trigger)>,
    /// The unauthorized callers that wait, and when they called.
    unauthorized: Vec<(CallerId, Time)>,
    next_caller: u64,
    pending: Vec<(Time, Input)>,
    process: Option<Process>,
    incarnations: u32,
    watched: Option<Incarnation>,
    last_search: Time,
    /// How long the poll takes that was requested last.
    last_poll: Duration,
    crash: Option<Crash>,
    /// When the load of the target was changed last.
    load_changed_at: Time,
    /// Where the drain is saved, if not only in memory.
    state: Option<StateFile>,
    /// Every result that was reported.
    pub(crate) reported: Vec<DrainResult>,
    /// How often the target was signalled, and killed.
    pub(crate) signals: usize,
    pub(crate) kills: usize,
}

impl Simulation {
    pub(crate) fn new(mut policy: Policy) -> Self {
        policy.own_start_ticks = ticks(START);
        let mut simulation = Self {
            controller: Controller::new(START, policy.clone(), None),
            oracle: Oracle::new(policy.clone()),
            policy,
            now: START,
            saved: None,
            behaviour: Behaviour {
                page: Page::Up,
                lazy_series: true,
                table_readable: true,
                second_match: false,
                not_caught: false,
                signals_fail: false,
                exits_when_empty: false,
                answers_twice: false,
                poll: Some(Duration::ZERO),
                search: Duration::ZERO,
            },
            callers: Vec::new(),
            unauthorized: Vec::new(),
            next_caller: 0,
            pending: Vec::new(),
            process: None,
            incarnations: 0,
            watched: None,
            last_search: START,
            last_poll: Duration::ZERO,
            crash: None,
            load_changed_at: START,
            state: None,
            reported: Vec::new(),
            signals: 0,
            kills: 0,
        };
        simulation.run_actions();
        simulation.wait(Duration::from_millis(20));
        simulation.start_process();
        simulation
    }

    /// From now on drains are saved in a file.
    pub(crate) fn save_to_file(&mut self, state: StateFile) {
        self.state = Some(state);
    }

    /// Whether a crash was planned that has not happened.
    pub(crate) fn awaits_crash(&self) -> bool {
        self.crash.is_some()
    }

    /// Whether there is a drain, over or not.
    pub(crate) fn has_drain(&self) -> bool {
        self.controller.snapshot(self.now).drain.is_some()
    }

    /// The result of the drain, once it is over.
    pub(crate) fn result(&self) -> Option<DrainResult> {
        self.oracle.result()
    }

    /// Whether no caller waits any more.
    pub(crate) fn has_released_all(&self) -> bool {
        self.callers.is_empty() && self.unauthorized.is_empty()
    }

    /// Lets one thing happen.
    pub(crate) fn apply(&mut self, event: &Event) {
        self.wait(Duration::from_millis(1));
        match *event {
            Event::Wait(time) => self.wait(time),
            Event::Jump(time) => {
                self.now = self.now + time;
                self.input(Input::Tick);
            }
            Event::Call(trigger) => self.call(trigger),
            Event::Hangup(which) if which < self.callers.len() => {
                let (caller, _) = self.callers.remove(which);
                self.input(Input::Hangup(caller));
            }
            Event::UnauthorizedCall => self.call_unauthorized(),
            Event::UnauthorizedHangup(which) if which < self.unauthorized.len() => {
                let (caller, _) = self.unauthorized.remove(which);
                self.input(Input::Hangup(caller));
            }
            Event::Hangup(_) | Event::UnauthorizedHangup(_) => {}
            Event::Sigterm => {
                self.oracle.sigterm(self.now);
                self.input(Input::Sigterm);
            }
            Event::Streams(streams) => self.set_streams(streams),
            Event::Batch(batch) => self.change_load(|process, _| process.batch = batch),
            Event::Traffic(ref rates) => self.change_load(|process, now| process.traffic.set_rates(now, rates)),
            Event::Table(readable) => self.behaviour.table_readable = readable,
            Event::Page(page) => self.behaviour.page = page,
            Event::Lazy(lazy) => self.behaviour.lazy_series = lazy,
            Event::BeginExit => self.process.iter_mut().for_each(|process| process.exiting = true),
            Event::Exit(status) => self.exit_process(status),
            Event::Start => self.start_process(),
            Event::SecondMatch(second) => self.behaviour.second_match = second,
            Event::NotCaught(not_caught) => self.behaviour.not_caught = not_caught,
            Event::SignalsFail(fail) => self.behaviour.signals_fail = fail,
            Event::ExitsWhenEmpty(exits) => self.behaviour.exits_when_empty = exits,
            Event::PollTakes(time) => self.behaviour.poll = time,
            Event::AnswersTwice(twice) => self.behaviour.answers_twice = twice,
            Event::SearchTakes(time) => self.behaviour.search = time,
            Event::SidecarCrash(after_actions, away, new_incarnation) => {
                self.crash = Some(Crash { after_actions, away, new_incarnation });
            }
        }
    }

    // === time ===

    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let first = self.pending.iter().map(|(due, _)| *due).min();
            let timeout = self.controller.poll_timeout();
            let wake = first.map_or(timeout, |due| due.min(timeout));
            if wake > until {
                break;
            }
            self.now = self.now.max(wake);
            let due = self.pending.iter().position(|(due, _)| *due <= self.now);
            let input = due.map(|at| self.pending.remove(at).1);
            self.input(input.unwrap_or(Input::Tick));
        }
        self.now = self.now.max(until);
    }

    fn input(&mut self, input: Input) {
        let input = self.with_exiting_target(input);
        self.oracle.on_input(self.now, &input);
        self.controller.handle(self.now, input);
        self.run_actions();
    }

    /// A poller looks after reading whether the target of the poll is still intact.
    fn with_exiting_target(&self, input: Input) -> Input {
        let Input::Polled(mut poll) = input else { return input };
        let is_intact = |target: &Incarnation| {
            self.process.as_ref().is_some_and(|process| process.incarnation == *target && !process.exiting)
        };
        poll.target_exiting = poll.target_exiting.filter(|target| !is_intact(target));
        Input::Polled(poll)
    }

    fn run_actions(&mut self) {
        let mut actions = 0;
        while let Some(action) = self.controller.poll_action() {
            actions += 1;
            assert!(actions < 64, "the actions do not end");
            match &mut self.crash {
                &mut Some(crash @ Crash { after_actions: 0, .. }) => {
                    self.crash_sidecar(crash);
                    continue;
                }
                Some(crash) => crash.after_actions -= 1,
                None => {}
            }
            if let Some(input) = self.perform(action) {
                self.oracle.on_input(self.now, &input);
                self.controller.handle(self.now, input);
            }
        }
        self.oracle.check(self.now, &self.controller, self.callers.len(), &self.unauthorized);
        self.exit_if_empty();
    }

    /// The sidecar crashes, and with it its connections, polls and searches; another one resumes.
    fn crash_sidecar(&mut self, crash: Crash) {
        self.crash = None;
        self.callers.clear();
        self.unauthorized.clear();
        self.pending.clear();
        self.watched = None;
        self.now = self.now + crash.away;
        if crash.new_incarnation {
            self.process = None;
            self.start_process();
        }
        self.last_search = self.now;
        self.policy.own_start_ticks = ticks(self.now);
        if let Some(state) = &self.state {
            self.saved = state.load(self.now).expect("a valid state file");
        }
        self.oracle.resume(self.now, self.policy.own_start_ticks, self.saved);
        self.controller = Controller::new(self.now, self.policy.clone(), self.saved);
    }

    // === what comes of the machine's actions ===

    fn perform(&mut self, action: Action) -> Option<Input> {
        self.oracle.on_action(self.now, &action, self.saved.as_ref());
        match action {
            Action::FindTarget { requested_at, .. } => self.search(requested_at),
            Action::PollSources { requested_at, timeout, target } => self.poll(requested_at, timeout, target),
            Action::WatchTarget(incarnation) => {
                self.watched = Some(incarnation);
                let is_there = self.process.as_ref().is_some_and(|process| process.incarnation == incarnation);
                return (!is_there).then_some(Input::Exited(incarnation, ExitStatus::Unknown));
            }
            Action::SaveState(saved) => self.save(Some(saved)),
            Action::ClearState => self.save(None),
            Action::SendSignal(incarnation) => {
                return Some(Input::SignalResult(incarnation, self.signal(incarnation)));
            }
            Action::KillTarget(incarnation) => self.kill(incarnation),
            Action::ReportOutcome(result) => self.reported.push(result),
            Action::StreamEnded(_) => {}
            Action::Reply(caller, reply) => self.on_reply(caller, reply),
            Action::Exit => {
                let ordered = self.policy.on_sigterm == SigtermPolicy::Exit;
                assert!(self.unauthorized.is_empty() || ordered, "the sidecar exits while callers wait");
                let away = Duration::from_millis(10);
                self.crash_sidecar(Crash { after_actions: 0, away, new_incarnation: false });
            }
        }
        None
    }

    fn on_reply(&mut self, caller: CallerId, reply: Reply) {
        let Reply::Finished(result) = reply else { panic!("few callers are refused") };
        if let Some(which) = self.unauthorized.iter().position(|(waiting, _)| *waiting == caller) {
            let (_, called_at) = self.unauthorized.remove(which);
            self.oracle.on_unauthorized_reply(self.now, called_at, &result);
        } else {
            let which = self.callers.iter().position(|(waiting, _)| *waiting == caller).expect("a caller that waits");
            self.callers.remove(which);
            self.oracle.on_reply(&result);
        }
    }

    fn save(&mut self, saved: Option<SavedDrain>) {
        // A result may be reported by the next sidecar, when streams may be active again; it is saved when it is final.
        if let Some(SavedResult { ended_at, result, reported: false }) = saved.and_then(|saved| saved.finished)
            && ended_at == self.now
        {
            self.assert_truly_idle(&result);
        }
        self.saved = saved;
        if let Some(state) = &self.state {
            saved.map_or_else(|| state.erase(), |saved| state.write(&saved)).expect("a file can be written");
        }
    }

    fn search(&mut self, requested_at: Time) {
        let Behaviour { second_match, not_caught, search, .. } = self.behaviour;
        let result = match &self.process {
            None => SearchResult::NotFound,
            Some(process) if second_match => SearchResult::Ambiguous(vec![process.incarnation.pid, 9999]),
            Some(Process { incarnation, .. }) => {
                let blocker = not_caught.then_some(SignalBlocker::NotCaught);
                SearchResult::Found(Found { incarnation: *incarnation, name: "impeller".into(), blocker })
            }
        };
        // One thread searches, so answers come in the order of the requests.
        self.last_search = self.last_search.max(self.now + search);
        self.pending.push((self.last_search, Input::SearchResult { requested_at, result }));
    }

    /// Everything is read now; each source answers a little later than the one before it, and whatever has not answered
    /// at the timeout is left out.
    fn poll(&mut self, requested_at: Time, timeout: Duration, target: Option<Incarnation>) {
        let Some(time) = self.behaviour.poll else { return };
        self.last_poll = time;
        let wants_table = !self.policy.idle.ports.is_empty() || self.policy.sources.contains(&Source::Sockets);
        let in_time = |time: &Duration| *time <= timeout;
        let sockets = Some(time).filter(in_time).filter(|_| wants_table);
        let sockets = sockets.map(|time| SocketReading { read_at: self.now + time, table: self.table() });
        let mut readings = Vec::new();
        let mut ends = time;
        for (source, nth) in self.policy.sources.clone().into_iter().zip(0_u32..) {
            ends = time + STAGGER * nth;
            if in_time(&ends) {
                readings.push((source, self.read(source)));
            }
        }
        // At the very instant at which the machine gives a poll up, its answer may be used or not: it comes before.
        let due = self.now + ends.min(timeout);
        let poll = Poll { requested_at, readings, sockets, capacity: None, target_exiting: target };
        if self.behaviour.answers_twice {
            self.pending.push((due + REPEAT, Input::Polled(poll.clone())));
        }
        self.pending.push((due, Input::Polled(poll)));
    }

    /// What the socket table shows now.
    fn table(&mut self) -> Result<SocketTable, ReadError> {
        let now = self.now;
        let table = self.process.as_mut().map(|process| process.traffic.table(now)).unwrap_or_default();
        if self.behaviour.table_readable { Ok(table) } else { Err(ReadError::new(ReadErrorKind::Invalid, "")) }
    }

    /// What a source answers now.
    fn read(&mut self, source: Source) -> Reading {
        let failure = |kind| Reading::Unknown(ReadError::new(kind, ""));
        if source == Source::Sockets {
            return match self.table() {
                Ok(table) => Reading::Counts(vec![table.count(PORT)]),
                Err(error) => Reading::Unknown(error),
            };
        }
        let Some(process) = &self.process else { return failure(ReadErrorKind::ConnectionRefused) };
        match (self.behaviour.page, source) {
            (Page::Up, Source::Lazy) => {
                Reading::Counts(vec![self.behaviour.lazy_series.then_some(Count::of(process.streams))])
            }
            (Page::Absent, _) => Reading::Counts(vec![None]),
            (Page::Up, Source::Metrics | Source::Sockets | Source::Status) => {
                let batch = Count { streams: process.batch, never_idle: process.batch };
                Reading::Counts(vec![Some(Count::of(process.streams).plus(batch))])
            }
            (Page::Refused, _) => failure(ReadErrorKind::ConnectionRefused),
            (Page::NoResponse, _) => failure(ReadErrorKind::NoResponse),
            (Page::Invalid, _) => failure(ReadErrorKind::Invalid),
        }
    }

    fn signal(&mut self, incarnation: Incarnation) -> bool {
        let process = self.process.as_mut().filter(|process| process.incarnation == incarnation);
        let Some(process) = process.filter(|_| !self.behaviour.signals_fail) else { return false };
        assert!(!process.signalled, "{incarnation:?} is signalled twice");
        process.signalled = true;
        process.traffic.listening = false;
        self.signals += 1;
        true
    }

    fn kill(&mut self, incarnation: Incarnation) {
        if self.process.as_ref().is_some_and(|process| process.incarnation == incarnation) {
            self.kills += 1;
            self.exit_process(ExitStatus::Killed(9));
        }
    }

    /// Only streams that were truly idle for a whole window are called idle, and there were streams.
    fn assert_truly_idle(&mut self, result: &DrainResult) {
        if result.outcome != Outcome::Idle {
            return;
        }
        let now = self.now;
        let window = self.policy.idle.rule.window;
        // A target that is not watched may have ended since the readings were taken.
        let Some(process) = self.process.as_mut() else { return };
        process.traffic.advance(now);
        // The readings cannot know what has changed since they were taken.
        let unread = self.last_poll + Duration::from_millis(200);
        let active = process.traffic.last_active().filter(|active| *active + window > now + unread);
        let idle = active.is_none() && process.batch == 0;
        assert!(self.load_changed_at + unread >= now || idle, "active streams are cut: {process:?}");
    }

    // === what happens to the callers and the target ===

    fn new_caller(&mut self) -> CallerId {
        self.next_caller += 1;
        CallerId(self.next_caller)
    }

    fn call(&mut self, trigger: Trigger) {
        let hooks = self.callers.iter().filter(|(_, trigger)| *trigger == Trigger::Hook).count();
        let caller = self.new_caller();
        self.callers.push((caller, trigger));
        self.oracle.call(self.now, trigger, hooks);
        let kind = if trigger == Trigger::Hook { CallKind::Hook } else { CallKind::Person };
        self.input(Input::Call { caller, kind, at: self.now });
    }

    fn call_unauthorized(&mut self) {
        let caller = self.new_caller();
        self.unauthorized.push((caller, self.now));
        self.input(Input::Call { caller, kind: CallKind::Unauthorized, at: self.now });
    }

    fn change_load(&mut self, change: impl FnOnce(&mut Process, Time)) {
        self.load_changed_at = self.now;
        if let Some(process) = &mut self.process {
            change(process, self.now);
        }
    }

    fn set_streams(&mut self, streams: u64) {
        if let Some(process) = &mut self.process {
            process.streams = streams;
        }
        self.exit_if_empty();
    }

    fn exit_if_empty(&mut self) {
        let is_empty = |process: &Process| process.streams + process.batch == 0 && process.traffic.flows.is_empty();
        let exits = |process: &Process| process.signalled && is_empty(process);
        if self.behaviour.exits_when_empty && self.process.as_ref().is_some_and(exits) {
            self.exit_process(ExitStatus::Code(0));
        }
    }

    fn exit_process(&mut self, status: ExitStatus) {
        let Some(process) = self.process.take() else { return };
        if self.watched == Some(process.incarnation) {
            self.input(Input::Exited(process.incarnation, status));
        }
    }

    fn start_process(&mut self) {
        if self.process.is_none() {
            self.incarnations += 1;
            let incarnation = Incarnation { pid: self.incarnations, started: ticks(self.now) };
            let traffic = Traffic::new(self.now);
            self.process =
                Some(Process { incarnation, streams: 0, batch: 0, traffic, signalled: false, exiting: false });
        }
    }
}

fn ticks(time: Time) -> u64 {
    u64::try_from(time.as_duration().as_millis() / 10).unwrap_or(u64::MAX)
}
