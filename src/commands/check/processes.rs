//! Whether a single process serves the metrics page. Several workers may answer in turn, each with its own streams.

use std::time::Duration;

use super::report::{Cause, Check};
use crate::io::http::Url;
use crate::io::page::{PageResponse, page_process};
use crate::settings::Settings;
use lameduck_machine::page_identity::is_other;
use lameduck_machine::reading::{Counter, PageProcess, ReadError, ReadErrorKind};
use lameduck_parsers::exposition::Page;

const NAME: &str = "page_process";

/// How often the page is read. If one of two workers answers half of the connections, both are seen with a probability
/// of 99.8 %.
const READINGS: usize = 10;

/// Reads the page several times within the timeout of one poll, each time on a new connection, and compares what it says
/// about its process.
pub(super) async fn check(settings: &Settings, url: &Url) -> Check {
    let mut processes = Vec::new();
    let read = async {
        while processes.len() < READINGS {
            let Ok(process) = read(url).await else { break };
            processes.push(process);
        }
    };
    // Only readings within the timeout are compared.
    let _ = tokio::time::timeout(settings.times.scrape_timeout, read).await;
    // With the socket table, a drain does not need the page.
    let counts_connections = !settings.sources.streams_ports.ports.is_empty();
    evaluate(url, &processes, counts_connections).required_if(!counts_connections)
}

async fn read(url: &Url) -> Result<PageProcess, ReadError> {
    let invalid = |error| ReadError::new(ReadErrorKind::Invalid, error);
    let mut response = PageResponse::get(url).await?;
    let mut page = Page::new(&[], response.format);
    while let Some(bytes) = response.next().await? {
        page.feed(&bytes).map_err(invalid)?;
    }
    let (_, process) = page.finish_with_process(response.framed).map_err(invalid)?;
    Ok(page_process(&process))
}

fn evaluate(url: &Url, processes: &[PageProcess], counts_connections: bool) -> Check {
    let readings = processes.len();
    if readings < 2 {
        return Check::skip(NAME, format!("{url} was not read a second time"));
    }
    let (starts, falls) = (starts(processes), falls(processes));
    if let [_, _, ..] = starts[..] {
        let starts: Vec<_> = starts.iter().map(|(at, times)| format!("{} ({times}×)", at.as_secs_f64())).collect();
        return several(url, readings, &format!("process_start_time_seconds was {}", starts.join(", ")));
    }
    if let Some((counter, times)) = falls {
        return several(url, readings, &format!("{counter} fell {times}×, which it never does in one process"));
    }
    if starts.is_empty() && !has_grown(processes) {
        let fix = if counts_connections { "" } else { "; if several do, use --streams-port" };
        return Check::skip(NAME, format!("{url} does not show which process answers{fix}"));
    }
    let start = if starts.is_empty() { "" } else { "start times at most a second apart, and " };
    Check::pass(NAME, format!("{readings} readings on new connections: {start}no counter fell"))
}

fn several(url: &Url, readings: usize, fact: &str) -> Check {
    Check::fail(
        NAME,
        Cause::Environment,
        format!(
            "{url} is answered by several processes in turn: in {readings} readings on new connections, {fact}; the \
             count of one is not the count of all, so the sidecar does not use it"
        ),
        "count the connections with --streams-port, or name a page that sums all processes with --metrics-url",
    )
}

/// The start times of different processes, and how often each was read.
fn starts(processes: &[PageProcess]) -> Vec<(Duration, usize)> {
    let mut starts: Vec<(Duration, usize)> = Vec::new();
    for at in processes.iter().filter_map(|process| process.started_at) {
        match starts.iter_mut().find(|(other, _)| !is_other(*other, Some(at))) {
            Some((_, times)) => *times += 1,
            None => starts.push((at, 1)),
        }
    }
    starts.sort_unstable();
    starts
}

/// The name of a counter that was less than in the reading before, and in how many readings one was.
fn falls(processes: &[PageProcess]) -> Option<(&str, usize)> {
    let fallen = processes.windows(2).filter_map(|pair| changed(pair, |last, now| now < last));
    let names: Vec<&str> = fallen.collect();
    names.first().map(|name| (*name, names.len()))
}

fn has_grown(processes: &[PageProcess]) -> bool {
    processes.windows(2).any(|pair| changed(pair, |last, now| now > last).is_some())
}

/// The name of the first counter that both readings have and whose values differ in this way.
fn changed(readings: &[PageProcess], differs: impl Fn(u64, u64) -> bool) -> Option<&str> {
    let [last, now] = readings else { return None };
    let same = |counter: &Counter| now.counters.iter().find(|other| other.series == counter.series);
    let mut pairs = last.counters.iter().filter_map(|counter| Some((counter, same(counter)?)));
    pairs.find(|(last, now)| differs(last.thousandths, now.thousandths)).map(|(last, _)| &*last.name)
}
