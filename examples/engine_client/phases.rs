//! What a stream sends, phase by phase, as given on the command line.

use std::str::FromStr;
use std::time::Duration;

use humantime::parse_duration;

/// A number of streams with the same phases.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Group {
    pub(crate) count: u32,
    pub(crate) phases: Vec<Phase>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Phase {
    pub(crate) payload: Payload,
    /// How long the phase lasts; `None` for the last one, which ends with the stream.
    pub(crate) duration: Option<Duration>,
}

/// What a stream sends; the rate is that of all streams where it is `None`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Payload {
    /// Bytes of audio per second.
    Audio(Option<u32>),
    /// Bytes on the wire per second.
    KeepAlive(Option<u32>),
    Silent,
}

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(':');
        let count = words.next().unwrap_or_default();
        let count = count.parse().map_err(|_| format!("must begin with a number of streams, not `{count}`"))?;
        let mut phases = vec![Phase { payload: words.next().unwrap_or("audio").parse()?, duration: None }];
        while let Some(word) = words.next() {
            let duration = parse_duration(word).map_err(|error| format!("`{word}`: {error}"))?;
            let next = words.next().ok_or_else(|| format!("nothing comes after {word}"))?;
            phases.last_mut().into_iter().for_each(|phase| phase.duration = Some(duration));
            phases.push(Phase { payload: next.parse()?, duration: None });
        }
        Ok(Self { count, phases })
    }
}

impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, rate) = match text.split_once('@') {
            Some((name, rate)) => {
                (name, Some(rate.parse().map_err(|_| format!("`{rate}` is not a rate in bytes per second"))?))
            }
            None => (text, None),
        };
        match (name, rate) {
            (_, Some(0)) => Err("a rate of 0 is called silent".to_owned()),
            ("audio", rate) => Ok(Self::Audio(rate)),
            ("keepalive", rate) => Ok(Self::KeepAlive(rate)),
            ("silent", None) => Ok(Self::Silent),
            _ => Err(format!("`{text}` is not audio, keepalive or silent, with or without a rate as in audio@2000")),
        }
    }
}
