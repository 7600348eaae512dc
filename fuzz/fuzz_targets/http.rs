//! The hook server: `lameduck::io::hook` over a real connection, for any bytes from the client.
//!
//! The first byte chooses in how many chunks the rest is sent, and whether drains end. All inputs share the connection
//! slots, so that a leaked slot fails a later input.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lameduck::io::hook::{ServerState, bind, connection_slots::ConnectionSlots, serve};
use lameduck::io::report::{OutcomeReport, StatusReport};
use lameduck::queue::{Event, HookReply, Request};
use lameduck::reasons::Reasons;
use lameduck_fuzz::{requests, responses};
use lameduck_machine::controller::Controller;
use lameduck_machine::drain_id::DrainId;
use lameduck_machine::io::CallKind;
use lameduck_machine::result::{DrainResult, Outcome};
use lameduck_machine::time::Time;
use lameduck_machine::warnings::Warnings;
use lameduck_test_support::machine;
use libfuzzer_sys::{Corpus, fuzz_target};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long to wait for what must happen.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How often to yield to the server without any result before no further event is expected. A later event is not an
/// error; this input just does not observe it.
const MAX_IDLE_YIELDS: usize = 30;
/// How the response to a released hook call begins.
const OUTCOME: &[u8] = br#"{"id":"0000000000000001","outcome":"drained""#;

struct Host {
    runtime: Runtime,
    slots: ConnectionSlots,
}

thread_local! {
    static HOST: Host = Host {
        // Poll the sockets on every yield.
        runtime: Builder::new_current_thread().event_interval(1).enable_all().build().unwrap(),
        slots: ConnectionSlots::new(64),
    };
}

/// The outcome of every drain.
fn outcome() -> OutcomeReport {
    let result = DrainResult {
        id: DrainId(1),
        outcome: Outcome::Drained,
        streams_at_start: Some(0),
        streams_at_signal: None,
        stragglers: Some(0),
        idle_streams: 0,
        duration: Duration::ZERO,
        signalled: false,
        warnings: Warnings::default(),
    };
    OutcomeReport::new(&result, None)
}

/// The status of a sidecar that has just started.
fn status() -> StatusReport {
    let now = Time::since_boot(Duration::ZERO);
    StatusReport::new(&Controller::new(now, machine::policy(), None).snapshot(now), &Reasons::default(), None, None)
}

/// What happened on one connection.
#[derive(Default)]
struct Exchange {
    /// All bytes from the server.
    bytes: Vec<u8>,
    /// Whether the server closed the connection.
    closed: bool,
    hooks: usize,
    hangups: usize,
    /// Number of answered requests other than hook calls.
    others: usize,
    held: Vec<oneshot::Sender<HookReply>>,
}

