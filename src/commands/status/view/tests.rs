use super::*;
use crate::io::report::TargetReport;

fn source(name: &str, streams: Option<u64>, error: Option<&str>) -> SourceReport {
    let state = if streams.is_some() { "ok" } else { "unknown" };
    let error = error.map(str::to_owned);
    SourceReport { name: name.to_owned(), state: state.to_owned(), streams, error, age_seconds: Some(0.4) }
}

fn durations() -> DurationsReport {
    DurationsReport {
        count: 214,
        p50_seconds: 301.2,
        p90_seconds: 1218.7,
        p99_seconds: 2130.0,
        longest_seconds: 3000.0,
        low_sample_count: false,
        recommended_grace_period_seconds: 3600.0,
        estimated_time_to_zero_seconds: Some(431.0),
    }
}

fn drain() -> DrainReport {
    DrainReport {
        trigger: "hook".into(),
        elapsed_seconds: 612.1,
        remaining_seconds: 2982.9,
        streams_at_start: Some(14),
        signalled: true,
    }
}

/// A sidecar that has drained for ten minutes, and has been watched for 50 seconds, of which it did not answer three.
fn draining() -> Seen {
    let report = StatusReport {
        phase: "draining".into(),
        streams: Some(5),
        idle_streams: Some(1),
        sources: vec![source("metrics", Some(5), None), source("sockets", Some(5), None)],
        disagreement_seconds: None,
        target: Some(TargetReport { pid: 17, name: "impeller".into(), alive: true }),
        drain: Some(drain()),
        outcome: None,
        durations: Some(durations()),
        version: "0.1.0".into(),
    };
    let mut history = History::default();
    for second in (0..50).filter(|second| !(30..33).contains(second)) {
        history.record(second, Sample { streams: Some(14 - second / 5), idle: Some(second / 20) });
    }
    Seen { history, report, silent_for: None }
}

fn serving() -> Seen {
    let mut seen = draining();
    seen.report = StatusReport {
        phase: "serving".into(),
        drain: None,
        durations: None,
        idle_streams: None,
        streams: Some(3),
        ..seen.report
    };
    seen.history = History::default();
    (0..20).for_each(|second| seen.history.record(second, Sample { streams: Some(second % 4), idle: None }));
    seen
}

fn shown(seen: &Seen, columns: usize, rows: usize) -> Vec<String> {
    lines(seen, Size { columns, rows }).iter().map(|line| line.painted(false)).collect()
}

fn text(seen: &Seen) -> String {
    shown(seen, 80, 24).join("\n")
}

#[test]
fn a_usual_terminal_shows_everything() {
    let expected = [
        "lameduck 0.1.0; Ctrl-C ends this view and nothing else",
        "phase    draining",
        "streams  5: 4 working, 1 idle",
        "                              █████▇▇▇▇▇▆▆▆▆▆▅▅▅▅▅▃▃▃▃▃▂▂▂▂▂   ▁▁",
        "working                       ██████████████████████████████   ███████▆▆▆▆▆▅▅▅▅▅",
        "",
        "idle                          ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▃▃▃▃▃▃▃▃▃▃   ▃▃▃▃▃▃▃▄▄▄▄▄▄▄▄▄▄",
        "         1m 11s ago                       highest: 14                        now",
        "",
        "source   metrics: 5 streams, 0.4 s ago",
        "source   sockets: 5 streams, 0.4 s ago",
        "target   impeller (pid 17)",
        "",
        "drained  ████████████████████████████████████░░░░░░░░░░░░░░░░░░░░░ 9 of 14 ended",
        "time     █████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 49m 43s left",
        "end      in 7m 11s, as likely as not",
        "drain    by hook, for 10m 12s, target signalled",
        "",
        "seen     214 streams: p50 5m 1s, p90 20m 19s, p99 35m 30s, longest 50m",
        "advice   grace period 1h: the longest seen and a fifth more",
    ];
    assert_eq!(shown(&draining(), 80, 24), expected);
}

#[test]
fn a_narrow_terminal_shows_what_matters_most() {
    let expected = [
        "phase    draining",
        "streams  5: 4 working, 1 idle",
        "working        █████▇▇▇▇▇▆▆▆▅▅ ▅▅▄▄▃▃▃▃▃",
        "idle           ▁▁▁▁▁▁▁▁▁▁▂▂▂▂▂ ▂▂▂▂▂▂▂▂▂",
        "source   metrics: 5 streams, 0.4 s ago",
        "source   sockets: 5 streams, 0.4 s ago",
        "target   impeller (pid 17)",
        "drained  ██████████░░░░░░░ 9 of 14 ended",
        "time     ███░░░░░░░░░░░░░░░ 49m 43s left",
        "end      in 7m 11s, as likely as not",
    ];
    assert_eq!(shown(&draining(), 40, 10), expected);
}

#[test]
fn a_tiny_terminal_shows_phase_streams_and_time() {
    let expected = [
        "phase   draining",
        "streams 5: 4 workin…",
        "working   ██▇▇▆▅▅▄▃▃",
        "time    49m 43s left",
        "end     in 7m 11s, …",
    ];
    assert_eq!(shown(&draining(), 20, 5), expected);
    assert_eq!(shown(&draining(), 20, 1), ["phase   draining"]);
}

