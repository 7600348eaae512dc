//! A pod on paper: the machine, and a little world around it that does what it is told and in which time is stepped.
//!
//! Time is in seconds since the pod began. Every [`Deed`] must be expected at its very instant: one that comes early,
//! late or unasked fails the script. The world wakes the machine only when it asked to be woken.

use std::collections::VecDeque;
use std::time::Duration;

use lameduck_machine::controller::Controller;
use lameduck_machine::io::{Action, Input, UnauthorizedCaller};
use lameduck_machine::policy::Policy;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::{ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::result::{DrainResult, ExitStatus, Outcome, Trigger};
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::snapshot::{Phase, Snapshot};
use lameduck_machine::target::{Incarnation, SearchResult};
use lameduck_machine::time::Time;

use lameduck_test_support::traffic::Traffic;

pub(crate) use lameduck_test_support::traffic::PORT;

pub(crate) use lameduck_test_support::machine::{count, fault, found, life, policy, second};

/// What the world sees the machine do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// The signal, to this life of the target.
    Signal(u32),
    /// The end, to this life of the target.
    Kill(u32),
    /// Every caller is answered, with so many stragglers.
    Release(Outcome, Option<u64>),
    /// This waiter is answered, with so many stragglers.
    Dismiss(u64, Outcome, Option<u64>),
    /// The sidecar leaves.
    Leave,
}

/// What a page does when it is read.
#[derive(Clone, Debug)]
enum Page {
    Says(Vec<(Source, Reading)>),
    Hangs,
}

/// The machine in its world.
pub(crate) struct Pod {
    pub(crate) keeper: Controller,
    pub(crate) policy: Policy,
    pub(crate) note: Option<SavedDrain>,
    pub(crate) result: Option<DrainResult>,
    /// The answer of the last waiter that was let go.
    pub(crate) dismissed: Option<DrainResult>,
    /// The readings and searches that were ordered and not answered.
    pub(crate) unread: Vec<(Time, Duration)>,
    pub(crate) unsought: Vec<Time>,
    now: Time,
    page: Page,
    /// The connections, and whether the table of them can be read.
    traffic: Traffic,
    table: bool,
    table_hangs: bool,
    sighting: Option<SearchResult>,
    ended: Vec<Incarnation>,
    signals_go_out: bool,
    answers: VecDeque<Input>,
    deeds: Vec<(Time, Deed)>,
    /// How long streams lasted that have ended.
    pub(crate) lived: Vec<Duration>,
}

impl Pod {
    /// A pod that has just begun, in which the first life serves so many streams.
    pub(crate) fn serving(streams: u64) -> Self {
        Self::begin(policy(), Some(found(1, None)), &[(Source::Metrics, count(streams))])
    }

    /// The same under another policy.
    pub(crate) fn with(streams: u64, change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = policy();
        change(&mut policy);
        Self::begin(policy, Some(found(1, None)), &[(Source::Metrics, count(streams))])
    }

    /// A pod that begins with this to be seen and to be read.
    pub(crate) fn begin(policy: Policy, sighting: Option<SearchResult>, says: &[(Source, Reading)]) -> Self {
        let now = second(0);
        let mut pod = Self {
            keeper: Controller::new(now, policy.clone(), None),
            policy,
            note: None,
            result: None,
            dismissed: None,
            unread: Vec::new(),
            unsought: Vec::new(),
            now,
            page: Page::Says(says.to_vec()),
            traffic: Traffic::begin(now),
            table: true,
            table_hangs: false,
            sighting,
            ended: Vec::new(),
            signals_go_out: true,
            answers: VecDeque::new(),
            deeds: Vec::new(),
            lived: Vec::new(),
        };
        pod.act();
        pod
    }

    // === time ===

    /// Lets time pass up to this second; the machine is woken when it asked for it.
    pub(crate) fn at(&mut self, seconds: impl Into<f64>) -> &mut Self {
        let until = second(seconds);
        loop {
            let wake = self.keeper.poll_timeout();
            assert!(wake > self.now, "the machine wants to be woken at {wake:?}, and it is {:?}", self.now);
            if wake > until {
                break;
            }
            self.nothing_unexpected();
            self.now = wake;
            self.input(Input::Tick);
        }
        if until > self.now {
            self.nothing_unexpected();
        }
        self.now = until;
        self
    }

    /// The clock jumps to this second, and the machine is woken late.
    pub(crate) fn jumps_to(&mut self, seconds: impl Into<f64>) -> &mut Self {
        self.now = second(seconds);
        self.input(Input::Tick)
    }

    // === the world ===

    pub(crate) fn input(&mut self, input: Input) -> &mut Self {
        self.keeper.handle(self.now, input);
        self.act();
        self
    }

