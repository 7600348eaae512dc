//! The format of the state file.
//!
//! # Version 1
//! One JSON object without line breaks:
//! ```json
//! {
//!   "version": 1,
//!   "identity": {"boot_id": "…", "time_namespace": "time:[4026531834]", "target": "…"},
//!   "pid": 17,
//!   "started": 4711,
//!   "trigger": "hook",
//!   "started_at": {"secs": 100, "nanos": 0},
//!   "deadline": {"secs": 130, "nanos": 0},
//!   "streams_at_start": 3,
//!   "signalled": true,
//!   "result": {
//!     "ended_at": {"secs": 130, "nanos": 0},
//!     "outcome": "expired",
//!     "stragglers": null,
//!     "idle_streams": 0,
//!     "duration": {"secs": 30, "nanos": 0},
//!     "signalled": true,
//!     "reported": false
//!   },
//!   "checksum": "0123456789abcdef"
//! }
//! ```
//! - `identity` names the boot, the time namespace and the target. The file is valid only for a process with the same
//!   identity.
//! - `pid` and `started` (in clock ticks since boot) are the target's incarnation. Both are null if there was no target.
//! - `started_at`, `deadline` and `ended_at` are times since boot (`CLOCK_MONOTONIC`). `duration` is a duration.
//! - `result` is null until the drain is finished. `reported` says whether its outcome was logged and written.
//! - `checksum` is the FNV-1a 64 hash of all bytes before `,"checksum"`, as 16 hexadecimal digits. It is the last field.
//!
//! A reader rejects every other version, and every unknown field: an unknown field may change the meaning of the others.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use lameduck_machine::result::{DrainResult, Outcome, Trigger};
use lameduck_machine::saved_drain::{SavedDrain, SavedResult};
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;

use super::checksum::fnv1a_64;

/// The only version that this build reads and writes.
const VERSION: u64 = 1;

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
    pid: Option<u32>,
    started: Option<u64>,
    trigger: String,
    started_at: Duration,
    deadline: Duration,
    streams_at_start: Option<u64>,
    signalled: bool,
    result: Option<ResultRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultRecord {
    ended_at: Duration,
    outcome: String,
    stragglers: Option<u64>,
    idle_streams: u64,
    duration: Duration,
    signalled: bool,
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
    record.drain().ok_or_else(|| io::Error::other("unknown trigger or outcome"))
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
        let &SavedDrain { incarnation, trigger, started_at, deadline, streams_at_start, signalled, finished } = drain;
        Self {
            version: VERSION,
            identity,
            pid: incarnation.map(|incarnation| incarnation.pid),
            started: incarnation.map(|incarnation| incarnation.started),
            trigger: trigger.name().to_owned(),
            started_at: started_at.as_duration(),
            deadline: deadline.as_duration(),
            streams_at_start,
            signalled,
            result: finished.map(|result| ResultRecord::new(&result)),
        }
    }

    /// The drain, unless the trigger or the outcome is unknown.
    fn drain(&self) -> Option<SavedDrain> {
        let incarnation = self.pid.zip(self.started).map(|(pid, started)| Incarnation { pid, started });
        let finished = match &self.result {
            None => None,
            Some(result) => Some(result.saved_result(self.streams_at_start)?),
        };
        Some(SavedDrain {
            incarnation,
            trigger: Trigger::from_name(&self.trigger)?,
            started_at: Time::since_boot(self.started_at),
            deadline: Time::since_boot(self.deadline),
            streams_at_start: self.streams_at_start,
            signalled: self.signalled,
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
            stragglers: result.stragglers,
            idle_streams: result.idle_streams,
            duration: result.duration,
            signalled: result.signalled,
            reported,
        }
    }

    fn saved_result(&self, streams_at_start: Option<u64>) -> Option<SavedResult> {
        let &Self { ended_at, stragglers, idle_streams, duration, signalled, reported, .. } = self;
        let outcome = Outcome::from_name(&self.outcome)?;
        let result = DrainResult { outcome, streams_at_start, stragglers, idle_streams, duration, signalled };
        Some(SavedResult { ended_at: Time::since_boot(ended_at), result, reported })
    }
}
