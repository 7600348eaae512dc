//! Logs to stderr: text for people, one JSON object a line for machines.
//!
//! A reader of stderr that stalls or goes away must not stall a drain, so lines are handed to a thread, and dropped
//! when it falls too far behind.

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

/// How many lines may wait for a slow reader.
const BACKLOG: usize = 1024;
/// How long the last lines may take to get out.
const FLUSH: Duration = Duration::from_millis(500);

/// What log lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Keeps the log open; the lines that wait are written when it is dropped.
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
    /// Fails if no thread can be started.
    pub fn open(format: Format, level: LevelFilter) -> io::Result<Self> {
        let (lines, backlog) = sync_channel(BACKLOG);
        let (done, written) = sync_channel(1);
        let thread = thread::Builder::new().name("log".into()).spawn(move || {
            write_lines(&backlog);
            let _ = done.send(());
        })?;
        let builder = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_target(false)
            // A failed write would otherwise be told on the very stderr that failed, and panic there.
            .log_internal_errors(false)
            .with_writer(Pipe(lines.clone()));
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
            let _: Result<(), RecvTimeoutError> = self.written.recv_timeout(FLUSH);
        }
    }
}

fn write_lines(backlog: &Receiver<Line>) {
    // A command may be showing its progress on the line that the cursor is on.
    let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    while let Ok(Line::Text(line)) = backlog.recv() {
        // Nobody is left to tell.
        let _ = io::stderr().write_all(&[clear.as_bytes(), &line].concat());
    }
}

/// Hands each line to the thread that writes.
struct Pipe(SyncSender<Line>);

/// One line in the making; the formatter writes it in one piece.
struct PipeWriter<'a>(&'a SyncSender<Line>);

impl<'a> MakeWriter<'a> for Pipe {
    type Writer = PipeWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        PipeWriter(&self.0)
    }
}

impl Write for PipeWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(Line::Text(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One JSON object a line, with the event's fields beside its message. See [`Nullable`].
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
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let plain = serde_json::from_str(&text).ok().filter(|value: &Value| value.is_null() || value.is_number());
        self.put(field, plain.filter(|_| field.name() != "message").unwrap_or_else(|| text.into()));
    }
}

/// A field that may be null, and is then logged as such: a key that is merely left out says nothing.
pub struct Nullable<T>(pub Option<T>);

impl<T: fmt::Display> fmt::Debug for Nullable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => write!(f, "{value}"),
            None => write!(f, "null"),
        }
    }
}
