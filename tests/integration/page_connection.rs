//! The connection to the metrics page that is kept between two polls, with real servers.
//!
//! Every server here has one thread, so it serves one connection at a time: a reader that opened a second connection
//! before it closed the first would get no answer.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use lameduck::io::http::Url;
use lameduck::io::http::kept::MAX_REQUESTS;
use lameduck::io::page::{MetricsPage, PageSelectors};
use lameduck_machine::reading::{Count, Reading};
use lameduck_machine::target::Incarnation;

const TIMEOUT: Duration = Duration::from_secs(60);

/// What the server does with a request.
enum Answer {
    Respond(String),
    RespondAndClose(String),
    /// Sends nothing.
    Close,
}

use Answer::{Close, Respond, RespondAndClose};

/// What the server has seen.
#[derive(Debug, PartialEq)]
enum Seen {
    /// A request on this connection; whether it asks for the end of the connection.
    Request { connection: usize, closes: bool },
    /// The client has closed this connection, or the server has.
    End(usize),
}

struct Server {
    page: MetricsPage,
    seen: Receiver<Seen>,
}

impl Server {
    /// Answers with `answer(connection, request)`; both are counted from 0, the requests for each connection.
    fn start(answer: impl FnMut(usize, usize) -> Answer + Send + 'static) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), answer).expect("IPv4")
    }

    fn at(ip: IpAddr, answer: impl FnMut(usize, usize) -> Answer + Send + 'static) -> Option<Self> {
        let listener = TcpListener::bind(SocketAddr::new(ip, 0)).ok()?;
        let port = listener.local_addr().unwrap().port();
        let (events, seen) = channel();
        thread::spawn(move || serve(&listener, answer, &events));
        let eager = vec!["active".parse().unwrap()];
        let page = MetricsPage::new(
            Url::new(&ip.to_string(), port, "/metrics"),
            PageSelectors { eager, ..PageSelectors::default() },
        );
        page.connection.allow(true);
        Some(Self { page, seen })
    }

    /// The number of streams on the page, or the error.
    async fn read(&self) -> Result<u64, String> {
        self.read_for(None).await
    }

    async fn read_for(&self, target: Option<Incarnation>) -> Result<u64, String> {
        match &self.page.read_kept(target, TIMEOUT).await.readings[0].1 {
            Reading::Counts(counts) => Ok(counts[0].map_or(0, |count: Count| count.streams)),
            Reading::Unknown(error) => Err(error.message.clone()),
        }
    }

    /// Waits until this connection has ended.
    fn wait_for_end(&self, connection: usize) {
        while self.seen.recv_timeout(TIMEOUT).expect("an end") != Seen::End(connection) {}
    }

    /// The connection of each request so far.
    fn connections(&self) -> Vec<usize> {
        let connection = |seen| match seen {
            Seen::Request { connection, .. } => Some(connection),
            Seen::End(_) => None,
        };
        self.seen.try_iter().filter_map(connection).collect()
    }
}

