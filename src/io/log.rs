//! The log on stderr, as text or as one JSON object per line.
//!
//! A slow or closed reader of stderr must not stall a drain. A thread therefore writes the lines, and lines are dropped if
//! it falls too far behind.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// The maximum number of queued lines.
const MAX_QUEUED_LINES: usize = 1024;
/// How long writing the last lines may take.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

/// Keeps the log open. Dropping it writes the queued lines.
#[derive(Debug)]
pub struct Log {
    lines: SyncSender<Line>,
    written: Receiver<()>,
    _thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    End,
}

impl Log {
    /// Opens the log.
    ///
    /// # Errors
    /// Fails if the thread cannot be started.
    pub fn open(format: Format, level: LevelFilter) -> io::Result<Self> {
        let (lines, queue) = sync_channel(MAX_QUEUED_LINES);
        let (done, written) = sync_channel(1);
        let thread = thread::Builder::new().name("log".into()).spawn(move || {
            write_lines(&queue);
            let _ = done.send(());
        })?;
        let builder = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_target(false)
            // Otherwise a failed write would be reported on the same stderr, and panic.
            .log_internal_errors(false)
            .with_writer(ChannelWriter(lines.clone()));
        match format {
            Format::Text => drop(tracing::subscriber::set_global_default(builder.finish())),
            Format::Json => drop(tracing::subscriber::set_global_default(builder.event_format(JsonLines).finish())),
        }
        Ok(Self { lines, written, _thread: thread })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.lines.try_send(Line::End).is_ok() {
            let _: Result<(), RecvTimeoutError> = self.written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

fn write_lines(queue: &Receiver<Line>) {
    // A command may show its progress in the cursor's line.
    let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    while let Ok(Line::Text(line)) = queue.recv() {
        // There is no other place to report a failure.
        let _ = io::stderr().write_all(&[clear.as_bytes(), &line].concat());
    }
}

/// Sends each line to the thread that writes.
struct ChannelWriter(SyncSender<Line>);

/// The writer of one line. The formatter writes it with one call.
struct LineWriter<'a>(&'a SyncSender<Line>);

impl<'a> MakeWriter<'a> for ChannelWriter {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter(&self.0)
    }
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(Line::Text(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Formats an event as one JSON object, with its fields next to its message. See [`Nullable`].
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut line = Fields(Map::new());
        line.0.insert("timestamp".into(), timestamp.into());
        line.0.insert("level".into(), event.metadata().level().as_str().into());
        event.record(&mut line);
        writeln!(writer, "{}", Value::Object(line.0))
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let is_plain = |value: &Value| value.is_null() || value.is_number() || value.is_array();
        let plain = serde_json::from_str(&text).ok().filter(is_plain);
        self.insert(field, plain.filter(|_| field.name() != "message").unwrap_or_else(|| text.into()));
    }
}

/// A log field that may be null. A null is logged, because a missing key says nothing.
pub struct Nullable<T>(pub Option<T>);

impl<T: fmt::Display> fmt::Debug for Nullable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => write!(f, "{value}"),
            None => write!(f, "null"),
        }
    }
}
