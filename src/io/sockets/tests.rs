use std::fs;
use std::net::{TcpListener, TcpStream};

use lameduck_test_support::skip::has_ipv6_or_skip;

use super::*;

/// A reader with this function for opening netlink sockets.
fn reader_with(open: fn() -> Result<OwnedFd, Errno>) -> SocketReader {
    SocketReader { open, ..SocketReader::default() }
}

/// A server, its clients, and the connections between them.
struct Server {
    listener: TcpListener,
    connections: Vec<[TcpStream; 2]>,
}

impl Server {
    fn new(address: &str, clients: usize) -> Self {
        let mut server = Self { listener: TcpListener::bind(address).unwrap(), connections: Vec::new() };
        (0..clients).for_each(|_| server.connect());
        server
    }

    fn connect(&mut self) {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        self.connections.push([client, self.listener.accept().unwrap().0]);
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    fn own(&self, index: usize) -> OwnConnection {
        let client = &self.connections[index][0];
        OwnConnection::new(client.local_addr().unwrap(), client.peer_addr().unwrap())
    }

    /// The clients in the table. Other processes may use the same port at another address.
    fn clients_in(&self, table: &SocketTable) -> Vec<SocketAddr> {
        let local = self.listener.local_addr().unwrap();
        table.connections.iter().filter(|it| it.local == local).map(|it| it.peer).collect()
    }

    fn read(&self, reader: &mut SocketReader, own: &[OwnConnection]) -> (Vec<SocketAddr>, SocketTable) {
        let table = reader.read(&[self.port()], true, own).unwrap();
        (self.clients_in(&table), table)
    }
}

#[test]
fn netlink_and_proc_agree() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        if address.starts_with('[') && !has_ipv6_or_skip() {
            continue;
        }
        let server = Server::new(address, 5);
        server.connections[0][0].shutdown(std::net::Shutdown::Write).unwrap();
        let (clients, table) = server.read(&mut SocketReader::default(), &[]);
        let (proc_clients, proc_table) = server.read(&mut reader_with(|| Err(Errno::PERM)), &[]);
        assert_eq!(clients.len(), 5);
        let sorted = |mut peers: Vec<SocketAddr>| {
            peers.sort();
            peers
        };
        assert_eq!(sorted(clients), sorted(proc_clients));
        assert_eq!(table.listening, proc_table.listening);
        assert!(table.connections.iter().all(|it| it.cookie.is_some() && it.bytes.is_some()));
        assert!(proc_table.connections.iter().all(|it| it.cookie.is_none() && it.bytes.is_none()));
    }
}

#[test]
fn fallback_to_proc_has_reason() {
    let server = Server::new("127.0.0.1:0", 1);
    let reason = |open| server.read(&mut reader_with(open), &[]).1.fallback.unwrap();
    assert!(reason(|| Err(Errno::PERM)).contains("Operation not permitted"));
    assert!(reason(|| Err(Errno::PROTONOSUPPORT)).contains("netlink"));
    assert_eq!(server.read(&mut SocketReader::default(), &[]).1.fallback, None);
}

/// A netlink socket for messages between processes.
fn user_socket() -> Result<OwnedFd, Errno> {
    let protocol = Some(rustix::net::netlink::USERSOCK);
    socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, protocol)
}

/// Such a socket, connected to this port id. At the kernel's port id, 0, nothing listens.
fn connected_user_socket(peer: u32) -> Result<OwnedFd, Errno> {
    let socket = user_socket()?;
    set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(10)))?;
    connect(&socket, &SocketAddrNetlink::new(peer, 0))?;
    Ok(socket)
}

#[test]
fn kernel_without_sock_diag_falls_back_to_proc() {
    let server = Server::new("127.0.0.1:0", 1);
    let (clients, table) = server.read(&mut reader_with(|| connected_user_socket(0)), &[]);
    assert_eq!(clients.len(), 1);
    assert!(table.fallback.unwrap().contains("Connection refused"));
}

#[test]
fn missing_netlink_response_times_out() {
    let silent = || {
        let silent_peer = user_socket()?;
        rustix::net::bind(&silent_peer, &SocketAddrNetlink::new(0, 0))?;
        let socket = connected_user_socket(port_id(silent_peer.as_fd())?)?;
        // It must outlive the request.
        std::mem::forget(silent_peer);
        Ok(socket)
    };
    let error = reader_with(silent).read(&[80], false, &[]).unwrap_err().to_string();
    assert!(error.contains("no netlink response"), "{error}");
}

