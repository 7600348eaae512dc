//! Gauges that leak: a page still counts streams whose connections have ended.
//!
//! A count above zero on a page is overruled if the socket table has shown no connection to the streams' ports for a
//! configured time. The time restarts
//!
//! - with every connection that is seen;
//! - if the table cannot be read, or a port has never been seen open;
//! - if a page counts more streams than before: a stream may have begun after the table was read.
//!
//! The two readings at the ends of the time are not enough, because a stream may begin and end between them. So there
//! must be a third one in between.

use std::time::Duration;

use crate::time::Time;

/// How many readings without a connection are needed: at both ends of the time, and in between.
const MIN_READINGS: u32 = 3;

/// How long the socket table has shown no connection, in one incarnation of the target.
#[derive(Clone, Debug)]
pub struct GaugeLeak {
    /// For how long it must have shown none; `None` if no count is ever overruled.
    after: Option<Duration>,
    empty: Option<EmptyPeriod>,
}

/// A period in which every reading of the table has shown no connection.
#[derive(Clone, Copy, Debug)]
struct EmptyPeriod {
    /// When the first of the readings was requested.
    since: Time,
    /// When the last of them was requested.
    last: Time,
    readings: u32,
}

impl GaugeLeak {
    /// Nothing has been read.
    #[must_use]
    pub const fn new(after: Option<Duration>) -> Self {
        Self { after, empty: None }
    }

    /// Records a reading of the socket table that shows no connection.
    pub fn observe_empty(&mut self, requested_at: Time) {
        let before = self.empty.map_or((requested_at, 0), |empty| (empty.since, empty.readings));
        let (since, readings) = (before.0, before.1.saturating_add(1));
        self.empty = Some(EmptyPeriod { since, last: requested_at, readings });
    }

    /// Restarts the time with the next reading: this reading shows a connection, or cannot be used.
    pub const fn restart(&mut self) {
        self.empty = None;
    }

    /// Restarts the time with the poll that was requested then: in it, a page counts more streams than before.
    pub fn restart_with(&mut self, requested_at: Time) {
        let of_this_poll = self.empty.filter(|empty| empty.last == requested_at);
        self.empty = of_this_poll.map(|empty| EmptyPeriod { since: requested_at, readings: 1, ..empty });
    }

    /// Whether counts of a page are overruled.
    #[must_use]
    pub fn overrules_pages(&self) -> bool {
        let is_long = |after| self.empty.is_some_and(|empty| empty.lasts(after));
        self.after.is_some_and(is_long)
    }
}

impl EmptyPeriod {
    fn lasts(self, after: Duration) -> bool {
        self.readings >= MIN_READINGS && self.last.since(self.since) >= after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::tests::at;

    fn after_empty_readings(after: Option<u64>, seconds: &[u64]) -> bool {
        let mut leak = GaugeLeak::new(after.map(Duration::from_secs));
        for second in seconds {
            leak.observe_empty(at(*second));
        }
        leak.overrules_pages()
    }

    #[test]
    fn time_and_a_reading_in_between_are_needed() {
        assert!(!after_empty_readings(Some(10), &[]));
        assert!(!after_empty_readings(Some(10), &[1, 11]), "a stream may have begun and ended in between");
        assert!(!after_empty_readings(Some(10), &[1, 2, 3, 10]));
        assert!(after_empty_readings(Some(10), &[1, 2, 11]));
    }

    #[test]
    fn nothing_is_overruled_by_default() {
        assert!(!after_empty_readings(None, &[1, 2, 1000]));
    }

    #[test]
    fn restart_needs_the_whole_time_again() {
        let mut leak = GaugeLeak::new(Some(Duration::from_secs(10)));
        let mut overrules = |second| {
            leak.observe_empty(at(second));
            leak.overrules_pages()
        };
        assert_eq!([1, 5, 11].map(&mut overrules), [false, false, true]);
        leak.restart();
        assert!(!leak.overrules_pages());
        let mut overrules = |second| {
            leak.observe_empty(at(second));
            leak.overrules_pages()
        };
        assert_eq!([12, 21, 22].map(&mut overrules), [false, false, true]);
    }

    #[test]
    fn higher_count_restarts_the_time_with_its_own_poll() {
        for sockets_first in [true, false] {
            let mut leak = GaugeLeak::new(Some(Duration::from_secs(10)));
            for second in [1, 6, 11] {
                leak.observe_empty(at(second));
            }
            if sockets_first {
                leak.observe_empty(at(12));
            }
            leak.restart_with(at(12));
            if !sockets_first {
                leak.observe_empty(at(12));
            }
            let overrules = [13, 21, 22].map(|second| {
                leak.observe_empty(at(second));
                leak.overrules_pages()
            });
            assert_eq!(overrules, [false, false, true], "{sockets_first}");
        }
    }
}
