//! Whether the target has closed a listener.

use crate::io::Poll;
use crate::reading::{ReadErrorKind, Reading, Source};

/// The listeners of one incarnation, as far as its polls show them.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    ports: Vec<u16>,
    page_answered: bool,
}

impl Listeners {
    /// Records what a poll shows, and returns whether a listener that was open is closed. A source that cannot be read
    /// shows nothing.
    pub fn observe(&mut self, poll: &Poll) -> bool {
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
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::SocketReading;
    use crate::reading::{Count, ReadError};
    use crate::socket_table::SocketTable;
    use crate::time::Time;

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
        let mut listeners = Listeners::default();
        polls.iter().map(|poll| listeners.observe(poll)).fold(false, |closed, now| closed | now)
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
}
