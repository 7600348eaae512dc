//! The command line.

use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use humantime::parse_duration;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::phases::Group;

/// Opens streams to an engine and reports which ended cleanly, which were cut and which were refused.
///
/// A stream is clean if the final result and a close frame with code 1000 came after its `CloseStream`. Exits with 0
/// if all were clean, otherwise with 1. On SIGTERM it opens no more streams and sends `CloseStream` on the open ones.
#[derive(Debug, Parser)]
#[command(name = "engine_client")]
pub(crate) struct Args {
    /// Where the streams are opened. Only the first address of a host name is tried.
    #[arg(long, default_value = "ws://127.0.0.1:8080/v1/listen", value_parser = websocket_url)]
    pub(crate) url: Uri,

    /// How many streams are opened, and what they send: audio or keepalive, with @BYTES for another rate per second, or
    /// silent; and, after a duration, something else. Examples: 6 (all audio), 3:audio@2000, 2:keepalive, 1:silent,
    /// 1:audio:5s:keepalive:30s:audio. Repeatable.
    #[arg(long, value_name = "N[:WHAT[:DURATION:WHAT]...]", default_value = "1")]
    pub(crate) streams: Vec<Group>,

    /// How long the streams last, cycled over them.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "5s", value_parser = parse_duration)]
    pub(crate) durations: Vec<Duration>,

    /// The shortest and longest duration of a stream, as MIN..MAX.
    #[arg(long, value_name = "RANGE", conflicts_with = "durations")]
    pub(crate) duration: Option<DurationRange>,

    /// The random seed for durations within the range, and for audio.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How often `keepalive` sends a `KeepAlive`, of 26 bytes on the wire. `keepalive@26` sends one per second.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = more_than_zero)]
    pub(crate) keepalive_every: Duration,

    /// Bytes of audio per second. Each frame adds 6 bytes on the wire, 8 from 126 bytes on.
    #[arg(long, value_name = "BYTES", default_value_t = 16_000)]
    pub(crate) rate: u32,

    /// The duration of the audio in one message.
    #[arg(long, value_name = "DURATION", default_value = "50ms", value_parser = more_than_zero)]
    pub(crate) chunk: Duration,

    /// The time between two opens.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub(crate) stagger: Duration,

    /// Open new streams at this rate, such as 40/s or 90/m, independently of the others, cycling over --streams.
    /// Prints only failures and, at the end, the totals as one line of JSON.
    #[arg(long, value_name = "RATE", conflicts_with = "stagger")]
    pub(crate) arrivals: Option<Arrivals>,

    /// For how long streams arrive; until SIGTERM if not given.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "arrivals")]
    pub(crate) arrivals_for: Option<Duration>,

    /// How long to wait for the clean close after `CloseStream` before the stream counts as cut.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(crate) close_timeout: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DurationRange {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// The time between two arrivals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Arrivals(pub(crate) Duration);

impl FromStr for DurationRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (min, max) = text.split_once("..").ok_or("must be MIN..MAX, such as 5s..20s")?;
        let [min, max] = [min, max].map(parse_duration);
        let (min, max) = (min.map_err(|error| error.to_string())?, max.map_err(|error| error.to_string())?);
        if min > max { Err("MIN is more than MAX".to_owned()) } else { Ok(Self { min, max }) }
    }
}

impl FromStr for Arrivals {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "must be N/s or N/m with N more than zero, such as 40/s";
        let (count, unit) = text.split_once('/').ok_or(FORM)?;
        let unit = match unit {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            _ => return Err(FORM),
        };
        let count = count.parse().map_err(|_| FORM)?;
        unit.checked_div(count).map(Self).ok_or(FORM)
    }
}

fn websocket_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match url.scheme_str() {
        Some("ws") => Ok(url),
        Some(_) | None => Err("must begin with ws://".to_owned()),
    }
}

fn more_than_zero(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be more than zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}
