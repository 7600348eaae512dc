//! The status as text.

use std::fmt::Write;
use std::time::Duration;

use crate::io::report::durations::DurationsReport;
use crate::io::report::{DrainReport, OutcomeReport, SourceReport, StatusReport, TargetReport};
use crate::sanitize::sanitize;

/// A longest stream is an outlier if it is longer than this many times the 99th percentile.
const OUTLIER_FACTOR: f64 = 2.0;

/// Formats a number that may be unknown.
#[must_use]
pub fn or_unknown(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}

/// Renders the whole status, one fact per line.
#[must_use]
pub fn render(status: &StatusReport) -> String {
    let mut page = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(page, "{key:<9}{}", sanitize(value));
    };
    line("phase", &status.phase);
    line("streams", &or_unknown(status.streams));
    if let Some(idle) = status.idle_streams {
        line("idle", &idle.to_string());
    }
    for source in &status.sources {
        line("source", &describe_source(source));
    }
    if let Some(seconds) = status.disagreement_seconds {
        line("sources", &format!("disagree for {seconds:.0} s; the largest count is used"));
    }
    line("target", &describe_target(status.target.as_ref()));
    if let Some(drain) = &status.drain {
        line("drain", &describe_drain(drain));
    }
    if let Some(outcome) = &status.outcome {
        line("outcome", &describe_outcome(outcome));
    }
    if let Some(durations) = &status.durations {
        line("seen", &describe_durations(durations));
        line("advice", &recommend(durations));
    }
    page
}

/// Describes the status in one line, without the outcome and without values that change with time alone.
#[must_use]
pub fn describe_change(status: &StatusReport) -> String {
    let idle = status.idle_streams.map(|idle| format!(" (idle {idle})")).unwrap_or_default();
    let source = |source: &SourceReport| {
        let count = source.streams.map_or_else(|| source.state.clone(), |streams| streams.to_string());
        format!(", {} {count}", source.name)
    };
    let sources: String = status.sources.iter().map(source).collect();
    let target = describe_target(status.target.as_ref());
    format!("{}: streams {}{idle}{sources}; target {target}", status.phase, or_unknown(status.streams))
}

/// Describes the last reading of a source.
#[must_use]
pub fn describe_source(source: &SourceReport) -> String {
    let SourceReport { name, state, streams, error, age_seconds } = source;
    let age = age_seconds.map(|age| format!(", {age:.1} s ago")).unwrap_or_default();
    match (streams, error) {
        (Some(streams), _) => format!("{name}: {streams} streams{age}"),
        (None, Some(error)) => format!("{name}: {state}{age}: {error}"),
        (None, None) => format!("{name}: {state}{age}"),
    }
}

/// Describes the target.
#[must_use]
pub fn describe_target(target: Option<&TargetReport>) -> String {
    let Some(TargetReport { pid, name, alive }) = target else { return "not found".to_owned() };
    let exited = if *alive { "" } else { " has exited" };
    format!("{name} (pid {pid}){exited}")
}

fn describe_drain(drain: &DrainReport) -> String {
    let DrainReport { trigger, elapsed_seconds, remaining_seconds, streams_at_start, signalled } = drain;
    let started = or_unknown(*streams_at_start);
    let signal = if *signalled { "signalled" } else { "not signalled" };
    format!(
        "by {trigger}, for {elapsed_seconds:.1} s, {remaining_seconds:.1} s left, {started} streams at start, {signal}"
    )
}

fn describe_durations(durations: &DurationsReport) -> String {
    let DurationsReport { count, p50_seconds, p90_seconds, p99_seconds, longest_seconds, .. } = durations;
    let [p50, p90, p99, longest] =
        [p50_seconds, p90_seconds, p99_seconds, longest_seconds].map(|seconds| format_duration(*seconds));
    format!("{count} streams from start to end: p50 {p50}, p90 {p90}, p99 {p99}, longest {longest}")
}

/// Recommends a grace period for these durations, and names the rule.
fn recommend(durations: &DurationsReport) -> String {
    let grace = format_duration(durations.recommended_grace_period_seconds);
    let rule = "covers the longest stream seen plus a fifth";
    if durations.low_sample_count {
        format!("grace period {grace}: {rule}; only {} streams were seen, so check again later", durations.count)
    } else if durations.longest_seconds > OUTLIER_FACTOR * durations.p99_seconds {
        format!(
            "grace period {grace}: {rule}; that stream was an outlier, and if it was idle, --idle-after avoids the wait"
        )
    } else {
        format!("grace period {grace}: {rule}")
    }
}

/// Formats a time for reading; `unknown` if it is negative or too large.
#[must_use]
pub fn format_duration(seconds: f64) -> String {
    let precise = if seconds < 60.0 { seconds } else { seconds.round() };
    let duration = Duration::try_from_secs_f64((precise * 10.0).round() / 10.0);
    duration.map_or_else(|_| "unknown".to_owned(), |duration| humantime::format_duration(duration).to_string())
}

/// Describes an outcome.
#[must_use]
pub fn describe_outcome(outcome: &OutcomeReport) -> String {
    let OutcomeReport { outcome, stragglers, idle_streams, seconds, signal, warnings, .. } = outcome;
    let signal = signal.as_deref().map_or_else(|| "no signal".to_owned(), |signal| format!("{signal} sent"));
    let idle = if *idle_streams > 0 { format!(", idle: {idle_streams}") } else { String::new() };
    let warnings = if warnings.is_empty() { String::new() } else { format!(", warnings: {}", warnings.join(" ")) };
    format!("{outcome} after {seconds:.1} s, stragglers: {}{idle}, {signal}{warnings}", or_unknown(*stragglers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_status_has_no_control_characters() {
        let json = r#"{"phase":"serving","streams":null,"sources":[{"name":"metrics","state":"unknown",
            "error":"\u001b[2J\r\nowned"}],"target":{"pid":17,"name":"im\u0007","alive":true},"version":"0.1.0"}"#;
        let text = render(&serde_json::from_str(json).unwrap());
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert_eq!(text.lines().count(), 4, "{text:?}");
    }

    #[test]
    fn impossible_times_are_unknown() {
        assert_eq!([format_duration(-4.0), format_duration(1e300), format_duration(f64::NAN)], ["unknown"; 3]);
        assert_eq!([format_duration(0.0), format_duration(59.94), format_duration(61.4)], ["0s", "59s 900ms", "1m 1s"]);
    }
}
