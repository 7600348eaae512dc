//! The JSON of a sidecar: its `/status`, and the record in its termination message.
//!
//! Sidecars of several versions run at the same time, so fields that are not needed here may be missing.

use std::time::Duration;

use lameduck_fleet_machine::record::OutcomeRecord;
use lameduck_fleet_machine::status::{DrainStatus, SidecarPhase, SidecarStatus};
use lameduck_machine::drain_id::DrainId;
use lameduck_machine::result::Outcome;
use serde::Deserialize;

/// How many warnings of a record are kept. A sidecar has fewer codes.
const MAX_WARNINGS: usize = 16;

/// How long a warning's code may be, in bytes.
const MAX_WARNING_BYTES: usize = 64;

#[derive(Deserialize)]
struct StatusJson {
    phase: String,
    streams: Option<u64>,
    idle_streams: Option<u64>,
    drain: Option<DrainJson>,
    outcome: Option<OutcomeJson>,
}

#[derive(Deserialize)]
struct DrainJson {
    elapsed_seconds: f64,
    remaining_seconds: f64,
    streams_at_start: Option<u64>,
}

#[derive(Deserialize)]
struct OutcomeJson {
    id: String,
    outcome: String,
    streams_at_start: Option<u64>,
    stragglers: Option<u64>,
    idle_streams: u64,
    seconds: f64,
    #[serde(default)]
    warnings: Vec<String>,
}

/// Reads the body of `/status`. An outcome that this version does not know is left out.
///
/// # Errors
/// Fails if it is not a status.
pub fn status(body: &[u8]) -> Result<SidecarStatus, String> {
    let json: StatusJson = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let phase = SidecarPhase::from_name(&json.phase).ok_or_else(|| format!("unknown phase {:?}", json.phase))?;
    let drain = json.drain.map(|drain| {
        let seconds = |seconds| duration(seconds).ok_or_else(|| format!("{seconds} is not a time"));
        let (elapsed, remaining) = (seconds(drain.elapsed_seconds)?, seconds(drain.remaining_seconds)?);
        Ok::<_, String>(DrainStatus { elapsed, remaining, streams_at_start: drain.streams_at_start })
    });
    Ok(SidecarStatus {
        phase,
        streams: json.streams,
        idle_streams: json.idle_streams,
        drain: drain.transpose()?,
        outcome: json.outcome.and_then(OutcomeJson::record),
    })
}

/// Reads a termination message; `None` if it has no record.
#[must_use]
pub fn record(message: &str) -> Option<OutcomeRecord> {
    serde_json::from_str::<OutcomeJson>(message.trim()).ok()?.record()
}

impl OutcomeJson {
    fn record(self) -> Option<OutcomeRecord> {
        let is_hex = self.id.len() == 16 && self.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_code = |code: &String| {
            code.len() <= MAX_WARNING_BYTES && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        Some(OutcomeRecord {
            id: DrainId(u64::from_str_radix(&self.id, 16).ok().filter(|_| is_hex)?),
            outcome: Outcome::from_name(&self.outcome)?,
            streams_at_start: self.streams_at_start,
            stragglers: self.stragglers,
            idle_streams: self.idle_streams,
            duration: duration(self.seconds)?,
            warnings: self.warnings.into_iter().filter(is_code).take(MAX_WARNINGS).collect(),
        })
    }
}

fn duration(seconds: f64) -> Option<Duration> {
    // Longer than any drain: the sum of such durations must not overflow.
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration < Duration::from_secs(1 << 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOME: &str = r#"{"id":"6f0c2d9be1a74b13","outcome":"expired","streams_at_start":14,"streams_at_signal":13,"stragglers":2,"idle_streams":1,"seconds":723.4,"signal":"SIGINT","warnings":["deadline_shortened","Not a code"]}"#;

    #[test]
    fn outcome_is_read_from_termination_message() {
        let record = record(&format!("{OUTCOME}\n")).unwrap();
        assert_eq!((record.id, record.outcome), (DrainId(0x6f0c_2d9b_e1a7_4b13), Outcome::Expired));
        assert_eq!((record.streams_at_start, record.stragglers, record.idle_streams), (Some(14), Some(2), 1));
        assert_eq!(
            (record.duration, record.warnings),
            (Duration::from_millis(723_400), vec!["deadline_shortened".into()])
        );
    }

    #[test]
    fn other_messages_are_no_records() {
        for (from, to) in [
            ("expired", "exploded"),
            ("6f0c2d9be1a74b13", "6f0c"),
            ("6f0c2d9be1a74b13", "+f0c2d9be1a74b13"),
            ("723.4", "-1"),
            ("723.4", "1e300"),
            ("{", ""),
        ] {
            assert_eq!(record(&OUTCOME.replacen(from, to, 1)), None, "{to}");
        }
        assert_eq!(record("could not be located"), None);
    }

    #[test]
    fn status_of_each_phase_is_read() {
        let serving = r#"{"phase":"serving","streams":3,"idle_streams":null,"drain":null,"outcome":null}"#;
        let status_of = |body: &str| status(body.as_bytes());
        let read = status_of(serving).unwrap();
        assert_eq!((read.phase, read.streams, read.idle_streams), (SidecarPhase::Serving, Some(3), None));
        let drain = r#"{"trigger":"hook","elapsed_seconds":12.1,"remaining_seconds":582.9,"streams_at_start":14,"signalled":true}"#;
        let body = format!(r#"{{"phase":"draining","streams":3,"idle_streams":1,"drain":{drain},"outcome":null}}"#);
        let drain = status_of(&body).unwrap().drain.unwrap();
        assert_eq!((drain.elapsed.as_millis(), drain.remaining.as_millis()), (12_100, 582_900));
        let body = format!(r#"{{"phase":"done","streams":null,"idle_streams":null,"drain":null,"outcome":{OUTCOME}}}"#);
        assert_eq!(status_of(&body).unwrap().outcome.unwrap().stragglers, Some(2));
        for invalid in ["", "{}", "not found", &serving.replace("serving", "sleeping"), &serving.replace('3', "-3")] {
            assert!(status_of(invalid).is_err(), "{invalid}");
        }
    }
}
