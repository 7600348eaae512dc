//! What happened, for the checks at the end.

use std::process::ExitStatus;
use std::time::Instant;

use lameduck::io::report::OutcomeReport;

use crate::http::Answer;

/// What happened in the demo.
#[derive(Debug)]
pub(crate) struct Record {
    /// When the hook was called.
    pub(crate) called: Instant,
    /// The readiness probe's answer at the start of the drain.
    pub(crate) readiness: Option<Answer>,
    /// The engine's lines about signals.
    pub(crate) signals: Vec<String>,
    pub(crate) endings: Vec<Ending>,
    /// The hook's answer.
    pub(crate) answer: Option<Answer>,
    pub(crate) termination_message: Option<String>,
    pub(crate) engine: Option<ExitStatus>,
    pub(crate) sidecar: Option<ExitStatus>,
    /// The clients, in the order of their start.
    pub(crate) clients: Vec<Option<ExitStatus>>,
}

/// How a stream ended, as its client reports it.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// Numbered across all clients.
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// The client's line after the stream's number.
    pub(crate) text: String,
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

    /// The number of streams that ended this way.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.endings.iter().filter(|ending| ending.kind == kind).count()
    }

    /// How this stream ended.
    pub(crate) fn ending(&self, number: u32) -> Option<Kind> {
        self.endings.iter().find(|ending| ending.number == number).map(|ending| ending.kind)
    }

    /// The outcome in the hook's answer.
    pub(crate) fn outcome(&self) -> Option<OutcomeReport> {
        serde_json::from_str(&self.answer.as_ref()?.body).ok()
    }
}

impl Ending {
    /// Parses a line such as `client: stream 2 ended cleanly after 5.0s`; the stream's number is increased by `after`, the
    /// number of streams of earlier clients.
    pub(crate) fn parse(line: &str, after: u32, at: Instant) -> Option<Self> {
        let (number, text) = line.strip_prefix("client: stream ")?.split_once(' ')?;
        let kinds = [("ended cleanly", Kind::Clean), ("CUT", Kind::Cut), ("REFUSED", Kind::Refused)];
        let (_, kind) = kinds.into_iter().find(|(start, _)| text.starts_with(start))?;
        Some(Self { number: after + number.parse::<u32>().ok()?, kind, text: text.to_owned(), at })
    }
}
