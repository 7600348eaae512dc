//! The kernel's socket table against real sockets.

mod confined;
mod dying;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use lameduck::io::sockets::{OwnConnection, SocketReader};
use lameduck_machine::socket_table::{Connection, SocketTable};

/// How often one looks for what must come to be: for a minute.
const LOOKS: u32 = 6000;

/// A server, the connections that it has accepted, and a table to look at them.
struct Server {
    listener: TcpListener,
    accepted: Vec<TcpStream>,
    table: SocketReader,
}

impl Server {
    fn new(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        Self { listener, accepted: Vec::new(), table: SocketReader::default() }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Connects to the port at this address, and has it accepted.
    fn client_of(&mut self, host: &str) -> TcpStream {
        let client = TcpStream::connect((host, self.address().port())).unwrap();
        self.accepted.push(self.listener.accept().unwrap().0);
        client
    }

    fn client(&mut self) -> TcpStream {
        self.client_of(&self.address().ip().to_string())
    }

    fn read(&mut self, own: &[OwnConnection]) -> SocketTable {
        self.table.read(&[self.address().port()], true, own).unwrap()
    }

    /// Its connections. Others may use the same port at other addresses.
    fn connections(&mut self) -> Vec<Connection> {
        self.connections_without(&[])
    }

    fn connections_without(&mut self, own: &[OwnConnection]) -> Vec<Connection> {
        let address = self.address();
        let table = self.read(own);
        assert_eq!(table.fallback, None, "netlink is to be tested here");
        let is_here = |local: SocketAddr| address.ip().is_unspecified() || local == address;
        table.connections.into_iter().filter(|it| is_here(it.local)).collect()
    }

    fn connection_of(&mut self, client: &TcpStream) -> Option<Connection> {
        let peer = client.local_addr().unwrap();
        self.connections().into_iter().find(|it| it.peer == peer)
    }

    /// Waits until it has so many connections.
    fn wait_for(&mut self, connections: usize) {
        wait_until(|| self.connections().len() == connections);
    }
}

fn wait_until(mut comes_true: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if comes_true() {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("it never came true");
}

fn own(client: &TcpStream) -> OwnConnection {
    OwnConnection::new(client.local_addr().unwrap(), client.peer_addr().unwrap())
}

/// Whether there is IPv6 here; says so if not.
fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        lameduck_test_support::skip::skip("no IPv6");
    }
    has
}

fn five_connections_are_five(address: &str, hosts: [&str; 5]) {
    let mut server = Server::new(address);
    assert_eq!(server.connections(), []);
    let clients = hosts.map(|host| server.client_of(host));
    server.wait_for(5);
    assert_eq!(server.read(&[]).listening, [server.address().port()]);
    let mut peers = clients.each_ref().map(|client| client.local_addr().unwrap());
    let mut seen: Vec<SocketAddr> = server.connections().iter().map(|it| it.peer).collect();
    peers.sort();
    seen.sort();
    assert_eq!(seen, peers);
    let [first, second, ..] = clients;
    drop((first, second, server.accepted.drain(..2)));
    server.wait_for(3);
    server.accepted.clear();
    server.wait_for(0);
}

#[test]
fn five_connections_are_five_on_ipv4() {
    five_connections_are_five("127.0.0.1:0", ["127.0.0.1"; 5]);
}

#[test]
fn five_connections_are_five_on_ipv6() {
    if has_ipv6() {
        five_connections_are_five("[::1]:0", ["::1"; 5]);
    }
}

#[test]
fn five_connections_are_five_on_a_listener_of_both_families() {
    if has_ipv6() {
        five_connections_are_five("[::]:0", ["127.0.0.1", "::1", "127.0.0.1", "127.0.0.2", "::1"]);
    }
}

#[test]
fn several_ports_are_read_at_once() {
    let mut servers = [(); 3].map(|()| Server::new("127.0.0.1:0"));
    let _clients = servers.each_mut().map(Server::client);
    let ports = servers.each_ref().map(|server| server.address().port());
    let table = SocketReader::default().read(&ports, false, &[]).unwrap();
    for port in ports {
        assert!(table.listening.contains(&port));
        let here = |it: &&Connection| it.local == SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(table.connections.iter().filter(here).count(), 1);
    }
    assert!(table.connections.iter().all(|it| it.received.is_none() && it.cookie.is_some()));
}

#[test]
fn a_client_that_has_only_ended_its_own_side_still_counts() {
    let mut server = Server::new("127.0.0.1:0");
    let client = server.client();
    client.shutdown(Shutdown::Write).unwrap();
    wait_until(|| server.connection_of(&client).unwrap().received == Some(1));
    server.accepted.clear();
    server.wait_for(0);
}

