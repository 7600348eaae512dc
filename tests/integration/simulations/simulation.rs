//! A simulated pod around the machine: a target that starts and exits, its page, slow polls and searches, callers, and
//! saved state that survives the sidecar. The [`Oracle`] checks that the machine keeps its contract.

mod actions;
mod behaviour;
mod target;

use std::time::Duration;

use lameduck::io::state::StateFile;
use lameduck_machine::controller::Controller;
use lameduck_machine::io::{CallKind, CallerId, Input};
use lameduck_machine::policy::Policy;
use lameduck_machine::result::{DrainResult, Trigger};
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::target::{Incarnation, ObservationStart, SignalBlocker, TargetState};
use lameduck_machine::time::Time;

use crate::simulations::history::Event;
use crate::simulations::oracle::Oracle;
use behaviour::Behaviour;
use target::Process;

/// When every simulation starts.
pub(crate) const START: Time = Time::since_boot(Duration::from_secs(1000));

/// A planned crash of the sidecar, and what happens until the next one starts.
#[derive(Clone, Copy, Debug)]
struct Crash {
    after_actions: u8,
    downtime: Duration,
    /// Whether a new incarnation of the target starts in the meantime.
    new_incarnation: bool,
}

/// The machine in its simulated pod.
pub(crate) struct Simulation {
    controller: Controller,
    policy: Policy,
    now: Time,
    saved: Option<SavedDrain>,
    oracle: Oracle,
    behaviour: Behaviour,
    /// The authorized callers that wait, and the trigger of each.
    callers: Vec<(CallerId, Trigger)>,
    /// The unauthorized callers that wait, and when each called.
    unauthorized: Vec<(CallerId, Time)>,
    next_caller: u64,
    /// The caller who cancels a drain and waits for the answer.
    canceller: Option<CallerId>,
    /// The inputs that are due later.
    pending: Vec<(Time, Input)>,
    process: Option<Process>,
    /// How many incarnations of the target have started.
    incarnations: u32,
    watched: Option<Incarnation>,
    /// When the last search answers.
    last_search: Time,
    /// The duration of the poll that was requested last.
    last_poll: Duration,
    crash: Option<Crash>,
    /// When the load of the target last changed.
    load_changed_at: Time,
    /// Where the drain is saved, if in a file too.
    state: Option<StateFile>,
    /// Every reported result.
    pub(crate) reported: Vec<DrainResult>,
    /// The number of signals that were sent.
    pub(crate) signals: usize,
    /// The number of targets that were killed.
    pub(crate) kills: usize,
}

