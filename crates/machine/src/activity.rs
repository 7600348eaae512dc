//! Which connections are active and which are idle, by the bytes that they carried to the target.
//!
//! A connection is *active* if it received at the idle rate or faster for at least a second within the last window. The
//! kernel only provides running totals, sampled at each poll. So a period counts as work if, by its two samples, it can
//! have been fast enough: a connection is idle only if it cannot have been active.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

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
    /// Since when everything that it received is known.
    since: Time,
    /// The latest time at which a period of work can have begun.
    active_at: Option<Time>,
    /// The total of received bytes at each of the last samples, newest last.
    received: VecDeque<u64>,
}

impl ActivityTracker {
    /// A tracker without samples.
    #[must_use]
    pub fn new(rule: IdleRule) -> Self {
        Self { rule, samples: VecDeque::new(), connections: HashMap::new(), readable: false }
    }

    /// Records a sample of the table: the cookie of each connection and the bytes received since it was opened.
    pub fn observe(&mut self, sample: Sample, connections: &[(u64, u64)]) {
        self.readable = true;
        if self.samples.back().is_some_and(|last| sample.requested_at < last.requested_at + MIN_SAMPLE_GAP) {
            return;
        }
        self.samples.push_back(sample);
        let mut before = std::mem::take(&mut self.connections);
        self.connections.reserve(connections.len());
        for &(cookie, received) in connections {
            let known = before.remove(&cookie);
            let mut history = known.unwrap_or_else(|| ConnectionHistory::new(sample));
            history.received.push_back(received);
            let active_at = last_possible_work(&self.samples, &history.received, self.rule.rate);
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
            let surplus = history.received.len().saturating_sub(self.samples.len());
            history.received.drain(..surplus);
        }
    }
}

impl ConnectionHistory {
    const fn new(sample: Sample) -> Self {
        Self { since: sample.read_at, active_at: None, received: VecDeque::new() }
    }
}

