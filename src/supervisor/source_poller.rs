//! One round of readings: every source is asked, and those that have no port in common do not wait for one another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tracing::warn;

use crate::io::api_status::StatusPage;
use crate::io::http;
use crate::io::liveness::is_intact;
use crate::io::page::MetricsPage;
use crate::io::sockets::{OwnConnection, SocketReader};
use crate::queue::Event;
use crate::settings::sources::Sources;
use lameduck_machine::io::Input;
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::socket_table::SocketTable;
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;

/// Everything that counts streams.
#[derive(Clone)]
pub struct SourcePoller {
    page: Option<Arc<MetricsPage>>,
    status: Option<Arc<StatusPage>>,
    sockets: Option<Sockets>,
    queue: mpsc::Sender<Event>,
}

/// The socket table and what is looked for in it.
#[derive(Clone)]
struct Sockets {
    table: Arc<Mutex<SocketReader>>,
    watched: Arc<[u16]>,
    counted: Arc<[u16]>,
    /// Those whose connections tell idle streams from working ones.
    active: Arc<[u16]>,
    /// Whether it was said that the table is poor.
    warned: Arc<AtomicBool>,
}

/// One order to read every source.
#[derive(Clone, Copy, Debug)]
pub struct PollRequest {
    /// To be handed back with each answer.
    pub requested_at: Time,
    /// How long a reading may take.
    pub bound: Duration,
    /// The target whose answers are wanted, where it is known.
    pub tracked: Option<Incarnation>,
}

impl PollRequest {
    /// The target, if it is dying or has ended meanwhile: connections that the kernel closes are no streams that ended,
    /// and who answers on its ports may be its successor.
    fn dying(&self) -> Option<Incarnation> {
        self.tracked.filter(|target| !is_intact(*target).unwrap_or(true))
    }
}

impl SourcePoller {
    /// Whoever is to be asked, by the settings; the answers go into the queue.
    #[must_use]
    pub fn new(sources: &Sources, queue: mpsc::Sender<Event>) -> Self {
        let page = |(url, wanted)| Arc::new(MetricsPage::new(url, wanted));
        let watched = sources.watched_ports();
        let sockets = || Sockets {
            table: Arc::default(),
            watched: watched.clone().into(),
            counted: sources.streams_ports.clone().into(),
            active: sources.idleness.ports.clone().into(),
            warned: Arc::default(),
        };
        Self {
            page: sources.page.clone().map(page),
            status: sources.status.clone().map(|url| Arc::new(StatusPage::new(url))),
            sockets: (!watched.is_empty()).then(sockets),
            queue,
        }
    }

    /// Asks everyone, each for at most the bound.
    pub fn ask(&self, order: PollRequest) {
        if let Some(page) = self.page.clone().filter(|page| !self.watches(page.url().port())) {
            let readers = self.clone();
            tokio::spawn(async move {
                let connection = http::connect_timeout(page.url(), order.bound).await;
                readers.ask_page(&page, connection, order).await;
            });
        }
        tokio::spawn(self.clone().ask_ports(order));
    }

    fn watches(&self, port: u16) -> bool {
        self.sockets.as_ref().is_some_and(|sockets| sockets.watched.contains(&port))
    }

    async fn ask_page(&self, page: &MetricsPage, connection: Connection, order: PollRequest) {
        let found = page.read(connection, order.bound).await;
        if let Some(most) = found.capacity {
            self.tell(order, Input::Capacity(most)).await;
        }
        for (source, reading) in found.readings {
            self.tell(order, Input::Counted { requested_at: order.requested_at, source, reading }).await;
        }
    }

    /// Asks the socket table, and the pages on ports whose connections may be counted: ours must be open, and known,
    /// while the table is read.
    async fn ask_ports(self, order: PollRequest) {
        let page = self.page.as_deref().filter(|page| self.watches(page.url().port()));
        let connect_page = async { Some((page?, http::connect_timeout(page?.url(), order.bound).await)) };
        let status = self.status.as_deref();
        let connect_status = async { Some((status?, http::connect_timeout(status?.url(), order.bound).await)) };
        let (page, status) = tokio::join!(connect_page, connect_status);
        if let Some(sockets) = &self.sockets {
            let connections = [page.as_ref().map(|(_, it)| it), status.as_ref().map(|(_, it)| it)];
            let own: Vec<OwnConnection> = connections.into_iter().flatten().filter_map(own).collect();
            self.ask_sockets(sockets, own, order).await;
        }
        let ask_page = async {
            if let Some((page, connection)) = page {
                self.ask_page(page, connection, order).await;
            }
        };
        let ask_status = async {
            if let Some((status, connection)) = status {
                let reading = status.read(connection, order.bound).await;
                self.tell(order, Input::Counted { requested_at: order.requested_at, source: Source::Status, reading })
                    .await;
            }
        };
        tokio::join!(ask_page, ask_status);
    }

