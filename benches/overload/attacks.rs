//! What can be done to an open port by those who reach it.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, socket};

/// An attack that is under way.
pub(crate) struct Attack<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) attempts: &'a AtomicU64,
}

type Deed = dyn Fn(&Attack) + Sync;

pub(crate) const ALL: [(&str, &Deed); 9] = [
    ("1000 callers that send a byte a second", &|attack| attack.trickle(1000)),
    ("10,000 open connections", &|attack| attack.crowd(10_000, 1, b"")),
    ("10,000 of 100 addresses", &|attack| attack.crowd(10_000, 100, b"")),
    ("10,000 of 100 addresses, half a request", &|attack| attack.crowd(10_000, 100, b"GET /livez HTTP/1.1\r\nX: ")),
    ("up to 100,000 garbage requests", &|attack| attack.garbage(100_000)),
    ("1000 heads without end", &|attack| attack.pour(1000, b"GET /livez HTTP/1.1\r\n", b"X: aaaaaaaaaaaaaaaa\r\n")),
    ("1000 pipelines that nobody reads", &|attack| {
        attack.pour(1000, b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    }),
    ("10,000 callers of the hook", &|attack| attack.crowd(10_000, 1, b"GET /prestop HTTP/1.1\r\nHost: x\r\n\r\n")),
    ("10,000 callers of the hook, 100 addresses", &|attack| {
        attack.crowd(10_000, 100, b"GET /prestop HTTP/1.1\r\nHost: x\r\n\r\n");
    }),
];

impl Attack<'_> {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// One more connection, by turns from so many addresses.
    fn open(&self, addresses: u64) -> io::Result<TcpStream> {
        let number = self.attempts.fetch_add(1, Ordering::Relaxed) % addresses;
        let stream = connect(Ipv4Addr::from(0x7f4d_0001 + u32::try_from(number).unwrap_or(0)), self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(stream)
    }

    /// So many connections that say this, one after the other, and stay; then each gives way to another.
    fn crowd(&self, count: usize, addresses: u64, bytes: &[u8]) {
        let mut open = VecDeque::new();
        while self.goes_on() {
            if let Ok(mut stream) = self.open(addresses) {
                let _ = stream.write_all(bytes);
                open.push_back(stream);
            }
            if open.len() > count {
                open.pop_front();
            }
        }
    }

    /// So many connections, on each of which a byte of a head comes each second.
    fn trickle(&self, count: usize) {
        let mut open: Vec<TcpStream> = Vec::new();
        while self.goes_on() {
            open.retain_mut(|stream| stream.write_all(b"G").is_ok());
            open.extend((open.len()..count).filter_map(|_| self.open(1).ok()));
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// So many connections that begin so, and go on like this for as long as they may.
    fn pour(&self, count: usize, first: &[u8], more: &[u8]) {
        let (mut open, more): (Vec<TcpStream>, _) = (Vec::new(), more.repeat(20));
        while self.goes_on() {
            // One that takes no more for the moment may take more later.
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

    /// So many requests that are none, and their answers.
    fn garbage(&self, count: u64) {
        while self.goes_on() && self.attempts.load(Ordering::Relaxed) < count {
            if let Ok(mut stream) = self.open(1) {
                let _ = stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
                let _ = stream.read(&mut [0; 512]);
            }
        }
    }
}

/// A connection from this loopback address.
pub(crate) fn connect(source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::from((source, 0)))?;
    rustix::net::connect(&socket, &address)?;
    Ok(TcpStream::from(socket))
}
