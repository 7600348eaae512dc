//! What is left for the kubelet should the target's end be ours too.
//!
//! The kernel kills every process of a PID namespace together with its first (`pid_namespaces(7)`), and in a container
//! that is mostly the target itself. So the outcome of such an end is written before it comes; any other replaces it.

use crate::io::report::{OutcomeReport, StatusReport};
use crate::io::rounding::rounded_seconds;
use crate::io::termination::TerminationLog;
use crate::settings::Settings;
use crate::settings::args::WaitFor;
use lameduck_machine::result::Outcome;
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::time::Time;

/// The termination message, and what it takes to write it.
#[derive(Clone)]
pub(super) struct LastWords {
    log: TerminationLog,
    signal: Option<&'static str>,
    zero_proves: bool,
}

impl LastWords {
    pub(super) fn new(settings: &Settings) -> Self {
        let (path, create) = settings.termination_log.clone();
        let log = TerminationLog { path, create };
        Self { log, signal: settings.signal_name(), zero_proves: settings.wait_for == WaitFor::Zero }
    }

    /// With what is noted, which is before the signal goes out.
    pub(super) fn by_note(&self, note: &SavedDrain, now: Time) {
        if note.over.is_none() {
            self.write(note.streams_at_start, None, rounded_seconds(now.since(note.started_at)), note.signalled);
        }
    }

    /// With what is known now.
    pub(super) fn by_status(&self, status: &StatusReport) {
        if let (Some(drain), None) = (&status.drain, &status.outcome) {
            // A target that was told to stop may have ended its last streams itself since they were counted.
            let streams =
                status.streams.filter(|streams| if *streams > 0 { !drain.signalled } else { self.zero_proves });
            self.write(drain.streams_at_start, streams, drain.elapsed_seconds, drain.signalled);
        }
    }

    fn write(&self, streams_at_start: Option<u64>, stragglers: Option<u64>, seconds: f64, signalled: bool) {
        let signal = self.signal.filter(|_| signalled).map(str::to_owned);
        let outcome = Outcome::Exited.name().to_owned();
        let report = OutcomeReport { outcome, streams_at_start, stragglers, idle_streams: 0, seconds, signal };
        // Whoever writes the outcome itself says what stands against it.
        let _ = self.log.write(&report.to_json());
    }
}
