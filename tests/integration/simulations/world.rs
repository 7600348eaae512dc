//! A truthful little world around the machine: a target that comes and goes, its page, searches and readings that
//! take their time, callers, and a state dir that outlives the sidecar. [`SourceState`] holds the machine to its contract.

use std::time::Duration;

use lameduck::io::state::StateFile;
use lameduck_machine::controller::Controller;
use lameduck_machine::io::{Action, Input, UnauthorizedCaller};
use lameduck_machine::policy::{Policy, SigtermPolicy};
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::result::{DrainResult, ExitStatus, Outcome, Trigger};
use lameduck_machine::saved_drain::{SavedDrain, SavedResult};
use lameduck_machine::socket_table::SocketTable;
use lameduck_machine::target::{Found, Incarnation, SearchResult, SignalBlocker};
use lameduck_machine::time::Time;

use crate::simulations::history::{Event, Page};
use crate::simulations::oracle::SourceState;
use lameduck_test_support::traffic::{PORT, Traffic};

/// One life of the target.
#[derive(Clone, Debug)]
struct Life {
    incarnation: Incarnation,
    streams: u64,
    batch: u64,
    traffic: Traffic,
    signalled: bool,
    dying: bool,
}

/// The world.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct World {
    keeper: Controller,
    policy: Policy,
    now: Time,
    note: Option<SavedDrain>,
    witness: SourceState,
    callers: Vec<Trigger>,
    /// Those who may not ask for a drain, and when they came.
    waiters: Vec<(UnauthorizedCaller, Time)>,
    strangers: u64,
    pending: Vec<(Time, Input)>,
    life: Option<Life>,
    lives: u32,
    watched: Option<Incarnation>,
    last_search: Time,
    page: Page,
    lazy: bool,
    table: bool,
    second: bool,
    obstacle: bool,
    refusal: bool,
    polite: bool,
    twice: bool,
    reading: Option<Duration>,
    /// How long the reading takes that was ordered last.
    last_reading: Duration,
    search: Duration,
    death: Option<(u8, Duration, bool)>,
    /// When the work of the target was changed last.
    changed: Time,
    /// Where the note is kept, if it is not only remembered.
    state: Option<StateFile>,
    /// Every verdict that was told.
    pub(crate) told: Vec<DrainResult>,
    /// How often the target was signalled, and killed.
    pub(crate) signals: usize,
    pub(crate) kills: usize,
}

const START: Time = Time::since_boot(Duration::from_secs(1000));

impl World {
    pub(crate) fn new(mut policy: Policy) -> Self {
        policy.own_start_ticks = ticks(START);
        let mut world = Self {
            keeper: Controller::new(START, policy.clone(), None),
            witness: SourceState::new(policy.clone()),
            policy,
            now: START,
            note: None,
            callers: Vec::new(),
            waiters: Vec::new(),
            strangers: 0,
            pending: Vec::new(),
            life: None,
            lives: 0,
            watched: None,
            last_search: START,
            page: Page::Up,
            lazy: true,
            table: true,
            second: false,
            obstacle: false,
            refusal: false,
            polite: false,
            twice: false,
            reading: Some(Duration::ZERO),
            last_reading: Duration::ZERO,
            search: Duration::ZERO,
            death: None,
            changed: START,
            state: None,
            told: Vec::new(),
            signals: 0,
            kills: 0,
        };
        world.act();
        world.wait(Duration::from_millis(20));
        world.start();
        world
    }

    /// From now on the note is kept in a file.
    pub(crate) fn keep_notes(&mut self, state: StateFile) {
        self.state = Some(state);
    }

    /// Whether a death was ordered that has not come.
    pub(crate) fn awaits_death(&self) -> bool {
        self.death.is_some()
    }

    /// Whether there is a drain, over or not.
    pub(crate) fn has_drain(&self) -> bool {
        self.keeper.snapshot(self.now).drain.is_some()
    }

    /// The verdict of the drain, once it is over.
    pub(crate) fn result(&self) -> Option<DrainResult> {
        self.witness.result()
    }

    /// Whether nobody waits any more.
    pub(crate) fn has_released_everybody(&self) -> bool {
        self.callers.is_empty() && self.waiters.is_empty()
    }

