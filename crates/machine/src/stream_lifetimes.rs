//! How long connections last, from the first sample that shows one to the first that does not.
//!
//! The kernel does not record when a connection was opened, so connections of the first sample are left out.

use std::collections::HashMap;
use std::time::Duration;

use crate::activity::Sample;
use crate::time::Time;

/// The open connections of one incarnation, by cookie.
#[derive(Clone, Debug, Default)]
pub struct StreamLifetimes {
    last: Option<Sample>,
    /// When each was opened; `None` for those that were open before the first sample.
    open: HashMap<u64, Option<Time>>,
}

impl StreamLifetimes {
    /// Records a sample, and returns the durations of the connections that have ended since the last one.
    ///
    /// A connection is assumed to open or end midway between two samples.
    pub fn observe(&mut self, sample: Sample, cookies: impl Iterator<Item = u64>) -> Vec<Duration> {
        let between = self.last.map(|last| midpoint(last.requested_at, sample.read_at));
        let mut before = std::mem::take(&mut self.open);
        self.open = cookies.map(|cookie| (cookie, before.remove(&cookie).unwrap_or(between))).collect();
        self.last = Some(sample);
        durations(before, between)
    }

    /// Ends all connections, because the target has ended, and returns their durations.
    pub fn end_all(&mut self, now: Time) -> Vec<Duration> {
        let between = self.last.take().map(|last| midpoint(last.requested_at, now));
        durations(std::mem::take(&mut self.open), between)
    }

    /// The age of an open connection; `None` if it was open before the first sample.
    #[must_use]
    pub fn age(&self, cookie: u64, now: Time) -> Option<Duration> {
        self.open.get(&cookie).copied().flatten().map(|opened| now.since(opened))
    }

    /// The minimum ages of the open connections.
    pub fn ages(&self, now: Time) -> impl Iterator<Item = Duration> {
        self.open.values().map(move |opened| opened.map_or(Duration::ZERO, |opened| now.since(opened)))
    }
}

fn durations(ended: HashMap<u64, Option<Time>>, ended_at: Option<Time>) -> Vec<Duration> {
    let duration = |opened: Option<Time>| Some(ended_at?.since(opened?));
    ended.into_values().filter_map(duration).collect()
}

fn midpoint(one: Time, other: Time) -> Time {
    one + other.since(one) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: u64) -> Sample {
        let at = Time::since_boot(Duration::from_secs(100 + seconds));
        Sample { requested_at: at, read_at: at }
    }

    fn ended_at(lifetimes: &mut StreamLifetimes, second: u64, cookies: &[u64]) -> Vec<u64> {
        let mut ended: Vec<u64> =
            lifetimes.observe(sample(second), cookies.iter().copied()).iter().map(Duration::as_secs).collect();
        ended.sort_unstable();
        ended
    }

    #[test]
    fn each_connection_seen_from_its_opening_ends_once() {
        let mut lifetimes = StreamLifetimes::default();
        assert!(ended_at(&mut lifetimes, 0, &[]).is_empty());
        assert!(ended_at(&mut lifetimes, 10, &[1, 2]).is_empty());
        assert_eq!(ended_at(&mut lifetimes, 30, &[2]), [15]);
        assert_eq!(ended_at(&mut lifetimes, 50, &[]), [35]);
        assert!(ended_at(&mut lifetimes, 60, &[]).is_empty());
    }

    #[test]
    fn connection_open_before_the_first_sample_is_left_out() {
        let mut lifetimes = StreamLifetimes::default();
        ended_at(&mut lifetimes, 0, &[1]);
        assert!(ended_at(&mut lifetimes, 10, &[]).is_empty());
    }

    #[test]
    fn exit_of_the_target_ends_all_connections() {
        let mut lifetimes = StreamLifetimes::default();
        ended_at(&mut lifetimes, 0, &[7]);
        ended_at(&mut lifetimes, 10, &[7, 8]);
        assert_eq!(lifetimes.end_all(sample(20).requested_at), [Duration::from_secs(10)]);
        assert_eq!(lifetimes.ages(sample(20).requested_at).count(), 0);
    }

    #[test]
    fn open_connections_are_as_old_as_was_seen() {
        let mut lifetimes = StreamLifetimes::default();
        ended_at(&mut lifetimes, 0, &[7]);
        ended_at(&mut lifetimes, 10, &[7, 8]);
        let now = sample(20).requested_at;
        let mut ages: Vec<_> = lifetimes.ages(now).collect();
        ages.sort_unstable();
        assert_eq!(ages, [Duration::ZERO, Duration::from_secs(15)]);
        assert_eq!([7, 8, 9].map(|cookie| lifetimes.age(cookie, now)), [None, Some(Duration::from_secs(15)), None]);
    }
}
