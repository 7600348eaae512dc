//! What the sources have said, as the contract lets it be taken: by whole rounds, in time, once, of this life.

use std::time::Duration;

use lameduck_machine::policy::Policy;
use lameduck_machine::reading::{ReadErrorKind, Reading, Source};
use lameduck_machine::time::Time;

const SLACK: Duration = Duration::from_millis(100);

/// One round of readings.
#[derive(Clone, Debug)]
struct Round {
    requested_at: Time,
    overdue: Time,
    said: Vec<(Source, Reading)>,
}

/// The rounds of one life under one sidecar.
#[derive(Clone, Debug)]
pub(crate) struct Readings {
    quiet: Duration,
    sources: Vec<Source>,
    rounds: Vec<Round>,
    /// Whether a page ever came.
    pub(crate) served: bool,
    /// How many of the rounds are of a life that has ended.
    ended: usize,
}

impl Readings {
    pub(crate) fn new(policy: &Policy) -> Self {
        let (quiet, sources) = (policy.plan.quiet_period, policy.sources.clone());
        Self { quiet, sources, rounds: Vec::new(), served: false, ended: 0 }
    }

    pub(crate) fn ask(&mut self, requested_at: Time, bound: Duration) {
        // A round that another follows before it is overdue was abandoned: its silence says nothing.
        if let Some(before) = self.rounds.last_mut().filter(|before| requested_at < before.overdue) {
            before.overdue = requested_at + Duration::MAX;
        }
        self.rounds.push(Round { requested_at, overdue: requested_at + bound + SLACK, said: Vec::new() });
    }

    pub(crate) fn take(&mut self, now: Time, requested_at: Time, source: Source, reading: &Reading) {
        let Some(round) = self.rounds.last_mut() else { return };
        let new = round.said.iter().all(|(said, _)| *said != source);
        if round.requested_at == requested_at && now <= round.overdue && new {
            round.said.push((source, reading.clone()));
            self.served |= match reading {
                // A port on which nobody listens shows nobody who serves.
                Reading::Counts(counts) if source == Source::Sockets => counts.iter().any(Option::is_some),
                Reading::Unknown(_) if source == Source::Sockets => false,
                Reading::Counts(_) => true,
                Reading::Unknown(fault) => fault.kind == ReadErrorKind::Invalid,
            };
        }
    }

    /// The life ends: what is asked from now on is of another.
    pub(crate) fn end(&mut self) {
        self.ended = self.rounds.len();
    }

    /// Nothing of the life that ended is taken any more.
    pub(crate) fn settle(&mut self) {
        if self.ended > 0 {
            self.rounds.drain(..self.ended);
            (self.ended, self.served) = (0, false);
        }
    }

    pub(crate) fn forget(&mut self) {
        (self.ended, self.served) = (0, false);
        self.rounds.clear();
    }

    /// For how long, beyond the quiet period, every round since then has said zero; `None` if not so long.
    pub(crate) fn zero_held(&self, now: Time, since: Time) -> Option<Duration> {
        let of_now = self.rounds.iter().filter(|round| round.requested_at >= since);
        let rounds: Vec<&Round> = of_now.filter(|round| self.is_over(round, now) || round.denies_zero()).collect();
        let zeros = rounds.iter().rev().take_while(|round| round.says_zero());
        let first = zeros.last()?.requested_at;
        rounds.last()?.requested_at.since(first).checked_sub(self.quiet)
    }

    fn is_over(&self, round: &Round, now: Time) -> bool {
        round.said.len() == self.sources.len() || now >= round.overdue
    }

    /// The fused count, by the last word of each source, if it is not older than that.
    pub(crate) fn fresh(&self, now: Time, age: Duration) -> Option<u64> {
        let last =
            |source| self.rounds.iter().rev().find(|round| round.has_heard(source, now)).map(|round| (source, round));
        let words = self.sources.iter().filter_map(|source| last(*source));
        words
            .filter(|(_, round)| now.since(round.requested_at) <= age)
            .filter_map(|(source, round)| round.count_of(source))
            .max()
    }

    /// Whether the last round since then is over and nobody gave a page.
    pub(crate) fn failing_since(&self, since: Time) -> bool {
        let failed = |(source, reading): &(Source, Reading)| match reading {
            Reading::Counts(_) => *source == Source::Sockets,
            Reading::Unknown(fault) => fault.kind != ReadErrorKind::Invalid,
        };
        self.rounds.iter().any(|round| round.requested_at >= since && round.said.iter().all(failed))
    }
}

impl Round {
    /// Whether a source has answered in this round, or cannot any more.
    fn has_heard(&self, source: Source, now: Time) -> bool {
        now >= self.overdue || self.said.iter().any(|(said, _)| *said == source)
    }

    fn count_of(&self, source: Source) -> Option<u64> {
        self.said.iter().find(|(said, _)| *said == source).and_then(|(source, reading)| said(*source, reading))
    }

    fn denies_zero(&self) -> bool {
        self.said.iter().any(|(source, reading)| said(*source, reading) > Some(0))
    }

    fn says_zero(&self) -> bool {
        self.said.iter().any(|(source, reading)| said(*source, reading) == Some(0))
            && !self.denies_zero()
            && !self.misses()
    }

    /// Whether a series that is always there is absent.
    fn misses(&self) -> bool {
        let always_there = |source| matches!(source, Source::Metrics | Source::Status);
        self.said.iter().any(|(source, reading)| always_there(*source) && *reading == Reading::Counts(vec![None]))
    }
}

/// The count of a source; a port that is closed, with nothing connected, has none.
fn said(source: Source, reading: &Reading) -> Option<u64> {
    let closed = source == Source::Sockets && *reading == Reading::Counts(vec![None]);
    if closed { Some(0) } else { sum(reading) }
}

fn sum(reading: &Reading) -> Option<u64> {
    match reading {
        Reading::Counts(counts) => counts.iter().flatten().map(|count| count.streams).reduce(u64::saturating_add),
        Reading::Unknown(_) => None,
    }
}
