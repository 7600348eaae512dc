//! Holds the machine to its contract: it sees every input and action of a history, and believes only what it saw.

mod results;

use std::time::Duration;

use lameduck_machine::controller::Controller;
use lameduck_machine::io::{Action, Input, UnauthorizedCaller};
use lameduck_machine::policy::Policy;
use lameduck_machine::policy::SigtermPolicy;
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
    /// From when on a zero may count, and a search may license the signal.
    since: Time,
    over: Option<(Time, DrainResult)>,
    /// Whether the verdict has been told, or is noted as told.
    told: bool,
}

/// What was seen so far.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct SourceState {
    policy: Policy,
    drain: Option<Drain>,
    readings: Readings,
    seen: Option<(Time, SearchResult)>,
    target: Option<Incarnation>,
    ended: Option<ExitStatus>,
    /// When the target was first told to be dying.
    dying: Option<Time>,
    bereft: Option<Time>,
    /// Whether the note says that the signal went out, or is about to.
    signalled: bool,
    /// Whether it is known to have gone out.
    sent: bool,
    sigterm: Option<Time>,
    /// Whether a drain was on since the SIGTERM.
    drained: bool,
    /// A signal that only `unserved` can excuse.
    early: bool,
    fresh_life: bool,
    /// Whether signals have failed to go out.
    refused: bool,
}

impl SourceState {
    pub(crate) fn new(policy: Policy) -> Self {
        let readings = Readings::new(&policy);
        Self {
            policy,
            drain: None,
            readings,
            seen: None,
            target: None,
            ended: None,
            dying: None,
            bereft: None,
            signalled: false,
            sent: false,
            sigterm: None,
            drained: false,
            early: false,
            fresh_life: false,
            refused: false,
        }
    }

    /// Another sidecar goes on with what was noted.
    pub(crate) fn resumes(&mut self, now: Time, own_start_ticks: u64, note: Option<SavedDrain>) {
        let policy = Policy { own_start_ticks, ..self.policy.clone() };
        let lame_duck = self.policy.plan.lame_duck;
        let drain = note.map(|note| Drain {
            started_at: note.started_at,
            deadline: note.deadline,
            since: if note.signalled { now } else { now.max(note.started_at + lame_duck) },
            over: note.over.map(|over| (over.at, over.result)),
            told: note.over.is_some_and(|over| over.told),
        });
        let target = note.and_then(|note| note.incarnation);
        let signalled = note.is_some_and(|note| note.signalled);
        *self = Self { drain, target, signalled, sent: signalled, ..Self::new(policy) };
    }

    pub(crate) fn result(&self) -> Option<DrainResult> {
        let (_, result) = self.drain.as_ref()?.over?;
        Some(result)
    }

    // === what happens ===

    /// A call, while so many hooks are connected.
    pub(crate) fn call(&mut self, now: Time, trigger: Trigger, hooks: usize) {
        let deadline = now + self.policy.plan.budget();
        let hook = trigger == Trigger::Hook;
        let reopens = hook && self.reopens();
        match &mut self.drain {
            None => self.begins(now),
            Some(drain @ Drain { over: None, .. }) if hook && hooks == 0 => drain.deadline = deadline,
            Some(drain @ Drain { over: Some(_), .. }) if reopens => {
                *drain = Drain { deadline, since: now, over: None, told: false, ..drain.clone() };
            }
            Some(_) => {}
        }
    }

    /// Whether a hook has something left to wait for.
    fn reopens(&self) -> bool {
        let over = self.drain.as_ref().and_then(|drain| drain.over);
        let waits = over.is_some_and(|(_, result)| match result.outcome {
            Outcome::Expired => true,
            Outcome::NeverServed => self.readings.served,
            Outcome::Drained | Outcome::Idle | Outcome::Exited => false,
        });
        waits && self.ended.is_none()
    }

    fn begins(&mut self, now: Time) {
        let plan = &self.policy.plan;
        let (deadline, since) = (now + plan.budget(), now + plan.lame_duck);
        self.drain = Some(Drain { started_at: now, deadline, since, over: None, told: false });
        self.drained = self.sigterm.is_some();
    }

    pub(crate) fn sigterm(&mut self, now: Time) {
        self.sigterm = self.sigterm.or(Some(now));
        self.drained |= self.drain.is_some();
        if self.drain.is_none() && self.policy.on_sigterm == SigtermPolicy::Drain {
            self.begins(now);
        }
    }

