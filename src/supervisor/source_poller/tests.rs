use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use lameduck_machine::activity::{IdleRule, WorkDirection};
use lameduck_machine::policy::{IdlePolicy, StreamsPorts};
use lameduck_machine::reading::Count;

use super::*;
use crate::io::http::kept::MAX_REQUESTS;
use crate::io::liveness::stat_of;
use crate::io::page::PageSelectors;

const RULES: SignalRules = SignalRules { signal: None, assume_caught: false };

/// A page that counts zero streams, this many times, and calls `before_response` each time.
fn page_of_zero(times: usize, mut before_response: impl FnMut() + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().take(times) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            before_response();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nactive 0\n").unwrap();
        }
    });
    port
}

fn incarnation(pid: u32) -> Incarnation {
    Incarnation { pid, started: stat_of(pid).unwrap().started }
}

fn poller(port: u16) -> (SourcePoller, mpsc::Receiver<Event>) {
    poller_with(port, StreamsPorts::default())
}

fn poller_with(port: u16, streams_ports: StreamsPorts) -> (SourcePoller, mpsc::Receiver<Event>) {
    let selectors = PageSelectors { eager: vec!["active".parse().unwrap()], ..PageSelectors::default() };
    let page = Some((format!("http://127.0.0.1:{port}/").parse().unwrap(), selectors));
    let rule = IdleRule { window: Duration::from_secs(60), rate: 256, direction: WorkDirection::Received };
    let idle = IdlePolicy { ports: Vec::new(), rule, ends_drain: false };
    let sources = Sources { page, status: None, streams_ports, idle, accept_below: None };
    let (queue, events) = mpsc::channel(16);
    (SourcePoller::new(&sources, RULES, Clock::start(), queue), events)
}

async fn poll(poller: &SourcePoller, events: &mut mpsc::Receiver<Event>, request: PollRequest) -> Poll {
    poller.poll(request);
    loop {
        match events.recv().await {
            Some(Event::Polled(result)) => return result.poll,
            Some(Event::Instead(_)) => {}
            other => panic!("no result of a poll: {other:?}"),
        }
    }
}

#[tokio::test]
async fn reading_after_target_exit_is_marked() {
    let (poller, mut events) = poller(page_of_zero(2, || {}));
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let ended = incarnation(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    let mut request = PollRequest {
        requested_at: poller.clock.now(),
        timeout: Duration::from_secs(30),
        target: Some(ended),
        keep_connection: true,
    };
    assert!(poll(&poller, &mut events, request).await.target_state == TargetState::Exiting);
    request.target = Some(incarnation(std::process::id()));
    let answer = poll(&poller, &mut events, request).await;
    assert_eq!((answer.requested_at, answer.target_state), (request.requested_at, TargetState::Intact(None)));
    assert_eq!(answer.readings, [(Source::Metrics, Reading::Counts(vec![Some(Count::of(0))]))]);
}

/// Answers with these pages, one after the other.
fn pages(bodies: Vec<String>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for (stream, body) in listener.incoming().zip(bodies) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    port
}

async fn poll_pages(bodies: &[(u64, u64)]) -> (Vec<(Source, Reading)>, usize) {
    let page = |(start, streams)| format!("process_start_time_seconds {start}\nactive {streams}\n");
    let (poller, mut events) = poller(pages(bodies.iter().copied().map(page).collect()));
    let (requested_at, timeout) = (poller.clock.now(), Duration::from_secs(30));
    let answer =
        poll(&poller, &mut events, PollRequest { requested_at, timeout, target: None, keep_connection: true }).await;
    (answer.readings, answer.page_processes.len())
}

#[tokio::test]
async fn zero_of_a_process_is_read_twice_and_the_second_counts() {
    let count = |streams| vec![(Source::Metrics, Reading::Counts(vec![Some(Count { streams, never_idle: streams })]))];
    assert_eq!(poll_pages(&[(1, 0), (2, 3)]).await, (count(3), 2));
    assert_eq!(poll_pages(&[(1, 3), (2, 0)]).await, (count(3), 1));
    assert_eq!(poll_pages(&[(1, 0)]).await, (count(0), 1), "the second reading fails");
}

#[tokio::test]
async fn reading_is_marked_if_target_exits_during_poll() {
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let target = incarnation(child.id());
    let end_target = move || {
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let (poller, mut events) = poller(page_of_zero(1, end_target));
    let (requested_at, timeout) = (poller.clock.now(), Duration::from_secs(30));
    let request = PollRequest { requested_at, timeout, target: Some(target), keep_connection: true };
    let answer = poll(&poller, &mut events, request).await;
    assert_eq!((answer.readings.len(), answer.target_state), (1, TargetState::Exiting));
}

#[tokio::test]
async fn page_that_hangs_is_unknown_at_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (poller, mut events) = poller(listener.local_addr().unwrap().port());
    let (requested_at, timeout) = (poller.clock.now(), Duration::from_millis(50));
    let answer =
        poll(&poller, &mut events, PollRequest { requested_at, timeout, target: None, keep_connection: true }).await;
    let unknown = |reading: &Reading| matches!(reading, Reading::Unknown(_));
    assert!(answer.readings.iter().all(|(_, reading)| unknown(reading)), "{answer:?}");
    drop(listener);
}

/// A request to a server: the number of its connection, and whether it asks for the end of the connection.
type Requested = (usize, bool);

/// A server that keeps connections open, on one thread: it serves one connection at a time. `body` gets the number of
/// the connection.
fn keeping_server(body: impl Fn(usize) -> String + Send + 'static) -> (u16, std::sync::mpsc::Receiver<Requested>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut head) {
                let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
                let _ = sender.send((number, head.contains("connection: close")));
                let body = body(number);
                let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                // The client may have closed the connection.
                let _ = stream.write_all(response.as_bytes());
            }
        }
    });
    (port, requests)
}