    /// Lets one thing happen.
    pub(crate) fn happens(&mut self, event: &Event) {
        self.wait(Duration::from_millis(1));
        match *event {
            Event::Wait(time) => self.wait(time),
            Event::Jump(time) => {
                self.now = self.now + time;
                self.input(Input::Tick);
            }
            Event::Call(trigger) => self.call(trigger),
            Event::Hangup(which) if which < self.callers.len() => {
                let trigger = self.callers.remove(which);
                self.input(Input::Hangup(trigger));
            }
            Event::Stranger => self.wait_tokenless(),
            Event::Forsake(which) if which < self.waiters.len() => {
                let (waiter, _) = self.waiters.remove(which);
                self.input(Input::Forsake(waiter));
            }
            Event::Hangup(_) | Event::Forsake(_) => {}
            Event::Sigterm => {
                self.witness.sigterm(self.now);
                self.input(Input::Terminate);
            }
            Event::Streams(streams) => self.streams(streams),
            Event::Batch(batch) => self.batch(batch),
            Event::Traffic(ref rates) => self.carry(rates),
            Event::Table(table) => self.table = table,
            Event::Page(page) => self.page = page,
            Event::Lazy(lazy) => self.lazy = lazy,
            Event::Dying => self.begin_to_die(),
            Event::Exit(ending) => self.exit(ending),
            Event::Start => self.start(),
            Event::Second(second) => self.second = second,
            Event::SignalBlocker(obstacle) => self.obstacle = obstacle,
            Event::Refusal(refusal) => self.refusal = refusal,
            Event::Politeness(polite) => self.polite = polite,
            Event::Reading(time) => self.reading = time,
            Event::Twice(twice) => self.twice = twice,
            Event::Search(time) => self.search = time,
            Event::Death(actions, away, anew) => self.death = Some((actions, away, anew)),
        }
    }

