//! The socket reader against real sockets.

mod confined;
mod exiting;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use lameduck::io::sockets::{OwnConnection, SocketReader};
use lameduck_machine::socket_table::{Bytes, Connection, SocketTable};
use lameduck_test_support::skip::has_ipv6_or_skip;

/// How long to wait for an expected state.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A server, its accepted connections, and a reader for its port.
struct Server {
    listener: TcpListener,
    accepted: Vec<TcpStream>,
    reader: SocketReader,
}

impl Server {
    fn new(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        Self { listener, accepted: Vec::new(), reader: SocketReader::default() }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Connects to the port at this address, and accepts the connection.
    fn client_at(&mut self, host: &str) -> TcpStream {
        let client = TcpStream::connect((host, self.address().port())).unwrap();
        self.accepted.push(self.listener.accept().unwrap().0);
        client
    }

    fn client(&mut self) -> TcpStream {
        self.client_at(&self.address().ip().to_string())
    }

    fn read(&mut self, own: &[OwnConnection]) -> SocketTable {
        self.reader.read(&[self.address().port()], true, own).unwrap()
    }

    /// The server's connections. Other processes may use the same port at other addresses.
    fn connections(&mut self) -> Vec<Connection> {
        self.connections_without(&[])
    }

    fn connections_without(&mut self, own: &[OwnConnection]) -> Vec<Connection> {
        let address = self.address();
        let table = self.read(own);
        assert_eq!(table.fallback, None, "this must test netlink");
        let is_here = |local: SocketAddr| address.ip().is_unspecified() || local == address;
        table.connections.into_iter().filter(|it| is_here(it.local)).collect()
    }

    fn connection_of(&mut self, client: &TcpStream) -> Option<Connection> {
        let peer = client.local_addr().unwrap();
        self.connections().into_iter().find(|it| it.peer == peer)
    }

    fn bytes_of(&mut self, client: &TcpStream) -> Bytes {
        self.connection_of(client).unwrap().bytes.unwrap()
    }

    /// Waits until the server has this number of connections.
    fn wait_for(&mut self, connections: usize) {
        wait_until(|| self.connections().len() == connections);
    }
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    const INTERVAL: Duration = Duration::from_millis(10);
    for _ in 0..WAIT_TIMEOUT.as_millis() / INTERVAL.as_millis() {
        if condition() {
            return;
        }
        sleep(INTERVAL);
    }
    panic!("the condition is still false after {WAIT_TIMEOUT:?}");
}

fn own(client: &TcpStream) -> OwnConnection {
    OwnConnection::new(client.local_addr().unwrap(), client.peer_addr().unwrap())
}

fn assert_counts_five(address: &str, hosts: [&str; 5]) {
    let mut server = Server::new(address);
    assert_eq!(server.connections(), []);
    let clients = hosts.map(|host| server.client_at(host));
    server.wait_for(5);
    assert_eq!(server.read(&[]).listening, [server.address().port()]);
    let mut peers = clients.each_ref().map(|client| client.local_addr().unwrap());
    let mut actual: Vec<SocketAddr> = server.connections().iter().map(|it| it.peer).collect();
    peers.sort();
    actual.sort();
    assert_eq!(actual, peers);
    let [first, second, ..] = clients;
    drop((first, second, server.accepted.drain(..2)));
    server.wait_for(3);
    server.accepted.clear();
    server.wait_for(0);
}

#[test]
fn counts_connections_on_ipv4() {
    assert_counts_five("127.0.0.1:0", ["127.0.0.1"; 5]);
}

#[test]
fn counts_connections_on_ipv6() {
    if has_ipv6_or_skip() {
        assert_counts_five("[::1]:0", ["::1"; 5]);
    }
}

#[test]
fn counts_connections_on_dual_stack_listener() {
    if has_ipv6_or_skip() {
        assert_counts_five("[::]:0", ["127.0.0.1", "::1", "127.0.0.1", "127.0.0.2", "::1"]);
    }
}

#[test]
fn reads_several_ports_at_once() {
    let mut servers = [(); 3].map(|()| Server::new("127.0.0.1:0"));
    let _clients = servers.each_mut().map(Server::client);
    let ports = servers.each_ref().map(|server| server.address().port());
    let table = SocketReader::default().read(&ports, false, &[]).unwrap();
    for port in ports {
        assert!(table.listening.contains(&port));
        let here = |it: &&Connection| it.local == SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(table.connections.iter().filter(here).count(), 1);
    }
    assert!(table.connections.iter().all(|it| it.bytes.is_none() && it.cookie.is_some()));
}

#[test]
fn half_closed_by_client_still_counts() {
    let mut server = Server::new("127.0.0.1:0");
    let client = server.client();
    client.shutdown(Shutdown::Write).unwrap();
    wait_until(|| server.bytes_of(&client).received == 1);
    server.accepted.clear();
    server.wait_for(0);
}

#[test]
fn half_closed_by_server_still_counts() {
    let mut server = Server::new("127.0.0.1:0");
    let client = server.client();
    server.accepted[0].shutdown(Shutdown::Write).unwrap();
    // When the client has read the end, the states of both sides are final.
    assert_eq!((&client).read(&mut [0]).unwrap(), 0);
    assert_eq!(server.connections().len(), 1);
    server.accepted.clear();
    server.wait_for(0);
    drop(client);
}

#[test]
fn closed_connection_counts_until_its_data_is_sent() {
    let mut server = Server::new("127.0.0.1:0");
    let mut client = server.client();
    let mut accepted = server.accepted.pop().unwrap();
    accepted.set_nonblocking(true).unwrap();
    let data = vec![7; 1024 * 1024];
    let error_kind = loop {
        if let Err(error) = accepted.write_all(&data) {
            break error.kind();
        }
    };
    assert_eq!(error_kind, ErrorKind::WouldBlock);
    drop(accepted);
    server.wait_for(1);
    client.read_to_end(&mut Vec::new()).unwrap();
    server.wait_for(0);
}

#[test]
fn received_bytes_are_exact() {
    let mut server = Server::new("127.0.0.1:0");
    let [mut sender, silent] = [server.client(), server.client()];
    // Bytes from the server are counted separately, and it does not matter whether it reads.
    server.accepted[0].write_all(&[1; 500]).unwrap();
    let mut sent = 0;
    for size in [1, 1000, 33_333] {
        sender.write_all(&vec![7; size]).unwrap();
        sent += u64::try_from(size).unwrap();
        wait_until(|| server.bytes_of(&sender).received == sent);
    }
    assert_eq!(server.bytes_of(&silent), Bytes::default());
}

#[test]
fn sent_bytes_are_exact() {
    let mut server = Server::new("127.0.0.1:0");
    let mut client = server.client();
    client.write_all(&[1; 500]).unwrap();
    let mut sent = 0;
    for size in [1, 1000, 33_333] {
        server.accepted[0].write_all(&vec![7; size]).unwrap();
        sent += u64::try_from(size).unwrap();
        wait_until(|| server.bytes_of(&client).sent == sent);
    }
    wait_until(|| server.bytes_of(&client).received == 500);
    server.accepted[0].shutdown(Shutdown::Write).unwrap();
    wait_until(|| server.bytes_of(&client).sent == sent + 1);
}

#[test]
fn bytes_that_the_peer_does_not_accept_are_not_sent() {
    let mut server = Server::new("127.0.0.1:0");
    let client = server.client();
    server.accepted[0].set_nonblocking(true).unwrap();
    let data = vec![7; 1024 * 1024];
    let mut written = 0;
    while let Ok(bytes) = server.accepted[0].write(&data) {
        written += u64::try_from(bytes).unwrap();
    }
    // The rest waits in the server's buffer, because the client does not read.
    assert!(server.bytes_of(&client).sent < written);
}

#[test]
fn cookie_identifies_one_connection() {
    let mut server = Server::new("127.0.0.1:0");
    let first = server.client();
    let from = first.local_addr().unwrap();
    let before = server.connection_of(&first).unwrap();
    assert_eq!(server.connection_of(&first), Some(before));
    // The server closes first, so that the client's port is free at once.
    server.accepted.clear();
    drop(first);
    let second = connect_from(from, server.address());
    server.accepted.push(server.listener.accept().unwrap().0);
    let after = server.connection_of(&second).unwrap();
    assert_eq!((after.local, after.peer), (before.local, before.peer));
    assert_ne!(after.cookie, before.cookie);
}

/// Connects from exactly this address, once it is free.
fn connect_from(from: SocketAddr, to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt::set_socket_reuseaddr};
    let mut connected = None;
    wait_until(|| {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        set_socket_reuseaddr(&socket, true).unwrap();
        let is_free = bind(&socket, &from).and_then(|()| connect(&socket, &to)).is_ok();
        connected = is_free.then(|| TcpStream::from(socket));
        is_free
    });
    connected.unwrap()
}

