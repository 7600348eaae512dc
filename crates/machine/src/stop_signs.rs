//! Signs that something stops the target: it closes a listener, or most of its streams end at once.

use std::time::Duration;

use crate::io::Poll;
use crate::reading::{ReadErrorKind, Reading, Source};
use crate::time::Time;

/// How many streams must have been open if most of them end at once by chance hardly ever.
const MANY_STREAMS: u64 = 3;

/// How long before a drain a closed listener is taken for a part of the same stop of the pod. The kubelet stops all
/// containers at the same time, but its hook call may arrive later than another container's SIGTERM.
const HOOK_DELAY: Duration = Duration::from_secs(5);

/// What the polls of one incarnation show of a stop.
#[derive(Clone, Debug, Default)]
pub struct StopSigns {
    ports: Vec<u16>,
    page_answered: bool,
    streams: Option<u64>,
    /// When most of the streams ended between two polls.
    lost_at: Option<Time>,
    closed: Option<ClosedListener>,
}

/// A listener that was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedListener {
    at: Time,
    /// The last count before it was closed; `None` if unknown.
    pub streams: Option<u64>,
}

impl StopSigns {
    /// Records what a poll shows, and returns whether a listener that was open is closed. A source that cannot be read
    /// shows nothing.
    pub fn observe(&mut self, poll: &Poll, now: Time) -> bool {
        let mut closed = false;
        if let Some(table) = poll.sockets.as_ref().and_then(|sockets| sockets.table.as_ref().ok()) {
            closed |= self.ports.iter().any(|port| !table.listening.contains(port));
            self.ports.clone_from(&table.listening);
        }
        for (_, reading) in &poll.readings {
            let refused = matches!(reading, Reading::Unknown(error) if error.kind == ReadErrorKind::ConnectionRefused);
            closed |= refused && self.page_answered;
        }
        let answers = |(source, reading): &(Source, Reading)| source.is_page() && reading.came_from_server();
        self.page_answered |= poll.readings.iter().any(answers);
        // The streams before the first of several listeners are those of the whole stop.
        if closed && self.closed_before_drain(now).is_none() {
            self.closed = Some(ClosedListener { at: now, streams: self.streams });
        }
        closed
    }

    /// The listener that was closed so shortly before a drain that starts now that the two have the same cause.
    #[must_use]
    pub fn closed_before_drain(&self, now: Time) -> Option<ClosedListener> {
        self.closed.filter(|closed| closed.at + HOOK_DELAY >= now)
    }

    /// Records a count, and returns whether most of many streams have ended since the last one.
    pub fn observe_count(&mut self, streams: u64, now: Time) -> bool {
        let before = self.streams.replace(streams);
        let lost = before.is_some_and(|before| before >= MANY_STREAMS && streams.saturating_mul(2) < before);
        if lost {
            self.lost_at = Some(now);
        }
        lost
    }

    /// Whether most of many streams have ended at once at this time or later.
    #[must_use]
    pub fn lost_since(&self, since: Time) -> bool {
        self.lost_at >= Some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::SocketReading;
    use crate::reading::{Count, ReadError};
    use crate::socket_table::SocketTable;

    fn table(ports: &[u16]) -> Poll {
        let table = Ok(SocketTable { listening: ports.to_vec(), ..SocketTable::default() });
        Poll { sockets: Some(SocketReading { read_at: Time::default(), table }), ..Poll::default() }
    }

    fn page(reading: Reading) -> Poll {
        Poll { readings: vec![(Source::Metrics, reading)], ..Poll::default() }
    }

    fn refused() -> Poll {
        page(Reading::Unknown(ReadError::new(ReadErrorKind::ConnectionRefused, "refused")))
    }

    fn closed(polls: &[Poll]) -> bool {
        let mut signs = StopSigns::default();
        polls.iter().map(|poll| signs.observe(poll, Time::default())).fold(false, |closed, now| closed | now)
    }

    #[test]
    fn listener_counts_as_closed_only_after_it_was_open() {
        assert!(!closed(&[table(&[]), table(&[8080]), Poll::default(), table(&[80, 8080])]));
        assert!(closed(&[table(&[80, 8080]), table(&[80])]));
        assert!(closed(&[table(&[8080]), table(&[]), table(&[8080])]), "it was closed in between");
    }

    #[test]
    fn page_that_refuses_connections_has_closed() {
        let answer = || page(Reading::Counts(vec![Some(Count::of(3))]));
        let silent = || page(Reading::Unknown(ReadError::new(ReadErrorKind::NoResponse, "silent")));
        assert!(!closed(&[refused(), answer(), silent()]));
        assert!(closed(&[answer(), refused()]));
    }

    #[test]
    fn streams_before_the_first_closed_listener_are_kept_for_a_while() {
        let at = |second| Time::since_boot(Duration::from_secs(second));
        let mut signs = StopSigns::default();
        for (second, ports, streams) in [(1, &[80, 8080][..], 4), (2, &[80], 3), (3, &[], 0)] {
            signs.observe(&table(ports), at(second));
            signs.observe_count(streams, at(second));
        }
        let closed = |second| signs.closed_before_drain(at(second)).map(|closed| closed.streams);
        assert_eq!([3, 7, 8].map(closed), [Some(Some(4)), Some(Some(4)), None]);
    }

    #[test]
    fn loss_of_most_of_many_streams_is_a_sign() {
        let at = |second| Time::since_boot(Duration::from_secs(second));
        let lost = |counts: &[u64]| {
            let mut signs = StopSigns::default();
            let lost: Vec<bool> =
                (1..).zip(counts).map(|(second, count)| signs.observe_count(*count, at(second))).collect();
            (lost.contains(&true), signs.lost_since(at(2)), signs.lost_since(at(3)))
        };
        assert_eq!(lost(&[3, 1]), (true, true, false));
        assert_eq!(lost(&[9, 3, 0]), (true, true, true));
        assert_eq!(lost(&[4, 2, 1]), (false, false, false), "half of them, and one of two");
        assert_eq!(lost(&[2, 0]), (false, false, false), "few streams may end together");
    }
}
