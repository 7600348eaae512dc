//! What a stream does over its life, as the command line has it.

use std::str::FromStr;
use std::time::Duration;

use humantime::parse_duration;

/// So many streams that do the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Group {
    pub(crate) count: u32,
    pub(crate) course: Vec<Phase>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Phase {
    pub(crate) conduct: Conduct,
    /// How long it goes on; the last phase lasts as long as the stream.
    pub(crate) lasts: Option<Duration>,
}

/// What a stream sends, at a rate of its own or at the one of all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Conduct {
    /// Bytes of audio a second.
    Audio(Option<u32>),
    /// Bytes on the wire a second.
    KeepAlive(Option<u32>),
    Silent,
}

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(':');
        let count = words.next().unwrap_or_default();
        let count = count.parse().map_err(|_| format!("must begin with a number of streams, not `{count}`"))?;
        let mut course = vec![Phase { conduct: words.next().unwrap_or("audio").parse()?, lasts: None }];
        while let Some(word) = words.next() {
            let lasts = parse_duration(word).map_err(|error| format!("`{word}`: {error}"))?;
            let next = words.next().ok_or_else(|| format!("nothing comes after {word}"))?;
            course.last_mut().into_iter().for_each(|phase| phase.lasts = Some(lasts));
            course.push(Phase { conduct: next.parse()?, lasts: None });
        }
        Ok(Self { count, course })
    }
}

impl FromStr for Conduct {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, rate) = match text.split_once('@') {
            Some((name, rate)) => {
                (name, Some(rate.parse().map_err(|_| format!("`{rate}` is no rate in bytes a second"))?))
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
