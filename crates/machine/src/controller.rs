//! The guard of one pod: the target over its incarnations, readiness, callers, and the one drain under way.
//!
//! Inputs go in by [`Controller::handle`], actions come out of [`Controller::poll_action`] and are performed in their order,
//! and [`Controller::poll_timeout`] says when to come back if nothing happens. Time only passes by what `handle` is told.

use std::collections::VecDeque;
use std::time::Duration;

use crate::drain::{Drain, Left, View};
use crate::durations::DurationHistogram;
use crate::io::{Action, Input};
use crate::policy::Policy;
use crate::poll_schedule::Rounds;
use crate::result::{DrainResult, Outcome, Trigger};
use crate::saved_drain::{SavedDrain, SavedResult};
use crate::source_set::SourceSet;
use crate::time::Time;

use connections::Connections;
use shutdown::Leaving;
use unauthorized::Waiting;

pub(super) use target_tracker::{Seen, Target};

mod callers;
mod capacity;
mod connections;
mod readings;
mod shutdown;
mod target_tracker;
mod unauthorized;

#[derive(Clone, Debug)]
pub(super) enum Stage {
    Serving,
    Under(Drain),
    Done { drain: Drain, at: Time, result: DrainResult, told: bool },
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Controller {
    pub(super) policy: Policy,
    pub(super) stage: Stage,
    pub(super) target: Option<Target>,
    pub(super) seen: Option<Seen>,
    pub(super) census: SourceSet,
    pub(super) connections: Connections,
    /// Of all incarnations: how long streams last outlives who served them.
    pub(super) durations: DurationHistogram,
    /// Since when the sources that answer give different counts.
    pub(super) divided: Option<Time>,
    /// Whether load balancers should send no more, by the limit and by the page's own limit where that is meant.
    pub(super) full: bool,
    pub(super) capacity: Option<u64>,
    /// Readiness, once reached, stays for this incarnation.
    pub(super) latched: bool,
    pub(super) leaving: Leaving,
    pub(super) hooks: usize,
    pub(super) waiters: Vec<Waiting>,
    pub(super) rounds: Rounds,
    /// When the last exit was told: what a search saw that was ordered before may be the dead.
    pub(super) bereft: Option<Time>,
    /// When this process began to serve.
    pub(super) started: Time,
    pub(super) now: Time,
    actions: VecDeque<Action>,
}

impl Controller {
    /// A keeper that begins to serve at `now`, or goes on with the drain in `note`.
    #[must_use]
    pub fn new(now: Time, policy: Policy, note: Option<SavedDrain>) -> Self {
        let census = SourceSet::new(&policy.sources);
        let connections = Connections::new(&policy.idleness);
        let mut keeper = Self {
            policy,
            stage: Stage::Serving,
            target: None,
            seen: None,
            census,
            connections,
            durations: DurationHistogram::default(),
            divided: None,
            full: false,
            capacity: None,
            latched: false,
            leaving: Leaving::No,
            hooks: 0,
            waiters: Vec::new(),
            rounds: Rounds::default(),
            bereft: None,
            started: now,
            now,
            actions: VecDeque::new(),
        };
        if let Some(note) = note {
            keeper.resume(note);
        }
        keeper.advance();
        keeper
    }

