//! The progress of a drain, for a terminal or a log.

use std::io::{IsTerminal, Write};

use tracing::info;

use crate::commands::status::text::{describe_outcome, or_unknown};
use crate::commands::{eprint_line, print_line};
use crate::io::log::Nullable;
use crate::io::report::{OutcomeReport, StatusReport};
use crate::sanitize::sanitize;

/// The progress of a drain on stderr: on a terminal one line that is updated, otherwise a log line per change.
pub(super) struct Display {
    terminal: bool,
    /// The phase and the number of streams that were logged last.
    logged: Option<(String, Option<u64>)>,
}

impl Display {
    pub(super) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), logged: None }
    }

    pub(super) fn show(&mut self, status: &StatusReport) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", sanitize(&progress(status)));
        } else {
            self.log_change(status);
        }
    }

    fn log_change(&mut self, status: &StatusReport) {
        let current = (status.phase.clone(), status.streams);
        let remaining = status.drain.as_ref().map(|drain| drain.remaining_seconds);
        if self.logged.as_ref() != Some(&current) {
            let (phase, streams) = (status.phase.as_str(), Nullable(status.streams));
            info!(phase, ?streams, remaining_seconds = ?Nullable(remaining), "waiting");
            self.logged = Some(current);
        }
    }

    /// Erases the progress line.
    pub(super) fn clear(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    /// Prints the outcome to stdout, and describes it on a terminal.
    pub(super) fn print_outcome(&self, outcome: &OutcomeReport) {
        print_line(&outcome.to_json());
        if self.terminal {
            eprint_line(&sanitize(&describe_outcome(outcome)));
        }
    }
}

fn progress(status: &StatusReport) -> String {
    let phase = status.phase.replace('_', " ");
    let streams = or_unknown(status.streams);
    match &status.drain {
        Some(drain) => format!("{phase}: streams left: {streams}, time left: {:.0} s", drain.remaining_seconds),
        None => format!("{phase}: streams: {streams}"),
    }
}
