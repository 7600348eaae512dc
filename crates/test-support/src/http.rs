//! HTTP by hand over TCP, so that a test sees exactly which bytes come and when.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a test waits for anything that is to happen, on a machine however busy.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// A request whose response has not been read.
pub struct Call(TcpStream);

/// A complete response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// The status line and the headers, in lower case.
    pub head: String,
    pub body: String,
}

impl Call {
    /// Connects and sends these bytes.
    pub fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut stream = TcpStream::connect(address).expect("the sidecar listens");
        // The sidecar may close the connection before all is sent.
        let _ = stream.write_all(bytes.as_ref());
        Self::from_stream(stream)
    }

    /// A request that was sent over this connection.
    pub fn from_stream(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(TIMEOUT)).expect("a socket takes a timeout");
        Self(stream)
    }

    /// Sends a GET request as the kubelet does.
    pub fn get(address: SocketAddr, path: &str) -> Self {
        Self::send(address, request("GET", path, ""))
    }

    /// Whether the connection is open and no byte of a response has come.
    pub fn is_pending(&self) -> bool {
        self.0.set_nonblocking(true).expect("a socket can be non-blocking");
        let peeked = self.0.peek(&mut [0]);
        self.0.set_nonblocking(false).expect("a socket can block");
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Everything that comes until the connection is closed.
    pub fn bytes(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection stays open after {bytes:?}: {error}"),
        }
        bytes
    }

    /// The response, after which the connection must be closed.
    pub fn response(self) -> Response {
        let text = String::from_utf8(self.bytes()).expect("a response is text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Response { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// The outcome with which a held call is answered.
    pub fn outcome(self) -> Value {
        let response = self.response();
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A request that asks for its connection to be closed.
pub fn request(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n{headers}\r\n")
}
