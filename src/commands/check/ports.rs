//! The ports that streams come to: the kernel's socket table, and the status page that is served on one of them.

use tokio::sync::mpsc;

use super::report::{Cause, Check};
use crate::io::clock::Clock;
use crate::io::http::Url;
use crate::queue::Event;
use crate::settings::Settings;
use crate::settings::sources::Sources;
use crate::supervisor::source_poller::{PollRequest, SourcePoller};
use lameduck_machine::io::Input;
use lameduck_machine::reading::{Count, ReadError, Reading, Source};
use lameduck_machine::socket_table::SocketTable;

/// What was seen, where it was looked for.
#[derive(Default)]
struct Seen {
    table: Option<Result<SocketTable, ReadError>>,
    status: Option<Reading>,
}

/// Whether the sockets can be counted, and the status page read; `chosen` says that somebody chose activity ports.
pub(super) async fn check(settings: &Settings, chosen: bool) -> Vec<Check> {
    let Seen { table, status } = look(settings).await;
    let sources = &settings.sources;
    let mut checks = match &table {
        None => vec![Check::open("socket_table", "no port is watched")],
        Some(Err(fault)) => vec![unread(fault, sources)],
        Some(Ok(table)) => counted(table, sources, chosen),
    };
    checks.extend(sources.status.as_ref().zip(status).map(|(url, reading)| status_page(url, &reading)));
    checks
}

/// Asks as the sidecar does, so that its own connection to the status page is not taken for a stream.
async fn look(settings: &Settings) -> Seen {
    let (queue, mut events) = mpsc::channel(1);
    let sources = Sources { page: None, ..settings.sources.clone() };
    let order = PollRequest { requested_at: Clock::start().now(), bound: settings.plan.scrape_timeout, tracked: None };
    SourcePoller::new(&sources, queue).ask(order);
    let mut seen = Seen::default();
    while let Some(event) = events.recv().await {
        if let Event::Input(Input::Connections { table, .. }) = event {
            seen.table = Some(table);
        } else if let Event::Input(Input::Counted { source: Source::Status, reading, .. }) = event {
            seen.status = Some(reading);
        }
    }
    seen
}

fn unread(fault: &ReadError, sources: &Sources) -> Check {
    let check = Check::amiss(
        "socket_table",
        Cause::NotPermitted,
        &fault.message,
        "let the container's seccomp profile allow netlink sockets of the family NETLINK_SOCK_DIAG, or mount /proc",
    );
    check.where_needed(!sources.streams_ports.is_empty() || sources.idleness.ends_drain)
}

fn counted(table: &SocketTable, sources: &Sources, chosen: bool) -> Vec<Check> {
    let mut checks = vec![how(table, sources)];
    checks.extend(sources.streams_ports.iter().map(|port| streams_port(table, *port)));
    let needed = chosen || sources.idleness.ends_drain;
    checks.extend(sources.idleness.ports.iter().map(|port| activity_port(table, *port).where_needed(needed)));
    checks
}

fn how(table: &SocketTable, sources: &Sources) -> Check {
    let Some(why) = &table.fallback else {
        return Check::well("socket_table", "the kernel tells it over netlink, with the bytes of each connection");
    };
    let check = Check::amiss(
        "socket_table",
        Cause::NotPermitted,
        format!(
            "read from /proc/net, for {why}: it tells no bytes, so that no stream is known to be idle and no duration is seen"
        ),
        "let the container's seccomp profile allow netlink sockets of the family NETLINK_SOCK_DIAG",
    );
    check.where_needed(sources.idleness.ends_drain)
}

fn streams_port(table: &SocketTable, port: u16) -> Check {
    const NAME: &str = "streams_port";
    match (table.count(port), table.listening.contains(&port)) {
        (Some(count), true) => Check::well(NAME, format!("{port} has a listener: {}", streams(count))),
        (Some(count), false) => {
            Check::open(NAME, format!("{port} has no listener any more: {} are left", streams(count)))
        }
        (None, _) => Check::amiss(
            NAME,
            Cause::Environment,
            format!("nobody listens on {port}, so its streams cannot be counted"),
            "wait until the target serves, or correct --streams-port",
        ),
    }
}

fn activity_port(table: &SocketTable, port: u16) -> Check {
    const NAME: &str = "activity_port";
    let connections = table.count(port).map_or(0, |count| count.streams);
    match (connections, table.listening.contains(&port)) {
        (connections, true) => Check::well(NAME, format!("{port} has a listener: {connections} connections")),
        (0, false) => Check::amiss(
            NAME,
            Cause::Environment,
            format!("nobody listens on {port}, so no stream can be told to be idle"),
            "wait until the target serves, or name the port that it takes streams on with --activity-port",
        ),
        (connections, false) => {
            Check::open(NAME, format!("{port} has no listener any more: {connections} connections are left"))
        }
    }
}

fn status_page(url: &Url, reading: &Reading) -> Check {
    const NAME: &str = "status_page";
    let amiss = |detail: String| {
        Check::amiss(
            NAME,
            Cause::Environment,
            detail,
            "wait until the target serves, or correct --streams-port and --preset",
        )
    };
    match reading {
        Reading::Unknown(fault) => amiss(fault.message.clone()),
        Reading::Counts(counts) => match counts.iter().flatten().copied().reduce(Count::plus) {
            Some(count) => Check::well(NAME, format!("{url} answers: {}", streams(count))),
            None => amiss(format!("{url} answers, but {}", Source::Status.absence())),
        },
    }
}

/// So many streams, in words.
pub(super) fn streams(count: Count) -> String {
    if count.streams == 1 { "1 stream".to_owned() } else { format!("{} streams", count.streams) }
}
