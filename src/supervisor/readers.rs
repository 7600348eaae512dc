//! One round of readings: every source is asked at once, each on a task of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::warn;

use crate::edges::page::MetricsPage;
use crate::edges::sockets::{Own, SocketTable};
use crate::edges::status::StatusPage;
use crate::machine::connections::Table;
use crate::machine::io::Input;
use crate::machine::reading::{Fault, FaultKind, Reading, Source};
use crate::machine::time::Time;
use crate::queue::Event;
use crate::settings::sources::Sources;

/// Everything that counts streams.
#[derive(Clone)]
pub struct Readers {
    page: Option<Arc<MetricsPage>>,
    status: Option<Arc<StatusPage>>,
    sockets: Option<Sockets>,
    queue: mpsc::Sender<Event>,
}

/// The socket table and what is looked for in it.
#[derive(Clone)]
struct Sockets {
    table: Arc<Mutex<SocketTable>>,
    watched: Arc<[u16]>,
    counted: Arc<[u16]>,
    with_bytes: bool,
    /// Whether it was said that the table is poor.
    warned: Arc<AtomicBool>,
}

impl Readers {
    /// Whoever is to be asked, by the settings; the answers go into the queue.
    #[must_use]
    pub fn new(sources: &Sources, queue: mpsc::Sender<Event>) -> Self {
        let page = |(url, wanted)| Arc::new(MetricsPage::new(url, wanted));
        let watched = sources.watched_ports();
        let sockets = || Sockets {
            table: Arc::default(),
            with_bytes: !sources.idleness.ports.is_empty(),
            watched: watched.clone().into(),
            counted: sources.streams_ports.clone().into(),
            warned: Arc::default(),
        };
        Self {
            page: sources.page.clone().map(page),
            status: sources.status.clone().map(|url| Arc::new(StatusPage::new(url))),
            sockets: (!watched.is_empty()).then(sockets),
            queue,
        }
    }

    /// Asks everyone, each for at most `bound`.
    pub fn ask(&self, asked: Time, bound: Duration) {
        if let Some(page) = self.page.clone() {
            tokio::spawn(self.clone().ask_page(page, asked, bound));
        }
        tokio::spawn(self.clone().ask_port(asked, bound));
    }

    async fn ask_page(self, page: Arc<MetricsPage>, asked: Time, bound: Duration) {
        let found = page.read(bound).await;
        if let Some(most) = found.capacity {
            self.tell(Input::Capacity(most)).await;
        }
        for (source, reading) in found.readings {
            self.tell(Input::Counted { asked, source, reading }).await;
        }
    }

    /// The status page is on a port whose connections may be counted, so our own must be open while the table is read.
    async fn ask_port(self, asked: Time, bound: Duration) {
        let connection = match &self.status {
            Some(status) => Some(status.connect(bound).await),
            None => None,
        };
        let stream = connection.as_ref().and_then(|connection| connection.as_ref().ok());
        let own = stream.and_then(|stream| Some(Own::new(stream.local_addr().ok()?, stream.peer_addr().ok()?)));
        if let Some(sockets) = &self.sockets {
            self.ask_sockets(sockets, own, asked).await;
        }
        if let (Some(status), Some(connection)) = (&self.status, connection) {
            let reading = match connection {
                Ok(stream) => status.read(stream, bound).await,
                Err(fault) => Reading::Unknown(fault),
            };
            self.tell(Input::Counted { asked, source: Source::Status, reading }).await;
        }
    }

    async fn ask_sockets(&self, sockets: &Sockets, own: Option<Own>, asked: Time) {
        let table = sockets.read(own).await;
        let reading = match &table {
            Ok(table) => Reading::Counts(sockets.counted.iter().map(|port| table.count(*port)).collect()),
            Err(fault) => Reading::Unknown(fault.clone()),
        };
        self.tell(Input::Connections { asked, table }).await;
        if !sockets.counted.is_empty() {
            self.tell(Input::Counted { asked, source: Source::Sockets, reading }).await;
        }
    }

    async fn tell(&self, input: Input) {
        // A loop that has ended wants to know nothing any more.
        let _ = self.queue.send(Event::Input(input)).await;
    }
}

impl Sockets {
    /// Reads the table on a thread of its own: with thousands of connections that takes the kernel milliseconds.
    async fn read(&self, own: Option<Own>) -> Result<Table, Fault> {
        let (table, ports, with_bytes) = (Arc::clone(&self.table), Arc::clone(&self.watched), self.with_bytes);
        let read = move || {
            let mut sockets = table.lock().unwrap_or_else(PoisonError::into_inner);
            sockets.read(&ports, with_bytes, own)
        };
        let read = tokio::task::spawn_blocking(read).await;
        if let Ok(Ok(Table { fallback: Some(why), .. })) = &read
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            warn!(%why, "the socket table is read from /proc/net, which tells no bytes: no stream is known to be idle, and no duration is seen");
        }
        // A table is the kernel's: that it cannot be read says nothing of who serves.
        let fault = |text: String| Fault::new(FaultKind::Unreadable, format!("socket table: {text}"));
        read.map_err(|error| fault(error.to_string()))?.map_err(|error| fault(error.to_string()))
    }
}
