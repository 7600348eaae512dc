//! What has happened, as far as it must be checked.

use std::process::ExitStatus;
use std::time::Instant;

use lameduck::io::report::OutcomeReport;

use crate::http::Answer;

/// The account of one demonstration.
#[derive(Debug)]
pub(crate) struct Record {
    /// When the hook was called.
    pub(crate) called: Instant,
    /// The readiness probe's answer while the drain was young.
    pub(crate) readiness: Option<Answer>,
    /// The engine's own words about signals.
    pub(crate) signals: Vec<String>,
    pub(crate) endings: Vec<Ending>,
    /// The hook's answer.
    pub(crate) answer: Option<Answer>,
    pub(crate) termination_message: Option<String>,
    pub(crate) engine: Option<ExitStatus>,
    pub(crate) sidecar: Option<ExitStatus>,
    /// Those of the clients, in the order of their start.
    pub(crate) clients: Vec<Option<ExitStatus>>,
}

/// How a stream has ended, by its client.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// Counted over all clients.
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// The client's own words, without the number.
    pub(crate) words: String,
    pub(crate) at: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Clean,
    Cut,
    Refused,
}

impl Record {
    pub(crate) const fn new(called: Instant) -> Self {
        Self {
            called,
            readiness: None,
            signals: Vec::new(),
            endings: Vec::new(),
            answer: None,
            termination_message: None,
            engine: None,
            sidecar: None,
            clients: Vec::new(),
        }
    }

    /// How many streams have ended so.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.endings.iter().filter(|ending| ending.kind == kind).count()
    }

    /// How this one stream has ended.
    pub(crate) fn ending(&self, number: u32) -> Option<Kind> {
        self.endings.iter().find(|ending| ending.number == number).map(|ending| ending.kind)
    }

    /// What the hook's answer says, if it is an outcome.
    pub(crate) fn outcome(&self) -> Option<OutcomeReport> {
        serde_json::from_str(&self.answer.as_ref()?.body).ok()
    }
}

impl Ending {
    /// Reads a line such as `client: stream 2 ended cleanly after 5.0s`, from a client that has begun after so many
    /// streams of others.
    pub(crate) fn read(line: &str, after: u32, at: Instant) -> Option<Self> {
        let (number, words) = line.strip_prefix("client: stream ")?.split_once(' ')?;
        let kinds = [("ended cleanly", Kind::Clean), ("CUT", Kind::Cut), ("REFUSED", Kind::Refused)];
        let (_, kind) = kinds.into_iter().find(|(start, _)| words.starts_with(start))?;
        Some(Self { number: after + number.parse::<u32>().ok()?, kind, words: words.to_owned(), at })
    }
}
