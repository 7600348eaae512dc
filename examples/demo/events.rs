//! Whatever happens, in one queue: lines of the processes, the hook's answer, Ctrl-C.

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

/// How many of the last lines a failure shows.
const MEMORY: usize = 30;
/// How long a line takes at most from a process to the queue.
const LAG: Duration = Duration::from_millis(50);

/// Something that has happened.
pub(crate) enum Event {
    Line(Line),
    Hook(io::Result<Answer>),
    Interrupted,
}

/// A line that a process has printed.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) from: Origin,
    pub(crate) text: String,
    pub(crate) at: Instant,
}

/// Who has printed it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    Cargo,
    Engine,
    Lameduck,
    /// A client that has begun with its first stream after so many of other clients.
    Client {
        after: u32,
    },
}

/// Why the demonstration ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    Interrupted,
    Failed(String),
}

/// The queue and the memory of what came out of it.
pub(crate) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    last: VecDeque<Line>,
}

impl Stop {
    /// A failure to do `what`.
    pub(crate) fn failed(what: &str, why: impl Display) -> Self {
        Self::Failed(format!("{what}: {why}"))
    }
}

impl Events {
    /// A queue into which Ctrl-C and its like go: from here on they kill nobody, so that nothing is left behind.
    pub(crate) fn watch() -> Result<Self, Stop> {
        let (sender, receiver) = channel();
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| Stop::failed("cannot watch for Ctrl-C", error))?;
        let interrupts = sender.clone();
        thread::spawn(move || signals.forever().try_for_each(|_| interrupts.send(Event::Interrupted)));
        Ok(Self { sender, receiver, last: VecDeque::new() })
    }

    pub(crate) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// The next event, if there is one within this time.
    pub(crate) fn next(&mut self, within: Duration) -> Result<Option<Event>, Stop> {
        match self.receiver.recv_timeout(within) {
            Ok(Event::Interrupted) => Err(Stop::Interrupted),
            Ok(Event::Line(line)) => {
                self.remember(&line);
                Ok(Some(Event::Line(line)))
            }
            Ok(event @ Event::Hook(_)) => Ok(Some(event)),
            Err(_) => Ok(None),
        }
    }

    /// Waits until `look` sees what it looks for, and shows it every line meanwhile.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut look: impl FnMut(Option<&Line>) -> Result<Option<T>, Stop>,
    ) -> Result<T, Stop> {
        const STEP: Duration = Duration::from_millis(50);
        let end = now() + patience;
        while now() < end {
            let event = self.next(STEP)?;
            let line = match &event {
                Some(Event::Line(line)) => Some(line),
                Some(Event::Hook(_) | Event::Interrupted) | None => None,
            };
            match look(line) {
                Ok(None) => {}
                Ok(Some(found)) => return Ok(found),
                Err(Stop::Interrupted) => return Err(Stop::Interrupted),
                Err(Stop::Failed(why)) => return Err(self.failure(&why)),
            }
        }
        Err(self.failure(&format!("{what}: waited in vain for {} s", patience.as_secs())))
    }

    /// A failure, with what the processes have said last.
    pub(crate) fn failure(&mut self, why: &str) -> Stop {
        // What they said before may still be on its way.
        while let Ok(Some(_)) = self.next(LAG) {}
        let lines = self.last.iter().map(|line| format!("\n  {}", line.text));
        Stop::Failed(format!("{why}{}", lines.collect::<String>()))
    }

    fn remember(&mut self, line: &Line) {
        if self.last.len() == MEMORY {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
    }
}
