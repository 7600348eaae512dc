//! The metrics page, correct and broken.

use nix::sys::signal::Signal;

use crate::engine_sim::STREAM;
use lameduck_test_support::process::wait_until;
use lameduck_test_support::sim::EngineSim;

#[test]
fn page_counts_open_streams_only() {
    let mut engine = EngineSim::start(&[]);
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
fn work_kinds_are_counted_separately_flux_by_its_own_gauge() {
    let mut engine = EngineSim::start(&["--flux-names", "bare"]);
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
fn page_can_break_on_signal() {
    let mut engine = EngineSim::start(&["--page-after-signal", "empty", "--exit-delay", "60s"]);
    assert!(engine.page().contains(&format!("{STREAM}0\n")));
    engine.signal(Signal::SIGINT);
    engine.wait_for("listener closed, 0 streams open");
    assert!(engine.page().ends_with("\r\n\r\n"));
}

#[test]
fn gauge_can_drop_before_last_bytes_are_sent() {
    let mut engine = EngineSim::start(&["--gauge-drops-early", "60s"]);
    let mut client = engine.client("/v1/listen", &["--durations", "500ms"]);
    engine.wait_for("stream 1 opened");
    wait_until(|| engine.page().contains(&format!("{STREAM}0\n")));
    engine.signal(Signal::SIGINT);
    engine.wait_for("listener closed, 1 streams open");
    assert!(client.is_running());
}

#[test]
fn page_can_be_broken_and_repaired_at_run_time() {
    let engine = EngineSim::start(&["--page", "html"]);
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
    let engine = EngineSim::start(&["--pad-page", "5000000"]);
    let page = engine.page();
    assert!(page.len() > 5_000_000);
    assert!(page.contains(&format!("{STREAM}0\n")));
}

#[test]
fn page_can_report_a_false_count() {
    let mut engine = EngineSim::start(&["--page", "says:0", "--flux-as-stream"]);
    let _clients = ["/v1/listen", "/batch", "/v2/listen"].map(|path| engine.client(path, &["--durations", "60s"]));
    for _ in 0..3 {
        engine.wait_for(" opened kind=");
    }
    let page = engine.page();
    assert!(page.contains(&format!("{STREAM}0\n")));
    assert!(page.contains("engine_active_requests{kind=\"batch\"} 0\n"));
    assert!(page.contains("engine_flux_used_streams 0\n"));
    assert!(engine.put_page("says:7").contains("200 OK"));
    let page = engine.page();
    assert!(page.contains(&format!("{STREAM}7\n")));
    assert!(page.contains("engine_active_requests{kind=\"batch\"} 0\n"));
    assert!(engine.put_page("ok").contains("200 OK"));
    assert!(engine.page().contains(&format!("{STREAM}2\n")));
}

#[test]
fn page_can_freeze_on_signal() {
    let mut engine = EngineSim::start(&["--page-after-signal", "frozen", "--exit-delay", "60s"]);
    let mut client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.signal(Signal::SIGINT);
    engine.wait_for("listener closed, 1 streams open");
    client.signal(Signal::SIGTERM);
    client.wait_for("1 streams: 1 clean");
    engine.wait_for("stream 1 closed");
    assert!(engine.page().contains(&format!("{STREAM}1\n")));
    assert!(engine.put_page("ok").contains("200 OK"));
    assert!(engine.page().contains(&format!("{STREAM}0\n")));
}
