use std::fs;
use std::net::{TcpListener, TcpStream};

use super::*;

/// A table that netlink does not tell, for this reason.
fn refused(open: fn() -> Result<OwnedFd, Errno>) -> SocketReader {
    SocketReader { open, ..SocketReader::default() }
}

/// A server that keeps the connections which it has accepted, and its clients.
struct Pair {
    listener: TcpListener,
    ends: Vec<[TcpStream; 2]>,
}

impl Pair {
    fn new(address: &str, clients: usize) -> Self {
        let mut pair = Self { listener: TcpListener::bind(address).unwrap(), ends: Vec::new() };
        (0..clients).for_each(|_| pair.connect());
        pair
    }

    fn connect(&mut self) {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        self.ends.push([client, self.listener.accept().unwrap().0]);
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    fn own(&self, index: usize) -> OwnConnection {
        let client = &self.ends[index][0];
        OwnConnection::new(client.local_addr().unwrap(), client.peer_addr().unwrap())
    }

    /// The clients that the table shows, but for those of others who use the port at another address.
    fn seen(&self, table: &SocketTable) -> Vec<SocketAddr> {
        let local = self.listener.local_addr().unwrap();
        table.connections.iter().filter(|it| it.local == local).map(|it| it.peer).collect()
    }

    fn read(&self, table: &mut SocketReader, own: &[OwnConnection]) -> (Vec<SocketAddr>, SocketTable) {
        let told = table.read(&[self.port()], true, own).unwrap();
        (self.seen(&told), told)
    }
}

#[test]
fn netlink_and_proc_tell_the_same() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        if TcpListener::bind(address).is_err() {
            eprintln!("skipped for {address}: IPv6 is off here");
            continue;
        }
        let pair = Pair::new(address, 5);
        pair.ends[0][0].shutdown(std::net::Shutdown::Write).unwrap();
        let (seen, told) = pair.read(&mut SocketReader::default(), &[]);
        let (seen_by_proc, told_by_proc) = pair.read(&mut refused(|| Err(Errno::PERM)), &[]);
        assert_eq!(seen.len(), 5);
        let sorted = |mut peers: Vec<SocketAddr>| {
            peers.sort();
            peers
        };
        assert_eq!(sorted(seen), sorted(seen_by_proc));
        assert_eq!(told.listening, told_by_proc.listening);
        assert!(told.connections.iter().all(|it| it.cookie.is_some() && it.received.is_some()));
        assert!(told_by_proc.connections.iter().all(|it| it.cookie.is_none() && it.received.is_none()));
    }
}

#[test]
fn who_falls_back_to_proc_says_why() {
    let pair = Pair::new("127.0.0.1:0", 1);
    let reason = |open| pair.read(&mut refused(open), &[]).1.fallback.unwrap();
    assert!(reason(|| Err(Errno::PERM)).contains("Operation not permitted"));
    assert!(reason(|| Err(Errno::PROTONOSUPPORT)).contains("netlink"));
    assert_eq!(pair.read(&mut SocketReader::default(), &[]).1.fallback, None);
}

/// A netlink socket on which processes talk to each other.
fn usersock() -> Result<OwnedFd, Errno> {
    let protocol = Some(rustix::net::netlink::USERSOCK);
    socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, protocol)
}

/// Such a socket, connected to this one; as the kernel, 0, nobody listens.
fn among_processes(peer: u32) -> Result<OwnedFd, Errno> {
    let socket = usersock()?;
    set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(10)))?;
    connect(&socket, &SocketAddrNetlink::new(peer, 0))?;
    Ok(socket)
}

#[test]
fn a_kernel_that_takes_no_question_is_a_refusal() {
    let pair = Pair::new("127.0.0.1:0", 1);
    let (seen, told) = pair.read(&mut refused(|| among_processes(0)), &[]);
    assert_eq!(seen.len(), 1);
    assert!(told.fallback.unwrap().contains("Connection refused"));
}

#[test]
fn whoever_does_not_answer_is_given_up() {
    let silent = || {
        let deaf = usersock()?;
        rustix::net::bind(&deaf, &SocketAddrNetlink::new(0, 0))?;
        let socket = among_processes(port_id(deaf.as_fd())?)?;
        // It must outlive the question.
        std::mem::forget(deaf);
        Ok(socket)
    };
    let error = refused(silent).read(&[80], false, &[]).unwrap_err().to_string();
    assert!(error.contains("does not tell"), "{error}");
}

#[test]
fn more_ports_than_a_filter_holds_are_still_read() {
    let pair = Pair::new("127.0.0.1:0", 2);
    let ports: Vec<u16> = (1..=4000).chain([pair.port()]).collect();
    let told = SocketReader::default().read(&ports, true, &[]).unwrap();
    assert_eq!((pair.seen(&told).len(), told.fallback), (2, None));
}

#[test]
fn want_of_files_is_unknown_and_no_refusal() {
    let error = refused(|| Err(Errno::MFILE)).read(&[80], false, &[]).unwrap_err();
    assert!(error.to_string().contains("Too many open files"), "{error}");
}

#[test]
fn proc_without_ipv6_tells_and_proc_without_tcp_does_not() {
    let dir = std::env::temp_dir().join(format!("lameduck-sockets-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let mut table = SocketReader { proc: dir.clone(), ..refused(|| Err(Errno::ACCESS)) };
    let error = table.read(&[80], false, &[]).unwrap_err().to_string();
    assert!(error.contains("Permission denied") && error.contains("cannot read"), "{error}");
    let titles = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let line = "0: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 0 0 4712 1 0 20 4 30 10 -1";
    let mut told = |text: String| {
        fs::write(dir.join("tcp"), text).unwrap();
        table.read(&[80], false, &[]).map(|table| table.connections.len()).map_err(|error| error.to_string())
    };
    assert_eq!(told(titles.to_owned()), Ok(0));
    assert_eq!(told(format!("{titles}{line}\n{line}\n")), Ok(1));
    assert!(told(format!("{titles}{line}")).is_err());
    assert!(told(String::new()).is_err());
    assert!(told(format!("{line}\n")).is_err());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn our_own_connection_is_left_out_by_proc_while_it_is_open() {
    let pair = Pair::new("127.0.0.1:0", 3);
    let mut table = refused(|| Err(Errno::PERM));
    let own = pair.own(1);
    let (seen, _) = pair.read(&mut table, &[own]);
    assert_eq!(seen.len(), 2);
    assert!(!seen.contains(&own.local));
    assert_eq!(pair.read(&mut table, &[]).0.len(), 3);
}

#[test]
fn what_is_ours_is_forgotten_when_it_is_gone() {
    let mut pair = Pair::new("127.0.0.1:0", 2);
    let mut table = SocketReader::default();
    assert_eq!(pair.read(&mut table, &[pair.own(0)]).0.len(), 1);
    assert_eq!(table.own.len(), 1);
    // It is neither where one did not look, nor where cookies are not shown.
    table.read(&[1], false, &[]).unwrap();
    table.open = || Err(Errno::PERM);
    pair.read(&mut table, &[]);
    assert_eq!(table.own.len(), 1);
    table.open = open;
    drop(pair.ends.swap_remove(0));
    assert_eq!(pair.read(&mut table, &[]).0.len(), 1);
    while !table.own.is_empty() {
        pair.read(&mut table, &[]);
    }
}