    pub(crate) fn call(&mut self, trigger: Trigger) -> &mut Self {
        self.input(Input::Call(trigger))
    }

    /// A call that was made at an earlier second.
    pub(crate) fn called(&mut self, trigger: Trigger, seconds: impl Into<f64>) -> &mut Self {
        self.input(Input::Called(trigger, second(seconds)))
    }

    pub(crate) fn hangup(&mut self, trigger: Trigger) -> &mut Self {
        self.input(Input::Hangup(trigger))
    }

    /// Somebody waits who may not ask for a drain.
    pub(crate) fn wait(&mut self, waiter: u64) -> &mut Self {
        self.input(Input::Wait(UnauthorizedCaller(waiter)))
    }

    pub(crate) fn forsake(&mut self, waiter: u64) -> &mut Self {
        self.input(Input::Forsake(UnauthorizedCaller(waiter)))
    }

    pub(crate) fn sigterm(&mut self) -> &mut Self {
        self.input(Input::Terminate)
    }

    /// From now on the page counts so many streams.
    pub(crate) fn streams(&mut self, streams: u64) -> &mut Self {
        self.says(&[(Source::Metrics, count(streams))])
    }

    /// From now on the page fails.
    pub(crate) fn fails(&mut self, kind: ReadErrorKind) -> &mut Self {
        let faults: Vec<_> = self.policy.sources.iter().map(|source| (*source, fault(kind))).collect();
        self.says(&faults)
    }

    pub(crate) fn says(&mut self, says: &[(Source, Reading)]) -> &mut Self {
        self.page = Page::Says(says.to_vec());
        self
    }

    /// From now on there are just these connections, which carry so many bytes a second to the target.
    pub(crate) fn carries(&mut self, rates: &[u64]) -> &mut Self {
        self.traffic.carry(self.now, rates);
        self
    }

    /// Whether the target listens from now on.
    pub(crate) fn listens(&mut self, listening: bool) -> &mut Self {
        self.traffic.listening = listening;
        self
    }

    /// Whether the socket table can be read from now on.
    pub(crate) fn shows_sockets(&mut self, readable: bool) -> &mut Self {
        self.table = readable;
        self
    }

    /// From now on nobody says what the socket table shows.
    pub(crate) fn sockets_hang(&mut self) -> &mut Self {
        self.table_hangs = true;
        self
    }

    /// From now on readings do not come back.
    pub(crate) fn hangs(&mut self) -> &mut Self {
        self.page = Page::Hangs;
        self
    }

    /// The newest reading that hangs comes in now after all.
    pub(crate) fn answers_late(&mut self, says: &[(Source, Reading)]) -> &mut Self {
        let (requested_at, _) = self.unread.pop().expect("a reading that hangs");
        self.answer(requested_at, says);
        self.act();
        self
    }

    /// From now on a search sees this.
    pub(crate) fn sees(&mut self, sighting: SearchResult) -> &mut Self {
        self.sighting = Some(sighting);
        self
    }

    /// From now on searches do not come back.
    pub(crate) fn searches_hang(&mut self) -> &mut Self {
        self.sighting = None;
        self
    }

    pub(crate) fn signals_fail(&mut self, fail: bool) -> &mut Self {
        self.signals_go_out = !fail;
        self
    }

    /// This life is dying, so that nothing is read of it any more.
    pub(crate) fn dies(&mut self, n: u32) -> &mut Self {
        self.hangs().input(Input::Dying(life(n)))
    }

    /// This life ends, and with it its page.
    pub(crate) fn exits(&mut self, n: u32, ending: ExitStatus) -> &mut Self {
        self.ended.push(life(n));
        self.sees(SearchResult::NotFound).fails(ReadErrorKind::ConnectionRefused).input(Input::Exited(life(n), ending))
    }

    /// The sidecar dies, and a new one goes on with what was noted.
    pub(crate) fn restarts(&mut self) -> &mut Self {
        self.unread.clear();
        self.unsought.clear();
        let ticks = self.now.since(second(0)).as_millis() / 10;
        self.policy.own_start_ticks = policy().own_start_ticks + u64::try_from(ticks).expect("a script is short");
        self.keeper = Controller::new(self.now, self.policy.clone(), self.note);
        self.act();
        self
    }

    fn act(&mut self) {
        loop {
            while let Some(action) = self.keeper.poll_action() {
                if let Some(input) = self.perform(&action) {
                    self.keeper.handle(self.now, input);
                }
            }
            let Some(answer) = self.answers.pop_front() else { break };
            self.keeper.handle(self.now, answer);
        }
    }

