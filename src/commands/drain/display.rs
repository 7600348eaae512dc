//! What a person, or a log, sees while a drain is on.

use std::io::{IsTerminal, Write};

use tracing::info;

use crate::commands::status::text::{describe_outcome, known};
use crate::commands::{eprint_line, print_line};
use crate::io::log::Nullable;
use crate::io::report::{OutcomeReport, StatusReport};

/// The progress of a drain on stderr: one line that changes on a terminal, else a log line for each step.
pub(super) struct Display {
    terminal: bool,
    shown: Option<(String, Option<u64>)>,
}

impl Display {
    pub(super) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), shown: None }
    }

    pub(super) fn show(&mut self, status: &StatusReport) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", progress(status));
        } else {
            self.log_step(status);
        }
    }

    fn log_step(&mut self, status: &StatusReport) {
        let step = (status.phase.clone(), status.streams);
        let remaining = status.drain.as_ref().map(|drain| drain.remaining_seconds);
        if self.shown.as_ref() != Some(&step) {
            let (phase, streams) = (status.phase.as_str(), Nullable(status.streams));
            info!(phase, ?streams, remaining_seconds = ?Nullable(remaining), "waiting");
            self.shown = Some(step);
        }
    }

    /// Takes the line of progress away.
    pub(super) fn clear(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    /// Prints the outcome to stdout, and in words to a person.
    pub(super) fn tell_outcome(&self, outcome: &OutcomeReport) {
        print_line(&outcome.to_json());
        if self.terminal {
            eprint_line(&describe_outcome(outcome));
        }
    }
}

fn progress(status: &StatusReport) -> String {
    let phase = status.phase.replace('_', " ");
    let streams = known(status.streams);
    match &status.drain {
        Some(drain) => format!("{phase}: streams left: {streams}, time left: {:.0} s", drain.remaining_seconds),
        None => format!("{phase}: streams: {streams}"),
    }
}
