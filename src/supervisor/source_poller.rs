//! Polls all sources. Sources on different ports are read concurrently. A source that does not answer within the timeout
//! is left out of the result.

mod sockets;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lameduck_machine::io::{Poll, SocketReading};
use lameduck_machine::reading::{ReadError, Reading, Source};
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::io::api_status::StatusPage;
use crate::io::clock::Clock;
use crate::io::http;
use crate::io::liveness::is_intact;
use crate::io::page::{MetricsPage, PageReadings};
use crate::io::sockets::OwnConnection;
use crate::queue::{Event, PollResult};
use crate::settings::sources::Sources;
use sockets::Sockets;

/// How much longer than its timeout a poll may take: every source has the same timeout of its own, and a message that
/// names the source. The machine gives a poll up only after twice this time.
const SLACK: Duration = Duration::from_millis(50);

/// The configured sources.
#[derive(Clone)]
pub struct SourcePoller {
    page: Option<Arc<MetricsPage>>,
    status: Option<Arc<StatusPage>>,
    sockets: Option<Sockets>,
    clock: Clock,
    queue: mpsc::Sender<Event>,
}

/// A request to read every source.
#[derive(Clone, Copy, Debug)]
pub struct PollRequest {
    /// Returned with the result.
    pub requested_at: Time,
    /// The longest time that the poll may take.
    pub timeout: Duration,
    /// The target whose streams are counted, if it is known.
    pub target: Option<Incarnation>,
}

/// A connection, or why it failed.
type Connection = Result<TcpStream, ReadError>;

/// What has been read so far, and how long each source took.
#[derive(Default)]
struct Collected {
    poll: Poll,
    durations: Vec<(Source, Duration)>,
}

impl Collected {
    /// Uses a later reading of the page instead of the first, unless it failed.
    fn replace_page(&mut self, read: PageReadings) {
        let Some(process) = read.process else { return };
        self.poll.capacity = read.capacity;
        self.poll.page_processes.push(process);
        self.poll.readings.retain(|(source, _)| !source.is_on_page());
        self.poll.readings.extend(read.readings);
    }
}

impl PollRequest {
    /// Whether the target has begun to exit during the poll, or has ended. Its streams did not necessarily end when the
    /// kernel closed their connections, and another incarnation may answer on its ports.
    fn target_exiting(&self) -> bool {
        self.target.is_some_and(|target| !is_intact(target).unwrap_or(true))
    }
}

impl SourcePoller {
    /// Creates a poller of these sources that puts its results into the queue.
    #[must_use]
    pub fn new(sources: &Sources, clock: Clock, queue: mpsc::Sender<Event>) -> Self {
        let page = |(url, selectors)| Arc::new(MetricsPage::new(url, selectors));
        let watched = sources.watched_ports();
        let sockets = || Sockets::new(&watched, sources);
        Self {
            page: sources.page.clone().map(page),
            status: sources.status.clone().map(|url| Arc::new(StatusPage::new(url))),
            sockets: (!watched.is_empty()).then(sockets),
            clock,
            queue,
        }
    }

    /// Starts a poll.
    pub fn poll(&self, request: PollRequest) {
        tokio::spawn(self.clone().run(request));
    }

    async fn run(self, request: PollRequest) {
        let PollRequest { requested_at, target, .. } = request;
        let poll = Poll { requested_at, target, ..Poll::default() };
        let collected = Mutex::new(Collected { poll, durations: Vec::new() });
        let ends_at = self.clock.instant(requested_at + request.timeout + SLACK);
        let all =
            async { tokio::join!(self.poll_lone_page(request, &collected), self.poll_ports(request, &collected)) };
        let _ = tokio::time::timeout_at(ends_at, all).await;
        let mut collected = collected.into_inner().unwrap_or_else(PoisonError::into_inner);
        collected.poll.target_exiting = request.target_exiting();
        let Collected { poll, durations } = collected;
        // Sending fails if the event loop has ended.
        let _ = self.queue.send(Event::Polled(PollResult { poll, durations })).await;
    }

    fn is_watched(&self, port: u16) -> bool {
        self.sockets.as_ref().is_some_and(|sockets| sockets.watches(port))
    }

