//! The readings that the contract allows the machine to use: whole polls of this incarnation, answered in time and once.

use std::time::Duration;

use lameduck_machine::io::Poll;
use lameduck_machine::policy::Policy;
use lameduck_machine::reading::{ReadErrorKind, Reading, Source};
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;

/// How much later than its timeout a poll may be answered.
const SLACK: Duration = Duration::from_millis(100);

/// One poll of all sources.
#[derive(Clone, Debug)]
struct Request {
    requested_at: Time,
    target: Option<Incarnation>,
    expires_at: Time,
    /// When it was answered.
    answered_at: Time,
    /// The readings, once the poll has been answered.
    readings: Option<Vec<(Source, Reading)>>,
    /// The cookies in the socket table, if that could be read.
    connections: Option<Vec<u64>>,
}

/// The polls of one incarnation by one sidecar.
#[derive(Clone, Debug)]
pub(crate) struct Readings {
    quiet_period: Duration,
    sources: Vec<Source>,
    gauge_leak_after: Option<Duration>,
    polls: Vec<Request>,
    /// Whether a server ever responded.
    pub(crate) ever_answered: bool,
    /// The number of polls, from the first, that belong to an incarnation that has exited.
    outdated: usize,
}

impl Readings {
    pub(crate) fn new(policy: &Policy) -> Self {
        let (quiet_period, sources) = (policy.times.quiet_period, policy.sources.clone());
        let gauge_leak_after = policy.streams_ports.gauge_leak_after;
        Self { quiet_period, sources, gauge_leak_after, polls: Vec::new(), ever_answered: false, outdated: 0 }
    }

    pub(crate) fn request(&mut self, requested_at: Time, timeout: Duration, target: Option<Incarnation>) {
        // A poll that is followed by another before it expires was cancelled, so its missing answer is no failure.
        if self.polls.last().is_some_and(|before| before.readings.is_none() && requested_at < before.expires_at) {
            self.polls.pop();
            self.outdated = self.outdated.min(self.polls.len());
        }
        self.polls.push(Request {
            requested_at,
            target,
            expires_at: requested_at + timeout + SLACK,
            answered_at: requested_at,
            readings: None,
            connections: None,
        });
    }

    pub(crate) fn answer(&mut self, now: Time, poll: &Poll) {
        let Some(request) = self.polls.last_mut() else { return };
        let is_answer = (request.requested_at, request.target) == (poll.requested_at, poll.target);
        if !is_answer || now > request.expires_at || request.readings.is_some() {
            return;
        }
        self.ever_answered |= poll.readings.iter().any(|(source, reading)| match reading {
            // A port without a listener is not a response of a server.
            Reading::Counts(counts) if *source == Source::Sockets => counts.iter().any(Option::is_some),
            Reading::Unknown(_) if *source == Source::Sockets => false,
            Reading::Counts(_) => true,
            Reading::Unknown(error) => error.kind == ReadErrorKind::Invalid,
        });
        request.readings = Some(poll.readings.clone());
        let table = poll.sockets.as_ref().and_then(|sockets| sockets.table.as_ref().ok());
        request.connections = table.map(|table| table.connections.iter().filter_map(|it| it.cookie).collect());
        request.answered_at = now;
    }

    /// The incarnation exits. Polls that are requested from now on belong to the next one.
    pub(crate) fn end_incarnation(&mut self) {
        self.outdated = self.polls.len();
    }

    /// Discards the polls of incarnations that have exited.
    pub(crate) fn discard_outdated(&mut self) {
        if self.outdated > 0 {
            self.polls.drain(..self.outdated);
            (self.outdated, self.ever_answered) = (0, false);
        }
    }

    /// Discards all polls.
    pub(crate) fn reset(&mut self) {
        (self.outdated, self.ever_answered) = (0, false);
        self.polls.clear();
    }

    /// How long zero has lasted beyond the quiet period, by the polls since then; `None` if it has not lasted that long.
    pub(crate) fn zero_beyond_quiet_period(&self, now: Time, since: Time) -> Option<Duration> {
        let is_relevant = |index: &usize| {
            let poll = &self.polls[*index];
            poll.requested_at >= since && poll.is_finished(now)
        };
        let polls: Vec<usize> = (0..self.polls.len()).filter(is_relevant).collect();
        polls.last().filter(|last| self.is_zero(**last))?;
        let quiet = polls.iter().rev().take_while(|index| self.is_zero(**index) || self.shows_only_new(**index));
        let first = quiet.filter(|index| self.is_zero(**index)).last()?;
        self.polls[*polls.last()?].requested_at.since(self.polls[*first].requested_at).checked_sub(self.quiet_period)
    }

    /// Whether a poll counts zero.
    fn is_zero(&self, index: usize) -> bool {
        self.polls[index].is_zero(self.is_page_overruled(index), |_| true)
    }

    /// Whether a poll counts zero except for connections that the poll before did not show.
    fn shows_only_new(&self, index: usize) -> bool {
        let before = index.checked_sub(1).and_then(|before| self.polls[before].connections.as_ref());
        let (Some(before), Some(now)) = (before, &self.polls[index].connections) else { return false };
        let others_are_zero =
            self.polls[index].is_zero(self.is_page_overruled(index), |source| source != Source::Sockets);
        others_are_zero && !now.iter().any(|cookie| before.contains(cookie))
    }

