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

/// A sidecar that has drained for ten minutes. The view has been open for 50 seconds, in three of which there was no
/// answer.
fn draining() -> Observed {
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
    Observed { history, report, unreachable_for: None }
}

fn serving() -> Observed {
    let mut observed = draining();
    observed.report = StatusReport {
        phase: "serving".into(),
        drain: None,
        durations: None,
        idle_streams: None,
        streams: Some(3),
        ..observed.report
    };
    observed.history = History::default();
    (0..20).for_each(|second| observed.history.record(second, Sample { streams: Some(second % 4), idle: None }));
    observed
}

fn shown(observed: &Observed, columns: usize, rows: usize) -> Vec<String> {
    lines(observed, Size { columns, rows }).iter().map(|line| line.render(false)).collect()
}

fn text(observed: &Observed) -> String {
    shown(observed, 80, 24).join("\n")
}

#[test]
fn default_size_shows_everything() {
    let expected = [
        "lameduck 0.1.0; Ctrl-C closes this view, nothing else",
        "phase    draining",
        "streams  5: 4 active, 1 idle",
        "                              █████▇▇▇▇▇▆▆▆▆▆▅▅▅▅▅▃▃▃▃▃▂▂▂▂▂   ▁▁",
        "active                        ██████████████████████████████   ███████▆▆▆▆▆▅▅▅▅▅",
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
        "end      in 7m 11s (median estimate)",
        "drain    by hook, for 10m 12s, target signalled",
        "",
        "seen     214 streams: p50 5m 1s, p90 20m 19s, p99 35m 30s, longest 50m",
        "advice   grace period 1h: the longest seen plus a fifth",
    ];
    assert_eq!(shown(&draining(), 80, 24), expected);
}

#[test]
fn narrow_terminal_shows_most_important_lines() {
    let expected = [
        "phase    draining",
        "streams  5: 4 active, 1 idle",
        "active         █████▇▇▇▇▇▆▆▆▅▅ ▅▅▄▄▃▃▃▃▃",
        "idle           ▁▁▁▁▁▁▁▁▁▁▂▂▂▂▂ ▂▂▂▂▂▂▂▂▂",
        "source   metrics: 5 streams, 0.4 s ago",
        "source   sockets: 5 streams, 0.4 s ago",
        "target   impeller (pid 17)",
        "drained  ██████████░░░░░░░ 9 of 14 ended",
        "time     ███░░░░░░░░░░░░░░░ 49m 43s left",
        "end      in 7m 11s (median estimate)",
    ];
    assert_eq!(shown(&draining(), 40, 10), expected);
}

#[test]
fn tiny_terminal_shows_phase_streams_and_time() {
    let expected = [
        "phase   draining",
        "streams 5: 4 active…",
        "active    ██▇▇▆▅▅▄▃▃",
        "time    49m 43s left",
        "end     in 7m 11s (…",
    ];
    assert_eq!(shown(&draining(), 20, 5), expected);
    assert_eq!(shown(&draining(), 20, 1), ["phase   draining"]);
}

