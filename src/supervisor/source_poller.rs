//! Polls all sources. Sources on different ports are read concurrently. A source that does not answer within the timeout
//! is left out of the result.

mod sockets;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lameduck_machine::io::{Poll, PollRequest, SocketReading};
use lameduck_machine::reading::{ReadError, Reading, Source};
use lameduck_machine::target::{Incarnation, TargetState};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::io::api_status::StatusPage;
use crate::io::clock::Clock;
use crate::io::http;
use crate::io::page::{MetricsPage, PageReadings};
use crate::io::process::signalling::{KnownTarget, SignalRules};
use crate::io::sockets::OwnConnection;
use crate::queue::{Event, PollResult};
use crate::reasons::Instead;
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
    rules: SignalRules,
    clock: Clock,
    queue: mpsc::Sender<Event>,
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

impl SourcePoller {
    /// Creates a poller of these sources that puts its results into the queue.
    #[must_use]
    pub fn new(sources: &Sources, rules: SignalRules, clock: Clock, queue: mpsc::Sender<Event>) -> Self {
        let page = |(url, selectors)| Arc::new(MetricsPage::new(url, selectors));
        let watched = sources.watched_ports();
        let sockets = || Sockets::new(&watched, sources);
        Self {
            page: sources.page.clone().map(page),
            status: sources.status.clone().map(|url| Arc::new(StatusPage::new(url))),
            sockets: (!watched.is_empty()).then(sockets),
            rules,
            clock,
            queue,
        }
    }

    /// Starts a poll. If the connection to the page must not stay open, it is closed before this returns.
    pub fn poll(&self, request: PollRequest) {
        if let Some(page) = &self.page {
            page.connection.allow(request.keep_connection);
        }
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
        collected.poll.target_state = self.read_target(target).await;
        let Collected { poll, durations } = collected;
        // Sending fails if the event loop has ended.
        let _ = self.queue.send(Event::Polled(PollResult { poll, durations })).await;
    }

    /// Reads the state of the target after the sources. If it has begun to exit during the poll, its streams did not
    /// necessarily end when the kernel closed their connections, and another incarnation may answer on its ports.
    async fn read_target(&self, target: Option<Incarnation>) -> TargetState {
        let Some(target) = target else { return TargetState::Unknown };
        let KnownTarget { state, uncaught } = self.rules.read_target(target);
        self.report(uncaught.map(Instead::Uncaught)).await;
        state
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

    async fn report(&self, instead: Option<Instead>) {
        if let Some(instead) = instead {
            let _ = self.queue.send(Event::Instead(instead)).await;
        }
    }

    /// Reads a page on a port whose connections are not watched. On a watched port, no connection is kept: it would have
    /// to be told from streams at every poll.
    ///
    /// A zero is read twice if the page can show that another process answers. If several processes on one port are
    /// idle, the same one tends to answer at every poll, but not twice in a row.
    async fn poll_lone_page(&self, request: PollRequest, collected: &Mutex<Collected>) {
        let Some(page) = self.page.as_deref().filter(|page| !self.is_watched(page.url().port())) else { return };
        let first = page.read_kept(request.target, request.timeout).await;
        let is_read_again = first.is_zero() && first.shows_start();
        self.record_page(first, request, collected).await;
        if is_read_again {
            // Only a new connection can reach another process.
            page.connection.close();
            let second = page.read_kept(request.target, request.timeout).await;
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
                self.record_page(read, request, collected).await;
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

    async fn record_page(&self, read: PageReadings, request: PollRequest, collected: &Mutex<Collected>) {
        self.report(read.instead.map(Instead::Gauges)).await;
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
        if let Reading::Counts(counts) = &reading {
            self.report(sockets.other_ports(counts).await).await;
        }
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
mod tests;
