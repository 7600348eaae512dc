//! The lives of connections, from the first look that saw them to the first that did not.
//!
//! The kernel keeps no age of a connection, so one that was there at the first look has none, and is left out.

use std::collections::HashMap;
use std::time::Duration;

use crate::activity::Look;
use crate::time::Time;

/// The open connections of one incarnation, known by their cookies.
#[derive(Clone, Debug, Default)]
pub struct StreamLifetimes {
    last: Option<Look>,
    /// When each was born; `None` for those that were there before.
    open: HashMap<u64, Option<Time>>,
}

impl StreamLifetimes {
    /// Takes what the table shows, and returns the lives that have ended since the look before.
    ///
    /// A birth and a death lie between two looks; the middle is taken.
    pub fn observe(&mut self, look: Look, cookies: impl Iterator<Item = u64>) -> Vec<Duration> {
        let between = self.last.map(|last| middle(last.requested_at, look.taken));
        let mut before = std::mem::take(&mut self.open);
        self.open = cookies.map(|cookie| (cookie, before.remove(&cookie).unwrap_or(between))).collect();
        self.last = Some(look);
        ended(before, between)
    }

    /// Ends all of them: the target has.
    pub fn end(&mut self, now: Time) -> Vec<Duration> {
        let between = self.last.take().map(|last| middle(last.requested_at, now));
        ended(std::mem::take(&mut self.open), between)
    }

    /// How old an open one is, where its birth was seen.
    #[must_use]
    pub fn age(&self, cookie: u64, now: Time) -> Option<Duration> {
        self.open.get(&cookie).copied().flatten().map(|born| now.since(born))
    }

    /// How old the open ones are at the least.
    pub fn ages(&self, now: Time) -> impl Iterator<Item = Duration> {
        self.open.values().map(move |born| born.map_or(Duration::ZERO, |born| now.since(born)))
    }
}

fn ended(gone: HashMap<u64, Option<Time>>, died: Option<Time>) -> Vec<Duration> {
    let life = |born: Option<Time>| Some(died?.since(born?));
    gone.into_values().filter_map(life).collect()
}

fn middle(one: Time, other: Time) -> Time {
    one + other.since(one) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(seconds: u64) -> Look {
        let at = Time::since_boot(Duration::from_secs(100 + seconds));
        Look { requested_at: at, taken: at }
    }

    fn lived(lives: &mut StreamLifetimes, second: u64, cookies: &[u64]) -> Vec<u64> {
        let mut ended: Vec<u64> =
            lives.observe(look(second), cookies.iter().copied()).iter().map(Duration::as_secs).collect();
        ended.sort_unstable();
        ended
    }

    #[test]
    fn each_life_that_was_seen_from_its_birth_ends_once() {
        let mut lives = StreamLifetimes::default();
        assert!(lived(&mut lives, 0, &[]).is_empty());
        assert!(lived(&mut lives, 10, &[1, 2]).is_empty());
        assert_eq!(lived(&mut lives, 30, &[2]), [15]);
        assert_eq!(lived(&mut lives, 50, &[]), [35]);
        assert!(lived(&mut lives, 60, &[]).is_empty());
    }

    #[test]
    fn one_that_was_there_before_is_left_out() {
        let mut lives = StreamLifetimes::default();
        lived(&mut lives, 0, &[1]);
        assert!(lived(&mut lives, 10, &[]).is_empty());
    }

    #[test]
    fn the_targets_end_ends_them_all() {
        let mut lives = StreamLifetimes::default();
        lived(&mut lives, 0, &[7]);
        lived(&mut lives, 10, &[7, 8]);
        assert_eq!(lives.end(look(20).requested_at), [Duration::from_secs(10)]);
        assert_eq!(lives.ages(look(20).requested_at).count(), 0);
    }

    #[test]
    fn the_open_ones_are_as_old_as_it_was_seen() {
        let mut lives = StreamLifetimes::default();
        lived(&mut lives, 0, &[7]);
        lived(&mut lives, 10, &[7, 8]);
        let now = look(20).requested_at;
        let mut ages: Vec<_> = lives.ages(now).collect();
        ages.sort_unstable();
        assert_eq!(ages, [Duration::ZERO, Duration::from_secs(15)]);
        assert_eq!([7, 8, 9].map(|cookie| lives.age(cookie, now)), [None, Some(Duration::from_secs(15)), None]);
    }
}
