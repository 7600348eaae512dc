//! The JSON messages of a stream.

use serde_json::{Value, json};

/// A client's text message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Control {
    KeepAlive,
    CloseStream,
    Other,
}

impl Control {
    pub(crate) fn parse(text: &str) -> Self {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        match message.get("type").and_then(Value::as_str) {
            Some("KeepAlive") => Self::KeepAlive,
            // Speech synthesis uses the second name.
            Some("CloseStream" | "Close") => Self::CloseStream,
            _ => Self::Other,
        }
    }
}

/// A result for the audio from `start` to `end`, in seconds.
pub(crate) fn results(start: f64, end: f64, is_final: bool) -> String {
    json!({
        "type": "Results",
        "channel_index": [0, 1],
        "start": start,
        "duration": end - start,
        "is_final": is_final,
        "speech_final": is_final,
        "channel": {"alternatives": [{"transcript": "all work and no play", "confidence": 0.98, "words": []}]},
    })
    .to_string()
}

pub(crate) fn metadata(stream: u64, duration: f64) -> String {
    json!({
        "type": "Metadata",
        "request_id": format!("00000000-0000-4000-8000-{stream:012x}"),
        "duration": duration,
        "channels": 1,
    })
    .to_string()
}