/// Polls several times, and returns the results. Each value says whether that poll may keep its connection.
async fn poll_keeping(poller: &SourcePoller, events: &mut mpsc::Receiver<Event>, keeps: &[bool]) -> Vec<Poll> {
    let mut polls = Vec::new();
    for keep_connection in keeps.iter().copied() {
        let (requested_at, timeout) = (poller.clock.now(), Duration::from_secs(30));
        polls.push(poll(poller, events, PollRequest { requested_at, timeout, target: None, keep_connection }).await);
    }
    polls
}

#[tokio::test]
async fn connection_is_kept_until_a_poll_forbids_it() {
    let (port, requests) = keeping_server(|_| "active 3\n".into());
    let (poller, mut events) = poller(port);
    poll_keeping(&poller, &mut events, &[true, true, false, false, true, true]).await;
    let requested: Vec<Requested> = requests.try_iter().collect();
    assert_eq!(requested, [(0, false), (0, false), (1, true), (2, true), (3, false), (3, false)]);
}

#[tokio::test]
async fn second_reading_of_a_zero_uses_another_connection() {
    let (port, requests) = keeping_server(|number| format!("process_start_time_seconds {number}00\nactive 0\n"));
    let (poller, mut events) = poller(port);
    let polls = poll_keeping(&poller, &mut events, &[true, true, false]).await;
    let starts =
        |poll: &Poll| poll.page_processes.iter().map(|it| it.started_at.unwrap().as_secs()).collect::<Vec<_>>();
    assert_eq!(polls.iter().map(starts).collect::<Vec<_>>(), [[0, 100], [100, 200], [300, 400]]);
    assert_eq!(requests.try_iter().count(), 6);
}

#[tokio::test]
async fn several_workers_are_seen_although_the_connection_is_kept() {
    // The workers accept connections in turn.
    let (port, _requests) = keeping_server(|number| format!("process_start_time_seconds {}00\nactive 3\n", number % 2));
    let (poller, mut events) = poller(port);
    let polls = poll_keeping(&poller, &mut events, &[true; 2 * MAX_REQUESTS as usize]).await;
    let mut starts: Vec<_> = polls.iter().flat_map(|poll| &poll.page_processes).map(|it| it.started_at).collect();
    starts.dedup();
    assert_eq!(starts, [Some(Duration::ZERO), Some(Duration::from_secs(100))]);
}

#[tokio::test]
async fn connection_to_a_watched_port_is_neither_kept_nor_a_stream() {
    let (port, requests) = keeping_server(|_| "active 3\n".into());
    let (poller, mut events) = poller_with(port, StreamsPorts { ports: vec![port], gauge_leak_after: None });
    for poll in poll_keeping(&poller, &mut events, &[true, true, false]).await {
        let sockets = poll.readings.iter().find(|(source, _)| *source == Source::Sockets);
        let zero = Count { streams: 0, never_idle: 0 };
        assert_eq!(sockets, Some(&(Source::Sockets, Reading::Counts(vec![Some(zero)]))));
    }
    assert_eq!(requests.try_iter().collect::<Vec<_>>(), [(0, true), (1, true), (2, true)]);
}