impl Simulation {
    pub(crate) fn new(mut policy: Policy) -> Self {
        policy.observed_since = observation_start(START);
        let mut simulation = Self {
            controller: Controller::new(START, policy.clone(), None),
            oracle: Oracle::new(policy.clone()),
            policy,
            now: START,
            saved: None,
            behaviour: Behaviour::default(),
            callers: Vec::new(),
            unauthorized: Vec::new(),
            next_caller: 0,
            canceller: None,
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

    /// From now on, drains are also saved in a file.
    pub(crate) fn save_to_file(&mut self, state: StateFile) {
        self.state = Some(state);
    }

    /// Whether a planned crash has not happened.
    pub(crate) fn awaits_crash(&self) -> bool {
        self.crash.is_some()
    }

    /// Whether there is a drain, active or finished.
    pub(crate) fn has_drain(&self) -> bool {
        self.controller.snapshot(self.now).drain.is_some()
    }

    /// The result of the drain, once it has finished.
    pub(crate) fn result(&self) -> Option<DrainResult> {
        self.oracle.result()
    }

    /// Whether no caller is held.
    pub(crate) fn has_released_all_callers(&self) -> bool {
        self.callers.is_empty() && self.unauthorized.is_empty()
    }

    /// Applies one event.
    pub(crate) fn apply(&mut self, event: &Event) {
        self.wait(Duration::from_millis(1));
        match *event {
            Event::Wait(time) => self.wait(time),
            Event::Jump(time) => {
                self.now = self.now + time;
                self.input(Input::Tick);
            }
            Event::Call(trigger) => self.call(trigger),
            Event::Hangup(index) if index < self.callers.len() => {
                let (caller, _) = self.callers.remove(index);
                self.input(Input::Hangup(caller));
            }
            Event::UnauthorizedCall => self.call_unauthorized(),
            Event::UnauthorizedHangup(index) if index < self.unauthorized.len() => {
                let (caller, _) = self.unauthorized.remove(index);
                self.input(Input::Hangup(caller));
            }
            Event::Interrupt if self.policy.is_parent() => {
                self.oracle.stop(self.now, true);
                self.input(Input::Interrupt);
            }
            Event::Hangup(_) | Event::UnauthorizedHangup(_) | Event::Interrupt => {}
            Event::Cancel => self.cancel(),
            Event::ShortenDeadline(remaining) => {
                self.oracle.shorten_deadline(self.now, remaining);
                self.input(Input::ShortenDeadline(remaining));
            }
            Event::Sigterm => {
                self.oracle.stop(self.now, false);
                self.input(Input::Sigterm);
            }
            Event::Streams(streams) => self.set_streams(streams),
            Event::Batch(batch) => self.change_load(|process, _| process.batch = batch),
            Event::Traffic(ref rates) => self.change_load(|process, now| process.traffic.set_rates(now, rates)),
            Event::HealthCheck(time) => self.change_load(|process, now| process.traffic.connect_until(now + time)),
            Event::Table(readable) => self.behaviour.table_readable = readable,
            Event::Page(page) => self.behaviour.page = page,
            Event::Lazy(lazy) => self.behaviour.lazy_series = lazy,
            Event::BeginExit => self.process.iter_mut().for_each(|process| process.exiting = true),
            Event::Exit(status) => self.exit_process(status),
            // The child of `lameduck run` is never started again.
            Event::Start if self.policy.is_parent() => {}
            Event::Start => self.start_process(),
            Event::SecondMatch(second) => self.behaviour.second_match = second,
            Event::NotCaught(not_caught) => self.behaviour.not_caught = not_caught,
            Event::SignalsFail(fail) => self.behaviour.signals_fail = fail,
            Event::ExitsWhenEmpty(exits) => self.behaviour.exits_when_empty = exits,
            Event::PollTakes(time) => self.behaviour.poll = time,
            Event::AnswersTwice(twice) => self.behaviour.answers_twice = twice,
            Event::SearchTakes(time) => self.behaviour.search = time,
            Event::SidecarCrash { after_actions, downtime, new_incarnation } => {
                self.crash = Some(Crash { after_actions, downtime, new_incarnation });
            }
        }
    }

    // === time ===

    fn wait(&mut self, time: Duration) {
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
            let input = due.map(|index| self.pending.remove(index).1);
            self.input(input.unwrap_or(Input::Tick));
        }
        self.now = self.now.max(until);
    }

    fn input(&mut self, input: Input) {
        let input = self.with_target_state(input);
        self.oracle.on_input(self.now, &input);
        self.controller.handle(self.now, input);
        self.run_actions();
    }

    /// Completes the answer to a poll: after reading, the poller reads the state of the target.
    fn with_target_state(&self, input: Input) -> Input {
        let Input::Polled(mut poll) = input else { return input };
        let is_intact = |target: Incarnation| {
            self.process.as_ref().is_some_and(|process| process.incarnation == target && !process.exiting)
        };
        let blocker = self.behaviour.not_caught.then_some(SignalBlocker::NotCaught);
        poll.target_state = match poll.target {
            None => TargetState::Unknown,
            Some(target) if is_intact(target) => TargetState::Intact(blocker),
            Some(_) => TargetState::Exiting,
        };
        Input::Polled(poll)
    }

    fn run_actions(&mut self) {
        let mut actions = 0;
        while let Some(action) = self.controller.poll_action() {
            actions += 1;
            assert!(actions < 64, "endless actions");
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

    /// The sidecar crashes and loses its connections, polls and searches. The next one resumes the saved drain.
    fn crash_sidecar(&mut self, crash: Crash) {
        self.crash = None;
        self.callers.clear();
        self.unauthorized.clear();
        self.canceller = None;
        self.pending.clear();
        self.watched = None;
        self.now = self.now + crash.downtime;
        // A child ends with its parent, and nothing is resumed with another one.
        if crash.new_incarnation || self.policy.is_parent() {
            self.process = None;
            self.start_process();
        }
        if self.policy.is_parent() {
            self.save(None);
        }
        self.last_search = self.now;
        self.policy.observed_since = observation_start(self.now);
        self.policy.id_seed += 1;
        if let Some(state) = &self.state {
            self.saved = state.load(self.now).expect("a valid state file");
        }
        self.oracle.resume(self.now, self.policy.observed_since, self.saved);
        self.controller = Controller::new(self.now, self.policy.clone(), self.saved);
    }

    // === callers ===

    fn new_caller(&mut self) -> CallerId {
        self.next_caller += 1;
        CallerId(self.next_caller)
    }

    fn call(&mut self, trigger: Trigger) {
        let hooks = self.hooks();
        let caller = self.new_caller();
        self.callers.push((caller, trigger));
        self.oracle.call(self.now, trigger, hooks);
        let kind = if trigger == Trigger::Hook { CallKind::Hook } else { CallKind::Person };
        self.input(Input::Call { caller, kind, at: self.now });
    }

    fn cancel(&mut self) {
        self.oracle.cancel(self.hooks());
        let caller = self.new_caller();
        self.canceller = Some(caller);
        self.input(Input::Cancel(caller));
        assert_eq!(self.canceller, None, "a cancellation is not answered");
    }

    fn hooks(&self) -> usize {
        self.callers.iter().filter(|(_, trigger)| *trigger == Trigger::Hook).count()
    }

    fn call_unauthorized(&mut self) {
        let caller = self.new_caller();
        self.unauthorized.push((caller, self.now));
        self.input(Input::Call { caller, kind: CallKind::Unauthorized, at: self.now });
    }
}

/// This instant in clock ticks.
/// An observation that starts then.
pub(crate) fn observation_start(at: Time) -> ObservationStart {
    ObservationStart { at, ticks: ticks(at) }
}

fn ticks(time: Time) -> u64 {
    u64::try_from(time.as_duration().as_millis() / 10).unwrap_or(u64::MAX)
}