    async fn ask_sockets(&self, sockets: &Sockets, own: Vec<OwnConnection>, order: PollRequest) {
        let requested_at = order.requested_at;
        let table = sockets.read(own).await;
        let reading = match &table {
            Ok(table) => Reading::Counts(sockets.counted.iter().map(|port| sockets.count(table, *port)).collect()),
            Err(fault) => Reading::Unknown(fault.clone()),
        };
        self.tell(order, Input::Connections { requested_at, table }).await;
        if !sockets.counted.is_empty() {
            self.tell(order, Input::Counted { requested_at, source: Source::Sockets, reading }).await;
        }
    }

    async fn tell(&self, order: PollRequest, input: Input) {
        let input = order.dying().map_or(input, Input::Dying);
        // A loop that has ended wants to know nothing any more.
        let _ = self.queue.send(Event::Input(input)).await;
    }
}

/// A connection, or why there is none.
type Connection = Result<TcpStream, ReadError>;

fn own(connection: &Connection) -> Option<OwnConnection> {
    let stream = connection.as_ref().ok()?;
    Some(OwnConnection::new(stream.local_addr().ok()?, stream.peer_addr().ok()?))
}

impl Sockets {
    /// The streams on a port. Where nothing tells whether they work, none of them is ever known to be idle.
    fn count(&self, table: &SocketTable, port: u16) -> Option<Count> {
        let count = table.count(port)?;
        let told_apart = self.active.contains(&port);
        Some(if told_apart { count } else { Count { never_idle: count.streams, ..count } })
    }

    /// Reads the table on a thread of its own: with thousands of connections that takes the kernel milliseconds.
    async fn read(&self, own: Vec<OwnConnection>) -> Result<SocketTable, ReadError> {
        let (table, ports, with_bytes) = (Arc::clone(&self.table), Arc::clone(&self.watched), !self.active.is_empty());
        let read = move || {
            let mut sockets = table.lock().unwrap_or_else(PoisonError::into_inner);
            sockets.read(&ports, with_bytes, &own)
        };
        let read = tokio::task::spawn_blocking(read).await;
        if let Ok(Ok(SocketTable { fallback: Some(why), .. })) = &read
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            warn!(%why, "the socket table is read from /proc/net, which tells no bytes: no stream is known to be idle, and no duration is seen");
        }
        // A table is the kernel's: that it cannot be read says nothing of who serves.
        let fault = |text: String| ReadError::new(ReadErrorKind::Invalid, format!("socket table: {text}"));
        read.map_err(|error| fault(error.to_string()))?.map_err(|error| fault(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::process::Command;
    use std::thread;

    use super::*;
    use crate::io::liveness::stat_of;
    use crate::io::page::PageSelectors;
    use lameduck_machine::activity::IdleRule;
    use lameduck_machine::policy::IdlePolicy;

    /// A page that says zero, so many times, and tells when it has.
    fn page_of_zero(times: usize) -> (u16, std::sync::mpsc::Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (said, heard) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().take(times) {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nactive 0\n").unwrap();
                said.send(()).unwrap();
            }
        });
        (port, heard)
    }

    fn life(pid: u32) -> Incarnation {
        Incarnation { pid, started: stat_of(pid).unwrap().started }
    }

    #[tokio::test]
    async fn a_page_that_answers_after_the_end_of_the_target_is_nobodys_word() {
        let (port, said) = page_of_zero(2);
        let wanted = PageSelectors { eager: vec!["active".parse().unwrap()], ..PageSelectors::default() };
        let page = Some((format!("http://127.0.0.1:{port}/").parse().unwrap(), wanted));
        let rule = IdleRule { window: Duration::from_secs(60), rate: 256 };
        let idleness = IdlePolicy { ports: Vec::new(), rule, ends_drain: false };
        let sources = Sources { page, status: None, streams_ports: Vec::new(), idleness, accept_below: None };
        let (queue, mut answers) = mpsc::channel(16);
        let readers = SourcePoller::new(&sources, queue);
        let order = |second, tracked| {
            let requested_at = Time::since_boot(Duration::from_secs(second));
            readers.ask(PollRequest { requested_at, bound: Duration::from_secs(30), tracked: Some(tracked) });
        };

        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let ended = life(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        order(1, ended);
        tokio::task::spawn_blocking(move || said.recv()).await.unwrap().unwrap();
        order(2, life(std::process::id()));
        let Some(Event::Input(Input::Dying(dying))) = answers.recv().await else { panic!("its word is taken") };
        assert_eq!(dying, ended);
        let Some(Event::Input(Input::Counted { requested_at, .. })) = answers.recv().await else {
            panic!("no reading")
        };
        assert_eq!(requested_at, Time::since_boot(Duration::from_secs(2)));
    }
}
