//! The event loop: it owns the only clock, feeds the machine, and has its actions performed in their order.

use tokio::sync::{mpsc, oneshot};

use crate::io::clock::Clock;
use crate::io::metrics::Metrics;
use crate::io::report::durations::DurationsReport;
use crate::io::report::{OutcomeReport, StatusReport};
use crate::queue::{Event, Question};
use crate::supervisor::callers::Callers;
use crate::supervisor::event_log::EventLog;
use lameduck_machine::controller::Controller;
use lameduck_machine::io::{Action, Input};
use lameduck_machine::reading::Source;
use lameduck_machine::result::{DrainResult, Trigger};
use lameduck_machine::snapshot::Snapshot;
use lameduck_machine::time::Time;

mod callers;
pub mod effects;
pub mod event_log;
pub mod source_poller;

/// The loop and what it owns.
///
/// `perform` does what an action wants done in the world, and may hand back what came of it at once.
pub struct Supervisor<P> {
    keeper: Controller,
    clock: Clock,
    perform: P,
    callers: Callers,
    metrics: Metrics,
    narrator: EventLog,
    signal: Option<String>,
}

impl<P: FnMut(Action) -> Option<Input>> Supervisor<P> {
    /// A loop over this machine, whose actions `perform` carries out.
    pub fn new(keeper: Controller, clock: Clock, perform: P) -> Self {
        let metrics = Metrics::new(keeper.sources());
        let signal = keeper.signal_name().map(str::to_owned);
        let narrator = EventLog::default();
        Self { keeper, clock, perform, callers: Callers::default(), metrics, narrator, signal }
    }

    /// Takes a call that was made at `at`, before the loop turned; the answer will be the outcome as JSON.
    pub fn called(&mut self, trigger: Trigger, at: Time) -> oneshot::Receiver<String> {
        self.narrator.tell(self.keeper.snapshot(self.clock.now()));
        let (reply, outcome) = oneshot::channel();
        self.callers.call(trigger, reply);
        self.handle(Input::Called(trigger, at));
        outcome
    }

    /// Turns until the machine wants to leave, and says how things stood then.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Event>) -> Snapshot {
        self.narrator.tell(self.keeper.snapshot(self.clock.now()));
        while !self.act() {
            let wake = self.clock.instant(self.keeper.poll_timeout());
            tokio::select! {
                biased;
                event = queue.recv() => match event {
                    Some(event) => self.take(event),
                    None => break,
                },
                () = tokio::time::sleep_until(wake) => self.handle(Input::Tick),
            }
        }
        self.keeper.snapshot(self.clock.now())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.handle(input),
            Event::Question(question) => self.answer(question),
            Event::Sigterm(sender) => {
                self.narrator.sigterm(sender);
                self.handle(Input::Terminate);
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let now = self.clock.now();
        let counted = if let Input::Counted { requested_at, source, .. } = &input {
            Some((*requested_at, *source))
        } else {
            None
        };
        if let (Input::Signalled(_, sent), Some(signal)) = (&input, &self.signal) {
            self.metrics.record_signal(signal, *sent);
        }
        if let Input::Killed(_, sent) = input {
            self.metrics.record_signal("SIGKILL", sent);
        }
        self.keeper.handle(now, input);
        let snapshot = self.keeper.snapshot(self.clock.now());
        if let Some((requested_at, source)) = counted {
            self.count_reading(&snapshot, requested_at, source);
        }
        self.narrator.tell(snapshot);
    }

    /// Counts a reading as the machine took it: only that knows whether a series is missed.
    fn count_reading(&mut self, now: &Snapshot, requested_at: Time, source: Source) {
        let witness =
            now.sources.iter().find(|witness| witness.source == source && witness.requested_at == Some(requested_at));
        if let Some(witness) = witness {
            self.metrics.record_reading(source, &witness.state, now.now.since(requested_at));
        }
    }

    /// Has the actions performed; true if the last was to leave.
    fn act(&mut self) -> bool {
        while let Some(action) = self.keeper.poll_action() {
            match action {
                Action::Leave => return true,
                Action::Release(result) => self.callers.release(&self.outcome(&result)),
                Action::Dismiss(waiter, result) => {
                    self.narrator.dismissed(self.clock.now(), &result);
                    self.callers.dismiss(waiter, self.outcome(&result));
                }
                Action::Conclude(result) => {
                    self.metrics.record_drain(&result);
                    self.perform(action);
                }
                Action::Lived(life) => self.metrics.record_stream_duration(life),
                Action::Seek { .. }
                | Action::Read { .. }
                | Action::Watch(_)
                | Action::Write(_)
                | Action::Erase
                | Action::Signal(_)
                | Action::Kill(_) => self.perform(action),
            }
        }
        false
    }

    fn perform(&mut self, action: Action) {
        if let Some(input) = (self.perform)(action) {
            self.handle(input);
        }
    }

    fn outcome(&self, result: &DrainResult) -> String {
        OutcomeReport::new(result, self.signal.as_deref()).to_json()
    }

    fn answer(&mut self, question: Question) {
        let snapshot = || self.keeper.snapshot(self.clock.now());
        // A reply that fails was for a caller that has gone away.
        match question {
            Question::Prestop(trigger, reply) => {
                self.forget_the_gone();
                self.callers.call(trigger, reply);
                self.handle(Input::Call(trigger));
            }
            Question::Wait(peer, reply) => {
                self.forget_the_gone();
                let waiter = self.callers.wait(reply);
                self.narrator.tokenless(self.clock.now(), peer, waiter.is_some());
                if let Some(waiter) = waiter {
                    self.handle(Input::Wait(waiter));
                }
            }
            Question::Astray(path) => self.narrator.astray(self.clock.now(), &path),
            Question::Hangup => self.forget_the_gone(),
            Question::Ready(reply) => drop(reply.send(self.keeper.unready().map(|unready| unready.to_string()))),
            Question::Accepting(reply) => drop(reply.send(self.keeper.unaccepting().map(|why| why.to_string()))),
            Question::Live(reply) => drop(reply.send(())),
            Question::Status(reply) => {
                let snapshot = snapshot();
                let durations =
                    DurationsReport::new(self.keeper.durations(), self.keeper.estimated_time_to_zero(snapshot.now));
                let report = StatusReport::new(&snapshot, self.signal.as_deref(), durations);
                drop(reply.send(report.to_json()));
            }
            Question::Metrics(reply) => {
                drop(reply.send(self.metrics.render(&snapshot(), self.clock.wall_clock_at_boot())))
            }
        }
    }

    fn forget_the_gone(&mut self) {
        for gone in self.callers.take_gone() {
            self.handle(gone);
        }
    }
}