#[test]
fn unknown_idle_count_gives_one_graph() {
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
fn view_never_exceeds_terminal() {
    let mut observed = draining();
    observed.unreachable_for = Some(7);
    observed.report.sources = (0..30).map(|_| source("ü", None, Some(&"größer ".repeat(40)))).collect();
    for (columns, rows) in (0..100).step_by(3).flat_map(|columns| (0..40).step_by(3).map(move |rows| (columns, rows))) {
        for observed in [&observed, &serving()] {
            let lines = shown(observed, columns, rows);
            assert!(lines.len() <= rows, "{columns} by {rows}: {lines:#?}");
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{columns} by {rows}: {lines:#?}");
        }
    }
}

#[test]
fn unknown_counts_are_labelled_and_leave_gap() {
    let mut observed = serving();
    observed.report.streams = None;
    (20..30).for_each(|second| observed.history.record(second, Sample::default()));
    let shown = shown(&observed, 40, 10);
    assert_eq!(shown[2], "streams  unknown");
    assert_eq!(shown[3], "          ▁▄▆█▁▄▆█▁▄▆█▁▄▆█▁▄▆█");
    observed.report.drain = Some(drain());
    assert!(text(&observed).contains("\ndrained  unknown of 14 ended\n"), "{}", text(&observed));
}

#[test]
fn long_errors_are_truncated_and_sanitized() {
    let mut observed = serving();
    let error = format!("http://a/\x1b]0;owned\x07\r\n{}", "no answer ".repeat(20));
    observed.report.sources = vec![source("metrics", None, Some(&error))];
    observed.report.target = Some(TargetReport { pid: 17, name: "im\x1b[2Jpeller".into(), alive: true });
    observed.report.phase = "ser\x1bving".into();
    let shown = shown(&observed, 60, 24);
    let expected = "source   metrics: unknown, 0.4 s ago: http://a/�]0;owned���…";
    assert!(shown.iter().any(|line| line == expected), "{shown:#?}");
    assert!(shown.iter().any(|line| line == "target   im�[2Jpeller (pid 17)"), "{shown:#?}");
    assert!(shown.concat().chars().all(|c| !c.is_control()), "{shown:#?}");
}

#[test]
fn end_is_estimated_if_possible() {
    let end = |observed: &Observed| shown(observed, 80, 24).into_iter().find(|line| line.starts_with("end")).unwrap();
    let mut observed = draining();
    observed.report.drain = Some(DrainReport { remaining_seconds: 300.0, ..drain() });
    assert_eq!(end(&observed), "end      in 7m 11s (median estimate), after the deadline");
    observed.report.durations = Some(DurationsReport { estimated_time_to_zero_seconds: None, ..durations() });
    assert_eq!(end(&observed), "end      no estimate");
    observed.report.durations = None;
    assert_eq!(end(&observed), "end      no estimate");
    observed.report.streams = Some(0);
    assert_eq!(end(&observed), "end      no streams left");
}

#[test]
fn unreachable_sidecar_is_noted_above_last_status() {
    let observed = Observed { unreachable_for: Some(75), ..draining() };
    assert_eq!(shown(&observed, 80, 24)[1], "no sidecar answers for 1m 15s; last status:");
    assert_eq!(shown(&observed, 24, 2), ["no sidecar answers for …", "phase   draining"]);
}

#[test]
fn outcome_replaces_drain() {
    let mut observed = draining();
    observed.report.outcome = Some(OutcomeReport {
        id: "6f0c2d9be1a74b13".into(),
        streams_at_signal: Some(3),
        warnings: Vec::new(),
        outcome: "expired".into(),
        streams_at_start: Some(14),
        stragglers: Some(2),
        idle_streams: 0,
        seconds: 3595.0,
        signal: Some("SIGINT".into()),
    });
    let text = text(&observed);
    assert!(text.contains("\noutcome  expired after 3595.0 s, stragglers: 2, SIGINT sent\n"), "{text}");
    assert!(!text.contains("left") && !text.contains("\nend "), "{text}");
    assert!(shown(&observed, 20, 5)[2].starts_with("active"), "{text}");
}

#[test]
fn few_durations_are_flagged() {
    let mut observed = serving();
    observed.report.durations = Some(DurationsReport { count: 3, low_sample_count: true, ..durations() });
    assert!(
        text(&observed).contains("grace period 1h: few streams were seen, check again later"),
        "{}",
        text(&observed)
    );
}

#[test]
fn impossible_numbers_are_harmless() {
    let mut observed = draining();
    let impossible =
        DrainReport { elapsed_seconds: -1.0, remaining_seconds: 1.0, streams_at_start: Some(0), ..drain() };
    observed.report.drain = Some(impossible);
    observed.report.durations = Some(DurationsReport { longest_seconds: 1e300, p50_seconds: -4.0, ..durations() });
    assert!(text(&observed).contains("longest unknown"), "{}", text(&observed));
}