    pub(crate) fn input(&mut self, now: Time, input: &Input) {
        match input {
            Input::Counted { requested_at, source, reading } => {
                self.readings.take(now, *requested_at, *source, reading)
            }
            Input::Sighted { requested_at, sighting } => self.sighted(now, *requested_at, sighting),
            Input::Exited(incarnation, ending) if self.target == Some(*incarnation) => self.ends(now, *ending),
            Input::Dying(incarnation) if self.target == Some(*incarnation) && self.ended.is_none() => {
                self.dying.get_or_insert(now);
            }
            Input::Signalled(incarnation, false) if self.target == Some(*incarnation) && self.ended.is_none() => {
                (self.signalled, self.sent, self.refused) = (false, false, true);
            }
            Input::Signalled(_, true) => self.sent = true,
            Input::Tick
            | Input::Connections { .. }
            | Input::Capacity(_)
            | Input::Killed(..)
            | Input::Call(_)
            | Input::Called(..)
            | Input::Hangup(_)
            | Input::Wait(_)
            | Input::Forsake(_)
            | Input::Terminate
            | Input::Dying(_)
            | Input::Exited(..)
            | Input::Signalled(..) => {}
        }
    }

    fn sighted(&mut self, now: Time, requested_at: Time, sighting: &SearchResult) {
        if Some(requested_at) < self.bereft {
            return;
        }
        if let SearchResult::Found(found) = sighting
            && self.target.is_some_and(|target| target != found.incarnation)
        {
            self.ends(now, ExitStatus::Unknown);
        }
        self.seen = Some((requested_at, sighting.clone()));
    }

    fn ends(&mut self, now: Time, ending: ExitStatus) {
        if self.ended.is_none() {
            (self.ended, self.bereft, self.seen) = (Some(ending), Some(now), None);
            self.readings.end();
        }
    }

    // === what the machine does ===

    pub(crate) fn sees(&mut self, now: Time, action: &Action, note: Option<&SavedDrain>) {
        match action {
            Action::Seek { requested_at, .. } => assert_eq!(*requested_at, now),
            Action::Read { requested_at, bound, .. } => {
                let open = self.drain.as_ref().filter(|drain| drain.over.is_none());
                assert!(
                    open.is_none_or(|drain| *requested_at + *bound <= drain.deadline),
                    "a reading outlasts the deadline"
                );
                self.readings.ask(*requested_at, *bound);
            }
            Action::Watch(incarnation) => self.watches(*incarnation),
            Action::Write(note) => self.writes(note),
            Action::Erase => self.erases(now),
            Action::Signal(incarnation) => self.signals(now, *incarnation, note),
            Action::Kill(incarnation) => self.kills(now, *incarnation),
            // Who was let go by whom, the world knows.
            Action::Lived(_) | Action::Dismiss(..) => {}
            Action::Conclude(result) => self.concludes(now, result),
            Action::Release(result) => {
                let over = self.drain.as_ref().and_then(|drain| drain.over);
                assert_eq!(over.map(|(_, over)| over), Some(*result), "a release without its verdict");
            }
            Action::Leave => self.leaves(now),
        }
    }

    fn watches(&mut self, incarnation: Incarnation) {
        if self.target == Some(incarnation) {
            return;
        }
        let open = self.drain.as_ref().is_some_and(|drain| drain.over.is_none());
        assert!(!open || self.target.is_none(), "a new life inherits a drain");
        (self.target, self.ended, self.dying) = (Some(incarnation), None, None);
        (self.signalled, self.sent) = (false, false);
        if !open {
            self.readings.forget();
            self.fresh_life = true;
        }
    }

    fn writes(&mut self, note: &SavedDrain) {
        let drain = self.drain.as_ref().expect("a note is of a drain");
        assert_eq!((note.started_at, note.deadline), (drain.started_at, drain.deadline));
        let over = note.over.map(|over| (over.at, over.result));
        assert!(drain.over.is_none() || over == drain.over, "a verdict is unwritten");
        assert_eq!(note.over.is_some_and(|over| over.told), drain.told, "noted as told, and not told");
        assert_eq!(note.incarnation, self.target);
        self.signalled = note.signalled;
    }

    fn erases(&mut self, now: Time) {
        let drain = self.drain.take().expect("there is one to forget");
        assert!(drain.told, "a verdict is never told");
        let (at, _) = drain.over.expect("only a drain that is over is forgotten");
        let untold = !self.signalled || self.ended.is_some();
        let served_out = now >= at + self.policy.plan.grace_period && untold && self.sigterm.is_none();
        assert!(self.fresh_life || served_out, "a drain is forgotten early");
    }

    fn signals(&mut self, now: Time, incarnation: Incarnation, note: Option<&SavedDrain>) {
        assert!(note.is_some_and(|note| note.signalled && note.incarnation == Some(incarnation)), "{note:?}");
        assert!(self.policy.signal.is_some());
        if self.ended.is_some() {
            // It was ordered when the end was not yet told, and reaches nobody.
            return;
        }
        let drain = self.drain.as_ref().expect("no signal without a trigger");
        let Some((requested_at, SearchResult::Found(Found { incarnation: found, obstacle: None, .. }))) = &self.seen
        else {
            panic!("a signal to what is not clearly seen: {:?}", self.seen)
        };
        assert_eq!(*found, incarnation);
        assert!(born(incarnation) < drain.started_at + TICK + TICK, "a new life inherits a drain");
        self.early = now < drain.since || *requested_at < drain.since;
    }

