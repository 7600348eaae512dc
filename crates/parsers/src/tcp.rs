//! Which TCP sockets count as open streams, for both forms of the kernel's socket table.

use lameduck_machine::socket_table::{Connection, SocketTable};

/// The relevant TCP states (Linux, `include/net/tcp_states.h`).
pub(super) mod state {
    pub(crate) const ESTABLISHED: u8 = 1;
    pub(crate) const FIN_WAIT1: u8 = 4;
    pub(crate) const FIN_WAIT2: u8 = 5;
    pub(crate) const CLOSE_WAIT: u8 = 8;
    pub(crate) const LAST_ACK: u8 = 9;
    pub(crate) const LISTEN: u8 = 10;
    pub(crate) const CLOSING: u8 = 11;
}

/// One row of the socket table.
pub(super) struct Entry {
    pub(super) state: u8,
    /// Number of bytes, sent or queued, that the peer has not acknowledged. A FIN counts as one byte.
    pub(super) unacknowledged: u32,
    /// Whether a process still holds the socket: the kernel shows an inode only then.
    pub(super) has_inode: bool,
    pub(super) connection: Connection,
}

impl Entry {
    /// Adds the socket to the table if its local port is one of `ports`.
    pub(super) fn insert_into(self, table: &mut SocketTable, ports: &[u16]) {
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

    /// Returns whether the connection still carries work that must not be cut.
    ///
    /// After the target has closed its sending side, that is the case while more than the FIN is unacknowledged, or
    /// while the target still receives. A connection that is not established yet, or has nothing left to send, is not
    /// a stream.
    const fn is_open(&self) -> bool {
        match self.state {
            state::ESTABLISHED | state::CLOSE_WAIT => true,
            state::FIN_WAIT1 => self.has_inode || self.unacknowledged > 1,
            state::FIN_WAIT2 => self.has_inode,
            state::CLOSING | state::LAST_ACK => self.unacknowledged > 1,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(state: u8, unacknowledged: u32, has_inode: bool) -> bool {
        let [local, peer] = ["127.0.0.1:8080", "127.0.0.1:40000"].map(|address| address.parse().unwrap());
        let connection = Connection { local, peer, cookie: None, bytes: None };
        let mut table = SocketTable::default();
        Entry { state, unacknowledged, has_inode, connection }.insert_into(&mut table, &[8080]);
        assert_eq!(table.listening.is_empty(), state != state::LISTEN);
        !table.connections.is_empty()
    }

    #[test]
    fn open_states_and_pending_data_count_as_streams() {
        let open: Vec<u8> = (0..=255).filter(|state| counts(*state, 0, false)).collect();
        assert_eq!(open, [state::ESTABLISHED, state::CLOSE_WAIT]);
        let flushing: Vec<u8> = (0..=255).filter(|state| counts(*state, 2, false)).collect();
        assert_eq!(flushing, [1, 4, 8, 9, 11]);
    }

    #[test]
    fn unacknowledged_fin_is_not_a_stream() {
        let counts = |state| counts(state, 1, false);
        assert!(!counts(state::FIN_WAIT1) && !counts(state::CLOSING) && !counts(state::LAST_ACK));
    }

    #[test]
    fn half_closed_target_still_receives() {
        let open: Vec<u8> = (0..=255).filter(|state| counts(*state, 0, true)).collect();
        assert_eq!(open, [state::ESTABLISHED, state::FIN_WAIT1, state::FIN_WAIT2, state::CLOSE_WAIT]);
    }
}
