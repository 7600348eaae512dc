//! All events in one queue: lines of the processes, the hook's answer, Ctrl-C.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::clock::now;
use crate::http::Answer;

/// Number of recent lines that a failure shows.
const RECENT_LINES: usize = 30;
/// The longest that a line takes from a process to the queue.
const MAX_LINE_DELAY: Duration = Duration::from_millis(50);

/// An event.
pub(crate) enum Event {
    Line(Line),
    Hook(io::Result<Answer>),
    Interrupted,
}

/// A line printed by a process.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) from: Origin,
    pub(crate) text: String,
    pub(crate) at: Instant,
}

/// The process that printed a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    Cargo,
    Engine,
    Lameduck,
    /// A client; `after` is the number of streams of the clients before it.
    Client {
        after: u32,
    },
}

/// Why the demo ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    Interrupted,
    Failed(String),
}

/// The queue, and the most recent lines from it.
pub(crate) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    recent: VecDeque<Line>,
}

impl Stop {
    /// A failure to do `what`.
    pub(crate) fn failed(what: &str, why: impl Display) -> Self {
        Self::Failed(format!("{what}: {why}"))
    }
}

impl Events {
    /// Creates the queue. From here on Ctrl-C and similar signals are events and do not end the demo at once, so that it
    /// can clean up.
    pub(crate) fn watch() -> Result<Self, Stop> {
        let (sender, receiver) = channel();
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| Stop::failed("cannot handle Ctrl-C", error))?;
        let interrupts = sender.clone();
        thread::spawn(move || signals.forever().try_for_each(|_| interrupts.send(Event::Interrupted)));
        Ok(Self { sender, receiver, recent: VecDeque::new() })
    }

    pub(crate) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// The next event, if there is one before the timeout.
    pub(crate) fn next(&mut self, timeout: Duration) -> Result<Option<Event>, Stop> {
        match self.receiver.recv_timeout(timeout) {
            Ok(Event::Interrupted) => Err(Stop::Interrupted),
            Ok(Event::Line(line)) => {
                self.remember(&line);
                Ok(Some(Event::Line(line)))
            }
            Ok(event @ Event::Hook(_)) => Ok(Some(event)),
            Err(_) => Ok(None),
        }
    }

    /// Calls `check` with each line, and regularly without one, until it returns a value.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        timeout: Duration,
        mut check: impl FnMut(Option<&Line>) -> Result<Option<T>, Stop>,
    ) -> Result<T, Stop> {
        const CHECK_INTERVAL: Duration = Duration::from_millis(50);
        let end = now() + timeout;
        while now() < end {
            let event = self.next(CHECK_INTERVAL)?;
            let line = match &event {
                Some(Event::Line(line)) => Some(line),
                Some(Event::Hook(_) | Event::Interrupted) | None => None,
            };
            match check(line) {
                Ok(None) => {}
                Ok(Some(found)) => return Ok(found),
                Err(Stop::Interrupted) => return Err(Stop::Interrupted),
                Err(Stop::Failed(why)) => return Err(self.failure(&why)),
            }
        }
        Err(self.failure(&format!("timed out after {} s waiting for {what}", timeout.as_secs())))
    }

    /// A failure, with the most recent lines of the processes.
    pub(crate) fn failure(&mut self, why: &str) -> Stop {
        // Some lines may still be on their way.
        while let Ok(Some(_)) = self.next(MAX_LINE_DELAY) {}
        let lines = self.recent.iter().map(|line| format!("\n  {}", line.text));
        Stop::Failed(format!("{why}{}", lines.collect::<String>()))
    }

    fn remember(&mut self, line: &Line) {
        if self.recent.len() == RECENT_LINES {
            self.recent.pop_front();
        }
        self.recent.push_back(line.clone());
    }
}
