//! The status and the outcome as JSON.

use serde::{Deserialize, Serialize};

use crate::io::report::durations::DurationsReport;
use crate::io::rounding::rounded_seconds;
use crate::reasons::Reasons;
use lameduck_machine::result::DrainResult;
use lameduck_machine::snapshot::{DrainView, Snapshot, TargetView};
use lameduck_machine::source_state::{SourceState, SourceStatus};
use lameduck_machine::time::Time;

pub mod durations;

/// The body of `GET /status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// `serving`, `lame_duck`, `draining` or `done`.
    pub phase: String,
    /// The number of open streams, from all sources; null if unknown.
    pub streams: Option<u64>,
    /// The number of idle streams; null if unknown.
    pub idle_streams: Option<u64>,
    /// The state of each source.
    pub sources: Vec<SourceReport>,
    /// For how long the sources have returned different counts; null while they agree.
    pub disagreement_seconds: Option<f64>,
    /// The target, once it has been found.
    pub target: Option<TargetReport>,
    /// The drain; null while serving.
    pub drain: Option<DrainReport>,
    /// The outcome of the last drain, until the next one starts.
    pub outcome: Option<OutcomeReport>,
    /// The durations of streams, if connections are watched; null before the first was observed from start to end.
    pub durations: Option<DurationsReport>,
    /// lameduck's own version.
    pub version: String,
}

/// One source in the status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The source's name.
    pub name: String,
    /// `ok`, `absent` or `unknown`.
    pub state: String,
    /// Its count of streams, if the state is `ok`.
    pub streams: Option<u64>,
    /// Why there is no count.
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
    /// How long it has been running.
    pub elapsed_seconds: f64,
    /// The rest of its budget.
    pub remaining_seconds: f64,
    /// The number of streams when it began; null if unknown.
    pub streams_at_start: Option<u64>,
    /// Whether the signal has been sent.
    pub signalled: bool,
}

/// The outcome: the body of `/prestop`, the fields of the log's last line, and the termination message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeReport {
    // A sidecar of an earlier version sends neither an id nor warnings.
    /// The id of the drain: 16 hexadecimal digits, the same in every record also after a restart of the sidecar.
    #[serde(default)]
    pub id: String,
    /// `drained`, `exited`, `idle`, `expired`, `never_served` or `interrupted`.
    pub outcome: String,
    /// The number of streams when the drain began; null if unknown.
    pub streams_at_start: Option<u64>,
    /// The last number of streams before the signal; null if unknown, or if no signal was sent.
    pub streams_at_signal: Option<u64>,
    /// The number of streams that were still open at the end, and so are cut; null if unknown. With `interrupted`: the
    /// last known number.
    pub stragglers: Option<u64>,
    /// The number of idle streams that were still open at the end.
    pub idle_streams: u64,
    /// How long the drain took.
    pub seconds: f64,
    /// The signal that was sent; null if none.
    pub signal: Option<String>,
    /// Caveats about the record, as codes.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl OutcomeReport {
    /// The report of a drain result. `signal` is the name of the configured signal.
    #[must_use]
    pub fn new(result: &DrainResult, signal: Option<&str>) -> Self {
        Self {
            id: result.id.to_string(),
            outcome: result.outcome.name().to_owned(),
            streams_at_start: result.streams_at_start,
            streams_at_signal: result.streams_at_signal,
            stragglers: result.stragglers,
            idle_streams: result.idle_streams,
            seconds: rounded_seconds(result.duration),
            signal: signal.filter(|_| result.signalled).map(str::to_owned),
            warnings: result.warnings.iter().map(|warning| warning.name().to_owned()).collect(),
        }
    }

    /// The report as one line of JSON, well under 1 KiB.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl StatusReport {
    /// The report of a snapshot. `signal` is the name of the configured signal.
    #[must_use]
    pub fn new(
        snapshot: &Snapshot,
        reasons: &Reasons,
        signal: Option<&str>,
        durations: Option<DurationsReport>,
    ) -> Self {
        let source = |source| SourceReport::new(source, reasons, snapshot.now);
        Self {
            phase: snapshot.phase.name().to_owned(),
            streams: snapshot.streams.count,
            idle_streams: snapshot.streams.idle,
            sources: snapshot.streams.sources.iter().map(source).collect(),
            disagreement_seconds: snapshot.streams.disagreement.map(rounded_seconds),
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
    fn new(source: &SourceState, reasons: &Reasons, now: Time) -> Self {
        let (state, streams, error) = match &source.status {
            SourceStatus::NotPolled => ("unknown", None, Some("no reading yet".to_owned())),
            SourceStatus::Counted(count) => ("ok", Some(count.streams), None),
            SourceStatus::Absent => ("absent", None, Some(reasons.absent(source))),
            SourceStatus::Unknown(error) => ("unknown", None, Some(error.message.clone())),
        };
        let age_seconds = source.requested_at.map(|requested_at| rounded_seconds(now.since(requested_at)));
        Self { name: source.source.name().to_owned(), state: state.to_owned(), streams, error, age_seconds }
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
            elapsed_seconds: rounded_seconds(drain.elapsed),
            remaining_seconds: rounded_seconds(drain.remaining),
            streams_at_start: drain.streams_at_start,
            signalled: drain.signalled,
        }
    }
}
