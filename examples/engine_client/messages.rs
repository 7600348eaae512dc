//! The messages that a stream sends, and when.

use std::future;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Message;

use crate::args::Args;
use crate::audio::{Audio, Random};
use crate::phases::Payload;

/// The messages of one phase; the first is due immediately.
pub(crate) enum Messages {
    Audio(Audio, Interval),
    KeepAlive(Interval),
    None,
}

impl Messages {
    pub(crate) fn new(payload: Payload, args: &Args, random: &Random) -> Self {
        match payload {
            Payload::Audio(rate) => {
                Self::Audio(Audio::new(random.clone(), rate.unwrap_or(args.rate), args.chunk), interval(args.chunk))
            }
            Payload::KeepAlive(rate) => Self::KeepAlive(keepalives(rate.map_or(args.keepalive_every, keepalive_every))),
            Payload::Silent => Self::None,
        }
    }

    /// Waits until the next message is due. Cancel safe.
    pub(crate) async fn next(&mut self) -> Message {
        match self {
            Self::Audio(audio, ticks) => loop {
                ticks.tick().await;
                let chunk = audio.chunk();
                if !chunk.is_empty() {
                    return Message::binary(chunk);
                }
            },
            Self::KeepAlive(ticks) => {
                ticks.tick().await;
                control("KeepAlive")
            }
            Self::None => future::pending().await,
        }
    }
}

pub(crate) fn control(kind: &str) -> Message {
    Message::text(json!({ "type": kind }).to_string())
}

/// The bytes of a client's message on the wire, in one frame with a mask (RFC 6455, section 5.2).
pub(crate) fn bytes_on_wire(message: &Message) -> u64 {
    let length = u64::try_from(message.len()).unwrap_or(u64::MAX);
    let head = match length {
        0..126 => 6,
        126..0x1_0000 => 8,
        _ => 14,
    };
    length.saturating_add(head)
}

/// The interval at which `KeepAlive` messages have this rate, in bytes per second.
fn keepalive_every(rate: u32) -> Duration {
    Duration::from_secs(bytes_on_wire(&control("KeepAlive"))) / rate
}

fn keepalives(every: Duration) -> Interval {
    let mut ticks = interval(every);
    // After a delay, one message is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