    // === time ===

    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let first = self.pending.iter().map(|(due, _)| *due).min();
            let wake = first.map_or(self.keeper.poll_timeout(), |due| due.min(self.keeper.poll_timeout()));
            if wake > until {
                break;
            }
            self.now = self.now.max(wake);
            let input = self.pending.iter().position(|(due, _)| *due <= self.now).map(|at| self.pending.remove(at).1);
            self.input(input.map_or(Input::Tick, |input| self.as_told(input)));
        }
        self.now = self.now.max(until);
    }

    /// What whoever reads tells: that the target is dying, if it is, instead of what was read.
    fn as_told(&self, input: Input) -> Input {
        let dying = self.life.as_ref().filter(|life| life.dying).map(|life| life.incarnation);
        match (dying, &input) {
            (Some(dying), Input::Counted { .. } | Input::Connections { .. }) => Input::Dying(dying),
            _ => input,
        }
    }

    fn input(&mut self, input: Input) {
        self.witness.input(self.now, &input);
        self.keeper.handle(self.now, input);
        self.act();
    }

    fn act(&mut self) {
        let mut actions = 0;
        while let Some(action) = self.keeper.poll_action() {
            actions += 1;
            assert!(actions < 64, "the actions do not end");
            match &mut self.death {
                &mut Some((0, away, anew)) => {
                    self.dies(away, anew);
                    continue;
                }
                Some((left, _, _)) => *left -= 1,
                None => {}
            }
            if let Some(input) = self.perform(&action) {
                self.witness.input(self.now, &input);
                self.keeper.handle(self.now, input);
            }
        }
        self.witness.looks(self.now, &self.keeper, self.callers.len(), &self.waiters);
        if self.polite {
            self.leave_politely();
        }
    }

    /// The sidecar dies, and with it its callers' connections, readings and searches; another goes on.
    fn dies(&mut self, away: Duration, anew: bool) {
        self.death = None;
        self.callers.clear();
        self.waiters.clear();
        self.pending.clear();
        self.watched = None;
        self.now = self.now + away;
        if anew {
            self.life = None;
            self.start();
        }
        self.last_search = self.now;
        self.policy.own_start_ticks = ticks(self.now);
        if let Some(state) = &self.state {
            self.note = state.load(self.now).expect("a note that can be believed");
        }
        self.witness.resumes(self.now, self.policy.own_start_ticks, self.note);
        self.keeper = Controller::new(self.now, self.policy.clone(), self.note);
    }

    // === what the machine wants done ===

    fn perform(&mut self, action: &Action) -> Option<Input> {
        self.witness.sees(self.now, action, self.note.as_ref());
        match *action {
            Action::Seek { requested_at, .. } => self.seek(requested_at),
            Action::Read { requested_at, .. } => self.read(requested_at),
            Action::Watch(incarnation) => {
                self.watched = Some(incarnation);
                let alive = self.life.as_ref().is_some_and(|life| life.incarnation == incarnation);
                return (!alive).then_some(Input::Exited(incarnation, ExitStatus::Unknown));
            }
            Action::Write(note) => self.notes(Some(note)),
            Action::Erase => self.notes(None),
            Action::Signal(incarnation) => return Some(Input::Signalled(incarnation, self.signal(incarnation))),
            Action::Kill(incarnation) => return Some(Input::Killed(incarnation, self.kill(incarnation))),
            Action::Conclude(result) => self.told.push(result),
            Action::Lived(_) => {}
            Action::Release(_) => self.callers.clear(),
            Action::Dismiss(waiter, result) => {
                let which = self.waiters.iter().position(|(waiting, _)| *waiting == waiter).expect("nobody waits so");
                let (_, called) = self.waiters.remove(which);
                self.witness.dismisses(self.now, called, &result);
            }
            Action::Leave => {
                let bidden = self.policy.on_sigterm == SigtermPolicy::Exit;
                assert!(self.waiters.is_empty() || bidden, "it leaves those who wait");
                self.dies(Duration::from_millis(10), false);
            }
        }
        None
    }

    fn notes(&mut self, note: Option<SavedDrain>) {
        // A verdict may be told by the next sidecar, when there may be work again; it is noted when it falls.
        if let Some(SavedResult { at, result, told: false }) = note.and_then(|note| note.over)
            && at == self.now
        {
            self.must_be_idle(&result);
        }
        self.note = note;
        if let Some(state) = &self.state {
            note.map_or_else(|| state.erase(), |note| state.write(&note)).expect("a file can be written");
        }
    }

    fn seek(&mut self, requested_at: Time) {
        let sighting = match &self.life {
            None => SearchResult::NotFound,
            Some(life) if self.second => SearchResult::Ambiguous(vec![life.incarnation.pid, 9999]),
            Some(Life { incarnation, .. }) => {
                let obstacle = self.obstacle.then_some(SignalBlocker::NotCaught);
                SearchResult::Found(Found { incarnation: *incarnation, name: "impeller".into(), obstacle })
            }
        };
        // One thread searches, so answers come in the order of the questions.
        self.last_search = self.last_search.max(self.now + self.search);
        self.pending.push((self.last_search, Input::Sighted { requested_at, sighting }));
    }

    fn read(&mut self, requested_at: Time) {
        let Some(time) = self.reading else { return };
        self.last_reading = time;
        if !self.policy.idleness.ports.is_empty() || self.policy.sources.contains(&Source::Sockets) {
            let table = self.sockets();
            // A reading at the very instant at which it is given up may be taken or not, so none is made to wait there.
            let due = self.now + time.saturating_sub(Duration::from_millis(1));
            self.pending.push((due, Input::Connections { requested_at, table }));
        }
        for (source, late) in self.policy.sources.clone().into_iter().zip(0..) {
            let counted = Input::Counted { requested_at, source, reading: self.page(source) };
            let due = self.now + time + Duration::from_millis(late * 50);
            if self.twice {
                self.pending.push((due + Duration::from_millis(300), counted.clone()));
            }
            self.pending.push((due, counted));
        }
    }

    /// What the socket table shows now.
    fn sockets(&mut self) -> Result<SocketTable, ReadError> {
        let now = self.now;
        let table = self.life.as_mut().map(|life| life.traffic.table(now)).unwrap_or_default();
        if self.table { Ok(table) } else { Err(ReadError::new(ReadErrorKind::Invalid, "")) }
    }

    /// What a source says now.
    fn page(&mut self, source: Source) -> Reading {
        let fault = |kind| Reading::Unknown(ReadError { kind, message: String::new() });
        if source == Source::Sockets {
            return match self.sockets() {
                Ok(table) => Reading::Counts(vec![table.count(PORT)]),
                Err(fault) => Reading::Unknown(fault),
            };
        }
        let Some(life) = &self.life else { return fault(ReadErrorKind::ConnectionRefused) };
        match (self.page, source) {
            (Page::Up, Source::Lazy) => Reading::Counts(vec![self.lazy.then_some(Count::of(life.streams))]),
            (Page::Absent, _) => Reading::Counts(vec![None]),
            (Page::Up, Source::Metrics | Source::Sockets | Source::Status) => {
                let batch = Count { streams: life.batch, never_idle: life.batch };
                Reading::Counts(vec![Some(Count::of(life.streams).plus(batch))])
            }
            (Page::Refused, _) => fault(ReadErrorKind::ConnectionRefused),
            (Page::Unanswered, _) => fault(ReadErrorKind::NoResponse),
            (Page::Unreadable, _) => fault(ReadErrorKind::Invalid),
        }
    }

    fn signal(&mut self, incarnation: Incarnation) -> bool {
        let Some(life) = self.life.as_mut().filter(|life| life.incarnation == incarnation) else { return false };
        if self.refusal {
            return false;
        }
        assert!(!life.signalled, "{incarnation:?} is signalled twice");
        life.signalled = true;
        life.traffic.listening = false;
        self.signals += 1;
        true
    }

    fn kill(&mut self, incarnation: Incarnation) -> bool {
        let alive = self.life.as_ref().is_some_and(|life| life.incarnation == incarnation);
        if alive {
            self.kills += 1;
            self.exit(ExitStatus::Killed(9));
        }
        alive
    }

    /// Idle is what truly did not work for a whole window, and there were streams, none of which never is.
    fn must_be_idle(&mut self, result: &DrainResult) {
        if result.outcome != Outcome::Idle {
            return;
        }
        let now = self.now;
        let window = self.policy.idleness.rule.window;
        // One that was not watched may have ended since the readings were taken.
        let Some(life) = self.life.as_mut() else { return };
        life.traffic.pass(now);
        // Whatever has changed since the readings were taken, they cannot know.
        let unread = self.last_reading + Duration::from_millis(200);
        let worked = life.traffic.worked().filter(|worked| *worked + window > now + unread);
        assert!(self.changed + unread >= now || (worked.is_none() && life.batch == 0), "work is cut: {life:?}");
    }

    // === what happens to the target and the callers ===

    fn call(&mut self, trigger: Trigger) {
        let hooks = self.callers.iter().filter(|caller| **caller == Trigger::Hook).count();
        self.callers.push(trigger);
        self.witness.call(self.now, trigger, hooks);
        self.input(Input::Call(trigger));
    }

    fn wait_tokenless(&mut self) {
        let waiter = UnauthorizedCaller(self.strangers);
        self.strangers += 1;
        self.waiters.push((waiter, self.now));
        self.input(Input::Wait(waiter));
    }

    fn batch(&mut self, batch: u64) {
        self.changed = self.now;
        if let Some(life) = &mut self.life {
            life.batch = batch;
        }
    }

    fn carry(&mut self, rates: &[u64]) {
        self.changed = self.now;
        if let Some(life) = &mut self.life {
            life.traffic.carry(self.now, rates);
        }
    }

    fn streams(&mut self, streams: u64) {
        if let Some(life) = &mut self.life {
            life.streams = streams;
        }
        if self.polite {
            self.leave_politely();
        }
    }

    fn leave_politely(&mut self) {
        if self
            .life
            .as_ref()
            .is_some_and(|life| life.signalled && life.streams + life.batch == 0 && life.traffic.flows.is_empty())
        {
            self.exit(ExitStatus::Code(0));
        }
    }

    fn begin_to_die(&mut self) {
        if let Some(life) = &mut self.life {
            life.dying = true;
        }
    }

    fn exit(&mut self, ending: ExitStatus) {
        let Some(life) = self.life.take() else { return };
        if self.watched == Some(life.incarnation) {
            self.input(Input::Exited(life.incarnation, ending));
        }
    }

    fn start(&mut self) {
        if self.life.is_none() {
            self.lives += 1;
            let incarnation = Incarnation { pid: self.lives, started: ticks(self.now) };
            let traffic = Traffic::begin(self.now);
            self.life = Some(Life { incarnation, streams: 0, batch: 0, traffic, signalled: false, dying: false });
        }
    }
}

fn ticks(time: Time) -> u64 {
    u64::try_from(time.as_duration().as_millis() / 10).unwrap_or(u64::MAX)
}
