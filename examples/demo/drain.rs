//! The drain as it happens, and what the demo does meanwhile.

use std::time::{Duration, Instant};

use crate::clock::now;
use crate::events::{Event, Events, Stop};
use crate::pod::{DURATIONS, Pod};
use crate::process::Process;
use crate::record::Record;
use crate::screen::{Screen, Speaker};
use crate::transcript::Transcript;

/// When a new caller connects during the lame duck period, and how long its stream lasts.
const LATE_CALL: Duration = Duration::from_millis(1200);
const LATE_CALL_DURATION: &str = "6s";
/// How long after the signal another caller tries to connect.
const REFUSED_CALL: Duration = Duration::from_millis(300);
/// Timeout for the drain, which ends long before, at the latest at its deadline.
const TIMEOUT: Duration = Duration::from_secs(80);
/// How long to wait for an event.
const EVENT_TIMEOUT: Duration = Duration::from_millis(100);
/// How long an effect is held back until its cause has been printed.
const REORDER_WINDOW: Duration = Duration::from_millis(300);

/// The running drain.
pub(crate) struct Drain<'a> {
    pod: &'a mut Pod,
    events: &'a mut Events,
    transcript: Transcript<'a>,
    next: Step,
    early: Vec<(Instant, Event)>,
}

/// What the demo does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Probe,
    /// Opens a stream during the lame duck period.
    LateCall,
    /// Tries to open one after the signal.
    RefusedCall,
    Watch,
}

impl<'a> Drain<'a> {
    /// Calls the hook.
    pub(crate) fn begin(pod: &'a mut Pod, screen: &'a mut Screen, events: &'a mut Events) -> Self {
        screen.heading("The drain, in seconds since the hook was called");
        let transcript = Transcript::begin(screen, u64::from(initial_streams()));
        pod.call_hook(events);
        Self { pod, events, transcript, next: Step::Probe, early: Vec::new() }
    }

    /// Follows the drain until all processes have ended.
    pub(crate) fn run(mut self) -> Result<Record, Stop> {
        let end = self.transcript.record.called + TIMEOUT;
        while !self.step()? {
            if now() >= end {
                return Err(self.events.failure("timed out waiting for the drain to end"));
            }
        }
        self.close()
    }

    /// Handles the next event; true when the drain has ended and nothing more is expected.
    fn step(&mut self) -> Result<bool, Stop> {
        let event = self.events.next(EVENT_TIMEOUT)?;
        let silent = event.is_none();
        let arrived = now();
        self.early.extend(event.map(|event| (arrived, event)));
        for (arrived, event) in std::mem::take(&mut self.early) {
            if self.transcript.is_early(&event) && now() < arrived + REORDER_WINDOW {
                self.early.push((arrived, event));
            } else {
                self.handle(event)?;
            }
        }
        self.perform_due_step()?;
        if let Some(status) = self.pod.status() {
            self.transcript.on_status(&status);
        }
        Ok(silent && self.early.is_empty() && self.transcript.record.answer.is_some() && self.all_ended())
    }

    fn handle(&mut self, event: Event) -> Result<(), Stop> {
        match event {
            Event::Line(line) => self.transcript.on_line(&line),
            Event::Hook(Ok(answer)) => self.transcript.on_answer(answer),
            Event::Hook(Err(error)) => return Err(self.events.failure(&format!("the hook call failed: {error}"))),
            Event::Interrupted => return Err(Stop::Interrupted),
        }
        Ok(())
    }

    /// Performs the next step, if it is due.
    fn perform_due_step(&mut self) -> Result<(), Stop> {
        let since = |start: Option<Instant>| start.map(|start| now().saturating_duration_since(start));
        let (called, signalled) = (since(Some(self.transcript.record.called)), since(self.transcript.signalled));
        match self.next {
            Step::Probe if self.transcript.begun.is_some() => {
                if let Some(answer) = self.pod.readiness() {
                    self.transcript.on_probe(answer);
                }
                self.next = Step::LateCall;
            }
            Step::LateCall if called >= Some(LATE_CALL) => {
                self.transcript.print(
                    Speaker::Client,
                    "opens stream 7",
                    "the client does not know yet that the pod is shutting down",
                );
                self.pod.start_client(&["1"], &[LATE_CALL_DURATION], initial_streams(), self.events)?;
                self.next = Step::RefusedCall;
            }
            Step::RefusedCall if signalled >= Some(REFUSED_CALL) => {
                self.pod.start_client(&["1"], &[LATE_CALL_DURATION], initial_streams() + 1, self.events)?;
                self.next = Step::Watch;
            }
            Step::Probe | Step::LateCall | Step::RefusedCall | Step::Watch => {}
        }
        Ok(())
    }

    fn all_ended(&mut self) -> bool {
        self.pod.engine.ended().is_some() && self.pod.clients.iter_mut().all(|client| client.ended().is_some())
    }

    /// Ends lameduck last, as the kubelet does with a native sidecar.
    fn close(mut self) -> Result<Record, Stop> {
        let remark = "a native sidecar is ended last";
        self.transcript.print(Speaker::Kubelet, "SIGTERM to lameduck", remark);
        self.pod.sidecar.terminate();
        let status = self.events.wait_for("lameduck to exit", TIMEOUT, |_| Ok(self.pod.sidecar.ended()))?;
        self.transcript.on_sidecar_exit(status);
        let mut record = self.transcript.record;
        record.engine = self.pod.engine.ended();
        record.clients = self.pod.clients.iter_mut().map(Process::ended).collect();
        record.termination_message = self.pod.termination_message();
        Ok(record)
    }
}

fn initial_streams() -> u32 {
    u32::try_from(DURATIONS.len()).unwrap_or_default()
}
