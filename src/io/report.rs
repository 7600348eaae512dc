//! What users are told, as JSON: the status and the outcome.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::io::report::durations::DurationsReport;
use lameduck_machine::result::DrainResult;
use lameduck_machine::snapshot::{DrainView, Snapshot, TargetView};
use lameduck_machine::source_state::{SourceState, State};
use lameduck_machine::time::Time;

pub mod durations;

/// The answer of `GET /status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// `serving`, `lame_duck`, `draining` or `done`.
    pub phase: String,
    /// The fused count; null while nobody can know.
    pub streams: Option<u64>,
    /// Of these, the idle ones; null where they are not told apart.
    pub idle_streams: Option<u64>,
    /// What each source says.
    pub sources: Vec<SourceReport>,
    /// For how long the sources that answer have given different counts; null while they agree.
    pub disagreement_seconds: Option<f64>,
    /// The target, once it has been seen.
    pub target: Option<TargetReport>,
    /// The drain; null while serving.
    pub drain: Option<DrainReport>,
    /// Its outcome, once it is over.
    pub outcome: Option<OutcomeReport>,
    /// How long streams last, where connections are watched; null before the first was seen whole.
    pub durations: Option<DurationsReport>,
    /// lameduck's own version.
    pub version: String,
}

/// One source in the status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The source.
    pub name: String,
    /// `ok`, `absent` or `unknown`.
    pub state: String,
    /// What it counts, if it does.
    pub streams: Option<u64>,
    /// Why it does not.
    pub error: Option<String>,
    /// The age of its last reading.
    pub age_seconds: Option<f64>,
}

/// The target in the status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Whether it is alive.
    pub alive: bool,
}

/// The drain in the status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrainReport {
    /// `hook`, `sigterm` or `cli`.
    pub trigger: String,
    /// How long it has been on.
    pub elapsed_seconds: f64,
    /// What is left of the budget.
    pub remaining_seconds: f64,
    /// The streams when it began.
    pub streams_at_start: Option<u64>,
    /// Whether the signal has gone out.
    pub signalled: bool,
}

/// The outcome: the answer of `/prestop`, the log's last line and the termination message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeReport {
    /// `drained`, `exited`, `idle`, `expired` or `unserved`.
    pub outcome: String,
    /// The streams when the drain began; null if nobody could know.
    pub streams_at_start: Option<u64>,
    /// The streams that were cut, or left to be; null if nobody can know.
    pub stragglers: Option<u64>,
    /// The idle streams that were left.
    pub idle_streams: u64,
    /// How long the drain took.
    pub seconds: f64,
    /// The signal that was sent; null if none was.
    pub signal: Option<String>,
}

impl OutcomeReport {
    /// The report of a verdict, under the name of the signal.
    #[must_use]
    pub fn new(result: &DrainResult, signal: Option<&str>) -> Self {
        Self {
            outcome: result.outcome.name().to_owned(),
            streams_at_start: result.streams_at_start,
            stragglers: result.stragglers,
            idle_streams: result.idle_streams,
            seconds: seconds(result.took),
            signal: signal.filter(|_| result.signalled).map(str::to_owned),
        }
    }

    /// The report as one line of JSON, well under 1 KiB.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl StatusReport {
    /// The report of the machine as it is, under the name of the signal.
    #[must_use]
    pub fn new(snapshot: &Snapshot, signal: Option<&str>, durations: Option<DurationsReport>) -> Self {
        Self {
            phase: snapshot.phase.name().to_owned(),
            streams: snapshot.streams,
            idle_streams: snapshot.idle_streams,
            sources: snapshot.sources.iter().map(|witness| SourceReport::new(witness, snapshot.now)).collect(),
            disagreement_seconds: snapshot.disagreement.map(seconds),
            target: snapshot.target.as_ref().map(TargetReport::new),
            drain: snapshot.drain.as_ref().map(DrainReport::new),
            outcome: snapshot.result.as_ref().map(|result| OutcomeReport::new(result, signal)),
            durations,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl SourceReport {
    fn new(witness: &SourceState, now: Time) -> Self {
        let (state, streams, error) = match &witness.state {
            State::NotPolled => ("unknown", None, Some("no reading yet".to_owned())),
            State::Counted(count) => ("ok", Some(count.streams), None),
            State::Absent => ("absent", None, Some(witness.source.absence().to_owned())),
            State::Unknown(fault) => ("unknown", None, Some(fault.message.clone())),
        };
        let age_seconds = witness.requested_at.map(|requested_at| seconds(now.since(requested_at)));
        Self { name: witness.source.name().to_owned(), state: state.to_owned(), streams, error, age_seconds }
    }
}

impl TargetReport {
    fn new(target: &TargetView) -> Self {
        Self { pid: target.incarnation.pid, name: target.name.clone(), alive: target.alive }
    }
}

impl DrainReport {
    fn new(drain: &DrainView) -> Self {
        Self {
            trigger: drain.trigger.name().to_owned(),
            elapsed_seconds: seconds(drain.elapsed),
            remaining_seconds: seconds(drain.remaining),
            streams_at_start: drain.streams_at_start,
            signalled: drain.signalled,
        }
    }
}

/// Seconds, to the millisecond.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
