//! The event loop. It owns the only clock, passes each event to the machine, and performs the machine's actions in order.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lameduck_machine::controller::Controller;
use lameduck_machine::hook_callers::MAX_UNAUTHORIZED;
use lameduck_machine::io::{Action, CallKind, CallerId, Input, Reply};
use lameduck_machine::policy::Policy;
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::snapshot::{Phase, Snapshot};
use lameduck_machine::target::Incarnation;
use tokio::sync::{mpsc, oneshot};

use crate::io::clock::Clock;
use crate::io::metrics::Metrics;
use crate::io::report::durations::DurationsReport;
use crate::io::report::{OutcomeReport, StatusReport};
use crate::queue::{Event, HookCall, HookReply, PollResult, Request};
use crate::reasons::{self, Reasons, Wanted};
use crate::supervisor::event_log::EventLog;
use crate::supervisor::replies::Replies;
use crate::supervisor::watchers::Watchers;

pub mod effects;
pub mod event_log;
mod record_log;
mod replies;
pub mod source_poller;
mod watchers;

/// The event loop. `perform` performs the actions that need I/O.
pub struct Supervisor<P> {
    controller: Controller,
    clock: Clock,
    perform: P,
    replies: Replies,
    /// The addresses of the unauthorized held callers.
    unauthorized: BTreeMap<CallerId, IpAddr>,
    metrics: Metrics,
    log: EventLog,
    reasons: Reasons,
    watchers: Watchers,
    /// The name of the configured signal.
    signal: Option<String>,
}

/// The result of an action, if it is known immediately.
#[derive(Debug)]
pub enum ActionResult {
    /// Whether the signal of a drain was sent to this target.
    Signalled(Incarnation, bool),
    /// Whether another signal, with this name, was sent. Only the metrics need this.
    OtherSignal(&'static str, bool),
}

impl<P: FnMut(Action) -> Option<ActionResult>> Supervisor<P> {
    /// Creates the loop of a machine that starts serving, or resumes a saved drain.
    pub fn new(clock: Clock, policy: Policy, saved: Option<SavedDrain>, perform: P) -> Self {
        Self {
            metrics: Metrics::new(&policy.sources),
            signal: policy.signal.as_ref().map(|(name, _)| name.clone()),
            controller: Controller::new(clock.now(), policy, saved),
            clock,
            perform,
            replies: Replies::default(),
            unauthorized: BTreeMap::new(),
            log: EventLog::default(),
            reasons: Reasons::default(),
            watchers: Watchers::default(),
        }
    }

    /// Sets the names from the settings that messages use.
    #[must_use]
    pub fn with_names(self, wanted: Wanted) -> Self {
        Self { reasons: Reasons::new(wanted), ..self }
    }

    /// Runs until the machine wants to exit, and returns its last state.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Event>) -> Snapshot {
        self.log.update(self.controller.snapshot(self.clock.now()), &self.reasons);
        while !self.run_actions() {
            let wake = self.clock.instant(self.controller.poll_timeout());
            tokio::select! {
                biased;
                event = queue.recv() => match event {
                    Some(event) => self.on_event(event),
                    None => break,
                },
                () = tokio::time::sleep_until(wake) => {
                    // After a stall, the answer to a poll goes before its timeout.
                    tokio::task::yield_now().await;
                    match queue.try_recv() {
                        Ok(event) => self.on_event(event),
                        Err(_) => self.handle(Input::Tick),
                    }
                }
            }
        }
        self.answer_watchers(&mut queue).await;
        self.controller.snapshot(self.clock.now())
    }

    /// If a client watches the status and has not seen the outcome, waits for its next request. Answers no others.
    async fn answer_watchers(&self, queue: &mut mpsc::Receiver<Event>) {
        let Some(until) = self.watchers.wait_until(self.clock.now()) else { return };
        let until = self.clock.instant(until);
        while let Ok(Some(event)) = tokio::time::timeout_at(until, queue.recv()).await {
            if let Event::Request(Request::Status(reply)) = event {
                return self.send_status(reply);
            }
        }
    }

