//! The format of the state file.
//!
//! # Version 2
//! One JSON object without line breaks:
//! ```json
//! {
//!   "version": 2,
//!   "identity": {"boot_id": "…", "time_namespace": "time:[4026531834]", "target": "…"},
//!   "id": 8001986553870728979,
//!   "pid": 17,
//!   "started": 4711,
//!   "trigger": "hook",
//!   "started_at": {"secs": 100, "nanos": 0},
//!   "deadline": {"secs": 130, "nanos": 0},
//!   "streams_at_start": 3,
//!   "signal": {"sent_at": {"secs": 105, "nanos": 0}, "streams": 3, "served_on": true},
//!   "warnings": ["sources_disagreed"],
//!   "result": {
//!     "ended_at": {"secs": 130, "nanos": 0},
//!     "outcome": "expired",
//!     "streams_at_signal": 3,
//!     "stragglers": null,
//!     "idle_streams": 0,
//!     "duration": {"secs": 30, "nanos": 0},
//!     "signalled": true,
//!     "warnings": ["sources_disagreed"],
//!     "reported": false
//!   },
//!   "checksum": "0123456789abcdef"
//! }
//! ```
//! - `identity` names the boot, the time namespace and the target. The file is valid only for a process with the same
//!   identity.
//! - `id` is the drain's id as a decimal number.
//! - `pid` and `started` (in clock ticks since boot) are the target's incarnation. Both are null if there was no
//!   target.
//! - `signal` is null if none was sent. `streams` is the last count before it, and null if that was unknown.
//!   `served_on` says what the readings after it show: the target was still serving, streams were lost, or (null)
//!   nothing yet.
//! - `started_at`, `deadline`, `sent_at` and `ended_at` are times since boot (`CLOCK_MONOTONIC`). `duration` is a
//!   duration.
//! - `result` is null until the drain is finished. `reported` says whether its outcome was logged and written.
//! - `checksum` is the FNV-1a 64 hash of all bytes before `,"checksum"`, as 16 hexadecimal digits. It is the last field.
//!
//! A reader rejects every other version, and every unknown field: an unknown field may change the meaning of the others.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use lameduck_machine::drain_id::DrainId;
use lameduck_machine::result::{DrainResult, Outcome, Trigger};
use lameduck_machine::saved_drain::{SavedDrain, SavedResult};
use lameduck_machine::sent_signal::{AfterSignal, SentSignal};
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;
use lameduck_machine::warnings::{Warning, Warnings};

use super::checksum::fnv1a_64;

/// The only version that this build reads and writes.
const VERSION: u64 = 2;

/// What a state file must have in common with the process that reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// The boot of the machine: times since boot mean nothing in another one.
    pub(super) boot_id: String,
    /// The time namespace, which may shift the clock within one boot (`time_namespaces(7)`).
    pub(super) time_namespace: String,
    /// What is drained, by the settings.
    pub(super) target: String,
}

/// The fields of a state file, except its checksum.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateRecord {
    version: u64,
    identity: Identity,
    id: u64,
    pid: Option<u32>,
    started: Option<u64>,
    trigger: String,
    started_at: Duration,
    deadline: Duration,
    streams_at_start: Option<u64>,
    signal: Option<SignalRecord>,
    warnings: Vec<String>,
    result: Option<ResultRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalRecord {
    sent_at: Duration,
    streams: Option<u64>,
    /// Whether the readings after it show the target still serving; null while they show nothing.
    served_on: Option<bool>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultRecord {
    ended_at: Duration,
    outcome: String,
    streams_at_signal: Option<u64>,
    stragglers: Option<u64>,
    idle_streams: u64,
    duration: Duration,
    signalled: bool,
    warnings: Vec<String>,
    reported: bool,
}

/// The one field that every version has.
#[derive(Deserialize)]
struct VersionField {
    version: u64,
}

/// The content of a state file.
///
/// # Errors
/// Fails if the record cannot be serialized.
pub(super) fn encode(identity: &Identity, drain: &SavedDrain) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(&StateRecord::new(identity.clone(), drain))?;
    // The closing brace comes after the checksum.
    text.pop();
    Ok(with_checksum(text))
}

/// Completes an object that lacks its checksum and its closing brace.
pub(super) fn with_checksum(mut text: Vec<u8>) -> Vec<u8> {
    text.extend(checksum_field(&text).into_bytes());
    text
}

