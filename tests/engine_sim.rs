//! The simulated engine by itself: what the other tests rely on must be true of it.

#[path = "support/sim.rs"]
mod sim;

use std::net::TcpStream;

use nix::sys::signal::Signal;

use crate::sim::{Sim, first_argument, wait_until};

const STREAM: &str = r#"engine_active_requests{kind="stream"} "#;

#[test]
fn page_counts_what_is_open_and_forgets_what_has_ended() {
    let mut engine = Sim::start(&[]);
    assert!(engine.page().contains(&format!("{STREAM}0\n")));
    assert!(!engine.page().contains("engine_requests_total"));

    let mut client = engine.client("/v1/listen", &["--streams", "2", "--durations", "2s"]);
    engine.wait_for("stream 2 opened kind=stream");
    let page = engine.page();
    assert!(page.contains(&format!("{STREAM}2\n")));
    assert!(page.contains(r#"engine_requests_total{kind="stream",response_status="1xx"} 2"#));
    assert!(page.ends_with("# EOF\n"));

    client.wait_for("2 streams: 2 clean, 0 cut, 0 refused");
    engine.wait_for(" closed after");
    engine.wait_for(" closed after");
    assert!(engine.page().contains(&format!("{STREAM}0\n")));
    assert_eq!(client.exit_code(), Some(0));
}

#[test]
fn kinds_of_work_are_counted_apart_and_flux_by_its_own_gauge() {
    let mut engine = Sim::start(&["--flux-names", "bare"]);
    assert!(!engine.page().contains("flux_used_streams"));
    let _clients = ["/batch", "/v1/speak", "/v2/listen"].map(|path| engine.client(path, &["--durations", "60s"]));
    for _ in 0..3 {
        engine.wait_for(" opened kind=");
    }
    let page = engine.page();
    assert!(page.contains(&format!("{STREAM}0\n")));
    assert!(page.contains("engine_active_requests{kind=\"batch\"} 1\n"));
    assert!(page.contains("engine_active_requests{kind=\"tts\"} 1\n"));
    assert!(page.contains("\nflux_used_streams 1\n"));
}

#[test]
fn sigint_closes_the_listener_and_lets_streams_finish() {
    let mut engine = Sim::start(&["--exit-code", "3"]);
    let mut client = engine.client("/v1/listen", &["--streams", "2", "--durations", "3s,4s"]);
    engine.wait_for("stream 2 opened");

    engine.signal(Signal::SIGINT);
    engine.wait_for("SIGINT received (1), listener closed, 2 streams open");
    let mut late = engine.client("/v1/listen", &[]);
    late.wait_for("stream 1 REFUSED: connection refused");
    assert_eq!(late.exit_code(), Some(1));
    assert!(engine.page().contains(&format!("{STREAM}2\n")));
    engine.signal(Signal::SIGTERM);
    engine.wait_for("SIGTERM received (2), ignored");

    client.wait_for("2 streams: 2 clean, 0 cut, 0 refused");
    engine.wait_for("exit code=3");
    assert_eq!(engine.exit_code(), Some(3));
}

#[test]
fn second_signal_cuts_streams_where_it_quits() {
    let mut engine = Sim::start(&["--second-signal-quits"]);
    let mut client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.signal(Signal::SIGTERM);
    engine.wait_for("SIGTERM received (1), listener closed, 1 streams open");
    engine.signal(Signal::SIGINT);
    engine.wait_for("SIGINT received (2), quitting, 1 streams cut");
    assert_eq!(engine.exit_code(), Some(1));
    client.wait_for("stream 1 CUT after");
    assert_eq!(client.exit_code(), Some(1));
}

#[test]
fn quitting_engine_cuts_streams_on_the_first_signal() {
    let mut engine = Sim::start(&["--on-signal", "quit", "--exit-code", "7"]);
    let mut client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.signal(Signal::SIGTERM);
    assert_eq!(engine.exit_code(), Some(7));
    client.wait_for("stream 1 CUT after");
}

#[test]
fn page_breaks_with_the_signal_on_request() {
    let mut engine = Sim::start(&["--page-after-signal", "empty", "--exit-delay", "60s"]);
    assert!(engine.page().contains(&format!("{STREAM}0\n")));
    engine.signal(Signal::SIGINT);
    engine.wait_for("listener closed, 0 streams open");
    assert!(engine.page().ends_with("\r\n\r\n"));
}

#[test]
fn gauge_can_drop_before_the_last_bytes_are_out() {
    let mut engine = Sim::start(&["--gauge-drops-early", "60s"]);
    let mut client = engine.client("/v1/listen", &["--durations", "500ms"]);
    engine.wait_for("stream 1 opened");
    wait_until(|| engine.page().contains(&format!("{STREAM}0\n")));
    engine.signal(Signal::SIGINT);
    engine.wait_for("listener closed, 1 streams open");
    assert!(client.is_running());
}

#[test]
fn metrics_port_closes_with_the_signal_on_request() {
    let mut engine = Sim::start(&["--metrics-close-on-signal"]);
    let _client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.signal(Signal::SIGINT);
    engine.wait_for("listener closed");
    assert!(TcpStream::connect(&engine.metrics).is_err());
}

#[test]
fn silent_stream_is_closed_with_1011() {
    let mut engine = Sim::start(&["--no-data-timeout", "300ms"]);
    let silence = ["--idle", "1", "--idle-from", "0s", "--keepalive-every", "1h", "--durations", "60s"];
    let mut client = engine.client("/v1/listen", &silence);
    client.wait_for("closed with 1011 NET-0001");
    engine.wait_for("stream 1 closed after");
}

#[test]
fn keep_alive_holds_a_stream_without_being_work() {
    let mut engine = Sim::start(&["--no-data-timeout", "1s"]);
    let idle = ["--idle", "1", "--idle-from", "0s", "--keepalive-every", "100ms", "--durations", "2s"];
    let mut client = engine.client("/v1/listen", &idle);
    client.wait_for("stream 1 ended cleanly");
    assert!(engine.wait_for("stream 1 closed").contains("code=1000"));
}

#[test]
fn full_engine_refuses_streams_with_503() {
    let mut engine = Sim::start(&["--max-active", "1"]);
    let _client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.client("/v1/listen", &[]).wait_for("stream 1 REFUSED: HTTP 503");
    assert!(engine.page().contains("engine_max_active_requests 1\n"));
}

#[test]
fn page_can_be_broken_and_mended_at_run_time() {
    let engine = Sim::start(&["--page", "html"]);
    assert!(engine.page().contains("text/html"));
    assert!(engine.put_page("nan").contains("200 OK"));
    assert!(engine.page().contains(&format!("{STREAM}NaN\n")));
    assert!(engine.put_page("500").contains("200 OK"));
    assert!(engine.page().starts_with("HTTP/1.1 500"));
    assert!(engine.put_page("truncated").contains("200 OK"));
    assert!(engine.page().ends_with("\nengine_active_requests"));
    assert!(engine.put_page("nonsense").contains("400 Bad Request"));
    assert!(engine.put_page("ok").contains("200 OK"));
    assert!(engine.page().contains(&format!("{STREAM}0\n")));
}

#[test]
fn padded_page_is_large_and_complete() {
    let engine = Sim::start(&["--pad-page", "5000000"]);
    let page = engine.page();
    assert!(page.len() > 5_000_000);
    assert!(page.contains(&format!("{STREAM}0\n")));
}

#[test]
fn default_mode_installs_no_handler_and_a_signal_kills() {
    let mut engine = Sim::start(&["--on-signal", "default"]);
    assert!(!engine.has_signal("SigCgt", Signal::SIGINT) && !engine.has_signal("SigCgt", Signal::SIGTERM));
    engine.signal(Signal::SIGINT);
    assert_eq!(engine.exit_code(), None);
}

#[test]
fn ignore_mode_is_ignored_by_the_kernel_under_the_same_name_and_pid() {
    let engine = Sim::start(&["--on-signal", "ignore"]);
    assert!(engine.has_signal("SigIgn", Signal::SIGINT) && engine.has_signal("SigIgn", Signal::SIGTERM));
    assert_eq!(first_argument(engine.pid()).as_deref(), Some("impeller"));
    assert!(engine.listening.ends_with(&format!(" pid={}", engine.pid())));
}

#[test]
fn child_has_the_same_name_and_dies_with_its_parent() {
    let engine = Sim::start(&["--child"]);
    let child = engine.program.seen.iter().find_map(|line| line.strip_prefix("engine: child pid="));
    let child: i32 = child.and_then(|pid| pid.parse().ok()).expect("a line with the child's pid");
    // A process that has just been executed has no arguments yet.
    wait_until(|| first_argument(child).as_deref() == Some("impeller"));
    drop(engine);
    wait_until(|| first_argument(child).is_none());
}
