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
    /// Whether the table could not be read since the last sample.
    has_gap: bool,
    open: HashMap<u64, Open>,
}

/// An open connection.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// When it was opened; `None` if it was open before the first sample.
    at: Option<Time>,
    /// Whether only the last sample shows it, and the poll before that also had a sample.
    is_new: bool,
}

impl StreamLifetimes {
    /// Records a sample, and returns the durations of the connections that have ended since the last one.
    ///
    /// A connection is assumed to open or end midway between two samples.
    pub fn observe(&mut self, sample: Sample, cookies: impl Iterator<Item = u64>) -> Vec<Duration> {
        let between = self.last.map(|last| midpoint(last.requested_at, sample.read_at));
        let mut before = std::mem::take(&mut self.open);
        let new = Open { at: between, is_new: self.last.is_some() && !self.has_gap };
        let mut open = |cookie| before.remove(&cookie).map_or(new, |known| Open { is_new: false, ..known });
        self.open = cookies.map(|cookie| (cookie, open(cookie))).collect();
        (self.last, self.has_gap) = (Some(sample), false);
        durations(before, between)
    }

    /// Records that a poll could not read the table.
    pub const fn mark_unreadable(&mut self) {
        self.has_gap = true;
    }

    /// Whether the last sample shows this connection, and the poll before it did not.
    #[must_use]
    pub fn is_new(&self, cookie: u64) -> bool {
        self.open.get(&cookie).is_some_and(|open| open.is_new)
    }

    /// Ends all connections, because the target has ended, and returns their durations.
    pub fn end_all(&mut self, now: Time) -> Vec<Duration> {
        let between = self.last.take().map(|last| midpoint(last.requested_at, now));
        durations(std::mem::take(&mut self.open), between)
    }

    /// The age of an open connection; `None` if it was open before the first sample.
    #[must_use]
    pub fn age(&self, cookie: u64, now: Time) -> Option<Duration> {
        self.open.get(&cookie).and_then(|open| open.at).map(|opened| now.since(opened))
    }

    /// The minimum ages of the open connections.
    pub fn ages(&self, now: Time) -> impl Iterator<Item = Duration> {
        self.open.values().map(move |open| open.at.map_or(Duration::ZERO, |opened| now.since(opened)))
    }
}

fn durations(ended: HashMap<u64, Open>, ended_at: Option<Time>) -> Vec<Duration> {
    let duration = |open: Open| Some(ended_at?.since(open.at?));
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
    fn connection_is_new_in_the_first_sample_after_another_poll_without_it() {
        let mut lifetimes = StreamLifetimes::default();
        let mut new = |second, cookies: &[u64]| {
            ended_at(&mut lifetimes, second, cookies);
            [7, 8].map(|cookie| lifetimes.is_new(cookie))
        };
        assert_eq!(new(0, &[7]), [false, false], "it may be old");
        assert_eq!(new(1, &[7, 8]), [false, true]);
        assert_eq!(new(2, &[7, 8]), [false, false]);
        assert_eq!(new(3, &[]), [false, false]);
        lifetimes.mark_unreadable();
        ended_at(&mut lifetimes, 5, &[9]);
        assert!(!lifetimes.is_new(9), "the poll before may have missed it");
        ended_at(&mut lifetimes, 6, &[9, 10]);
        assert!(!lifetimes.is_new(9) && lifetimes.is_new(10));
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
