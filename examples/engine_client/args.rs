//! What can be said on the command line.

use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use humantime::parse_duration;
use tokio_tungstenite::tungstenite::http::Uri;

/// Opens streams to an engine and tells which ended cleanly, which were cut and which were refused.
///
/// A stream is clean when the final result and a close frame with code 1000 came after its `CloseStream`. Exits with
/// 0 when all were clean, otherwise with 1.
#[derive(Debug, Parser)]
#[command(name = "engine_client")]
pub(crate) struct Args {
    /// Where the streams go.
    #[arg(long, default_value = "ws://127.0.0.1:8080/v1/listen", value_parser = websocket_url)]
    pub(crate) url: Uri,

    /// How many streams are opened.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) streams: u32,

    /// How long the streams last, cycled over them.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "5s", value_parser = parse_duration)]
    pub(crate) durations: Vec<Duration>,

    /// How long each stream lasts at least and at most, as MIN..MAX.
    #[arg(long, value_name = "RANGE", conflicts_with = "durations")]
    pub(crate) duration: Option<Span>,

    /// Picks the durations within the range, and the audio.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How many of the streams go idle; the first ones do.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) idle: u32,

    /// When idle streams stop sending audio.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    pub(crate) idle_from: Duration,

    /// How often an idle stream sends a `KeepAlive`.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = more_than_zero)]
    pub(crate) keepalive_every: Duration,

    /// Bytes of audio a second, sent every 50 ms.
    #[arg(long, value_name = "BYTES", default_value_t = 16_000)]
    pub(crate) rate: u32,

    /// The time between two opens.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub(crate) stagger: Duration,

    /// How long to wait for the clean close after `CloseStream` before the stream counts as cut.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(crate) close_timeout: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (min, max) = text.split_once("..").ok_or("must be MIN..MAX, such as 5s..20s")?;
        let [min, max] = [min, max].map(parse_duration);
        let (min, max) = (min.map_err(|error| error.to_string())?, max.map_err(|error| error.to_string())?);
        if min > max { Err("MIN is more than MAX".to_owned()) } else { Ok(Self { min, max }) }
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
