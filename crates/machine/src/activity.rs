//! Which connections are active and which are idle, by the bytes that they carried.
//!
//! A connection is *active* if, within the last window, it carried bytes at the idle rate or faster for at least a
//! second, in a direction that counts as work. The kernel only provides running totals, sampled at each poll. So a period
//! counts as work if, by its two samples, it can have been fast enough: a connection is idle only if it cannot have been
//! active.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::socket_table::Bytes;
use crate::time::Time;

/// The shortest period that can be work.
const MIN_WORK_PERIOD: Duration = Duration::from_secs(1);
/// Samples closer together than this cost memory and add nothing.
const MIN_SAMPLE_GAP: Duration = Duration::from_millis(250);

/// What distinguishes an idle connection from an active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleRule {
    /// How long a connection must not have been active.
    pub window: Duration,
    /// The rate in bytes per second from which a period is work.
    pub rate: u64,
    /// Which bytes are work.
    pub direction: WorkDirection,
}

/// Which bytes of a connection are work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkDirection {
    /// Those that the target receives.
    Received,
    /// Those that the target sends: with server-sent events or speech synthesis, only the server sends.
    Sent,
    /// Both, each direction by itself: keep-alives that are answered do not add up.
    Either,
}

impl WorkDirection {
    /// The bytes of work between two totals of one connection.
    fn work(self, before: Bytes, after: Bytes) -> u64 {
        let received = after.received.saturating_sub(before.received);
        let sent = after.sent.saturating_sub(before.sent);
        match self {
            Self::Received => received,
            Self::Sent => sent,
            Self::Either => received.max(sent),
        }
    }
}

/// When the socket table was sampled: between these two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was requested.
    pub requested_at: Time,
    /// When it had been read completely.
    pub read_at: Time,
}

/// How many connections may be active, and as of when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveCount {
    /// The number of connections that are not known to have been idle for a whole window.
    pub connections: u64,
    /// When the sample that shows it was requested.
    pub as_of: Time,
}

/// The connections of one incarnation on the activity ports.
#[derive(Clone, Debug)]
pub struct ActivityTracker {
    rule: IdleRule,
    /// The samples that the next period of work can still include, oldest first.
    samples: VecDeque<Sample>,
    connections: HashMap<u64, ConnectionHistory>,
    /// Whether the last sample could be read.
    readable: bool,
}

#[derive(Clone, Debug)]
struct ConnectionHistory {
    /// Since when everything that it carried is known.
    since: Time,
    /// The latest time at which a period of work can have begun.
    active_at: Option<Time>,
    /// The carried bytes at each of the last samples, newest last.
    totals: VecDeque<Bytes>,
}

impl ActivityTracker {
    /// A tracker without samples.
    #[must_use]
    pub fn new(rule: IdleRule) -> Self {
        Self { rule, samples: VecDeque::new(), connections: HashMap::new(), readable: false }
    }

    /// Records a sample of the table: the cookie of each connection and the bytes carried since it was opened.
    pub fn observe(&mut self, sample: Sample, connections: &[(u64, Bytes)]) {
        self.readable = true;
        if self.samples.back().is_some_and(|last| sample.requested_at < last.requested_at + MIN_SAMPLE_GAP) {
            return;
        }
        self.samples.push_back(sample);
        let mut before = std::mem::take(&mut self.connections);
        self.connections.reserve(connections.len());
        for &(cookie, total) in connections {
            let known = before.remove(&cookie);
            let mut history = known.unwrap_or_else(|| ConnectionHistory::new(sample));
            history.totals.push_back(total);
            let active_at = last_possible_work(&self.samples, &history.totals, self.rule);
            history.active_at = active_at.max(history.active_at);
            self.connections.insert(cookie, history);
        }
        self.prune();
    }

    /// Records that the table could not be read.
    pub const fn mark_unreadable(&mut self) {
        self.readable = false;
    }

    /// The cookies of the connections that may have been active just before this sample.
    pub fn active_at(&self, sample: Sample) -> impl Iterator<Item = u64> {
        let is_active = move |history: &ConnectionHistory| history.active_at == Some(sample.read_at);
        self.connections.iter().filter_map(move |(cookie, history)| is_active(history).then_some(*cookie))
    }

    /// Whether a connection may have been active after this time and within the last window.
    #[must_use]
    pub fn was_active_since(&self, since: Time) -> bool {
        let newest = self.samples.back().map_or(since, |sample| sample.requested_at);
        let from = since.max(newest - self.rule.window);
        self.connections.values().any(|history| history.active_at > Some(from))
    }

    /// How many connections may be active; `None` if unknown. Without any connection it is unknown too: more likely the
    /// port is wrong than all streams are idle.
    #[must_use]
    pub fn active(&self) -> Option<ActiveCount> {
        let sample = self.samples.back().filter(|_| self.readable && !self.connections.is_empty())?;
        let from = sample.requested_at - self.rule.window;
        let is_active = |history: &&ConnectionHistory| history.since > from || history.active_at > Some(from);
        let connections = u64::try_from(self.connections.values().filter(is_active).count()).unwrap_or(u64::MAX);
        Some(ActiveCount { connections, as_of: sample.requested_at })
    }

    /// Drops the samples that no further period of work needs. Two seconds are enough: a longer period of work contains
    /// a shorter one.
    fn prune(&mut self) {
        let Some(newest) = self.samples.back().copied() else { return };
        let unreachable = |second: &Sample| second.read_at + MIN_WORK_PERIOD + MIN_WORK_PERIOD <= newest.requested_at;
        while self.samples.get(1).is_some_and(unreachable) {
            self.samples.pop_front();
        }
        for history in self.connections.values_mut() {
            let surplus = history.totals.len().saturating_sub(self.samples.len());
            history.totals.drain(..surplus);
        }
    }
}

impl ConnectionHistory {
    const fn new(sample: Sample) -> Self {
        Self { since: sample.read_at, active_at: None, totals: VecDeque::new() }
    }
}

/// The latest time at which a period of work can have begun that ended after the second newest sample.
///
/// The bytes between an earlier sample and the newest can all have been carried in a period that begins just before the
/// sample after the earlier one and ends just after the second newest sample. That is the shortest such period, but it
/// must last at least a second.
fn last_possible_work(samples: &VecDeque<Sample>, totals: &VecDeque<Bytes>, rule: IdleRule) -> Option<Time> {
    let (newest, last_but_one) = (totals.back()?, samples.iter().rev().nth(1)?);
    let earlier = totals.iter().rev().skip(1);
    let work = samples.iter().rev().zip(earlier).find(|(after, before)| {
        let bytes = rule.direction.work(**before, *newest);
        let shortest = last_but_one.requested_at.since(after.read_at).max(MIN_WORK_PERIOD);
        u128::from(bytes) * 1000 >= u128::from(rule.rate) * shortest.as_millis()
    });
    work.map(|(after, _)| after.read_at)
}

#[cfg(test)]
mod tests;
