//! The client: it sends what its flags say, and its totals are correct.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use lameduck_test_support::process::Program;
use lameduck_test_support::sim::{EngineSim, start_client};

/// A server that only reads, from one client.
struct RecordingServer {
    _client: Program,
    socket: WebSocket<Counted>,
}

/// A connection whose received bytes are counted.
struct Counted(TcpStream, usize);

impl std::io::Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // The kernel does not continue a read with a timeout after an interruption, e.g. by SIGCONT (signal(7)).
        let count = loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.1 += count;
        Ok(count)
    }
}

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl RecordingServer {
    fn accept(args: &[&str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let client = start_client(&address, "/v1/listen", args);
        let (tcp, _) = listener.accept().expect("a connection");
        tcp.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let mut socket = tungstenite::accept(Counted(tcp, 0)).expect("a handshake");
        socket.get_mut().1 = 0;
        Self { _client: client, socket }
    }

    fn read(&mut self) -> Message {
        self.socket.read().expect("a message")
    }

    /// All messages before `CloseStream`.
    fn read_all(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.read() {
                message if is(&message, "CloseStream") => return messages,
                message => messages.push(message),
            }
        }
    }

    /// The bytes received after the handshake.
    fn bytes(&self) -> usize {
        self.socket.get_ref().1
    }
}

