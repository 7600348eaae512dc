//! The attacks that a client can run against an open port.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, socket};

/// A running attack.
pub(crate) struct Attack<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) stop: &'a AtomicBool,
    /// Number of connections attempted.
    pub(crate) attempts: &'a AtomicU64,
}

type RunAttack = dyn Fn(&Attack) + Sync;

pub(crate) const ALL: [(&str, &RunAttack); 9] = [
    ("1000 clients sending one byte a second", &|attack| attack.trickle(1000)),
    ("10,000 open connections", &|attack| attack.hold_connections(10_000, 1, b"")),
    ("10,000 open connections, 100 addresses", &|attack| attack.hold_connections(10_000, 100, b"")),
    ("10,000 half requests, 100 addresses", &|attack| {
        attack.hold_connections(10_000, 100, b"GET /livez HTTP/1.1\r\nX: ");
    }),
    ("up to 100,000 garbage requests", &|attack| attack.send_garbage(100_000)),
    ("1000 endless request heads", &|attack| {
        attack.flood(1000, b"GET /livez HTTP/1.1\r\n", b"X: aaaaaaaaaaaaaaaa\r\n");
    }),
    ("1000 pipelines whose answers are not read", &|attack| {
        attack.flood(1000, b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    }),
    ("10,000 hook callers", &|attack| {
        attack.hold_connections(10_000, 1, b"GET /prestop HTTP/1.1\r\nHost: x\r\n\r\n");
    }),
    ("10,000 hook callers, 100 addresses", &|attack| {
        attack.hold_connections(10_000, 100, b"GET /prestop HTTP/1.1\r\nHost: x\r\n\r\n");
    }),
];

impl Attack<'_> {
    fn is_running(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Opens one more connection, from one of this many addresses in turn.
    fn open(&self, addresses: u64) -> io::Result<TcpStream> {
        let number = self.attempts.fetch_add(1, Ordering::Relaxed) % addresses;
        let stream = connect(Ipv4Addr::from(0x7f4d_0001 + u32::try_from(number).unwrap_or(0)), self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(stream)
    }

    /// Opens connections, sends `bytes` on each and keeps it open; beyond `count`, each new one replaces the oldest.
    fn hold_connections(&self, count: usize, addresses: u64, bytes: &[u8]) {
        let mut open = VecDeque::new();
        while self.is_running() {
            if let Ok(mut stream) = self.open(addresses) {
                let _ = stream.write_all(bytes);
                open.push_back(stream);
            }
            if open.len() > count {
                open.pop_front();
            }
        }
    }

    /// Keeps `count` connections open and sends one byte of a request head on each every second.
    fn trickle(&self, count: usize) {
        let mut open: Vec<TcpStream> = Vec::new();
        while self.is_running() {
            open.retain_mut(|stream| stream.write_all(b"G").is_ok());
            open.extend((open.len()..count).filter_map(|_| self.open(1).ok()));
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// Keeps `count` connections open; sends `first` on each, and then `more` for as long as the server accepts it.
    fn flood(&self, count: usize, first: &[u8], more: &[u8]) {
        let (mut open, more): (Vec<TcpStream>, _) = (Vec::new(), more.repeat(20));
        while self.is_running() {
            // A connection whose buffer is full may accept more later.
            open.retain_mut(|stream| {
                !stream.write_all(&more).is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
            });
            if open.len() < count
                && let Ok(mut stream) = self.open(1)
            {
                let _ = stream.write_all(first).and_then(|()| stream.set_nonblocking(true));
                open.push(stream);
            }
        }
    }

    /// Sends up to `count` invalid requests, one after the other, and reads the answers.
    fn send_garbage(&self, count: u64) {
        while self.is_running() && self.attempts.load(Ordering::Relaxed) < count {
            if let Ok(mut stream) = self.open(1) {
                let _ = stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
                let _ = stream.read(&mut [0; 512]);
            }
        }
    }
}

/// Connects from this loopback address.
pub(crate) fn connect(source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::from((source, 0)))?;
    rustix::net::connect(&socket, &address)?;
    Ok(TcpStream::from(socket))
}
