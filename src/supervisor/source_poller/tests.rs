use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use lameduck_machine::activity::{IdleRule, WorkDirection};
use lameduck_machine::policy::{IdlePolicy, StreamsPorts};
use lameduck_machine::reading::Count;

use super::*;
use crate::io::liveness::stat_of;
use crate::io::page::PageSelectors;

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
    let selectors = PageSelectors { eager: vec!["active".parse().unwrap()], ..PageSelectors::default() };
    let page = Some((format!("http://127.0.0.1:{port}/").parse().unwrap(), selectors));
    let rule = IdleRule { window: Duration::from_secs(60), rate: 256, direction: WorkDirection::Received };
    let idle = IdlePolicy { ports: Vec::new(), rule, ends_drain: false };
    let sources = Sources { page, status: None, streams_ports: StreamsPorts::default(), idle, accept_below: None };
    let (queue, events) = mpsc::channel(16);
    (SourcePoller::new(&sources, Clock::start(), queue), events)
}

async fn poll(poller: &SourcePoller, events: &mut mpsc::Receiver<Event>, request: PollRequest) -> Poll {
    poller.poll(request);
    match events.recv().await {
        Some(Event::Polled(result)) => result.poll,
        other => panic!("no result of a poll: {other:?}"),
    }
}

#[tokio::test]
async fn reading_after_target_exit_is_marked() {
    let (poller, mut events) = poller(page_of_zero(2, || {}));
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let ended = incarnation(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    let mut request =
        PollRequest { requested_at: poller.clock.now(), timeout: Duration::from_secs(30), target: Some(ended) };
    assert!(poll(&poller, &mut events, request).await.target_exiting);
    request.target = Some(incarnation(std::process::id()));
    let answer = poll(&poller, &mut events, request).await;
    assert_eq!((answer.requested_at, answer.target_exiting), (request.requested_at, false));
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
    let answer = poll(&poller, &mut events, PollRequest { requested_at, timeout, target: None }).await;
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
    let answer = poll(&poller, &mut events, PollRequest { requested_at, timeout, target: Some(target) }).await;
    assert_eq!((answer.readings.len(), answer.target_exiting), (1, true));
}

#[tokio::test]
async fn page_that_hangs_is_unknown_at_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (poller, mut events) = poller(listener.local_addr().unwrap().port());
    let (requested_at, timeout) = (poller.clock.now(), Duration::from_millis(50));
    let answer = poll(&poller, &mut events, PollRequest { requested_at, timeout, target: None }).await;
    let unknown = |reading: &Reading| matches!(reading, Reading::Unknown(_));
    assert!(answer.readings.iter().all(|(_, reading)| unknown(reading)), "{answer:?}");
    drop(listener);
}