#[test]
fn streams_are_one_graph_where_idle_ones_are_not_told_apart() {
    let expected = [
        "phase    serving",
        "streams  3",
        "                                                               █   █   █   █   █",
        "                                                              ▆█  ▆█  ▆█  ▆█  ▆█",
        "                                                             ▄██ ▄██ ▄██ ▄██ ▄██",
        "                                                            ▁███▁███▁███▁███▁███",
        "         1m 11s ago                        highest: 3                        now",
    ];
    assert_eq!(shown(&serving(), 80, 24)[1..8], expected);
    assert_eq!(shown(&serving(), 40, 10)[3], "                    ▁▄▆█▁▄▆█▁▄▆█▁▄▆█▁▄▆█");
}

#[test]
fn nothing_is_wider_or_higher_than_the_terminal() {
    let mut seen = draining();
    seen.silent_for = Some(7);
    seen.report.sources = (0..30).map(|_| source("ü", None, Some(&"größer ".repeat(40)))).collect();
    for (columns, rows) in (0..100).step_by(3).flat_map(|columns| (0..40).step_by(3).map(move |rows| (columns, rows))) {
        for seen in [&seen, &serving()] {
            let lines = shown(seen, columns, rows);
            assert!(lines.len() <= rows, "{columns} by {rows}: {lines:#?}");
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{columns} by {rows}: {lines:#?}");
        }
    }
}

#[test]
fn unknown_counts_are_called_so_and_are_a_gap() {
    let mut seen = serving();
    seen.report.streams = None;
    (20..30).for_each(|second| seen.history.record(second, Sample::default()));
    let shown = shown(&seen, 40, 10);
    assert_eq!(shown[2], "streams  unknown");
    assert_eq!(shown[3], "          ▁▄▆█▁▄▆█▁▄▆█▁▄▆█▁▄▆█");
    seen.report.drain = Some(drain());
    assert!(text(&seen).contains("\ndrained  unknown of 14 ended\n"), "{}", text(&seen));
}

#[test]
fn long_errors_are_cut_and_cannot_command_the_terminal() {
    let mut seen = serving();
    let error = format!("http://a/\x1b]0;owned\x07\r\n{}", "no answer ".repeat(20));
    seen.report.sources = vec![source("metrics", None, Some(&error))];
    seen.report.target = Some(TargetReport { pid: 17, name: "im\x1b[2Jpeller".into(), alive: true });
    seen.report.phase = "ser\x1bving".into();
    let shown = shown(&seen, 60, 24);
    let expected = "source   metrics: unknown, 0.4 s ago: http://a/�]0;owned���…";
    assert!(shown.iter().any(|line| line == expected), "{shown:#?}");
    assert!(shown.iter().any(|line| line == "target   im�[2Jpeller (pid 17)"), "{shown:#?}");
    assert!(shown.concat().chars().all(|c| !c.is_control()), "{shown:#?}");
}

#[test]
fn an_end_is_estimated_only_where_it_can_be() {
    let end = |seen: &Seen| shown(seen, 80, 24).into_iter().find(|line| line.starts_with("end")).unwrap();
    let mut seen = draining();
    seen.report.drain = Some(DrainReport { remaining_seconds: 300.0, ..drain() });
    assert_eq!(end(&seen), "end      in 7m 11s, as likely as not: after the deadline");
    seen.report.durations = Some(DurationsReport { estimated_time_to_zero_seconds: None, ..durations() });
    assert_eq!(end(&seen), "end      no estimate");
    seen.report.durations = None;
    assert_eq!(end(&seen), "end      no estimate");
    seen.report.streams = Some(0);
    assert_eq!(end(&seen), "end      no stream is left");
}

#[test]
fn silence_is_said_above_what_was_said_last() {
    let seen = Seen { silent_for: Some(75), ..draining() };
    assert_eq!(shown(&seen, 80, 24)[1], "no sidecar answers since 1m 15s; what it said last:");
    assert_eq!(shown(&seen, 24, 2), ["no sidecar answers sinc…", "phase   draining"]);
}

#[test]
fn an_outcome_takes_the_place_of_the_drain() {
    let mut seen = draining();
    seen.report.outcome = Some(OutcomeReport {
        outcome: "expired".into(),
        streams_at_start: Some(14),
        stragglers: Some(2),
        idle_streams: 0,
        seconds: 3595.0,
        signal: Some("SIGINT".into()),
    });
    let text = text(&seen);
    assert!(text.contains("\noutcome  expired after 3595.0 s, stragglers: 2, SIGINT sent\n"), "{text}");
    assert!(!text.contains("left") && !text.contains("\nend "), "{text}");
    assert!(shown(&seen, 20, 5)[2].starts_with("working"), "{text}");
}

#[test]
fn few_durations_are_called_few() {
    let mut seen = serving();
    seen.report.durations = Some(DurationsReport { count: 3, low_sample_count: true, ..durations() });
    assert!(text(&seen).contains("grace period 1h: few were seen, so look again later"), "{}", text(&seen));
}

#[test]
fn numbers_that_make_no_sense_do_no_harm() {
    let mut seen = draining();
    let nonsense = DrainReport { elapsed_seconds: -1.0, remaining_seconds: 1.0, streams_at_start: Some(0), ..drain() };
    seen.report.drain = Some(nonsense);
    seen.report.durations = Some(DurationsReport { longest_seconds: 1e300, p50_seconds: -4.0, ..durations() });
    assert!(text(&seen).contains("longest unknown"), "{}", text(&seen));
}