#[test]
fn netlink_socket_is_kept_until_a_response_is_not_its_own() {
    let server = Server::new("127.0.0.1:0", 3);
    let mut reader = SocketReader::default();
    let port_id = |reader: &SocketReader| reader.netlink.as_ref().map(|netlink| netlink.port_id);
    assert_eq!(server.read(&mut reader, &[]).0.len(), 3);
    let first = port_id(&reader);
    assert_eq!(server.read(&mut reader, &[]).0.len(), 3);
    assert!(first.is_some() && port_id(&reader) == first);
    // A response to another request is still on its way.
    let Netlink { socket, port_id, sequence } = reader.netlink.as_ref().unwrap();
    let (ports, sequence) = (&[server.port()], sequence - 1);
    let stale = DumpRequest { ports, with_bytes: true, sequence, port_id: *port_id };
    send(socket, &stale.request(), SendFlags::empty()).unwrap();
    let error = reader.read(&[server.port()], true, &[]).unwrap_err().to_string();
    assert!(error.contains("invalid netlink response"), "{error}");
    assert_eq!(server.read(&mut reader, &[]).0.len(), 3);
}

#[test]
fn reads_more_ports_than_one_filter_holds() {
    let server = Server::new("127.0.0.1:0", 2);
    let ports: Vec<u16> = (1..=4000).chain([server.port()]).collect();
    let table = SocketReader::default().read(&ports, true, &[]).unwrap();
    assert_eq!((server.clients_in(&table).len(), table.fallback), (2, None));
}

#[test]
fn lack_of_file_descriptors_is_transient() {
    let error = reader_with(|| Err(Errno::MFILE)).read(&[80], false, &[]).unwrap_err();
    assert!(error.to_string().contains("Too many open files"), "{error}");
}

#[test]
fn proc_needs_tcp_but_not_tcp6() {
    let dir = std::env::temp_dir().join(format!("lameduck-sockets-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let mut reader = SocketReader { proc: dir.clone(), ..reader_with(|| Err(Errno::ACCESS)) };
    let error = reader.read(&[80], false, &[]).unwrap_err().to_string();
    assert!(error.contains("Permission denied") && error.contains("cannot read"), "{error}");
    let titles = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let line = "0: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 0 0 4712 1 0 20 4 30 10 -1";
    let mut count = |text: String| {
        fs::write(dir.join("tcp"), text).unwrap();
        reader.read(&[80], false, &[]).map(|table| table.connections.len()).map_err(|error| error.to_string())
    };
    assert_eq!(count(titles.to_owned()), Ok(0));
    assert_eq!(count(format!("{titles}{line}\n{line}\n")), Ok(1));
    assert!(count(format!("{titles}{line}")).is_err());
    assert!(count(String::new()).is_err());
    assert!(count(format!("{line}\n")).is_err());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn proc_excludes_own_connection_while_open() {
    let server = Server::new("127.0.0.1:0", 3);
    let mut reader = reader_with(|| Err(Errno::PERM));
    let own = server.own(1);
    let (clients, _) = server.read(&mut reader, &[own]);
    assert_eq!(clients.len(), 2);
    assert!(!clients.contains(&own.local));
    assert_eq!(server.read(&mut reader, &[]).0.len(), 3);
}

#[test]
fn own_connection_is_forgotten_after_it_ends() {
    let mut server = Server::new("127.0.0.1:0", 2);
    let mut reader = SocketReader::default();
    assert_eq!(server.read(&mut reader, &[server.own(0)]).0.len(), 1);
    assert_eq!(reader.own.len(), 1);
    // It is kept if its port was not read, or if there are no cookies.
    reader.read(&[1], false, &[]).unwrap();
    reader.open = || Err(Errno::PERM);
    server.read(&mut reader, &[]);
    assert_eq!(reader.own.len(), 1);
    reader.open = open;
    drop(server.connections.swap_remove(0));
    assert_eq!(server.read(&mut reader, &[]).0.len(), 1);
    while !reader.own.is_empty() {
        server.read(&mut reader, &[]);
    }
}