fn is(message: &Message, kind: &str) -> bool {
    message.to_text().is_ok_and(|text| text == format!(r#"{{"type":"{kind}"}}"#))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test measures time from outside")]
fn keepalive_matches_requested_byte_rate() {
    let began = Instant::now();
    let mut server = RecordingServer::accept(&["--streams", "1:keepalive@260", "--durations", "60s"]);
    for _ in 0..21 {
        assert!(is(&server.read(), "KeepAlive"));
    }
    assert!(server.bytes() >= 21 * 26 && server.bytes().is_multiple_of(26), "{}", server.bytes());
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
}

#[test]
fn audio_chunks_match_rate_and_chunk_duration() {
    let mut server = RecordingServer::accept(&["--streams", "1:audio@2002", "--chunk", "250ms", "--durations", "60s"]);
    let sizes = [(); 4].map(|()| server.read().into_data().len());
    assert_eq!(sizes, [500, 501, 500, 501]);
}

#[test]
fn audio_never_exceeds_its_rate() {
    let mut server = RecordingServer::accept(&["--streams", "1:audio@2000", "--chunk", "20ms", "--durations", "1s"]);
    let messages = server.read_all();
    assert!(messages.iter().all(Message::is_binary));
    let bytes: usize = messages.iter().map(Message::len).sum();
    assert!((1..=2000).contains(&bytes), "{bytes}");
}

#[test]
fn silent_stream_sends_nothing_before_its_end() {
    let mut server = RecordingServer::accept(&["--streams", "1:silent", "--durations", "500ms"]);
    assert_eq!(server.read_all(), []);
}

#[test]
fn stream_follows_its_phases_in_order() {
    let mut server = RecordingServer::accept(&["--streams", "1:keepalive:3s:audio:3s:keepalive", "--durations", "60s"]);
    let mut changes = Vec::new();
    while changes.len() < 3 {
        let is_audio = server.read().is_binary();
        if changes.last() != Some(&is_audio) {
            changes.push(is_audio);
        }
    }
    assert_eq!(changes, [false, true, false]);
}

#[test]
fn client_mixes_audio_keepalive_and_silent_streams() {
    let mut engine = EngineSim::start(&[]);
    let mix = ["--streams", "2:audio@2000", "--streams", "1:keepalive@260", "--streams", "1:silent"];
    let mut client = engine.client("/v1/listen", &[&mix[..], &["--durations", "2s"]].concat());
    client.wait_for("4 streams: 4 clean");
    let silent = |line: &&str| line.contains(" audio=0B ");
    let lines = [(); 4].map(|()| engine.wait_for(" closed after"));
    assert_eq!(lines.each_ref().iter().map(|line| line.as_str()).filter(silent).count(), 2, "{lines:?}");
    let sent = |number| {
        let start = format!("client: stream {number} ended cleanly");
        let line = client.seen.iter().find(|line| line.starts_with(&start)).expect("a line");
        line.rsplit("sent=").next().and_then(|sent| sent.strip_suffix('B')).expect("bytes").parse::<u64>()
    };
    assert_eq!(sent(4), Ok(28), "CloseStream alone");
    assert!(sent(3).is_ok_and(|sent| sent > 28 && sent % 26 == 2));
}

#[test]
fn sigterm_ends_streams_cleanly() {
    let mut engine = EngineSim::start(&[]);
    let mut client =
        engine.client("/v1/listen", &["--streams", "1:audio", "--streams", "1:silent", "--durations", "1h"]);
    engine.wait_for("stream 2 opened");
    client.signal(Signal::SIGTERM);
    client.wait_for("2 streams: 2 clean, 0 cut, 0 refused");
    assert_eq!(client.exit_code(), Some(0));
}

#[test]
fn arrivals_match_rate_with_one_connection_each() {
    let mut engine = EngineSim::start(&[]);
    let arrivals = ["--arrivals", "20/s", "--arrivals-for", "1s", "--durations", "1s"];
    let mut client =
        engine.client("/v1/listen", &[&arrivals[..], &["--streams", "3:audio", "--streams", "1:silent"]].concat());
    assert_eq!(
        totals(&mut client),
        json!({"attempted": 20, "opened": 20, "refused": 0, "cut": 0, "clean": 20, "causes": {}})
    );
    assert_eq!(client.exit_code(), Some(0));
    let lines = [(); 20].map(|()| engine.wait_for(" closed after"));
    assert_eq!(lines.iter().filter(|line| line.contains(" audio=0B ")).count(), 5);
    assert!(engine.page().contains("engine_requests_total{kind=\"stream\",response_status=\"1xx\"} 20\n"));
}

#[test]
fn arrivals_at_closed_port_are_refused_without_retry() {
    // A port that is bound but does not listen: the kernel gives it to no other process.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    let mut client = start_client(&address, "/v1/listen", &["--arrivals", "600/m", "--arrivals-for", "1s"]);
    let causes = json!({"connection refused": 10});
    assert_eq!(
        totals(&mut client),
        json!({"attempted": 10, "opened": 0, "refused": 10, "cut": 0, "clean": 0, "causes": causes})
    );
    assert_eq!(client.exit_code(), Some(1));
}

#[test]
fn totals_distinguish_cut_from_refused_arrivals() {
    let engine = EngineSim::start(&["--max-active", "5"]);
    let mut client = engine.client("/v1/listen", &["--arrivals", "50/s", "--arrivals-for", "30s", "--durations", "1h"]);
    client.wait_for("REFUSED: HTTP 503");
    engine.signal(Signal::SIGUSR2);
    client.wait_for("REFUSED: connection refused");
    client.signal(Signal::SIGTERM);
    let totals = totals(&mut client);
    assert_eq!((&totals["opened"], &totals["cut"], &totals["clean"]), (&json!(5), &json!(5), &json!(0)));
    let count = |name: &str| totals[name].as_u64().expect("a count");
    assert_eq!(count("attempted"), 5 + count("refused"));
    assert!(totals["causes"]["connection refused"].as_u64() >= Some(1));
}

#[test]
fn invalid_stream_groups_are_rejected() {
    for streams in ["x", "1:nonsense", "1:audio@0", "1:silent@5", "1:audio:5s", "1:audio:soon:silent"] {
        let refused = start_client("127.0.0.1:9", "/", &["--streams", streams]).exit_code();
        assert_eq!(refused, Some(2), "{streams}");
    }
}

/// The totals, which are the client's last line.
fn totals(client: &mut Program) -> Value {
    serde_json::from_str(&client.wait_for("{\"attempted\"")).expect("JSON")
}
