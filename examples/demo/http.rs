//! A GET request over a connection of its own, with the time at which the answer began.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::clock::now;

/// The headers that the kubelet sends with a preStop hook.
pub(crate) const HOOK: &str = "User-Agent: kube-lifecycle/1.34\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n";
/// The headers that the kubelet sends with a probe; the demo uses them for its other requests, too.
pub(crate) const PROBE: &str = "User-Agent: kube-probe/1.34\r\nAccept: */*\r\nConnection: close\r\n";

/// A complete answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Such as `200 OK`.
    pub(crate) status: String,
    pub(crate) body: String,
    /// When its first byte arrived.
    pub(crate) began: Instant,
}

/// Sends the request, and waits for each part of the answer for at most `timeout`.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str, timeout: Duration) -> io::Result<Answer> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(timeout))?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n").as_bytes())?;
    let mut first = [0];
    if socket.read(&mut first)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed without an answer"));
    }
    let began = now();
    let mut text = String::from_utf8_lossy(&first).into_owned();
    socket.read_to_string(&mut text)?;
    parse(&text, began).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP answer: {text}")))
}

fn parse(text: &str, began: Instant) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (_, status) = head.lines().next()?.split_once(' ')?;
    Some(Answer { status: status.to_owned(), body: body.trim_end().to_owned(), began })
}