/// Reads the content of a state file.
///
/// # Errors
/// Says why the content is invalid, or what it was written for instead of `identity`.
pub(super) fn decode(text: &[u8], identity: &Identity) -> io::Result<SavedDrain> {
    let invalid = |error: serde_json::Error| io::Error::other(format!("invalid state file: {error}"));
    let VersionField { version } = serde_json::from_slice(text).map_err(invalid)?;
    if version != VERSION {
        return Err(io::Error::other(format!("unknown format version {version}")));
    }
    let mut body = verified_body(text).ok_or_else(|| io::Error::other("checksum mismatch"))?.to_vec();
    body.push(b'}');
    let record: StateRecord = serde_json::from_slice(&body).map_err(invalid)?;
    if record.identity != *identity {
        return Err(io::Error::other("written for another boot, time namespace or target"));
    }
    record.drain().ok_or_else(|| io::Error::other("unknown trigger, outcome or warning"))
}

/// The text before the checksum field, if the checksum is right.
fn verified_body(text: &[u8]) -> Option<&[u8]> {
    let length = text.len().checked_sub(checksum_field(&[]).len())?;
    let (body, field) = text.split_at_checked(length)?;
    (field == checksum_field(body).as_bytes()).then_some(body)
}

/// The last field, with the closing brace. Its length is always the same.
fn checksum_field(body: &[u8]) -> String {
    format!(",\"checksum\":\"{:016x}\"}}", fnv1a_64(body))
}

impl StateRecord {
    fn new(identity: Identity, drain: &SavedDrain) -> Self {
        let &SavedDrain { id, incarnation, trigger, started_at, deadline, streams_at_start, .. } = drain;
        Self {
            version: VERSION,
            identity,
            id: id.0,
            pid: incarnation.map(|incarnation| incarnation.pid),
            started: incarnation.map(|incarnation| incarnation.started),
            trigger: trigger.name().to_owned(),
            started_at: started_at.as_duration(),
            deadline: deadline.as_duration(),
            streams_at_start,
            signal: drain.signal.map(SignalRecord::new),
            warnings: names(drain.warnings),
            result: drain.finished.map(|result| ResultRecord::new(&result)),
        }
    }

    /// The drain, unless the trigger, the outcome or a warning is unknown.
    fn drain(&self) -> Option<SavedDrain> {
        let incarnation = self.pid.zip(self.started).map(|(pid, started)| Incarnation { pid, started });
        let finished = match &self.result {
            None => None,
            Some(result) => Some(result.saved_result(DrainId(self.id), self.streams_at_start)?),
        };
        Some(SavedDrain {
            id: DrainId(self.id),
            incarnation,
            trigger: Trigger::from_name(&self.trigger)?,
            started_at: Time::since_boot(self.started_at),
            deadline: Time::since_boot(self.deadline),
            streams_at_start: self.streams_at_start,
            signal: self.signal.as_ref().map(SignalRecord::signal),
            warnings: warnings(&self.warnings)?,
            finished,
        })
    }
}

impl ResultRecord {
    fn new(saved: &SavedResult) -> Self {
        let &SavedResult { ended_at, result, reported } = saved;
        Self {
            ended_at: ended_at.as_duration(),
            outcome: result.outcome.name().to_owned(),
            streams_at_signal: result.streams_at_signal,
            stragglers: result.stragglers,
            idle_streams: result.idle_streams,
            duration: result.duration,
            signalled: result.signalled,
            warnings: names(result.warnings),
            reported,
        }
    }

    fn saved_result(&self, id: DrainId, streams_at_start: Option<u64>) -> Option<SavedResult> {
        let result = DrainResult {
            id,
            outcome: Outcome::from_name(&self.outcome)?,
            streams_at_start,
            streams_at_signal: self.streams_at_signal,
            stragglers: self.stragglers,
            idle_streams: self.idle_streams,
            duration: self.duration,
            signalled: self.signalled,
            warnings: warnings(&self.warnings)?,
        };
        Some(SavedResult { ended_at: Time::since_boot(self.ended_at), result, reported: self.reported })
    }
}

impl SignalRecord {
    fn new(signal: SentSignal) -> Self {
        let served_on = match signal.after {
            // A count after the signal is not saved: the next one is compared with the count before the signal.
            AfterSignal::Unproven(_) => None,
            AfterSignal::ServedOn => Some(true),
            AfterSignal::StreamsLost => Some(false),
        };
        Self { sent_at: signal.sent_at.as_duration(), streams: signal.streams, served_on }
    }

    fn signal(&self) -> SentSignal {
        let after = match self.served_on {
            None => AfterSignal::Unproven(self.streams),
            Some(true) => AfterSignal::ServedOn,
            Some(false) => AfterSignal::StreamsLost,
        };
        SentSignal { sent_at: Time::since_boot(self.sent_at), streams: self.streams, after }
    }
}

fn names(warnings: Warnings) -> Vec<String> {
    warnings.iter().map(|warning| warning.name().to_owned()).collect()
}

/// The warnings with these names; `None` if one is unknown.
fn warnings(names: &[String]) -> Option<Warnings> {
    names.iter().map(|name| Warning::from_name(name)).collect()
}
