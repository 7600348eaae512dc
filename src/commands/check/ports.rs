//! The ports of the streams: the socket table of the kernel, and the status page that is served on one of them.

use tokio::sync::mpsc;

use super::report::{Cause, Check};
use crate::io::clock::Clock;
use crate::io::http::Url;
use crate::io::process::signalling::SignalRules;
use crate::queue::{Event, PollResult};
use crate::settings::Settings;
use crate::settings::sources::Sources;
use crate::supervisor::source_poller::SourcePoller;
use lameduck_machine::io::PollRequest;
use lameduck_machine::reading::{Count, ReadError, Reading, Source};
use lameduck_machine::socket_table::SocketTable;

/// What was read; `None` if it is not a source.
#[derive(Default)]
struct Observed {
    table: Option<Result<SocketTable, ReadError>>,
    status: Option<Reading>,
}

/// Checks that the sockets can be counted and that the status page can be read. `explicit` says that the user has set
/// the activity ports.
pub(super) async fn check(settings: &Settings, explicit: bool) -> Vec<Check> {
    let Observed { table, status } = observe(settings).await;
    let sources = &settings.sources;
    let mut checks = match &table {
        None => vec![Check::skip("socket_table", "no port is watched")],
        Some(Err(error)) => vec![unreadable(error, sources)],
        Some(Ok(table)) => evaluate(table, sources, explicit),
    };
    checks.extend(sources.status.as_ref().zip(status).map(|(url, reading)| status_page(url, &reading)));
    checks
}

/// Polls as the sidecar does, so that its own connection to the status page does not count as a stream.
async fn observe(settings: &Settings) -> Observed {
    let (queue, mut events) = mpsc::channel(1);
    let sources = Sources { page: None, ..settings.sources.clone() };
    let (clock, timeout) = (Clock::start(), settings.times.scrape_timeout);
    let rules = SignalRules { signal: None, assume_caught: false };
    let request = PollRequest { requested_at: clock.now(), timeout, target: None, keep_connection: false };
    SourcePoller::new(&sources, rules, clock, queue).poll(request);
    let poll = loop {
        match events.recv().await {
            Some(Event::Polled(PollResult { poll, .. })) => break poll,
            Some(_) => {}
            None => return Observed::default(),
        }
    };
    let mut readings = poll.readings.into_iter();
    Observed {
        table: poll.sockets.map(|sockets| sockets.table),
        status: readings.find(|(source, _)| *source == Source::Status).map(|(_, reading)| reading),
    }
}

fn unreadable(error: &ReadError, sources: &Sources) -> Check {
    let check = Check::fail(
        "socket_table",
        Cause::NotPermitted,
        &error.message,
        "let the container's seccomp profile allow netlink sockets of the family NETLINK_SOCK_DIAG, or mount /proc",
    );
    check.required_if(!sources.streams_ports.ports.is_empty() || sources.idle.ends_drain)
}

fn evaluate(table: &SocketTable, sources: &Sources, explicit: bool) -> Vec<Check> {
    let mut checks = vec![socket_table_access(table, sources)];
    checks.extend(sources.streams_ports.ports.iter().map(|port| streams_port(table, *port)));
    let required = explicit || sources.idle.ends_drain;
    checks.extend(sources.idle.ports.iter().map(|port| activity_port(table, *port).required_if(required)));
    checks
}

fn socket_table_access(table: &SocketTable, sources: &Sources) -> Check {
    const NAME: &str = "socket_table";
    let Some(reason) = &table.fallback else {
        return Check::pass(NAME, "read over netlink, with the bytes of each connection");
    };
    let check = Check::fail(
        NAME,
        Cause::NotPermitted,
        format!(
            "read from /proc/net, because {reason}: it has no byte counts, so idle streams and the durations of streams are unknown"
        ),
        "let the container's seccomp profile allow netlink sockets of the family NETLINK_SOCK_DIAG",
    );
    check.required_if(sources.idle.ends_drain)
}

fn streams_port(table: &SocketTable, port: u16) -> Check {
    const NAME: &str = "streams_port";
    match (table.count(port), table.listening.contains(&port)) {
        (Some(count), true) => Check::pass(NAME, format!("{port} has a listener: {}", streams(count))),
        (Some(count), false) => Check::skip(NAME, format!("{port} no longer has a listener: {} left", streams(count))),
        (None, _) => Check::fail(
            NAME,
            Cause::Environment,
            format!("no process listens on {port}, so its streams cannot be counted"),
            "wait until the target serves, or correct --streams-port",
        ),
    }
}

fn activity_port(table: &SocketTable, port: u16) -> Check {
    const NAME: &str = "activity_port";
    let connections = table.count(port).map_or(0, |count| count.streams);
    match (connections, table.listening.contains(&port)) {
        (connections, true) => Check::pass(NAME, format!("{port} has a listener: {connections} connections")),
        (0, false) => Check::fail(
            NAME,
            Cause::Environment,
            format!("no process listens on {port}, so idle streams cannot be detected"),
            "wait until the target serves, or name the port on which it accepts streams with --activity-port",
        ),
        (connections, false) => {
            Check::skip(NAME, format!("{port} no longer has a listener: {connections} connections left"))
        }
    }
}

fn status_page(url: &Url, reading: &Reading) -> Check {
    const NAME: &str = "status_page";
    let failed = |detail: String| {
        let fix = "wait until the target serves, or correct --streams-port and --preset";
        Check::fail(NAME, Cause::Environment, detail, fix)
    };
    match reading {
        Reading::Unknown(error) => failed(error.message.clone()),
        Reading::Counts(counts) => match counts.iter().flatten().copied().reduce(Count::plus) {
            Some(count) => Check::pass(NAME, format!("{url} answers: {}", streams(count))),
            None => failed(format!("{url} answers, but has none of the fields that count")),
        },
    }
}

/// Describes a number of streams.
pub(super) fn streams(count: Count) -> String {
    if count.streams == 1 { "1 stream".to_owned() } else { format!("{} streams", count.streams) }
}