    /// Takes one input at `now`, and lets time advance to it.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            // What could not be killed is the kubelet's.
            Input::Tick | Input::Killed(..) => {}
            Input::Call(trigger) => self.call(trigger, self.now),
            Input::Called(trigger, at) => self.call(trigger, at.min(self.now)),
            Input::Hangup(trigger) => self.hangup(trigger),
            Input::Wait(waiter) => self.wait(waiter),
            Input::Forsake(waiter) => self.forsake(waiter),
            Input::Terminate => self.terminate(),
            Input::Sighted { requested_at, sighting } => self.sighted(requested_at, sighting),
            Input::Dying(incarnation) => self.dying(incarnation),
            Input::Exited(incarnation, ending) => self.exited(incarnation, ending),
            Input::Signalled(incarnation, sent) => self.signal_went(incarnation, sent),
            Input::Connections { requested_at, table } => self.looked(requested_at, table),
            Input::Capacity(most) => self.has_capacity(most),
            Input::Counted { requested_at, source, reading } => self.counted(requested_at, source, reading),
        }
        self.advance();
    }

    /// The next thing to do; call it until there is none, after each input.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Controller::handle`] with a [`Input::Tick`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Time {
        let stage = match &self.stage {
            Stage::Serving => None,
            Stage::Under(drain) => Some(drain.timeout()),
            Stage::Done { .. } => self.serves_again_at().into_iter().chain(self.kills_at()).min(),
        };
        let leaving = match self.leaving {
            Leaving::AwaitsHook(until) if self.waiters.is_empty() => Some(until),
            Leaving::AwaitsHook(_) | Leaving::No | Leaving::AfterDrain | Leaving::Now => None,
        };
        let waiters = self.waiters.iter().map(|waiting| waiting.drain.timeout());
        [stage, leaving].into_iter().flatten().chain(waiters).fold(self.round_due(), Time::min)
    }

    // === one drain ===

    pub(super) fn begin(&mut self, trigger: Trigger, at: Time) {
        let streams = self.census.tally().map(|tally| tally.streams);
        self.stage = Stage::Under(Drain::begin(at, &self.policy.plan, trigger, streams));
        if matches!(self.leaving, Leaving::AwaitsHook(_)) {
            self.leaving = Leaving::AfterDrain;
        }
        self.rounds.abandon();
        self.write_note();
    }

    fn resume(&mut self, note: SavedDrain) {
        let SavedDrain { trigger, started_at, deadline, streams_at_start, signalled, .. } = note;
        // Whoever noted it may have had a longer budget, and a hook is never held beyond ours.
        let deadline = deadline.min(self.now + self.policy.plan.budget());
        let drain = Drain::resume(&self.policy.plan, trigger, started_at, deadline, streams_at_start, signalled);
        self.stage = match note.over {
            Some(SavedResult { at, result, told }) => Stage::Done { drain, at, result, told },
            None => Stage::Under(drain),
        };
        if let Some(incarnation) = note.incarnation {
            self.target = Some(Target::new(incarnation, String::new(), signalled));
            if signalled {
                self.census.expect_closed_port();
            }
            self.actions.push_back(Action::Watch(incarnation));
        }
        if deadline != note.deadline {
            self.write_note();
        }
        self.conclude();
    }

    pub(super) fn view(&self) -> View {
        let exiting = self.target.as_ref().is_some_and(|target| target.alive && target.signalled);
        let (tally, only_idle) = (self.census.tally(), self.only_idle_as_of());
        View { tally, only_idle, exiting, wait_for_exit: self.policy.wait_for_exit }
    }

    /// The account of a drain that ends now and cut so many streams; one that drained its target cut none.
    fn account(&self, drain: &Drain, outcome: Outcome, cut: Option<u64>) -> DrainResult {
        let signalled = self.target.as_ref().is_some_and(|target| target.signalled);
        let stragglers = if outcome == Outcome::Drained { Some(0) } else { cut };
        let left = Left { stragglers, idle_streams: self.idle_left(outcome) };
        drain.result(self.now, outcome, left, signalled)
    }

    fn finish(&mut self, outcome: Outcome, cut: Option<u64>) {
        let Stage::Under(drain) = &self.stage else { return };
        let result = self.account(drain, outcome, cut);
        self.stage = Stage::Done { drain: drain.clone(), at: self.now, result, told: false };
        self.write_note();
        self.conclude();
        self.release(result);
        // At a deadline that is not theirs they wait on, as those do who come after it.
        if outcome != Outcome::Expired {
            self.dismiss_all(result);
        }
    }

    /// Tells a verdict that nobody has told, and notes that: who dies in between has it told again rather than never.
    fn conclude(&mut self) {
        let Stage::Done { result, told: told @ false, .. } = &mut self.stage else { return };
        *told = true;
        self.actions.push_back(Action::Conclude(*result));
        self.write_note();
    }

    fn release(&mut self, result: DrainResult) {
        self.hooks = 0;
        self.actions.push_back(Action::Release(result));
    }

    fn write_note(&mut self) {
        let (drain, over) = match &self.stage {
            Stage::Serving => return,
            Stage::Under(drain) => (drain, None),
            &Stage::Done { ref drain, at, result, told } => (drain, Some(SavedResult { at, result, told })),
        };
        let &Drain { trigger, started_at, deadline, streams_at_start, .. } = drain;
        let incarnation = self.target.as_ref().map(|target| target.incarnation);
        let signalled = self.target.as_ref().is_some_and(|target| target.signalled);
        let note = SavedDrain { incarnation, trigger, started_at, deadline, streams_at_start, signalled, over };
        self.actions.push_back(Action::Write(note));
    }

    // === time ===

    fn advance(&mut self) {
        self.give_up_on_readings();
        self.advance_drain();
        self.advance_waiters();
        self.kill_who_stays();
        if self.serves_again_at().is_some_and(|at| self.now >= at) {
            self.serve_again();
        }
        self.latch();
        if self.leaves() {
            self.leaving = Leaving::No;
            self.actions.push_back(Action::Leave);
        }
        if self.round_due() <= self.now {
            self.begin_round();
        }
    }

    fn advance_drain(&mut self) {
        let view = self.view();
        let Stage::Under(drain) = &mut self.stage else { return };
        let was_lame_duck = drain.is_lame_duck();
        let outcome = drain.advance(self.now, view);
        if was_lame_duck && !drain.is_lame_duck() {
            // The signal waits for a fresh search, and that must not wait for a page that hangs.
            self.rounds.abandon();
        }
        if let Some(outcome) = outcome {
            self.finish(outcome, self.fresh_streams());
        }
    }

    /// When a drain that told nobody anything is taken back: the pod evidently lives on.
    fn serves_again_at(&self) -> Option<Time> {
        let Stage::Done { at, .. } = self.stage else { return None };
        let alive = self.target.as_ref().filter(|target| target.alive);
        let told = alive.is_some_and(|target| target.signalled) || self.leaving != Leaving::No;
        let lives = alive.is_some() || self.census.answers();
        (!told && lives).then(|| at + self.policy.plan.grace_period)
    }

    fn begin_round(&mut self) {
        let requested_at = self.now;
        let left = match &self.stage {
            Stage::Under(drain) => drain.deadline.since(self.now),
            Stage::Serving | Stage::Done { .. } => Duration::MAX,
        };
        let bound = self.policy.plan.scrape_timeout.min(left);
        self.rounds.begin(requested_at, bound, &self.policy.sources);
        let tracked = self.target.as_ref().filter(|target| target.alive).map(|target| target.incarnation);
        self.actions.push_back(Action::Seek { requested_at, tracked });
        self.actions.push_back(Action::Read { requested_at, bound, tracked });
    }

    fn round_due(&self) -> Time {
        let exiting = self.view().exiting;
        let plan = &self.policy.plan;
        // Waiters add no looks of their own: strangers must not have the sources read at will.
        match &self.stage {
            Stage::Under(drain) => self.rounds.due(self.now, plan.poll_interval, drain.looks(plan, exiting)),
            Stage::Serving | Stage::Done { .. } => self.rounds.due(self.now, plan.poll_interval, std::iter::empty()),
        }
    }
}