    fn kills(&self, now: Time, incarnation: Incarnation) {
        let over = self.drain.as_ref().and_then(|drain| drain.over);
        let (at, result) = over.expect("nobody is killed in a drain");
        assert_eq!(result.outcome, Outcome::Idle);
        assert!(now >= at + self.policy.plan.exit_margin, "killed within the exit margin");
        // One whose end was not yet told when this was ordered is reached by nobody.
        assert_eq!(self.target, Some(incarnation));
    }

    fn leaves(&self, now: Time) {
        let at = self.sigterm.expect("it leaves unasked");
        let gone = self.target.is_none() || self.ended.is_some();
        match (self.policy.on_sigterm, &self.drain) {
            (SigtermPolicy::Exit, _) => {}
            (_, Some(drain)) => assert!(drain.over.is_some() && gone, "it leaves a drain"),
            (SigtermPolicy::Drain, None) => assert!(self.drained),
            (SigtermPolicy::Auto, None) => {
                let idle = self.readings.fresh(self.dying.unwrap_or(now), Duration::MAX) == Some(0);
                let rests = idle && (gone || !self.policy.wait_for_exit);
                assert!(self.drained || gone || rests || now >= at + HOOK_WAIT, "it leaves work alone");
            }
        }
    }

    // === how things stand when all actions are done ===

    pub(crate) fn looks(
        &mut self,
        now: Time,
        keeper: &Controller,
        callers: usize,
        waiters: &[(UnauthorizedCaller, Time)],
    ) {
        assert!(keeper.poll_timeout() > now, "it wants to be woken in the past");
        let snapshot = keeper.snapshot(now);
        let deadline = self.drain.as_ref().map(|drain| drain.deadline);
        assert_eq!(snapshot.drain.map(|drain| drain.deadline), deadline);
        match &mut self.drain {
            None => assert_eq!((snapshot.phase, callers), (Phase::Serving, 0)),
            Some(Drain { over: Some(_), told, .. }) => {
                assert!(*told, "a verdict is not told");
                assert_eq!((snapshot.phase, callers), (Phase::Done, 0));
            }
            Some(drain @ Drain { over: None, .. }) => {
                assert!(now < drain.deadline, "held beyond the deadline");
                assert_eq!(snapshot.phase == Phase::LameDuck, now < drain.since, "{:?}", snapshot.phase);
            }
        }
        assert!(self.drain.is_none() || keeper.unready().is_some(), "ready in a drain");
        assert!(!self.early, "a signal in the lame duck");
        if std::mem::take(&mut self.fresh_life) {
            assert!(snapshot.streams.is_none() && keeper.unready().is_some(), "a new life inherits");
        }
        self.readings.settle();
        if self.drain.is_none() && self.ended.is_some() {
            (self.target, self.ended, self.dying) = (None, None, None);
            (self.signalled, self.sent) = (false, false);
        }
        self.must_have_been_told();
        if waiters.is_empty() {
            self.must_have_left(now);
        }
        let budget = self.policy.plan.budget();
        assert!(waiters.iter().all(|(_, called)| now < *called + budget), "a stranger is held beyond the deadline");
    }

    fn must_have_been_told(&self) {
        let Some(Drain { started_at, since, over: None, .. }) = self.drain else { return };
        if let Some((requested_at, SearchResult::Found(Found { incarnation, obstacle: None, .. }))) = self.seen {
            let of_this_drain = self.target.is_some() || born(incarnation) + TICK + TICK < started_at;
            let told = requested_at <= since || self.policy.signal.is_none() || self.tried();
            assert!(told || !of_this_drain || self.dying.is_some(), "the signal is forgotten");
        }
    }

    fn tried(&self) -> bool {
        self.signalled || self.refused
    }

    fn must_have_left(&self, now: Time) {
        let Some(at) = self.sigterm else { return };
        let gone = self.target.is_none() || self.ended.is_some();
        match &self.drain {
            Some(Drain { over: Some(_), .. }) => assert!(!gone, "it stays without a target"),
            Some(Drain { over: None, .. }) => {}
            None => assert!(now < at + HOOK_WAIT && !self.drained, "it stays without a hook"),
        }
    }
}

/// When a life began, to the tick.
fn born(incarnation: Incarnation) -> Time {
    Time::since_boot(TICK * u32::try_from(incarnation.started).unwrap_or(u32::MAX))
}