fn serve(listener: &TcpListener, mut answer: impl FnMut(usize, usize) -> Answer, events: &Sender<Seen>) {
    for (connection, stream) in listener.incoming().enumerate() {
        let mut stream = stream.unwrap();
        for request in 0.. {
            let Some(head) = read_head(&mut stream) else { break };
            let closes = head.to_ascii_lowercase().contains("connection: close");
            let _ = events.send(Seen::Request { connection, closes });
            let (text, closes) = match answer(connection, request) {
                Respond(text) => (text, false),
                RespondAndClose(text) => (text, true),
                Close => (String::new(), true),
            };
            // The client may have closed the connection.
            let _ = stream.write_all(text.as_bytes());
            if closes {
                break;
            }
        }
        drop(stream);
        let _ = events.send(Seen::End(connection));
    }
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn with_length(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn page(streams: u64) -> String {
    with_length(&format!("active {streams}\n"))
}

fn chunked(streams: u64) -> String {
    let body = format!("active {streams}\n");
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

const fn incarnation(pid: u32) -> Incarnation {
    Incarnation { pid, started: 1 }
}

#[tokio::test]
async fn one_connection_carries_several_requests_and_is_then_replaced() {
    for answer in [page, chunked] {
        let server = Server::start(move |_, _| Respond(answer(3)));
        for _ in 0..=MAX_REQUESTS {
            assert_eq!(server.read().await, Ok(3));
        }
        let requests = MAX_REQUESTS as usize;
        assert_eq!(server.connections(), [vec![0; requests], vec![1]].concat());
    }
}

#[tokio::test]
async fn connection_over_ipv6_is_kept() {
    // Where IPv6 is disabled, no server can listen on it.
    let Some(server) = Server::at(Ipv6Addr::LOCALHOST.into(), |_, _| Respond(page(3))) else { return };
    assert_eq!((server.read().await, server.read().await), (Ok(3), Ok(3)));
    assert_eq!(server.connections(), [0, 0]);
}

#[tokio::test]
async fn connection_is_not_kept_if_the_server_does_not_keep_it() {
    let until_close = || RespondAndClose("HTTP/1.1 200 OK\r\n\r\nactive 3\n".into());
    let old = || Respond("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nactive 3\n".into());
    let closing = || Respond("HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 9\r\n\r\nactive 3\n".into());
    for answer in [until_close, old, closing] {
        let server = Server::start(move |_, _| answer());
        assert_eq!((server.read().await, server.read().await), (Ok(3), Ok(3)));
        assert_eq!(server.connections(), [0, 1]);
    }
}

#[tokio::test]
async fn connection_that_the_server_closed_while_idle_is_replaced_without_an_error() {
    let server =
        Server::start(|connection, _| if connection == 0 { RespondAndClose(page(3)) } else { Respond(page(4)) });
    assert_eq!(server.read().await, Ok(3));
    server.wait_for_end(0);
    assert_eq!(server.read().await, Ok(4));
    assert_eq!(server.connections(), [1]);
}

#[tokio::test]
async fn connection_that_the_server_closes_at_the_request_is_replaced_once() {
    let server = Server::start(|connection, request| match (connection, request) {
        (0, 1) => Close,
        (0 | 1, _) => Respond(page(3)),
        _ => Close,
    });
    assert_eq!((server.read().await, server.read().await), (Ok(3), Ok(3)));
    assert_eq!(server.connections(), [0, 0, 1]);
    // A new connection is not replaced.
    server.page.connection.close();
    assert!(server.read().await.unwrap_err().contains("no response"));
    assert_eq!(server.connections(), [2]);
}

#[tokio::test]
async fn kept_connection_that_gives_no_page_is_replaced_without_an_error() {
    let timeout = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let truncated = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nact";
    for no_page in ["HTTP/1.1 200 OK\r\nContent-", "garbage\r\n\r\n", truncated, timeout] {
        let server = Server::start(move |_, request| match request {
            0 => Respond(page(3)),
            _ => RespondAndClose(no_page.into()),
        });
        assert_eq!((server.read().await, server.read().await), (Ok(3), Ok(3)), "{no_page:?}");
        assert_eq!(server.connections(), [0, 0, 1]);
    }
}

/// A server that answers one request on each connection, and leaves the connection open. It sends whether each request
/// asks for the end of the connection.
fn server_of_one_request() -> (u16, Receiver<bool>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (events, requests) = channel();
    thread::spawn(move || {
        let mut connections = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = read_head(&mut stream).unwrap();
            let _ = events.send(head.to_ascii_lowercase().contains("connection: close"));
            stream.write_all(page(3).as_bytes()).unwrap();
            connections.push(stream);
        }
    });
    (port, requests)
}

#[tokio::test]
async fn no_connection_is_kept_to_a_server_that_does_not_answer_on_it() {
    let (port, requests) = server_of_one_request();
    let eager = vec!["active".parse().unwrap()];
    let page = MetricsPage::new(Url::new("127.0.0.1", port, "/"), PageSelectors { eager, ..PageSelectors::default() });
    page.connection.allow(true);
    for _ in 0..4 {
        // A quarter of this time passes before a new connection is opened.
        let readings = page.read_kept(None, Duration::from_secs(8)).await.readings;
        assert_eq!(readings[0].1, Reading::Counts(vec![Some(Count { streams: 3, never_idle: 3 })]));
    }
    assert_eq!(requests.try_iter().collect::<Vec<_>>(), [false, true, true, true]);
}

#[tokio::test]
async fn bytes_after_the_response_are_not_taken_for_the_next_response() {
    for answer in [page, chunked] {
        let server = Server::start(move |connection, _| match connection {
            0 => Respond(answer(3) + &page(0)),
            _ => Respond(answer(3)),
        });
        assert_eq!((server.read().await, server.read().await), (Ok(3), Ok(3)));
        assert_eq!(server.connections(), [0, 1]);
    }
}

#[tokio::test]
async fn bytes_that_arrive_between_two_requests_are_not_taken_for_a_response() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let eager = vec!["active".parse().unwrap()];
    let url = Url::new("127.0.0.1", listener.local_addr().unwrap().port(), "/");
    let reader = MetricsPage::new(url, PageSelectors { eager, ..PageSelectors::default() });
    reader.connection.allow(true);
    let (sent, first) = channel();
    let (response_read, send_more) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream).unwrap();
        stream.write_all(page(3).as_bytes()).unwrap();
        send_more.recv().unwrap();
        stream.write_all(page(0).as_bytes()).unwrap();
        sent.send(()).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        read_head(&mut second).unwrap();
        second.write_all(page(4).as_bytes()).unwrap();
    });
    let count = |streams| Reading::Counts(vec![Some(Count { streams, never_idle: streams })]);
    assert_eq!(reader.read_kept(None, TIMEOUT).await.readings[0].1, count(3));
    response_read.send(()).unwrap();
    first.recv().unwrap();
    assert_eq!(reader.read_kept(None, TIMEOUT).await.readings[0].1, count(4));
}

#[tokio::test]
async fn connection_with_an_unusable_response_is_closed() {
    let error = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
    for unusable in [error.to_owned(), with_length("active\n")] {
        let server =
            Server::start(move |connection, _| Respond(if connection == 0 { unusable.clone() } else { page(3) }));
        server.read().await.unwrap_err();
        assert_eq!(server.read().await, Ok(3));
        assert_eq!(server.connections(), [0, 1]);
    }
}

#[tokio::test]
async fn new_target_gets_a_new_connection() {
    let server = Server::start(|_, _| Respond(page(3)));
    for pid in [1, 1, 2] {
        assert_eq!(server.read_for(Some(incarnation(pid))).await, Ok(3));
    }
    assert_eq!(server.connections(), [0, 0, 1]);
}

#[tokio::test]
async fn connection_is_closed_at_once_when_it_must_not_be_kept() {
    let server = Server::start(|_, _| Respond(page(3)));
    assert_eq!(server.read().await, Ok(3));
    server.page.connection.allow(false);
    server.wait_for_end(0);
    for connection in [1, 2] {
        assert_eq!(server.read().await, Ok(3));
        assert_eq!(server.seen.recv(), Ok(Seen::Request { connection, closes: true }));
        assert_eq!(server.seen.recv(), Ok(Seen::End(connection)));
    }
}
