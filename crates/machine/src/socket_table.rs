//! The part of the kernel's socket table that concerns the watched ports.

use std::net::SocketAddr;

use crate::reading::Count;

/// One connection to a watched port, as the kernel's socket table shows it.
///
/// The IPv4-mapped address of a dual-stack socket (`::ffff:a.b.c.d`) is stored as the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The pod's end, with the watched port.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// The kernel's number of the socket, unique since boot; `/proc` does not show it.
    pub cookie: Option<u64>,
    /// The bytes that it has carried, where known.
    pub bytes: Option<Bytes>,
}

/// The bytes that a connection has carried since it was opened. A FIN counts as one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bytes {
    /// Received from the peer.
    pub received: u64,
    /// Sent to the peer and acknowledged by it. Bytes that are sent again count once.
    pub sent: u64,
}

impl Connection {
    /// The watched port that it is connected to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.local.port()
    }
}

/// The connections and listeners of the watched ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketTable {
    /// The open streams.
    pub connections: Vec<Connection>,
    /// The watched ports that have a listener.
    pub listening: Vec<u16>,
    /// Why it was read from `/proc`, without cookies and byte counts; `None` if it was read over netlink.
    pub fallback: Option<String>,
}

impl SocketTable {
    /// The number of streams on this port; `None` if it has neither a listener nor connections.
    #[must_use]
    pub fn count(&self, port: u16) -> Option<Count> {
        let connections = self.connections.iter().filter(|connection| connection.port() == port).count();
        let there = connections > 0 || self.listening.contains(&port);
        there.then(|| Count::of(u64::try_from(connections).unwrap_or(u64::MAX)))
    }

    /// Removes duplicates, which the kernel may list while sockets open and close.
    pub fn dedup(&mut self) {
        if self.has_duplicate_cookies() {
            let key = |it: &Connection| (it.cookie, it.local, it.peer);
            self.connections.sort_unstable_by_key(key);
            self.connections.dedup_by_key(|it| key(it));
        }
        self.listening.sort_unstable();
        self.listening.dedup();
    }

    /// Whether a connection may be listed twice. Sorting only the cookies is fast, and usually shows that none is.
    fn has_duplicate_cookies(&self) -> bool {
        let cookies: Option<Vec<u64>> = self.connections.iter().map(|it| it.cookie).collect();
        cookies.is_none_or(|mut cookies| {
            cookies.sort_unstable();
            cookies.windows(2).any(|pair| pair[0] == pair[1])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(peer: &str, cookie: Option<u64>) -> Connection {
        let local = "127.0.0.1:8080".parse().unwrap();
        Connection { local, peer: peer.parse().unwrap(), cookie, bytes: None }
    }

    #[test]
    fn connection_listed_twice_counts_once() {
        let [first, second] = ["127.0.0.1:1", "127.0.0.1:2"].map(|peer| connection(peer, None));
        let connections = vec![first, second, first];
        let mut table = SocketTable { connections, listening: vec![80, 8080, 80], fallback: None };
        table.dedup();
        assert_eq!(table.connections, [first, second]);
        assert_eq!(table.listening, [80, 8080]);
    }

    #[test]
    fn duplicates_are_found_by_cookie() {
        let connections = [8, 7, 8].map(|cookie| connection("127.0.0.1:1", Some(cookie)));
        let mut table = SocketTable { connections: connections.to_vec(), ..SocketTable::default() };
        table.dedup();
        assert_eq!(table.connections, [connections[1], connections[0]]);
    }

    #[test]
    fn single_connection_listed_twice_counts_once() {
        let connections = [connection("127.0.0.1:1", Some(8)); 2];
        let mut table = SocketTable { connections: connections.to_vec(), ..SocketTable::default() };
        table.dedup();
        assert_eq!(table.connections, connections[..1]);
    }

    #[test]
    fn two_sockets_with_the_same_addresses_are_two() {
        let connections = [7, 8].map(|cookie| connection("127.0.0.1:1", Some(cookie)));
        let mut table = SocketTable { connections: connections.to_vec(), ..SocketTable::default() };
        table.dedup();
        assert_eq!(table.connections, connections);
    }
}
