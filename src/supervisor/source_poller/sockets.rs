//! The socket table as a source.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading};
use lameduck_machine::socket_table::SocketTable;
use tracing::warn;

use crate::io::process::visible::listening_ports;
use crate::io::sockets::{OwnConnection, SocketReader};
use crate::reasons::Instead;
use crate::settings::sources::Sources;

/// The socket table, and the ports that are watched in it.
#[derive(Clone)]
pub(super) struct Sockets {
    reader: Arc<Mutex<SocketReader>>,
    watched: Arc<[u16]>,
    counted: Arc<[u16]>,
    /// The ports whose connections distinguish idle streams from active ones.
    activity: Arc<[u16]>,
    /// Whether it was logged that the table is read from `/proc`.
    fallback_logged: Arc<AtomicBool>,
    /// Whether every counted port has had a listener. From then on, a closed port is no mistake in the settings.
    ports_opened: Arc<AtomicBool>,
}

impl Sockets {
    pub(super) fn new(watched: &[u16], sources: &Sources) -> Self {
        Self {
            reader: Arc::default(),
            watched: watched.into(),
            counted: sources.streams_ports.ports.clone().into(),
            activity: sources.idle.ports.clone().into(),
            fallback_logged: Arc::default(),
            ports_opened: Arc::default(),
        }
    }

    pub(super) fn watches(&self, port: u16) -> bool {
        self.watched.contains(&port)
    }

    /// Whether connections count as streams.
    pub(super) fn counts_streams(&self) -> bool {
        !self.counted.is_empty()
    }

    /// The streams on each counted port.
    pub(super) fn reading(&self, table: &Result<SocketTable, ReadError>) -> Reading {
        match table {
            Ok(table) => Reading::Counts(self.counted.iter().map(|port| self.count(table, *port)).collect()),
            Err(error) => Reading::Unknown(error.clone()),
        }
    }

    /// The streams on a port. Without byte counts, they never count as idle.
    fn count(&self, table: &SocketTable, port: u16) -> Option<Count> {
        let count = table.count(port)?;
        let has_activity = self.activity.contains(&port);
        Some(if has_activity { count } else { Count { never_idle: count.streams, ..count } })
    }

    /// The listening ports, until all counted ports have been open. After that, a closed port is expected, and reading
    /// the whole table at each poll of a drain would be a waste.
    pub(super) async fn other_ports(&self, counts: &[Option<Count>]) -> Option<Instead> {
        if !counts.contains(&None) {
            return (!self.ports_opened.swap(true, Ordering::Relaxed)).then(|| Instead::Ports(Vec::new()));
        }
        if self.ports_opened.load(Ordering::Relaxed) {
            return None;
        }
        tokio::task::spawn_blocking(listening_ports).await.ok().map(Instead::Ports)
    }

    /// Reads the table on a separate thread: with thousands of connections, that takes milliseconds.
    pub(super) async fn read(&self, own: Vec<OwnConnection>) -> Result<SocketTable, ReadError> {
        let (reader, ports) = (Arc::clone(&self.reader), Arc::clone(&self.watched));
        let with_bytes = !self.activity.is_empty();
        let read = move || {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            reader.read(&ports, with_bytes, &own)
        };
        let read = tokio::task::spawn_blocking(read).await;
        if let Ok(Ok(SocketTable { fallback: Some(reason), .. })) = &read
            && !self.fallback_logged.swap(true, Ordering::Relaxed)
        {
            warn!(
                %reason,
                "the socket table is read from /proc/net, which has no byte counts: no stream is known to be idle, and \
                 no stream durations are recorded"
            );
        }
        // A failure to read the kernel's table says nothing about the server.
        let error = |text: String| ReadError::new(ReadErrorKind::Invalid, format!("socket table: {text}"));
        read.map_err(|failed| error(failed.to_string()))?.map_err(|failed| error(failed.to_string()))
    }
}
