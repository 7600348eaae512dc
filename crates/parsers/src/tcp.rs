//! What both forms of the kernel's TCP table have in common: which states count as an open stream.

use lameduck_machine::socket_table::{Connection, SocketTable};

/// The states of a TCP socket (Linux, `include/net/tcp_states.h`) that matter here.
pub(super) mod state {
    pub(crate) const ESTABLISHED: u8 = 1;
    pub(crate) const FIN_WAIT1: u8 = 4;
    pub(crate) const FIN_WAIT2: u8 = 5;
    pub(crate) const CLOSE_WAIT: u8 = 8;
    pub(crate) const LAST_ACK: u8 = 9;
    pub(crate) const LISTEN: u8 = 10;
    pub(crate) const CLOSING: u8 = 11;
}

/// One socket, as the table shows it.
pub(super) struct Entry {
    pub(super) state: u8,
    /// The bytes that were sent, or wait to be sent, and that the peer has not acknowledged.
    pub(super) unacknowledged: u32,
    /// Whether a process still holds it: the kernel shows an inode then, and none of what was closed.
    pub(super) held: bool,
    pub(super) connection: Connection,
}

impl Entry {
    /// Enters it into the table, if it is about one of the ports.
    pub(super) fn enter(self, ports: &[u16], table: &mut SocketTable) {
        let port = self.connection.port();
        if !ports.contains(&port) {
            return;
        }
        if self.is_open() {
            table.connections.push(self.connection);
        } else if self.state == state::LISTEN && !table.listening.contains(&port) {
            table.listening.push(port);
        }
    }

    /// Whether there is work that must not be cut.
    ///
    /// Where our side has been closed there is, as long as more than the end itself (a FIN, which counts as one byte)
    /// has still to reach the peer, or the target has ended its own sending only and goes on receiving. A connection
    /// not yet made, or with nothing left to send, is no stream.
    const fn is_open(&self) -> bool {
        match self.state {
            state::ESTABLISHED | state::CLOSE_WAIT => true,
            state::FIN_WAIT1 => self.held || self.unacknowledged > 1,
            state::FIN_WAIT2 => self.held,
            state::CLOSING | state::LAST_ACK => self.unacknowledged > 1,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(state: u8, unacknowledged: u32, held: bool) -> bool {
        let [local, peer] = ["127.0.0.1:8080", "127.0.0.1:40000"].map(|address| address.parse().unwrap());
        let connection = Connection { local, peer, cookie: None, received: None };
        let mut table = SocketTable::default();
        Entry { state, unacknowledged, held, connection }.enter(&[8080], &mut table);
        assert_eq!(table.listening.is_empty(), state != state::LISTEN);
        !table.connections.is_empty()
    }

    #[test]
    fn a_stream_is_what_still_carries_work() {
        let open: Vec<u8> = (0..=255).filter(|state| counts(*state, 0, false)).collect();
        assert_eq!(open, [state::ESTABLISHED, state::CLOSE_WAIT]);
        let flushing: Vec<u8> = (0..=255).filter(|state| counts(*state, 2, false)).collect();
        assert_eq!(flushing, [1, 4, 8, 9, 11]);
    }

    #[test]
    fn an_end_that_is_not_acknowledged_is_no_work() {
        let counts = |state| counts(state, 1, false);
        assert!(!counts(state::FIN_WAIT1) && !counts(state::CLOSING) && !counts(state::LAST_ACK));
    }

    #[test]
    fn a_target_that_only_ended_its_own_sending_still_receives() {
        let open: Vec<u8> = (0..=255).filter(|state| counts(*state, 0, true)).collect();
        assert_eq!(open, [state::ESTABLISHED, state::FIN_WAIT1, state::FIN_WAIT2, state::CLOSE_WAIT]);
    }
}
