//! What the sources have answered, as the contract lets it be used: by whole polls, in time, once, of this incarnation.

use std::time::Duration;

use lameduck_machine::io::Poll;
use lameduck_machine::policy::Policy;
use lameduck_machine::reading::{ReadErrorKind, Reading, Source};
use lameduck_machine::time::Time;

const SLACK: Duration = Duration::from_millis(100);

/// One poll of all sources.
#[derive(Clone, Debug)]
struct Request {
    requested_at: Time,
    expires_at: Time,
    /// The readings, once the poll has been answered.
    readings: Option<Vec<(Source, Reading)>>,
}

/// The polls of one incarnation by one sidecar.
#[derive(Clone, Debug)]
pub(crate) struct Readings {
    quiet_period: Duration,
    sources: Vec<Source>,
    polls: Vec<Request>,
    /// Whether a server ever answered.
    pub(crate) ever_answered: bool,
    /// How many of the polls are of an incarnation that has ended.
    ended: usize,
}

impl Readings {
    pub(crate) fn new(policy: &Policy) -> Self {
        let (quiet_period, sources) = (policy.times.quiet_period, policy.sources.clone());
        Self { quiet_period, sources, polls: Vec::new(), ever_answered: false, ended: 0 }
    }

    pub(crate) fn request(&mut self, requested_at: Time, timeout: Duration) {
        // A poll that is followed by another before it expires was cancelled: that it has no answer says nothing.
        if self.polls.last().is_some_and(|before| before.readings.is_none() && requested_at < before.expires_at) {
            self.polls.pop();
            self.ended = self.ended.min(self.polls.len());
        }
        self.polls.push(Request { requested_at, expires_at: requested_at + timeout + SLACK, readings: None });
    }

    pub(crate) fn answer(&mut self, now: Time, poll: &Poll) {
        let Some(request) = self.polls.last_mut() else { return };
        if request.requested_at != poll.requested_at || now > request.expires_at || request.readings.is_some() {
            return;
        }
        self.ever_answered |= poll.readings.iter().any(|(source, reading)| match reading {
            // A port without a listener shows no server.
            Reading::Counts(counts) if *source == Source::Sockets => counts.iter().any(Option::is_some),
            Reading::Unknown(_) if *source == Source::Sockets => false,
            Reading::Counts(_) => true,
            Reading::Unknown(error) => error.kind == ReadErrorKind::Invalid,
        });
        request.readings = Some(poll.readings.clone());
    }

    /// The incarnation ends: what is requested from now on is of another.
    pub(crate) fn end(&mut self) {
        self.ended = self.polls.len();
    }

    /// Nothing of the incarnation that ended is used any more.
    pub(crate) fn settle(&mut self) {
        if self.ended > 0 {
            self.polls.drain(..self.ended);
            (self.ended, self.ever_answered) = (0, false);
        }
    }

    pub(crate) fn reset(&mut self) {
        (self.ended, self.ever_answered) = (0, false);
        self.polls.clear();
    }

    /// For how long, beyond the quiet period, every poll since then has been zero; `None` if not so long.
    pub(crate) fn zero_held(&self, now: Time, since: Time) -> Option<Duration> {
        let polls: Vec<&Request> =
            self.polls.iter().filter(|poll| poll.requested_at >= since && poll.is_over(now)).collect();
        let first = polls.iter().rev().take_while(|poll| poll.is_zero()).last()?;
        polls.last()?.requested_at.since(first.requested_at).checked_sub(self.quiet_period)
    }

    /// The count of all sources by the last reading of each, if that is not older than this.
    pub(crate) fn fresh(&self, now: Time, age: Duration) -> Option<u64> {
        let last = self.polls.iter().rev().find(|poll| poll.is_over(now))?;
        let counts = self.sources.iter().filter_map(|source| last.count_of(*source));
        counts.max().filter(|_| now.since(last.requested_at) <= age)
    }

    /// Whether a poll since then is over in which no server answered.
    pub(crate) fn failed_since(&self, now: Time, since: Time) -> bool {
        let failed = |(source, reading): &(Source, Reading)| match reading {
            Reading::Counts(_) => *source == Source::Sockets,
            Reading::Unknown(error) => error.kind != ReadErrorKind::Invalid,
        };
        let mut polls = self.polls.iter().filter(|poll| poll.requested_at >= since && poll.is_over(now));
        polls.any(|poll| poll.readings.iter().flatten().all(failed))
    }
}

impl Request {
    fn is_over(&self, now: Time) -> bool {
        self.readings.is_some() || now >= self.expires_at
    }

    fn count_of(&self, source: Source) -> Option<u64> {
        let mut readings = self.readings.iter().flatten();
        readings.find(|(answering, _)| *answering == source).and_then(|(source, reading)| count(*source, reading))
    }

    fn is_zero(&self) -> bool {
        let readings = || self.readings.iter().flatten();
        let counts: Vec<u64> = readings().filter_map(|(source, reading)| count(*source, reading)).collect();
        counts.iter().max() == Some(&0) && !readings().any(|(source, reading)| is_missing(*source, reading))
    }
}

/// Whether a series that is always there is absent.
fn is_missing(source: Source, reading: &Reading) -> bool {
    matches!(source, Source::Metrics | Source::Status) && *reading == Reading::Counts(vec![None])
}

/// The count of a source; a closed port without connections counts zero.
fn count(source: Source, reading: &Reading) -> Option<u64> {
    match reading {
        Reading::Counts(counts) if source == Source::Sockets && *counts == [None] => Some(0),
        Reading::Counts(counts) => counts.iter().flatten().map(|count| count.streams).reduce(u64::saturating_add),
        Reading::Unknown(_) => None,
    }
}
