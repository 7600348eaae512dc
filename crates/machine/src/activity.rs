//! Which connections work and which are idle, by the bytes that they carried towards the target.
//!
//! A connection *works* if within the last window some stretch of at least a second carried the idle rate or more.
//! The kernel tells sums, and only when it is asked. So a stretch that could have carried that much, by all that two
//! looks leave open, counts as work: idle is only what cannot have worked.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::time::Time;

/// The shortest stretch that can be work.
const STRETCH: Duration = Duration::from_secs(1);
/// Looks that follow one another more closely than this add nothing but memory.
const CLOSEST: Duration = Duration::from_millis(250);

/// What tells an idle connection from one that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleRule {
    /// How long a connection must not have worked.
    pub window: Duration,
    /// The bytes a second from which on a stretch is work.
    pub rate: u64,
}

/// One look at the table: it was ordered then, and had been taken by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// When it was asked for.
    pub requested_at: Time,
    /// When its answer was there.
    pub taken: Time,
}

/// How many of the connections may be at work, and when that was so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Working {
    /// Those that are not shown to have been idle for a whole window.
    pub connections: u64,
    /// When the look was asked for that says so.
    pub as_of: Time,
}

/// The connections of one incarnation on the activity ports.
#[derive(Clone, Debug)]
pub struct Activity {
    rule: IdleRule,
    /// The looks that a stretch under way can reach back to, the oldest first.
    looks: VecDeque<Look>,
    watched: HashMap<u64, Watched>,
    /// Whether the last look saw the table.
    readable: bool,
}

#[derive(Clone, Debug)]
struct Watched {
    /// From when on all that it received is known.
    since: Time,
    /// When the last stretch of work may have begun.
    worked: Option<Time>,
    /// The sums of received bytes at the last looks; the newest stands for the newest look.
    received: VecDeque<u64>,
}

impl Activity {
    /// Nothing has been looked at yet.
    #[must_use]
    pub fn new(rule: IdleRule) -> Self {
        Self { rule, looks: VecDeque::new(), watched: HashMap::new(), readable: false }
    }

    /// Takes what the table shows: for each connection its cookie and the bytes received since it was opened.
    pub fn observe(&mut self, look: Look, connections: &[(u64, u64)]) {
        self.readable = true;
        if self.looks.back().is_some_and(|last| look.requested_at < last.requested_at + CLOSEST) {
            return;
        }
        self.looks.push_back(look);
        let mut before = std::mem::take(&mut self.watched);
        self.watched.reserve(connections.len());
        for &(cookie, received) in connections {
            let known = before.remove(&cookie);
            let mut watched = known.unwrap_or_else(|| Watched::new(look));
            watched.received.push_back(received);
            watched.worked = may_have_worked(&self.looks, &watched.received, self.rule.rate).max(watched.worked);
            self.watched.insert(cookie, watched);
        }
        self.forget_the_old();
    }

    /// The table could not be read.
    pub const fn lost(&mut self) {
        self.readable = false;
    }

    /// The cookies of those that may have worked just before this look.
    pub fn worked_at(&self, look: Look) -> impl Iterator<Item = u64> {
        let worked = move |watched: &Watched| watched.worked == Some(look.taken);
        self.watched.iter().filter_map(move |(cookie, watched)| worked(watched).then_some(*cookie))
    }

    /// Whether one may have worked after this instant, and within a window.
    #[must_use]
    pub fn has_worked_since(&self, since: Time) -> bool {
        let newest = self.looks.back().map_or(since, |look| look.requested_at);
        let from = since.max(newest - self.rule.window);
        self.watched.values().any(|watched| watched.worked > Some(from))
    }

    /// Who may be at work; `None` while nobody can know, or where there is no connection at all, which means a wrong
    /// port and not idleness.
    #[must_use]
    pub fn working(&self) -> Option<Working> {
        let look = self.looks.back().filter(|_| self.readable && !self.watched.is_empty())?;
        let from = look.requested_at - self.rule.window;
        let works = |watched: &&Watched| watched.since > from || watched.worked > Some(from);
        let connections = u64::try_from(self.watched.values().filter(works).count()).unwrap_or(u64::MAX);
        Some(Working { connections, as_of: look.requested_at })
    }