impl Host {
    /// Sends these bytes to a new server.
    async fn exchange(&self, bytes: &[u8], chunks: usize, drains_end: bool) -> Exchange {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mut queue) = mpsc::channel(256);
        let server = tokio::spawn(serve(listener, ServerState { queue: sender, token: None }, self.slots.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        // A reset frees the port immediately.
        stream.set_zero_linger().unwrap();
        let mut exchange = Exchange::default();
        for chunk in bytes.chunks(bytes.len().div_ceil(chunks).max(1)) {
            if stream.write_all(chunk).await.is_err() {
                break;
            }
            exchange.run(&mut stream, &mut queue, drains_end).await;
        }
        exchange.run(&mut stream, &mut queue, drains_end).await;
        drop(stream);
        exchange.expect_hangups(&mut queue).await;
        self.finish(exchange, server).await
    }

    /// Checks that a connection frees its slot after its end.
    async fn finish(&self, mut exchange: Exchange, server: JoinHandle<()>) -> Exchange {
        let held = std::mem::take(&mut exchange.held);
        drop(held);
        let free = tokio::time::timeout(TIMEOUT, self.slots.wait_until_free(2 * TIMEOUT)).await;
        free.expect("a closed connection frees its slot");
        server.abort();
        exchange
    }
}

impl Exchange {
    /// Answers requests and collects responses until nothing more happens.
    async fn run(&mut self, stream: &mut TcpStream, queue: &mut mpsc::Receiver<Event>, drains_end: bool) {
        let mut idle = 0;
        let mut bytes = [0; 4096];
        while (idle < MAX_IDLE_YIELDS || self.pending(drains_end) > 0) && !self.closed {
            idle += 1;
            if idle <= MAX_IDLE_YIELDS {
                tokio::task::yield_now().await;
            } else {
                tokio::time::timeout(TIMEOUT, stream.readable()).await.expect("every request has a response").unwrap();
            }
            while let Ok(event) = queue.try_recv() {
                self.answer(event, drains_end);
                idle = 0;
            }
            match stream.try_read(&mut bytes) {
                Ok(0) => self.closed = true,
                Ok(length) => {
                    self.bytes.extend_from_slice(&bytes[..length]);
                    idle = 0;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => self.closed = true,
            }
        }
    }

    /// Returns the number of answered requests whose response has not arrived.
    fn pending(&self, drains_end: bool) -> usize {
        let answered = self.others + if drains_end { self.hooks } else { 0 };
        let received = self.bytes.windows(7).filter(|start| start == b"HTTP/1.").count();
        answered.saturating_sub(received)
    }

    fn answer(&mut self, event: Event, drains_end: bool) {
        let request = match event {
            Event::Request(request) => request,
            other => panic!("unexpected event: {other:?}"),
        };
        match request {
            Request::Hook(call) => {
                assert_ne!(call.kind, CallKind::Unauthorized, "no token is required");
                self.hooks += 1;
                if drains_end {
                    let _ = call.reply.send(HookReply::Finished(outcome()));
                } else {
                    self.held.push(call.reply);
                }
                return;
            }
            // The server does not request a snapshot.
            Request::UnknownHookPath(_) | Request::Snapshot(_) => return,
            Request::Hangup => {
                self.hangups += 1;
                return;
            }
            Request::Cancel(reply) => drop(reply.send(HookReply::Cancelled)),
            Request::ShortenDeadline(..) => panic!("no token is set"),
            Request::Readiness(reply) => drop(reply.send(None)),
            Request::Accepting(reply) => drop(reply.send(Some("full".to_owned()))),
            Request::Liveness(reply) => drop(reply.send(())),
            Request::Status(reply) => drop(reply.send(Box::new(status()))),
            Request::Metrics(reply) => drop(reply.send("# EOF\n".to_owned())),
        }
        self.others += 1;
    }

    /// Checks that the server reports one hangup for each held caller.
    async fn expect_hangups(&mut self, queue: &mut mpsc::Receiver<Event>) {
        while self.hangups < self.held.len() {
            let event =
                tokio::time::timeout(TIMEOUT, queue.recv()).await.expect("the hangup of a held caller is reported");
            self.answer(event.expect("the server is running"), false);
        }
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((choices, bytes)) = data.split_first() else { return Corpus::Reject };
    let drains_end = choices & 1 == 0;
    let chunks = 1 + usize::from(choices >> 1 & 3);
    let exchange = HOST.with(|host| host.runtime.block_on(host.exchange(bytes, chunks, drains_end)));

    assert!(exchange.hooks <= 1, "a connection is closed after its hook");
    assert!(exchange.hooks == 0 || requests::may_call_hook(bytes), "no request calls the hook");
    assert!(exchange.hangups <= if drains_end { 0 } else { exchange.hooks }, "a hangup without a held caller");
    let head = bytes.windows(5).any(|method| method == b"HEAD ");
    let responses = responses::parse(&exchange.bytes, head).expect("every response is HTTP");
    let outcomes = responses.iter().filter(|response| response.body.starts_with(OUTCOME)).count();
    assert_eq!(
        outcomes,
        if drains_end { exchange.hooks } else { 0 },
        "a held caller receives nothing, a released one the outcome"
    );
    if outcomes == 1 {
        let last = responses.last().expect("there is one");
        assert!(last.status == 200 && last.closes && last.body.len() < 1024, "{last:?}");
    }
    assert!(responses.len() >= exchange.others, "every request has a response");
    for response in &responses {
        assert!(matches!(response.status, 200 | 400 | 404 | 405 | 414 | 431 | 503), "{response:?}");
    }
    Corpus::Keep
});