/// The latest time at which a period of work can have begun that ended after the second newest sample.
///
/// The bytes between an earlier sample and the newest can all have arrived in a period that begins just before the
/// sample after the earlier one and ends just after the second newest sample. That is the shortest such period, but it
/// must last at least a second.
fn last_possible_work(samples: &VecDeque<Sample>, received: &VecDeque<u64>, rate: u64) -> Option<Time> {
    let (newest, last_but_one) = (received.back()?, samples.iter().rev().nth(1)?);
    let earlier = received.iter().rev().skip(1);
    let work = samples.iter().rev().zip(earlier).find(|(after, before)| {
        let bytes = newest.saturating_sub(**before);
        let shortest = last_but_one.requested_at.since(after.read_at).max(MIN_WORK_PERIOD);
        u128::from(bytes) * 1000 >= u128::from(rate) * shortest.as_millis()
    });
    work.map(|(after, _)| after.read_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 10;

    fn sample(seconds: f64) -> Sample {
        let at = Time::since_boot(Duration::from_secs_f64(100.0 + seconds));
        Sample { requested_at: at, read_at: at }
    }

    fn tracker() -> ActivityTracker {
        ActivityTracker::new(IdleRule { window: Duration::from_secs(WINDOW), rate: 256 })
    }

    /// Samples connections each second that receive this many bytes a second, and returns how many may be active.
    fn after(seconds: u32, rates: &[u64]) -> Option<u64> {
        let mut activity = tracker();
        for second in 0..=seconds {
            let received = |rate| rate * u64::from(second);
            let table: Vec<_> = (1..).zip(rates).map(|(cookie, rate)| (cookie, received(*rate))).collect();
            activity.observe(sample(second.into()), &table);
        }
        activity.active().map(|active| active.connections)
    }

    #[test]
    fn silence_and_keep_alives_are_idle_and_audio_is_active() {
        assert_eq!(after(10, &[0, 0, 0]), Some(0));
        assert_eq!(after(10, &[26]), Some(0));
        assert_eq!(after(10, &[2000]), Some(1));
        assert_eq!(after(60, &[0, 26, 2000, 8000]), Some(2));
    }

    #[test]
    fn connection_is_active_until_watched_for_a_whole_window() {
        assert_eq!(after(9, &[0]), Some(1));
        assert_eq!(after(10, &[0]), Some(0));
    }

    #[test]
    fn no_connection_means_wrong_port_not_idleness() {
        assert_eq!(after(20, &[]), None);
        assert_eq!(tracker().active(), None);
    }

    #[test]
    fn unreadable_table_makes_activity_unknown() {
        let mut activity = tracker();
        activity.observe(sample(0.0), &[(1, 0)]);
        activity.observe(sample(11.0), &[(1, 0)]);
        activity.mark_unreadable();
        assert_eq!(activity.active(), None);
        activity.observe(sample(12.0), &[(1, 0)]);
        assert_eq!(activity.active().map(|active| active.connections), Some(0));
    }

    #[test]
    fn burst_is_active_for_a_window() {
        let mut activity = tracker();
        let mut active = Vec::new();
        for second in 0..30_u32 {
            let received = if second < 15 { 0 } else { 300 };
            activity.observe(sample(second.into()), &[(1, received)]);
            active.push(activity.active().map(|active| active.connections));
        }
        assert_eq!(active[14], Some(0));
        assert_eq!(active[15..25], [Some(1); 10]);
        assert_eq!(active[25], Some(0));
    }

    #[test]
    fn work_across_samples_reaches_the_rate() {
        let mut activity = tracker();
        // Half a second apart, 200 bytes each: no gap has 256, and every second has 400.
        for half in 0..40_u32 {
            activity.observe(sample(f64::from(half) / 2.0), &[(1, 200 * u64::from(half))]);
        }
        assert_eq!(activity.active().map(|active| active.connections), Some(1));
    }

    #[test]
    fn long_gap_between_samples_hides_no_burst() {
        let mut activity = tracker();
        activity.observe(sample(0.0), &[(1, 0)]);
        activity.observe(sample(60.0), &[(1, 255)]);
        assert_eq!(activity.active().map(|active| active.connections), Some(0));
        activity.observe(sample(120.0), &[(1, 511)]);
        assert_eq!(activity.active().map(|active| active.connections), Some(1));
    }

    /// Takes a sample every second, each of which takes nearly a second, and returns when nothing is active any more.
    fn idle_from_with_slow_samples(received: impl Fn(u32) -> u64) -> Option<u32> {
        let mut activity = tracker();
        (0..30).find(|second| {
            let requested_at = sample(f64::from(*second)).requested_at;
            let read_at = requested_at + Duration::from_millis(900);
            activity.observe(Sample { requested_at, read_at }, &[(1, received(*second))]);
            activity.active().is_some_and(|active| active.connections == 0)
        })
    }

    #[test]
    fn slow_samples_claim_no_more_than_they_saw() {
        // Three hundred bytes in what may have been little more than a second.
        assert_eq!(idle_from_with_slow_samples(|second| 100 * u64::from(second)), None);
        assert_eq!(idle_from_with_slow_samples(|second| 50 * u64::from(second)), Some(11));
        assert_eq!(idle_from_with_slow_samples(|second| if second < 5 { 0 } else { 300 }), Some(16));
    }

    #[test]
    fn nearly_two_seconds_can_be_work() {
        let mut activity = tracker();
        let received = |at: f64| 127 * [10.0, 10.74, 11.48].iter().filter(|burst| at >= **burst).count();
        for quarter in 0..100_u32 {
            let at = f64::from(quarter) / 4.0;
            activity.observe(sample(at), &[(1, u64::try_from(received(at)).unwrap())]);
            if quarter == 80 {
                assert_eq!(activity.active().map(|active| active.connections), Some(0));
            }
            if quarter == 79 {
                assert_eq!(activity.active().map(|active| active.connections), Some(1));
            }
        }
    }

    #[test]
    fn first_bytes_of_a_new_connection_count() {
        let mut activity = tracker();
        activity.observe(sample(0.0), &[(1, 0)]);
        activity.observe(sample(1.0), &[(1, 0), (2, 300)]);
        for second in 2..=11_u32 {
            activity.observe(sample(second.into()), &[(1, 0), (2, 300)]);
            let expected = u64::from(second < 11) + u64::from(second < 10);
            assert_eq!(activity.active().map(|active| active.connections), Some(expected), "{second}");
        }
    }

    #[test]
    fn samples_under_a_quarter_second_apart_are_skipped() {
        let mut activity = tracker();
        for (at, counted) in [(0.0, 0.0), (0.2, 0.0), (0.25, 0.25), (0.4, 0.25), (0.5, 0.5)] {
            activity.observe(sample(at), &[(1, 0)]);
            assert_eq!(activity.active().map(|active| active.as_of), Some(sample(counted).requested_at), "{at}");
        }
    }

    #[test]
    fn closed_connections_and_old_samples_are_dropped() {
        let mut activity = tracker();
        for tenth in 0..1000_u32 {
            activity.observe(sample(f64::from(tenth) / 10.0), &[(u64::from(tenth / 10), 0)]);
        }
        assert_eq!(activity.connections.len(), 1);
        assert!(activity.samples.len() < 12, "{}", activity.samples.len());
    }
}