    /// Forgets the looks that no stretch can reach any more: one that ends after the newest look and is work has a
    /// part of less than two seconds that is.
    fn forget_the_old(&mut self) {
        let Some(newest) = self.looks.back().copied() else { return };
        while self.looks.get(1).is_some_and(|second| second.taken + STRETCH + STRETCH <= newest.requested_at) {
            self.looks.pop_front();
        }
        for watched in self.watched.values_mut() {
            let surplus = watched.received.len().saturating_sub(self.looks.len());
            watched.received.drain(..surplus);
        }
    }
}

impl Watched {
    const fn new(look: Look) -> Self {
        Self { since: look.taken, worked: None, received: VecDeque::new() }
    }
}

/// When, at the latest, a stretch of work may have begun that ended after the last look but one.
///
/// Between an earlier look and the newest lie the stretches that begin before the look after it and end after the last
/// look but one. The shortest of them is as long as these two are apart, and at least a second.
fn may_have_worked(looks: &VecDeque<Look>, received: &VecDeque<u64>, rate: u64) -> Option<Time> {
    let (newest, last_but_one) = (received.back()?, looks.iter().rev().nth(1)?);
    let earlier = received.iter().rev().skip(1);
    let work = looks.iter().rev().zip(earlier).find(|(after, before)| {
        let bytes = newest.saturating_sub(**before);
        let shortest = last_but_one.requested_at.since(after.taken).max(STRETCH);
        u128::from(bytes) * 1000 >= u128::from(rate) * shortest.as_millis()
    });
    work.map(|(after, _)| after.taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 10;

    fn look(seconds: f64) -> Look {
        let at = Time::since_boot(Duration::from_secs_f64(100.0 + seconds));
        Look { requested_at: at, taken: at }
    }

    fn activity() -> Activity {
        Activity::new(IdleRule { window: Duration::from_secs(WINDOW), rate: 256 })
    }

    /// Looks each second at connections that receive so many bytes a second, and says how many may be at work.
    fn after(seconds: u32, rates: &[u64]) -> Option<u64> {
        let mut activity = activity();
        for second in 0..=seconds {
            let received = |rate| rate * u64::from(second);
            let table: Vec<_> = (1..).zip(rates).map(|(cookie, rate)| (cookie, received(*rate))).collect();
            activity.observe(look(second.into()), &table);
        }
        activity.working().map(|working| working.connections)
    }

    #[test]
    fn silent_connections_and_keep_alives_are_idle_and_audio_is_work() {
        assert_eq!(after(10, &[0, 0, 0]), Some(0));
        assert_eq!(after(10, &[26]), Some(0));
        assert_eq!(after(10, &[2000]), Some(1));
        assert_eq!(after(60, &[0, 26, 2000, 8000]), Some(2));
    }

    #[test]
    fn nothing_is_idle_before_it_was_watched_for_a_whole_window() {
        assert_eq!(after(9, &[0]), Some(1));
        assert_eq!(after(10, &[0]), Some(0));
    }

    #[test]
    fn no_connection_at_all_is_a_wrong_port_and_not_idleness() {
        assert_eq!(after(20, &[]), None);
        assert_eq!(activity().working(), None);
    }

    #[test]
    fn a_table_that_cannot_be_read_tells_nothing_until_it_can() {
        let mut activity = activity();
        activity.observe(look(0.0), &[(1, 0)]);
        activity.observe(look(11.0), &[(1, 0)]);
        activity.lost();
        assert_eq!(activity.working(), None);
        activity.observe(look(12.0), &[(1, 0)]);
        assert_eq!(activity.working().map(|working| working.connections), Some(0));
    }

    #[test]
    fn a_burst_is_work_for_a_window() {
        let mut activity = activity();
        let mut works = Vec::new();
        for second in 0..30_u32 {
            let received = if second < 15 { 0 } else { 300 };
            activity.observe(look(second.into()), &[(1, received)]);
            works.push(activity.working().map(|working| working.connections));
        }
        assert_eq!(works[14], Some(0));
        assert_eq!(works[15..25], [Some(1); 10]);
        assert_eq!(works[25], Some(0));
    }

    #[test]
    fn a_rate_is_reached_by_a_stretch_that_lies_across_looks() {
        let mut activity = activity();
        // Half a second apart, 200 bytes each: no gap has 256, and every second has 400.
        for half in 0..40_u32 {
            activity.observe(look(f64::from(half) / 2.0), &[(1, 200 * u64::from(half))]);
        }
        assert_eq!(activity.working().map(|working| working.connections), Some(1));
    }

    #[test]
    fn a_long_gap_between_looks_hides_no_burst() {
        let mut activity = activity();
        activity.observe(look(0.0), &[(1, 0)]);
        activity.observe(look(60.0), &[(1, 255)]);
        assert_eq!(activity.working().map(|working| working.connections), Some(0));
        activity.observe(look(120.0), &[(1, 511)]);
        assert_eq!(activity.working().map(|working| working.connections), Some(1));
    }

    /// Looks each second, each of which took nearly as long, and says from which second on nobody is at work.
    fn idle_from_by_slow_looks(received: impl Fn(u32) -> u64) -> Option<u32> {
        let mut activity = activity();
        (0..30).find(|second| {
            let requested_at = look(f64::from(*second)).requested_at;
            let taken = requested_at + Duration::from_millis(900);
            activity.observe(Look { requested_at, taken }, &[(1, received(*second))]);
            activity.working().is_some_and(|working| working.connections == 0)
        })
    }

    #[test]
    fn looks_that_took_their_time_claim_no_more_than_they_saw() {
        // Three hundred bytes in what may have been little more than a second.
        assert_eq!(idle_from_by_slow_looks(|second| 100 * u64::from(second)), None);
        assert_eq!(idle_from_by_slow_looks(|second| 50 * u64::from(second)), Some(11));
        assert_eq!(idle_from_by_slow_looks(|second| if second < 5 { 0 } else { 300 }), Some(16));
    }

    #[test]
    fn a_stretch_of_nearly_two_seconds_is_work_where_no_second_is() {
        let mut activity = activity();
        let received = |at: f64| 127 * [10.0, 10.74, 11.48].iter().filter(|burst| at >= **burst).count();
        for quarter in 0..100_u32 {
            let at = f64::from(quarter) / 4.0;
            activity.observe(look(at), &[(1, u64::try_from(received(at)).unwrap())]);
            if quarter == 80 {
                assert_eq!(activity.working().map(|working| working.connections), Some(0));
            }
            if quarter == 79 {
                assert_eq!(activity.working().map(|working| working.connections), Some(1));
            }
        }
    }

    #[test]
    fn what_a_new_connection_brought_along_counts_from_the_look_before() {
        let mut activity = activity();
        activity.observe(look(0.0), &[(1, 0)]);
        activity.observe(look(1.0), &[(1, 0), (2, 300)]);
        for second in 2..=11_u32 {
            activity.observe(look(second.into()), &[(1, 0), (2, 300)]);
            let expected = u64::from(second < 11) + u64::from(second < 10);
            assert_eq!(activity.working().map(|working| working.connections), Some(expected), "{second}");
        }
    }

    #[test]
    fn looks_count_that_are_a_quarter_of_a_second_apart_and_closer_ones_do_not() {
        let mut activity = activity();
        for (at, counted) in [(0.0, 0.0), (0.2, 0.0), (0.25, 0.25), (0.4, 0.25), (0.5, 0.5)] {
            activity.observe(look(at), &[(1, 0)]);
            assert_eq!(activity.working().map(|working| working.as_of), Some(look(counted).requested_at), "{at}");
        }
    }

    #[test]
    fn a_cookie_that_is_gone_is_forgotten_and_looks_do_not_pile_up() {
        let mut activity = activity();
        for tenth in 0..1000_u32 {
            activity.observe(look(f64::from(tenth) / 10.0), &[(u64::from(tenth / 10), 0)]);
        }
        assert_eq!(activity.watched.len(), 1);
        assert!(activity.looks.len() < 12, "{}", activity.looks.len());
    }
}
