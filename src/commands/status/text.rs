//! The status as text for people.

use std::fmt::Write;
use std::time::Duration;

use crate::io::report::durations::DurationsReport;
use crate::io::report::{DrainReport, OutcomeReport, SourceReport, StatusReport, TargetReport};

/// How many times the 99th percentile is far beyond it.
const OUTLIER: f64 = 2.0;

/// A number that may be unknown, for people.
#[must_use]
pub fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}

/// The whole status, for people: one fact a line.
#[must_use]
pub fn render(status: &StatusReport) -> String {
    let mut page = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(page, "{key:<9}{}", harmless(value));
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
    line("target", &describe_target(status.target.as_ref()));
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

/// The status in one line, without anything that changes by itself as time goes by.
#[must_use]
pub fn describe_change(status: &StatusReport) -> String {
    let idle = status.idle_streams.map(|idle| format!(" (idle {idle})")).unwrap_or_default();
    let source = |source: &SourceReport| {
        let count = source.streams.map_or_else(|| source.state.clone(), |streams| streams.to_string());
        format!(", {} {count}", source.name)
    };
    let sources: String = status.sources.iter().map(source).collect();
    let target = describe_target(status.target.as_ref());
    let outcome = status.outcome.as_ref().map(|outcome| format!("; {}", describe_outcome(outcome))).unwrap_or_default();
    format!("{}: streams {}{idle}{sources}; target {target}{outcome}", status.phase, known(status.streams))
}

/// What a source says, for people.
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

/// The target, for people.
#[must_use]
pub fn describe_target(target: Option<&TargetReport>) -> String {
    let Some(TargetReport { pid, name, alive }) = target else { return "not found".to_owned() };
    let ended = if *alive { "" } else { " has ended" };
    format!("{name} (pid {pid}){ended}")
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
    if durations.low_sample_count {
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
#[must_use]
pub fn people(seconds: f64) -> String {
    let precise = if seconds < 60.0 { seconds } else { seconds.round() };
    let time = Duration::try_from_secs_f64((precise * 10.0).round() / 10.0);
    time.map_or_else(|_| "unknown".to_owned(), |time| humantime::format_duration(time).to_string())
}

/// The text without what a terminal obeys: control characters, and marks that turn the direction of writing.
#[must_use]
pub fn harmless(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// An outcome, for people.
#[must_use]
pub fn describe_outcome(outcome: &OutcomeReport) -> String {
    let OutcomeReport { outcome, stragglers, idle_streams, seconds, signal, .. } = outcome;
    let signal = signal.as_deref().map_or_else(|| "no signal".to_owned(), |signal| format!("{signal} sent"));
    let idle = if *idle_streams > 0 { format!(", idle: {idle_streams}") } else { String::new() };
    format!("{outcome} after {seconds:.1} s, stragglers: {}{idle}, {signal}", known(*stragglers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sidecar_says_cannot_command_the_terminal() {
        let json = r#"{"phase":"serving","streams":null,"sources":[{"name":"metrics","state":"unknown",
            "error":"\u001b[2J\r\nowned"}],"target":{"pid":17,"name":"im\u0007","alive":true},"version":"0.1.0"}"#;
        let text = render(&serde_json::from_str(json).unwrap());
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert_eq!(text.lines().count(), 4, "{text:?}");
    }

    #[test]
    fn times_that_make_no_sense_are_unknown() {
        assert_eq!([people(-4.0), people(1e300), people(f64::NAN)], ["unknown"; 3]);
        assert_eq!([people(0.0), people(59.94), people(61.4)], ["0s", "59s 900ms", "1m 1s"]);
    }
}