    /// Whether the counts of a page are overruled in a poll: for long enough, no poll has shown a connection, and no page
    /// has counted more than before.
    fn is_page_overruled(&self, index: usize) -> bool {
        let Some(after) = self.gauge_leak_after else { return false };
        let is_empty = |index: &usize| self.polls[*index].count_of(Source::Sockets) == Some(0);
        let opened = |index: usize| self.polls[..=index].iter().any(Request::shows_listener);
        let run = (0..=index).rev().take_while(is_empty).take_while(|index| opened(*index));
        let mut first = index + 1;
        for empty in run {
            first = empty;
            if self.has_page_risen(empty) {
                break;
            }
        }
        let polls = &self.polls[first..=index];
        polls.len() >= 3 && polls[polls.len() - 1].requested_at.since(polls[0].requested_at) >= after
    }

    /// Whether a page counts more in this poll than when it last counted.
    fn has_page_risen(&self, index: usize) -> bool {
        self.sources.iter().filter(|source| source.is_page()).any(|source| {
            let before = self.polls[..index].iter().rev().find_map(|poll| poll.count_of(*source));
            self.polls[index].count_of(*source).is_some_and(|count| count > before.unwrap_or(0))
        })
    }

    /// The count by the last poll, if that is not older than this.
    pub(crate) fn fresh_count(&self, now: Time, age: Duration) -> Option<u64> {
        let index = self.polls.iter().rposition(|poll| poll.is_finished(now))?;
        let (last, is_overruled) = (&self.polls[index], self.is_page_overruled(index));
        let counts = self.sources.iter().filter_map(|source| last.used_count_of(*source, is_overruled));
        counts.max().filter(|_| now.since(last.answered_at) <= age)
    }

    /// Whether a poll has been answered or has expired.
    pub(crate) fn any_finished(&self, now: Time) -> bool {
        self.polls.iter().any(|poll| poll.is_finished(now))
    }

    /// Whether a poll that was requested later than this counted streams.
    pub(crate) fn streams_after(&self, since: Time) -> bool {
        let mut polls = self.polls.iter().filter(|poll| poll.requested_at > since);
        polls.any(|poll| self.sources.iter().any(|source| poll.count_of(*source) > Some(0)))
    }

    /// Whether no server responded in a poll since then.
    pub(crate) fn failed_since(&self, now: Time, since: Time) -> bool {
        let failed = |(source, reading): &(Source, Reading)| match reading {
            Reading::Counts(_) => *source == Source::Sockets,
            Reading::Unknown(error) => error.kind != ReadErrorKind::Invalid,
        };
        let mut polls = self.polls.iter().filter(|poll| poll.requested_at >= since && poll.is_finished(now));
        polls.any(|poll| poll.readings.iter().flatten().all(failed))
    }
}

impl Request {
    fn is_finished(&self, now: Time) -> bool {
        self.readings.is_some() || now >= self.expires_at
    }

    fn count_of(&self, source: Source) -> Option<u64> {
        let mut readings = self.readings.iter().flatten();
        readings.find(|(answering, _)| *answering == source).and_then(|(source, reading)| count(*source, reading))
    }

    /// The count of a source, which is zero for a page that is overruled.
    fn used_count_of(&self, source: Source, is_page_overruled: bool) -> Option<u64> {
        self.count_of(source).map(|count| if is_page_overruled && source.is_page() { 0 } else { count })
    }

    fn shows_listener(&self) -> bool {
        let mut readings = self.readings.iter().flatten();
        readings.any(|(source, reading)| {
            *source == Source::Sockets && matches!(reading, Reading::Counts(counts) if !counts.contains(&None))
        })
    }

    /// Whether these sources, as far as they answer, count zero; the other sources must not be absent.
    fn is_zero(&self, is_page_overruled: bool, is_counted: impl Fn(Source) -> bool) -> bool {
        let readings = || self.readings.iter().flatten();
        let used = |(source, _): &(Source, Reading)| {
            let count = self.used_count_of(*source, is_page_overruled)?;
            Some(if is_counted(*source) { count } else { 0 })
        };
        let counts: Vec<u64> = readings().filter_map(used).collect();
        counts.iter().max() == Some(&0) && !readings().any(|(source, reading)| is_missing(*source, reading))
    }
}

/// Whether a series that must exist is absent.
fn is_missing(source: Source, reading: &Reading) -> bool {
    matches!(source, Source::Metrics | Source::Status) && *reading == Reading::Counts(vec![None])
}

/// The count of a source. A closed port without connections counts zero.
fn count(source: Source, reading: &Reading) -> Option<u64> {
    match reading {
        Reading::Counts(counts) if source == Source::Sockets && *counts == [None] => Some(0),
        Reading::Counts(counts) => counts.iter().flatten().map(|count| count.streams).reduce(u64::saturating_add),
        Reading::Unknown(_) => None,
    }
}
