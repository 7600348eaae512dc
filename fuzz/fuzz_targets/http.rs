//! The hook server: `lameduck::io::hook` over a real connection, with whatever bytes come.
//!
//! The first byte says in how many pieces the rest is sent, and whether drains come to an end. All inputs share the
//! places, so that one that is not given back is missed.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lameduck::io::hook::{ServerState, bind, connection_slots::ConnectionSlots, serve};
use lameduck::queue::{Event, Question};
use lameduck_fuzz::{answers, requests};
use libfuzzer_sys::{Corpus, fuzz_target};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long is waited for what must come.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often the server gets its turn with nothing coming back, before no further question is expected. One that comes
/// later is not missed: it is only not asked for by this input.
const TURNS: usize = 30;
const OUTCOME: &str = r#"{"outcome":"drained"}"#;

struct Host {
    runtime: Runtime,
    places: ConnectionSlots,
}

thread_local! {
    static HOST: Host = Host {
        // The sockets are looked at each turn.
        runtime: Builder::new_current_thread().event_interval(1).enable_all().build().unwrap(),
        places: ConnectionSlots::new(64),
    };
}

/// What became of one connection.
#[derive(Default)]
struct Course {
    /// All that came back.
    bytes: Vec<u8>,
    /// Whether the server closed it.
    closed: bool,
    hooks: usize,
    hangups: usize,
    /// Questions that were answered, of those that are no hooks.
    others: usize,
    held: Vec<oneshot::Sender<String>>,
}

impl Host {
    /// Sends these bytes to a server of their own.
    async fn take(&self, bytes: &[u8], pieces: usize, drains_end: bool) -> Course {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mut queue) = mpsc::channel(256);
        let server = tokio::spawn(serve(listener, ServerState { queue: sender, token: None }, self.places.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        // The port is free again at once.
        stream.set_zero_linger().unwrap();
        let mut course = Course::default();
        for piece in bytes.chunks(bytes.len().div_ceil(pieces).max(1)) {
            if stream.write_all(piece).await.is_err() {
                break;
            }
            course.go_on(&mut stream, &mut queue, drains_end).await;
        }
        course.go_on(&mut stream, &mut queue, drains_end).await;
        drop(stream);
        course.is_missed(&mut queue).await;
        self.is_left(course, server).await
    }

    /// Nothing of a connection stays when it has ended and its questions are answered.
    async fn is_left(&self, mut course: Course, server: JoinHandle<()>) -> Course {
        let held = std::mem::take(&mut course.held);
        drop(held);
        let free = tokio::time::timeout(PATIENCE, self.places.wait_until_free(2 * PATIENCE)).await;
        free.expect("a connection that has ended frees its place");
        server.abort();
        course
    }
}

impl Course {
    /// Answers questions and takes answers for as long as there are any.
    async fn go_on(&mut self, stream: &mut TcpStream, queue: &mut mpsc::Receiver<Event>, drains_end: bool) {
        let mut idle = 0;
        let mut bytes = [0; 4096];
        while (idle < TURNS || self.owed(drains_end) > 0) && !self.closed {
            idle += 1;
            if idle <= TURNS {
                tokio::task::yield_now().await;
            } else {
                tokio::time::timeout(PATIENCE, stream.readable())
                    .await
                    .expect("every question has its answer")
                    .unwrap();
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

    /// How many answers have not come yet of those that were given to the server.
    fn owed(&self, drains_end: bool) -> usize {
        let given = self.others + if drains_end { self.hooks } else { 0 };
        let come = self.bytes.windows(7).filter(|start| start == b"HTTP/1.").count();
        given.saturating_sub(come)
    }

    fn answer(&mut self, event: Event, drains_end: bool) {
        let Event::Question(question) = event else { panic!("a caller asks, and nothing else") };
        match question {
            Question::Prestop(_, reply) => {
                self.hooks += 1;
                if drains_end {
                    let _ = reply.send(OUTCOME.to_owned());
                } else {
                    self.held.push(reply);
                }
                return;
            }
            Question::Wait(..) => panic!("no token is wanted"),
            Question::Astray(_) => return,
            Question::Hangup => {
                self.hangups += 1;
                return;
            }
            Question::Ready(reply) => drop(reply.send(None)),
            Question::Accepting(reply) => drop(reply.send(Some("full".to_owned()))),
            Question::Live(reply) => drop(reply.send(())),
            Question::Status(reply) => drop(reply.send("{}".to_owned())),
            Question::Metrics(reply) => drop(reply.send("# EOF\n".to_owned())),
        }
        self.others += 1;
    }

    /// A held caller who leaves is missed, once.
    async fn is_missed(&mut self, queue: &mut mpsc::Receiver<Event>) {
        while self.hangups < self.held.len() {
            let event = tokio::time::timeout(PATIENCE, queue.recv()).await.expect("a held caller who left is missed");
            self.answer(event.expect("the server serves on"), false);
        }
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((how, bytes)) = data.split_first() else { return Corpus::Reject };
    let drains_end = how & 1 == 0;
    let pieces = 1 + usize::from(how >> 1 & 3);
    let course = HOST.with(|host| host.runtime.block_on(host.take(bytes, pieces, drains_end)));

    assert!(course.hooks <= 1, "a connection is closed after its hook");
    assert!(course.hooks == 0 || requests::asks_for_hook(bytes), "nobody asked for the hook");
    assert!(course.hangups <= if drains_end { 0 } else { course.hooks }, "a caller is missed who was not held");
    let head = bytes.windows(5).any(|method| method == b"HEAD ");
    let answers = answers::read(&course.bytes, head).expect("every answer is HTTP");
    let of_hook = answers.iter().filter(|answer| answer.body.starts_with(OUTCOME.as_bytes())).count();
    assert_eq!(
        of_hook,
        if drains_end { course.hooks } else { 0 },
        "a held caller is sent nothing, another the outcome"
    );
    if of_hook == 1 {
        let last = answers.last().expect("there is one");
        assert!(last.status == 200 && last.closes && last.body.len() < 1024, "{last:?}");
    }
    assert!(answers.len() >= course.others, "every question has its answer");
    for answer in &answers {
        assert!(matches!(answer.status, 200 | 400 | 404 | 405 | 414 | 431 | 503), "{answer:?}");
    }
    Corpus::Keep
});