#[test]
fn a_server_that_has_only_ended_its_own_side_still_receives() {
    let mut server = Server::new("127.0.0.1:0");
    let client = server.client();
    server.accepted[0].shutdown(Shutdown::Write).unwrap();
    // The client has the end when it reads it; both sides are then as they stay.
    assert_eq!((&client).read(&mut [0]).unwrap(), 0);
    assert_eq!(server.connections().len(), 1);
    server.accepted.clear();
    server.wait_for(0);
    drop(client);
}

#[test]
fn a_closed_connection_counts_while_the_server_s_last_words_are_on_their_way() {
    let mut server = Server::new("127.0.0.1:0");
    let mut client = server.client();
    let mut accepted = server.accepted.pop().unwrap();
    accepted.set_nonblocking(true).unwrap();
    let words = vec![7; 1024 * 1024];
    let stuck = loop {
        if let Err(error) = accepted.write_all(&words) {
            break error.kind();
        }
    };
    assert_eq!(stuck, ErrorKind::WouldBlock);
    drop(accepted);
    server.wait_for(1);
    client.read_to_end(&mut Vec::new()).unwrap();
    server.wait_for(0);
}

#[test]
fn the_bytes_received_are_exact() {
    let mut server = Server::new("127.0.0.1:0");
    let [mut talker, silent] = [server.client(), server.client()];
    // What the server says is not counted, nor does it matter whether it reads.
    server.accepted[0].write_all(&[1; 500]).unwrap();
    let mut sent = 0;
    for size in [1, 1000, 33_333] {
        talker.write_all(&vec![7; size]).unwrap();
        sent += u64::try_from(size).unwrap();
        wait_until(|| server.connection_of(&talker).unwrap().received == Some(sent));
    }
    assert_eq!(server.connection_of(&silent).unwrap().received, Some(0));
}

#[test]
fn a_cookie_stays_with_its_connection_and_is_not_given_to_the_next_of_the_same_addresses() {
    let mut server = Server::new("127.0.0.1:0");
    let first = server.client();
    let from = first.local_addr().unwrap();
    let seen = server.connection_of(&first).unwrap();
    assert_eq!(server.connection_of(&first), Some(seen));
    // The server ends it first, so that the client's port is free at once.
    server.accepted.clear();
    drop(first);
    let second = connect_from(from, server.address());
    server.accepted.push(server.listener.accept().unwrap().0);
    let again = server.connection_of(&second).unwrap();
    assert_eq!((again.local, again.peer), (seen.local, seen.peer));
    assert_ne!(again.cookie, seen.cookie);
}

/// Connects from this very address, once it is free.
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
fn our_own_connection_is_left_out_until_the_server_lets_go_of_it() {
    let mut server = Server::new("127.0.0.1:0");
    let [ours, theirs] = [server.client(), server.client()];
    let peers = |connections: Vec<Connection>| connections.iter().map(|it| it.peer).collect::<Vec<_>>();
    let other = [theirs.local_addr().unwrap()];
    assert_eq!(server.connections().len(), 2);
    assert_eq!(peers(server.connections_without(&[own(&ours)])), other);
    drop(ours);
    // The server keeps its end (CLOSE_WAIT): who does not know that it was ours counts it.
    let mut stranger = SocketReader::default();
    assert_eq!(stranger.read(&[server.address().port()], false, &[]).unwrap().connections.len(), 2);
    assert_eq!(peers(server.connections()), other);
    let next = server.client();
    assert_eq!(peers(server.connections_without(&[own(&next)])), other);
    drop(next);
    assert_eq!(peers(server.connections()), other);
}

#[test]
fn a_connection_from_the_same_address_to_another_port_is_not_ours() {
    let mut servers = [(); 2].map(|()| Server::new("127.0.0.1:0"));
    let ours = servers[0].client();
    let ports = servers.each_ref().map(|server| server.address().port());
    let from = ours.local_addr().unwrap();
    // One connection is ours, and by the other end alone both would be.
    let as_if = OwnConnection::new(from, servers[1].address());
    let read = |own| SocketReader::default().read(&ports, false, &[own]).unwrap().connections;
    assert!(read(as_if).iter().any(|it| it.peer == from));
    assert!(!read(own(&ours)).iter().any(|it| it.peer == from));
}

#[test]
fn our_own_connection_is_known_on_a_listener_of_both_families() {
    if has_ipv6() {
        let mut server = Server::new("[::]:0");
        for host in ["127.0.0.1", "::1"] {
            let ours = server.client_of(host);
            assert_eq!(server.connections_without(&[own(&ours)]), []);
        }
        let port = server.address().port();
        let mapped = server.client_of("::ffff:127.0.0.1");
        assert_eq!(mapped.peer_addr().unwrap(), format!("[::ffff:127.0.0.1]:{port}").parse().unwrap());
        assert_eq!(server.connections_without(&[own(&mapped)]), []);
    }
}

#[test]
fn no_ports_have_no_connections() {
    assert_eq!(SocketReader::default().read(&[], true, &[]), Ok(SocketTable::default()));
}
