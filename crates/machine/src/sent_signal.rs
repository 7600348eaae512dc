//! The one signal, and what the readings after it show.
//!
//! An exit with code 0, or a count of zero, right after the signal does not show that the streams ended by themselves:
//! many servers close every stream on a signal and exit with 0 (Node and Go programs that exit in a handler, `uvicorn`
//! with web sockets). Only a reading that was requested after the signal and sees the target still serving shows that it
//! drains.

use std::time::Duration;

use crate::time::Time;

/// How long after the signal a reading shows that the target serves on. Some servers act on a signal late: a worker of
/// uvicorn looks every 100 ms (`uvicorn/server.py`, `main_loop`), and with `--workers`, the parent looks every 500 ms
/// before it signals them (`uvicorn/supervisors/multiprocess.py`). The longer this is, the more often an honest last
/// stream ends before it, and is suspected.
const SETTLE: Duration = Duration::from_millis(700);

/// When the first reading after the signal is requested. Streams that end by themselves after it are not compared with the
/// count before the signal.
const FIRST_READING: Duration = Duration::from_millis(150);

/// A signal that was sent, or is about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentSignal {
    /// When it was sent.
    pub sent_at: Time,
    /// The last count before it; `None` if unknown.
    pub streams: Option<u64>,
    /// What the readings after it show.
    pub after: AfterSignal,
}

/// What the readings after the signal show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterSignal {
    /// Nothing yet. Holds the last count, from before the signal or soon after it.
    Unproven(Option<u64>),
    /// The target is still serving, or there was no stream to lose.
    ServedOn,
    /// All streams, or most of them, ended at once.
    StreamsLost,
}

impl SentSignal {
    /// A signal that is sent now, to a target with this many streams.
    #[must_use]
    pub const fn new(sent_at: Time, streams: Option<u64>) -> Self {
        let after = if matches!(streams, Some(0)) { AfterSignal::ServedOn } else { AfterSignal::Unproven(streams) };
        Self { sent_at, streams, after }
    }

    /// Records a count that was requested at `as_of`, and returns whether it decides what the readings show.
    pub fn observe(&mut self, streams: u64, as_of: Time) -> bool {
        let AfterSignal::Unproven(before) = self.after else { return false };
        if as_of <= self.sent_at {
            return false;
        }
        let lost_most = before.is_some_and(|before| streams.saturating_mul(2) < before);
        self.after = if lost_most {
            AfterSignal::StreamsLost
        } else if streams > 0 && as_of >= self.sent_at + SETTLE {
            AfterSignal::ServedOn
        } else {
            AfterSignal::Unproven(Some(streams))
        };
        !matches!(self.after, AfterSignal::Unproven(_))
    }

    /// Whether no reading has shown the target still serving.
    #[must_use]
    pub const fn is_unproven(&self) -> bool {
        !matches!(self.after, AfterSignal::ServedOn)
    }

    /// The times at which a poll is required, so that changes soon after the signal are seen.
    pub fn required_polls(&self) -> impl Iterator<Item = Time> {
        let sent_at = self.sent_at;
        let undecided = matches!(self.after, AfterSignal::Unproven(_));
        [FIRST_READING, SETTLE].into_iter().filter(move |_| undecided).map(move |after| sent_at + after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::since_boot(Duration::from_millis(millis))
    }

    /// What readings of these streams at these milliseconds after the signal show.
    fn after(streams: Option<u64>, readings: &[(u64, u64)]) -> AfterSignal {
        let mut signal = SentSignal::new(at(1000), streams);
        for (millis, streams) in readings {
            signal.observe(*streams, at(1000 + millis));
        }
        signal.after
    }

    #[test]
    fn target_without_streams_has_nothing_to_prove() {
        assert_eq!(after(Some(0), &[]), AfterSignal::ServedOn);
        assert_eq!(after(None, &[]), AfterSignal::Unproven(None));
    }

    #[test]
    fn reading_requested_before_the_signal_shows_nothing() {
        assert_eq!(after(Some(3), &[(0, 3)]), AfterSignal::Unproven(Some(3)));
        assert_eq!(after(Some(3), &[(0, 0)]), AfterSignal::Unproven(Some(3)));
    }

    #[test]
    fn open_streams_are_believed_after_the_settle_time() {
        assert_eq!(after(Some(1), &[(150, 1), (699, 1)]), AfterSignal::Unproven(Some(1)));
        assert_eq!(after(Some(1), &[(700, 1)]), AfterSignal::ServedOn);
        assert_eq!(after(Some(3), &[(150, 3), (699, 3)]), AfterSignal::Unproven(Some(3)));
        assert_eq!(after(Some(3), &[(150, 3), (700, 2)]), AfterSignal::ServedOn);
        assert_eq!(after(None, &[(700, 2)]), AfterSignal::ServedOn);
    }

    #[test]
    fn losing_most_streams_at_once_is_a_loss_and_half_is_not() {
        assert_eq!(after(Some(1), &[(150, 0)]), AfterSignal::StreamsLost);
        assert_eq!(after(Some(3), &[(700, 1)]), AfterSignal::StreamsLost);
        assert_eq!(after(Some(2), &[(700, 1)]), AfterSignal::ServedOn);
        assert_eq!(after(Some(4), &[(150, 3), (700, 1)]), AfterSignal::StreamsLost, "two of three after 150 ms");
        assert_eq!(after(Some(3), &[(700, 3), (701, 0)]), AfterSignal::ServedOn, "it was still serving before");
        assert_eq!(after(Some(3), &[(700, 0), (800, 3)]), AfterSignal::StreamsLost, "new streams do not replace them");
    }

    #[test]
    fn zero_after_an_unknown_count_shows_nothing() {
        assert_eq!(after(None, &[(150, 0), (700, 0)]), AfterSignal::Unproven(Some(0)));
    }

    #[test]
    fn polls_are_required_until_it_is_decided() {
        let mut signal = SentSignal::new(at(1000), Some(3));
        assert_eq!(signal.required_polls().collect::<Vec<_>>(), [at(1150), at(1700)]);
        assert!(!signal.observe(3, at(1150)));
        assert!(signal.observe(3, at(1700)) && !signal.is_unproven());
        assert_eq!(signal.required_polls().next(), None);
    }
}