#[test]
fn own_connection_is_excluded_until_server_closes_it() {
    let mut server = Server::new("127.0.0.1:0");
    let [ours, others] = [server.client(), server.client()];
    let peers = |connections: Vec<Connection>| connections.iter().map(|it| it.peer).collect::<Vec<_>>();
    let expected = [others.local_addr().unwrap()];
    assert_eq!(server.connections().len(), 2);
    assert_eq!(peers(server.connections_without(&[own(&ours)])), expected);
    drop(ours);
    // The server keeps its end (CLOSE_WAIT). A reader that does not know the connection counts it.
    let mut other_reader = SocketReader::default();
    assert_eq!(other_reader.read(&[server.address().port()], false, &[]).unwrap().connections.len(), 2);
    assert_eq!(peers(server.connections()), expected);
    let next = server.client();
    assert_eq!(peers(server.connections_without(&[own(&next)])), expected);
    drop(next);
    assert_eq!(peers(server.connections()), expected);
}

#[test]
fn own_connection_is_matched_by_both_addresses() {
    let mut servers = [(); 2].map(|()| Server::new("127.0.0.1:0"));
    let ours = servers[0].client();
    let ports = servers.each_ref().map(|server| server.address().port());
    let from = ours.local_addr().unwrap();
    // The client's address alone would match both connections.
    let to_other_port = OwnConnection::new(from, servers[1].address());
    let read = |own| SocketReader::default().read(&ports, false, &[own]).unwrap().connections;
    assert!(read(to_other_port).iter().any(|it| it.peer == from));
    assert!(!read(own(&ours)).iter().any(|it| it.peer == from));
}

#[test]
fn own_connection_is_excluded_on_dual_stack_listener() {
    if has_ipv6_or_skip() {
        let mut server = Server::new("[::]:0");
        for host in ["127.0.0.1", "::1"] {
            let ours = server.client_at(host);
            assert_eq!(server.connections_without(&[own(&ours)]), []);
        }
        let port = server.address().port();
        let mapped = server.client_at("::ffff:127.0.0.1");
        assert_eq!(mapped.peer_addr().unwrap(), format!("[::ffff:127.0.0.1]:{port}").parse().unwrap());
        assert_eq!(server.connections_without(&[own(&mapped)]), []);
    }
}

#[test]
fn no_ports_have_no_connections() {
    assert_eq!(SocketReader::default().read(&[], true, &[]), Ok(SocketTable::default()));
}
