use super::*;
use crate::io::process::Process;

const URL: &str = "http://127.0.0.1:9991/metrics";

fn reasons() -> Reasons {
    Reasons::new(Wanted {
        target: Some(Matcher::Name("impeller".into())),
        metrics_url: URL.into(),
        streams: vec!["active".into(), "open_calls".into()],
        lazy_streams: vec!["flux".into(), "other_flux".into()],
        streams_ports: vec![8080, 8081],
        status_url: "http://127.0.0.1:8080/v1/status".into(),
    })
}

fn absent(source: Source, missing: &[usize]) -> NotReady {
    NotReady::SourceAbsent { source, missing: missing.to_vec() }
}

fn assert_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(text.lines().count() == 1 && text.chars().count() <= MAX_CHARS + 1, "{text}");
}

#[test]
fn missing_target_names_what_was_looked_for_and_what_is_visible() {
    let mut reasons = reasons();
    let visible =
        Visible { processes: vec![Process { pid: 7, name: "nginx".into() }], uid: 65532, ..Visible::default() };
    reasons.update(Instead::Processes(visible));
    let text = reasons.not_ready(&NotReady::NotFound);
    assert_parts(&text, &["target not found", "named impeller", "visible to uid 65532: nginx (7)", "--target"]);
    assert_eq!(reasons.visible_names(), ["nginx"]);
}

#[test]
fn several_targets_get_the_advice_that_fits() {
    let mut reasons = reasons();
    assert_parts(&reasons.not_ready(&NotReady::Ambiguous(vec![7, 8])), &["[7, 8]", "impeller", "--target-port"]);
    reasons.wanted.target = Some(Matcher::Port(8080));
    let text = reasons.not_ready(&NotReady::Ambiguous(vec![7, 8]));
    assert_parts(&text, &["[7, 8]", "port 8080", "name the target with --target"]);
    assert!(!text.contains("--target-port"), "{text}");
    reasons.update(Instead::Parent(Some(Process { pid: 5, name: "gunicorn".into() })));
    assert_parts(&reasons.not_ready(&NotReady::Ambiguous(vec![7, 8])), &["parent gunicorn (5)", "--target gunicorn"]);
    reasons.update(Instead::Parent(None));
    assert!(!reasons.not_ready(&NotReady::Ambiguous(vec![7, 8])).contains("gunicorn"));
}

#[test]
fn refused_signal_names_process_error_and_users() {
    let blocker = SignalBlocker::NotPermitted { errno: 1, theirs: 0, ours: 1000 };
    let text = reasons().not_ready(&NotReady::CannotSignal { pid: 7, signal: "SIGINT".into(), blocker });
    assert_parts(&text, &["process 7", "SIGINT", "EPERM", "uid 0 ", "uid 1000", "runAsUser"]);
}

#[test]
fn uncaught_signal_names_the_caught_ones() {
    let not_caught = NotReady::CannotSignal { pid: 7, signal: "SIGINT".into(), blocker: SignalBlocker::NotCaught };
    let mut reasons = reasons();
    assert_parts(&reasons.not_ready(&not_caught), &["SIGINT", "/proc/7/status", "--signal", "none"]);
    reasons.update(Instead::Uncaught(Uncaught { caught: vec!["SIGTERM", "SIGUSR1"], shell: None }));
    assert_parts(&reasons.not_ready(&not_caught), &["it catches SIGTERM, SIGUSR1"]);
    reasons.update(Instead::Uncaught(Uncaught { caught: Vec::new(), shell: Some("dash".into()) }));
    assert_parts(&reasons.not_ready(&not_caught), &["dash is a shell", "with exec", "--target", "--signal"]);
}

#[test]
fn unknown_caught_signals_are_not_a_missing_target() {
    let blocker = SignalBlocker::CaughtUnknown;
    let text = reasons().not_ready(&NotReady::CannotSignal { pid: 7, signal: "SIGINT".into(), blocker });
    let parts = ["cannot see here which signals the target catches", "no SigCgt in /proc/7/status", "SIGINT"];
    assert_parts(&text, &[&parts[..], &["--signal none", "--assume-signal-caught"]].concat());
    assert!(!text.contains("not found") && !text.contains("does not catch SIGINT"), "{text}");
}

#[test]
fn absent_series_are_named_with_the_gauges_of_the_page() {
    let mut reasons = reasons();
    let text = reasons.not_ready(&absent(Source::Metrics, &[1]));
    assert_parts(&text, &["no reading yet: open_calls matches nothing on", URL]);
    assert!(!text.contains("active"), "{text}");
    let available = "the page's gauges are open_call".to_owned();
    reasons.update(Instead::Gauges(Suggestion { available: available.clone(), best: Some("open_call".into()) }));
    let text = reasons.not_ready(&absent(Source::Metrics, &[0, 1]));
    assert_parts(&text, &["active, open_calls matches", &available, "--streams 'open_call'"]);
    assert_parts(&reasons.not_ready(&absent(Source::Lazy, &[1])), &["other_flux was on", URL, "no longer"]);
}

#[test]
fn absent_ports_and_status_page_are_named() {
    let mut reasons = reasons();
    let text = reasons.not_ready(&absent(Source::Sockets, &[1]));
    assert_parts(&text, &["nothing listens on port 8081; wait", "--streams-port"]);
    reasons.update(Instead::Ports(vec![8080, 9991]));
    assert_parts(&reasons.not_ready(&absent(Source::Sockets, &[1])), &["listening ports: 8080, 9991"]);
    assert_parts(&reasons.not_ready(&absent(Source::Status, &[0])), &["http://127.0.0.1:8080/v1/status"]);
}

#[test]
fn hostile_names_are_sanitized_and_shortened() {
    let mut reasons = reasons();
    let name = format!("a\u{1b}[2J\n\u{202e}{}", "x".repeat(5000));
    let visible = Visible { processes: vec![Process { pid: 7, name }; 40], ..Visible::default() };
    reasons.update(Instead::Processes(visible));
    let text = reasons.not_ready(&NotReady::NotFound);
    assert_parts(&text, &["a\u{fffd}[2J\u{fffd}\u{fffd}xxx", "(7)"]);
    let error = lameduck_machine::reading::ReadError::new(
        lameduck_machine::reading::ReadErrorKind::Invalid,
        "line\r\n".repeat(1000),
    );
    assert_parts(&reasons.not_ready(&NotReady::SourceUnknown(error)), &["line\u{fffd}\u{fffd}line", "…"]);
}

#[test]
fn phases_of_a_drain_need_no_explanation() {
    assert_eq!(reasons().not_ready(&NotReady::LameDuck), "lame duck");
    assert_eq!(reasons().not_ready(&NotReady::Draining), "draining");
}