    fn send_status(&self, reply: oneshot::Sender<Box<StatusReport>>) {
        let now = self.clock.now();
        let (durations, time_to_zero) = self.controller.stream_durations(now);
        let durations = DurationsReport::new(durations, time_to_zero);
        let report =
            StatusReport::new(&self.controller.snapshot(now), &self.reasons, self.signal.as_deref(), durations);
        drop(reply.send(Box::new(report)));
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.handle(input),
            Event::Polled(PollResult { poll, durations }) => {
                let requested_at = poll.requested_at;
                self.handle(Input::Polled(poll));
                // The machine decides what a reading means: only it knows whether a series is missing.
                for state in self.controller.snapshot(self.clock.now()).streams.sources {
                    let duration = durations.iter().find(|(source, _)| *source == state.source);
                    if let Some((source, duration)) = duration.filter(|_| state.requested_at == Some(requested_at)) {
                        self.metrics.record_reading(*source, &state.status, *duration);
                    }
                }
            }
            Event::Instead(instead) => self.reasons.update(instead),
            Event::Request(request) => self.on_request(request),
            Event::Stop(stop) => {
                self.log.stop(&stop);
                self.handle(if stop.from_terminal { Input::Interrupt } else { Input::Sigterm });
            }
        }
    }

    /// Every input goes to the machine through here, so that its effect is logged.
    fn handle(&mut self, input: Input) {
        if let (Input::SignalResult(_, sent), Some(signal)) = (&input, &self.signal) {
            self.metrics.record_signal(signal, *sent);
        }
        self.controller.handle(self.clock.now(), input);
        self.log.update(self.controller.snapshot(self.clock.now()), &self.reasons);
    }

    /// Performs all actions, and returns whether the last one was to exit.
    fn run_actions(&mut self) -> bool {
        while let Some(action) = self.controller.poll_action() {
            match action {
                Action::Exit => return true,
                Action::Reply(caller, reply) => self.reply(caller, reply),
                Action::StreamEnded(duration) => self.metrics.record_stream_duration(duration),
                Action::ReportOutcome(result) => {
                    self.metrics.record_drain(&result);
                    self.watchers.on_outcome();
                    self.perform(action);
                }
                Action::CountStragglers(streams) => self.metrics.record_stragglers(streams),
                Action::TargetEnded(ended) => {
                    self.metrics.record_target_end(ended);
                    self.log.target_end(ended);
                }
                Action::FindTarget { .. }
                | Action::PollSources(_)
                | Action::WatchTarget(_)
                | Action::SaveState(_)
                | Action::ClearState
                | Action::SendSignal(_)
                | Action::WriteRecord(..)
                | Action::ClearRecord(_)
                | Action::KillTarget(_)
                | Action::SignalChild(_) => self.perform(action),
            }
        }
        false
    }

    fn perform(&mut self, action: Action) {
        match (self.perform)(action) {
            Some(ActionResult::Signalled(target, sent)) => self.handle(Input::SignalResult(target, sent)),
            Some(ActionResult::OtherSignal(signal, sent)) => self.metrics.record_signal(signal, sent),
            None => {}
        }
    }

    fn reply(&mut self, caller: CallerId, reply: Reply) {
        let now = self.clock.now();
        let unauthorized = self.unauthorized.remove(&caller);
        let reply = match (reply, unauthorized) {
            (Reply::Finished(result), peer) => {
                if peer.is_some() {
                    self.log.unauthorized_release(now, &result);
                }
                HookReply::Finished(OutcomeReport::new(&result, self.signal.as_deref()))
            }
            (Reply::TooManyUnauthorized, peer) => {
                if let Some(peer) = peer {
                    self.log.unauthorized_rejection(now, peer);
                }
                HookReply::TooManyUnauthorized
            }
            (Reply::Cancelled, _) => HookReply::Cancelled,
            (Reply::NotCancelled(reason), _) => HookReply::NotCancelled(reasons::not_cancelled(reason)),
        };
        self.replies.send(caller, reply);
    }

    fn on_request(&mut self, request: Request) {
        let now = self.clock.now();
        // Sending fails if the client has disconnected.
        match request {
            Request::Hook(call) => self.on_hook_call(call),
            Request::Cancel(reply) => {
                let caller = self.replies.insert(reply);
                self.handle(Input::Cancel(caller));
            }
            Request::ShortenDeadline(remaining, reply) => drop(reply.send(self.shorten_deadline(remaining))),
            Request::UnknownHookPath(path) => self.log.unknown_hook_path(now, &path),
            Request::Hangup => self.remove_disconnected(),
            Request::Readiness(reply) => {
                let reason = self.controller.readiness(now).not_ready_reason();
                drop(reply.send(reason.map(|reason| self.reasons.not_ready(&reason))));
            }
            Request::Accepting(reply) => {
                let reason = self.controller.readiness(now).not_accepting_reason();
                drop(reply.send(reason.map(|reason| self.reasons.not_ready(&reason))));
            }
            Request::Liveness(reply) => drop(reply.send(())),
            Request::Status(reply) => {
                self.watchers.on_status(now);
                self.send_status(reply);
            }
            Request::Snapshot(reply) => drop(reply.send(Box::new(self.controller.snapshot(now)))),
            Request::Metrics(reply) => {
                let page = self.metrics.render(&self.controller.snapshot(now), self.clock.wall_clock_at_boot());
                drop(reply.send(page));
            }
        }
    }

    /// Shortens the deadline of the drain in progress, and returns the rest of its budget; `None` if there is no drain.
    fn shorten_deadline(&mut self, remaining: Duration) -> Option<Duration> {
        let before = self.remaining()?;
        self.handle(Input::ShortenDeadline(remaining));
        // A drain that had no time left is over now.
        let after = self.remaining().unwrap_or_default();
        if remaining < before {
            self.log.deadline_shortened(before, after);
        }
        Some(after)
    }

    /// The rest of the budget of the drain in progress.
    fn remaining(&self) -> Option<Duration> {
        let snapshot = self.controller.snapshot(self.clock.now());
        let is_active = matches!(snapshot.phase, Phase::LameDuck | Phase::Draining);
        snapshot.drain.filter(|_| is_active).map(|drain| drain.remaining)
    }

    fn on_hook_call(&mut self, call: HookCall) {
        // Only the first of the connected hooks restarts the budget, so disconnected ones must not count.
        self.remove_disconnected();
        let HookCall { kind, peer, made_at, reply } = call;
        let now = self.clock.now();
        let caller = self.replies.insert(reply);
        let unauthorized = peer.filter(|_| kind == CallKind::Unauthorized);
        if let Some(peer) = unauthorized {
            self.unauthorized.insert(caller, peer);
        }
        // The machine rejects what is more.
        if let Some(peer) = unauthorized.filter(|_| self.unauthorized.len() <= MAX_UNAUTHORIZED) {
            self.log.unauthorized_call(now, peer);
        }
        self.handle(Input::Call { caller, kind, at: made_at.unwrap_or(now) });
    }

    fn remove_disconnected(&mut self) {
        for caller in self.replies.take_disconnected() {
            self.unauthorized.remove(&caller);
            self.handle(Input::Hangup(caller));
        }
    }
}