    /// What comes of an action at once; searches and readings are answered when all actions are done.
    fn perform(&mut self, action: &Action) -> Option<Input> {
        match *action {
            Action::Seek { requested_at, .. } => match self.sighting.clone() {
                Some(sighting) => self.answers.push_back(Input::Sighted { requested_at, sighting }),
                None => self.unsought.push(requested_at),
            },
            Action::Read { requested_at, bound, .. } => match self.page.clone() {
                Page::Says(says) => self.answer(requested_at, &says),
                Page::Hangs => self.unread.push((requested_at, bound)),
            },
            Action::Watch(incarnation) => {
                return self.ended.contains(&incarnation).then_some(Input::Exited(incarnation, ExitStatus::Unknown));
            }
            Action::Write(note) => self.note = Some(note),
            Action::Erase => self.note = None,
            Action::Signal(incarnation) => return Some(self.signal(incarnation)),
            Action::Kill(incarnation) => {
                self.done(Deed::Kill(incarnation.pid));
                return Some(Input::Killed(incarnation, true));
            }
            Action::Lived(life) => self.lived.push(life),
            Action::Conclude(result) => self.result = Some(result),
            Action::Release(result) => self.done(Deed::Release(result.outcome, result.stragglers)),
            Action::Dismiss(waiter, result) => {
                self.dismissed = Some(result);
                self.done(Deed::Dismiss(waiter.0, result.outcome, result.stragglers));
            }
            Action::Leave => self.done(Deed::Leave),
        }
        None
    }

    fn answer(&mut self, requested_at: Time, says: &[(Source, Reading)]) {
        self.answer_sockets(requested_at);
        let counted = |(source, reading)| Input::Counted { requested_at, source, reading };
        self.answers.extend(says.iter().cloned().map(counted));
    }

    fn answer_sockets(&mut self, requested_at: Time) {
        if self.table_hangs {
            return;
        }
        let table = self.traffic.table(self.now);
        let fault = || ReadError::new(ReadErrorKind::Invalid, "no table");
        let counts = vec![table.count(PORT)];
        let table = if self.table { Ok(table) } else { Err(fault()) };
        self.answers.push_back(Input::Connections { requested_at, table });
        if self.policy.sources.contains(&Source::Sockets) {
            let reading = if self.table { Reading::Counts(counts) } else { Reading::Unknown(fault()) };
            self.answers.push_back(Input::Counted { requested_at, source: Source::Sockets, reading });
        }
    }

    fn signal(&mut self, incarnation: Incarnation) -> Input {
        let noted = self.note.is_some_and(|note| note.signalled && note.incarnation == Some(incarnation));
        assert!(noted, "a signal goes out that is not noted: {:?}", self.note);
        if self.signals_go_out {
            self.done(Deed::Signal(incarnation.pid));
        }
        Input::Signalled(incarnation, self.signals_go_out)
    }

    fn done(&mut self, deed: Deed) {
        self.deeds.push((self.now, deed));
    }

    // === what must be so ===

    /// Exactly these deeds were done, at this very instant.
    pub(crate) fn expect<const N: usize>(&mut self, deeds: [Deed; N]) -> &mut Self {
        let expected: Vec<_> = deeds.into_iter().map(|deed| (self.now, deed)).collect();
        assert_eq!(std::mem::take(&mut self.deeds), expected);
        self
    }

    pub(crate) fn phase(&mut self, phase: Phase) -> &mut Self {
        assert_eq!(self.snapshot().phase, phase, "at {:?}", self.now);
        self
    }

    pub(crate) fn counted(&mut self, streams: Option<u64>) -> &mut Self {
        assert_eq!(self.snapshot().streams, streams, "at {:?}", self.now);
        self
    }

    pub(crate) fn idle(&mut self, streams: Option<u64>) -> &mut Self {
        assert_eq!(self.snapshot().idle_streams, streams, "at {:?}", self.now);
        self
    }

    pub(crate) fn ready(&mut self) -> &mut Self {
        self.unready(None)
    }

    pub(crate) fn unready(&mut self, unready: impl Into<Option<NotReady>>) -> &mut Self {
        assert_eq!(self.keeper.unready(), unready.into(), "at {:?}", self.now);
        self
    }

    pub(crate) fn deadline(&mut self, seconds: impl Into<f64>) -> &mut Self {
        assert_eq!(self.snapshot().drain.map(|drain| drain.deadline), Some(second(seconds)));
        self
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.keeper.snapshot(self.now)
    }

    fn nothing_unexpected(&self) {
        assert!(self.deeds.is_empty(), "nobody expected this: {:?}", self.deeds);
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.nothing_unexpected();
        }
    }
}