    fn record(&self, request: PollRequest, collected: &Mutex<Collected>, source: Source, reading: Reading) {
        let duration = self.clock.now().since(request.requested_at);
        let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
        collected.poll.readings.push((source, reading));
        collected.durations.push((source, duration));
    }

    /// Reads a page on a port whose connections are not watched.
    ///
    /// A zero is read twice if the page can show that another process answers. Of several processes on one port that are
    /// idle, the same one tends to answer at every poll, but not twice in a row.
    async fn poll_lone_page(&self, request: PollRequest, collected: &Mutex<Collected>) {
        let Some(page) = self.page.as_deref().filter(|page| !self.is_watched(page.url().port())) else { return };
        let connection = http::connect_timeout(page.url(), request.timeout).await;
        let first = page.read(connection, request.timeout).await;
        let is_read_again = first.is_zero() && first.shows_start();
        self.record_page(first, request, collected);
        if is_read_again {
            let connection = http::connect_timeout(page.url(), request.timeout).await;
            let second = page.read(connection, request.timeout).await;
            collected.lock().unwrap_or_else(PoisonError::into_inner).replace_page(second);
        }
    }

    /// Reads the socket table and the pages on watched ports. Our own connections to these pages must be open while the
    /// table is read, so that it can exclude them.
    async fn poll_ports(&self, request: PollRequest, collected: &Mutex<Collected>) {
        let page = self.page.as_deref().filter(|page| self.is_watched(page.url().port()));
        let status = self.status.as_deref();
        // A quarter of the time is reserved for the table, in case a server does not accept the connection.
        let timeout = request.timeout * 3 / 4;
        let connect_page = async { Some((page?, http::connect_timeout(page?.url(), timeout).await)) };
        let connect_status = async { Some((status?, http::connect_timeout(status?.url(), timeout).await)) };
        let (page, status) = tokio::join!(connect_page, connect_status);
        if let Some(sockets) = &self.sockets {
            let connections = [page.as_ref().map(|(_, it)| it), status.as_ref().map(|(_, it)| it)];
            let own = connections.into_iter().flatten().filter_map(own_connection).collect();
            self.read_sockets(sockets, own, request, collected).await;
        }
        let read_page = async {
            if let Some((page, connection)) = page {
                let read = page.read(connection, request.timeout).await;
                self.record_page(read, request, collected);
            }
        };
        let read_status = async {
            if let Some((status, connection)) = status {
                let reading = status.read(connection, request.timeout).await;
                self.record(request, collected, Source::Status, reading);
            }
        };
        tokio::join!(read_page, read_status);
    }

    fn record_page(&self, read: PageReadings, request: PollRequest, collected: &Mutex<Collected>) {
        {
            let poll = &mut collected.lock().unwrap_or_else(PoisonError::into_inner).poll;
            poll.capacity = read.capacity;
            poll.page_processes.extend(read.process);
        }
        for (source, reading) in read.readings {
            self.record(request, collected, source, reading);
        }
    }

    async fn read_sockets(
        &self,
        sockets: &Sockets,
        own: Vec<OwnConnection>,
        request: PollRequest,
        collected: &Mutex<Collected>,
    ) {
        let table = sockets.read(own).await;
        let reading = sockets.reading(&table);
        let sample = SocketReading { read_at: self.clock.now(), table };
        collected.lock().unwrap_or_else(PoisonError::into_inner).poll.sockets = Some(sample);
        if sockets.counts_streams() {
            self.record(request, collected, Source::Sockets, reading);
        }
    }
}

fn own_connection(connection: &Connection) -> Option<OwnConnection> {
    let stream = connection.as_ref().ok()?;
    Some(OwnConnection::new(stream.local_addr().ok()?, stream.peer_addr().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::process::Command;
    use std::thread;

    use lameduck_machine::activity::IdleRule;
    use lameduck_machine::policy::IdlePolicy;
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
        let rule = IdleRule { window: Duration::from_secs(60), rate: 256 };
        let idle = IdlePolicy { ports: Vec::new(), rule, ends_drain: false };
        let sources = Sources { page, status: None, streams_ports: Vec::new(), idle, accept_below: None };
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
        let count =
            |streams| vec![(Source::Metrics, Reading::Counts(vec![Some(Count { streams, never_idle: streams })]))];
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
}
