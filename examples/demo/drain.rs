//! The drain as it happens, and what the demonstration itself does meanwhile.

use std::time::{Duration, Instant};

use crate::clock::now;
use crate::events::{Event, Events, Stop};
use crate::pod::{DURATIONS, Pod};
use crate::process::Process;
use crate::record::Record;
use crate::screen::{Screen, Speaker};
use crate::transcript::Story;

/// When, in the lame duck, a caller comes who has not heard yet, and how long that one speaks.
const LATE: Duration = Duration::from_millis(1200);
const LATE_DURATION: &str = "6s";
/// How long after the signal another one tries.
const TOO_LATE: Duration = Duration::from_millis(300);
/// The drain is over long before, by its deadline.
const PATIENCE: Duration = Duration::from_secs(80);
/// How long a turn lasts in which nothing happens.
const TURN: Duration = Duration::from_millis(100);
/// How long an effect waits until its cause has been told.
const CAUSE: Duration = Duration::from_millis(300);

/// The drain under way.
pub(crate) struct Drain<'a> {
    pod: &'a mut Pod,
    events: &'a mut Events,
    story: Story<'a>,
    next: Step,
    early: Vec<(Instant, Event)>,
}

/// What the demonstration does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Probe,
    CallLate,
    CallTooLate,
    Watch,
}

impl<'a> Drain<'a> {
    /// Calls the hook.
    pub(crate) fn begin(pod: &'a mut Pod, screen: &'a mut Screen, events: &'a mut Events) -> Self {
        screen.heading("The drain, in seconds since the hook was called");
        let story = Story::begin(screen, u64::from(streams_before()));
        pod.call_hook(events);
        Self { pod, events, story, next: Step::Probe, early: Vec::new() }
    }

    /// Follows the drain to its end, until every process has gone.
    pub(crate) fn play(mut self) -> Result<Record, Stop> {
        let end = self.story.record.called + PATIENCE;
        while !self.turn()? {
            if now() >= end {
                return Err(self.events.failure("the drain has not come to its end in time"));
            }
        }
        self.close()
    }

    /// True when everything that was to come has come.
    fn turn(&mut self) -> Result<bool, Stop> {
        let event = self.events.next(TURN)?;
        let silent = event.is_none();
        let arrived = now();
        self.early.extend(event.map(|event| (arrived, event)));
        for (arrived, event) in std::mem::take(&mut self.early) {
            if self.story.is_early(&event) && now() < arrived + CAUSE {
                self.early.push((arrived, event));
            } else {
                self.take(event)?;
            }
        }
        self.act()?;
        if let Some(status) = self.pod.status() {
            self.story.count(&status);
        }
        Ok(silent && self.early.is_empty() && self.story.record.answer.is_some() && self.all_ended())
    }

    fn take(&mut self, event: Event) -> Result<(), Stop> {
        match event {
            Event::Line(line) => self.story.hear(&line),
            Event::Hook(Ok(answer)) => self.story.answered(answer),
            Event::Hook(Err(error)) => return Err(self.events.failure(&format!("the hook was not answered: {error}"))),
            Event::Interrupted => return Err(Stop::Interrupted),
        }
        Ok(())
    }

    /// Takes the next step, if its time has come.
    fn act(&mut self) -> Result<(), Stop> {
        let since = |start: Option<Instant>| start.map(|start| now().saturating_duration_since(start));
        let (called, signalled) = (since(Some(self.story.record.called)), since(self.story.signalled));
        match self.next {
            Step::Probe if self.story.begun.is_some() => {
                if let Some(answer) = self.pod.readiness() {
                    self.story.probed(answer);
                }
                self.next = Step::CallLate;
            }
            Step::CallLate if called >= Some(LATE) => {
                self.story.tell(Speaker::Client, "opens stream 7", "a caller who has not heard yet");
                self.pod.call(&["1"], &[LATE_DURATION], streams_before(), self.events)?;
                self.next = Step::CallTooLate;
            }
            Step::CallTooLate if signalled >= Some(TOO_LATE) => {
                self.pod.call(&["1"], &[LATE_DURATION], streams_before() + 1, self.events)?;
                self.next = Step::Watch;
            }
            Step::Probe | Step::CallLate | Step::CallTooLate | Step::Watch => {}
        }
        Ok(())
    }

    fn all_ended(&mut self) -> bool {
        self.pod.engine.ended().is_some() && self.pod.clients.iter_mut().all(|client| client.ended().is_some())
    }

    /// The kubelet ends lameduck last, as it does with a native sidecar.
    fn close(mut self) -> Result<Record, Stop> {
        let remark = "a native sidecar's turn is the last";
        self.story.tell(Speaker::Kubelet, "SIGTERM to lameduck", remark);
        self.pod.sidecar.terminate();
        let status = self.events.wait_for("lameduck does not leave", PATIENCE, |_| Ok(self.pod.sidecar.ended()))?;
        self.story.sidecar_ended(status);
        let mut record = self.story.record;
        record.engine = self.pod.engine.ended();
        record.clients = self.pod.clients.iter_mut().map(Process::ended).collect();
        record.termination_message = self.pod.termination_message();
        Ok(record)
    }
}

fn streams_before() -> u32 {
    u32::try_from(DURATIONS.len()).unwrap_or_default()
}
