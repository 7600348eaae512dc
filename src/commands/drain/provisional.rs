//! The provisional outcome of a standalone drain, in case this process ends together with the target.
//!
//! The kernel kills every process of a PID namespace together with its first process (`pid_namespaces(7)`), which in a
//! container is usually the target itself. So the outcome of such an end is written in advance. Any other outcome
//! replaces it.

use crate::io::report::{OutcomeReport, StatusReport};
use crate::io::rounding::rounded_seconds;
use crate::io::termination::TerminationLog;
use crate::settings::Settings;
use crate::settings::values::WaitFor;
use lameduck_machine::result::Outcome;
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::time::Time;

/// Writes the termination message for a target that exits now.
#[derive(Clone)]
pub(super) struct ProvisionalOutcome {
    log: TerminationLog,
    signal: Option<&'static str>,
    /// Whether a count of zero proves that nothing would be cut.
    zero_is_proof: bool,
}

impl ProvisionalOutcome {
    pub(super) fn new(settings: &Settings) -> Self {
        let (path, create) = settings.termination_log.clone();
        let log = TerminationLog { path, create };
        Self { log, signal: settings.signal_name(), zero_is_proof: settings.wait_for == WaitFor::Zero }
    }

    /// Writes the outcome when the drain is saved, which happens before the signal is sent.
    pub(super) fn update_from_saved(&self, saved: &SavedDrain, now: Time) {
        if saved.finished.is_none() {
            let seconds = rounded_seconds(now.since(saved.started_at));
            self.write(saved.streams_at_start, None, seconds, saved.signalled);
        }
    }

    /// Writes the outcome from the current status.
    pub(super) fn update_from_status(&self, status: &StatusReport) {
        if let (Some(drain), None) = (&status.drain, &status.outcome) {
            // A signalled target may have ended its last streams by itself since they were counted.
            let streams =
                status.streams.filter(|streams| if *streams > 0 { !drain.signalled } else { self.zero_is_proof });
            self.write(drain.streams_at_start, streams, drain.elapsed_seconds, drain.signalled);
        }
    }

    fn write(&self, streams_at_start: Option<u64>, stragglers: Option<u64>, seconds: f64, signalled: bool) {
        let signal = self.signal.filter(|_| signalled).map(str::to_owned);
        let outcome = Outcome::Exited.name().to_owned();
        let report = OutcomeReport { outcome, streams_at_start, stragglers, idle_streams: 0, seconds, signal };
        // An error is reported when the final outcome is written.
        let _ = self.log.write(&report.to_json());
    }
}
