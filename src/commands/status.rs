//! `lameduck status`: what the sidecar sees now.

use std::fmt::Write;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;

use crate::commands::{Exit, Failure, block_on, say};
use crate::edges::http::{self, Url};
use crate::edges::report::durations::DurationsReport;
use crate::edges::report::{DrainReport, OutcomeReport, SourceReport, StatusReport};

/// How long the sidecar may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 64 * 1024;
/// How many times the 99th percentile is far beyond it.
const OUTLIER: f64 = 2.0;

/// Prints the status.
///
/// # Errors
/// Fails where the sidecar cannot be reached.
pub fn run(address: &Url, json: bool) -> Result<Exit, Failure> {
    block_on(async {
        let text = text(address, "/status", PATIENCE).await?;
        if json {
            say(text.trim_end());
        } else {
            say(render(&parse(address, &text)?).trim_end());
        }
        Ok(Exit::Done)
    })
}

/// Asks the sidecar for its status.
///
/// # Errors
/// Fails where the sidecar cannot be reached or is none.
pub async fn fetch(address: &Url) -> Result<StatusReport, Failure> {
    parse(address, &text(address, "/status", PATIENCE).await?)
}

/// Asks the sidecar for one page and waits for at most `patience`.
///
/// # Errors
/// Fails where the sidecar cannot be reached or answers anything but 200.
pub async fn text(address: &Url, path: &str, patience: Duration) -> Result<String, Failure> {
    let url = address.with_path(path);
    let unreachable = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Unreachable,
            format!("no sidecar answers at {url}: {error}; is it running there? See --address"),
        )
    };
    let exchange = async {
        let response = http::get(&url, "*/*").await.map_err(|error| unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(unreachable(&response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|error| unreachable(&error))?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    };
    tokio::time::timeout(patience, exchange).await.unwrap_or_else(|_| Err(unreachable(&"no answer in time")))
}

fn parse(address: &Url, text: &str) -> Result<StatusReport, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::new(Exit::Unreachable, format!("what answers at {address} is not lameduck: {error}; see --address"))
    })
}

/// A number that may be unknown, for people.
#[must_use]
pub fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}

fn render(status: &StatusReport) -> String {
    let mut page = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(page, "{key:<9}{value}");
    };
    line("phase", &status.phase);
    line("streams", &known(status.streams));
    if let Some(idle) = status.idle_streams {
        line("idle", &idle.to_string());
    }
    for source in &status.sources {
        line("source", &describe_source(source));
    }
    if let Some(seconds) = status.disagreement_seconds {
        line("sources", &format!("disagree, for {seconds:.0} s; the largest count holds"));
    }
    match &status.target {
        Some(target) if target.alive => line("target", &format!("{} (pid {})", target.name, target.pid)),
        Some(target) => line("target", &format!("{} (pid {}) has ended", target.name, target.pid)),
        None => line("target", "not found"),
    }
    if let Some(drain) = &status.drain {
        line("drain", &describe_drain(drain));
    }
    if let Some(outcome) = &status.outcome {
        line("outcome", &describe_outcome(outcome));
    }
    if let Some(durations) = &status.durations {
        line("seen", &describe_durations(durations));
        line("advice", &advise(durations));
    }
    page
}

fn describe_source(source: &SourceReport) -> String {
    let SourceReport { name, state, streams, error, age_seconds } = source;
    let age = age_seconds.map(|age| format!(", {age:.1} s ago")).unwrap_or_default();
    match (streams, error) {
        (Some(streams), _) => format!("{name}: {streams} streams{age}"),
        (None, Some(error)) => format!("{name}: {state}{age}: {error}"),
        (None, None) => format!("{name}: {state}{age}"),
    }
}

fn describe_drain(drain: &DrainReport) -> String {
    let DrainReport { trigger, elapsed_seconds, remaining_seconds, streams_at_start, signalled } = drain;
    let started = known(*streams_at_start);
    let signal = if *signalled { "signalled" } else { "not signalled" };
    format!(
        "by {trigger}, for {elapsed_seconds:.1} s, {remaining_seconds:.1} s left, {started} streams at start, {signal}"
    )
}

fn describe_durations(durations: &DurationsReport) -> String {
    let DurationsReport { count, p50_seconds, p90_seconds, p99_seconds, longest_seconds, .. } = durations;
    let [p50, p90, p99, longest] = [p50_seconds, p90_seconds, p99_seconds, longest_seconds].map(|s| people(*s));
    format!("{count} streams from beginning to end: p50 {p50}, p90 {p90}, p99 {p99}, longest {longest}")
}

/// What the durations say of the grace period, and by which rule.
fn advise(durations: &DurationsReport) -> String {
    let grace = people(durations.recommended_grace_period_seconds);
    let rule = "it covers the longest stream seen and a fifth more";
    if durations.few {
        format!("grace period {grace}: {rule}; only {} streams were seen, so look again later", durations.count)
    } else if durations.longest_seconds > OUTLIER * durations.p99_seconds {
        format!(
            "grace period {grace}: {rule}; that one was an outlier, and if it was idle, --idle-after spares the wait"
        )
    } else {
        format!("grace period {grace}: {rule}")
    }
}

/// A time as people write it.
fn people(seconds: f64) -> String {
    let precise = if seconds < 60.0 { seconds } else { seconds.round() };
    humantime::format_duration(Duration::from_secs_f64((precise * 10.0).round() / 10.0)).to_string()
}

/// An outcome, for people.
#[must_use]
pub fn describe_outcome(outcome: &OutcomeReport) -> String {
    let OutcomeReport { outcome, stragglers, idle_streams, seconds, signal, .. } = outcome;
    let signal = signal.as_deref().map_or_else(|| "no signal".to_owned(), |signal| format!("{signal} sent"));
    let idle = if *idle_streams > 0 { format!(", idle: {idle_streams}") } else { String::new() };
    format!("{outcome} after {seconds:.1} s, stragglers: {}{idle}, {signal}", known(*stragglers))
}
