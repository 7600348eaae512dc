//! What a stream has to say, and when.

use std::future;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Message;

use crate::args::Args;
use crate::audio::{Audio, Random};
use crate::course::Conduct;

/// The messages of one phase, the first of them at once.
pub(crate) enum Speech {
    Audio(Audio, Interval),
    KeepAlive(Interval),
    Silence,
}

impl Speech {
    pub(crate) fn new(conduct: Conduct, args: &Args, random: &Random) -> Self {
        match conduct {
            Conduct::Audio(rate) => {
                Self::Audio(Audio::new(random.clone(), rate.unwrap_or(args.rate), args.chunk), interval(args.chunk))
            }
            Conduct::KeepAlive(rate) => Self::KeepAlive(keepalives(rate.map_or(args.keepalive_every, keepalive_every))),
            Conduct::Silent => Self::Silence,
        }
    }

    /// Waits for the time of the next message. Nothing is lost if the wait is given up.
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
            Self::Silence => future::pending().await,
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

/// How often a `KeepAlive` makes up so many bytes a second.
fn keepalive_every(rate: u32) -> Duration {
    Duration::from_secs(bytes_on_wire(&control("KeepAlive"))) / rate
}

fn keepalives(every: Duration) -> Interval {
    let mut ticks = interval(every);
    // One after a delay keeps alive as well as many.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
