//! A page that cannot be read during a drain never counts as zero.

use serde_json::{Value, json};

use crate::lifecycle::{Fixture, SHORT_SCRAPES, run_in_parallel, start_engine};
use lameduck_test_support::page::PageReply;
use lameduck_test_support::sidecar::QUICK_TIMES;

/// Names, the resulting state of the source in the status, and replies.
fn unreadable() -> Vec<(&'static str, &'static str, PageReply)> {
    let gauge = "engine_active_requests{kind=\"stream\"}";
    let raw = |text: String| PageReply::Raw(text.into_bytes());
    let answered = |head: &str, body: &str| raw(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}"));
    let openmetrics = "application/openmetrics-text; version=1.0.0";
    vec![
        ("refused", "unknown", PageReply::Refuse),
        ("hanging", "unknown", PageReply::Hang),
        ("closed without a reply", "unknown", raw(String::new())),
        ("no HTTP", "unknown", raw("SSH-2.0-OpenSSH_9.9\r\n".into())),
        ("empty", "absent", PageReply::text("")),
        ("absent", "absent", PageReply::text("up 1\n")),
        ("another's name", "absent", PageReply::text("engine_active_requests_total 0\n")),
        ("NaN", "unknown", PageReply::text(&format!("{gauge} NaN\n"))),
        ("infinite", "unknown", PageReply::text(&format!("{gauge} +Inf\n"))),
        ("negative", "unknown", PageReply::text(&format!("{gauge} -1\n"))),
        ("half a stream", "unknown", PageReply::text(&format!("{gauge} 0.5\n"))),
        ("no value", "unknown", PageReply::text(&format!("{gauge}\n"))),
        ("torn labels", "unknown", PageReply::text("engine_active_requests{kind=\"stream\" 0\n")),
        ("twice", "unknown", PageReply::text(&format!("{gauge} 0\n{gauge} 0\n"))),
        ("last line torn", "unknown", answered("200 OK", &format!("{gauge} 0"))),
        (
            "not UTF-8",
            "unknown",
            PageReply::Raw(
                b"HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\nengine_active_requests \xff\xfe0\n\n\n".to_vec(),
            ),
        ),
        ("HTML", "unknown", PageReply::ok("text/html", &format!("{gauge} 0\n"))),
        ("HTML in disguise", "unknown", PageReply::text("<html>\nengine_active_requests 0\n</html>\n")),
        ("OpenMetrics without its end", "unknown", PageReply::ok(openmetrics, &format!("{gauge} 0\n"))),
        ("shorter than it says", "unknown", answered("200 OK\r\nContent-Length: 900", &format!("{gauge} 0\n"))),
        (
            "torn chunks",
            "unknown",
            answered("200 OK\r\nTransfer-Encoding: chunked", "19\r\nengine_active_requests 0\n\r\n"),
        ),
        ("500", "unknown", answered("500 Oh\r\nContent-Length: 25", "engine_active_requests 0\n")),
        ("204", "unknown", answered("204 No Content", "")),
        (
            "redirect",
            "unknown",
            answered("302 Found\r\nLocation: /\r\nContent-Length: 25", "engine_active_requests 0\n"),
        ),
        (
            "packed",
            "unknown",
            answered("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25", "engine_active_requests 0\n"),
        ),
    ]
}

#[test]
fn unreadable_page_never_counts_as_zero() {
    run_in_parallel(unreadable().into_iter().map(|(name, state, reply)| {
        let case = move || {
            // Once from a count above zero, once from zero.
            assert_drain_waits(1, state, &reply);
            assert_drain_waits(0, state, &reply);
        };
        (name, case)
    }));
}

fn assert_drain_waits(streams: u64, state: &str, answer: &PageReply) {
    let fixture = Fixture::with_streams(streams);
    let sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &SHORT_SCRAPES].concat());
    fixture.page.set_reply(answer.clone());
    sidecar.wait_for_status("/sources/0/state", state);
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(5);
    let status = sidecar.status();
    assert_eq!((&status["streams"], &status["phase"]), (&Value::Null, &Value::from("draining")), "{status}");
    assert!(status["sources"][0]["error"].as_str().is_some_and(|error| !error.is_empty()), "{status}");
    assert_eq!(sidecar.metric("lameduck_streams"), None);
    assert_eq!(sidecar.metric("lameduck_source_up{source=\"metrics\"}"), Some(0.0));
    assert!(hook.is_pending());

    sidecar.wait_for_status("/drain/signalled", true);
    fixture.page.set_streams(0);
    let outcome = hook.outcome();
    // No reading after the signal has seen a stream, and the count before it was unknown.
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("drained"), &Value::Null));
}

#[test]
fn vanished_lazy_series_is_absent_not_zero() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    let page = |lazy: &str| fixture.page.set_reply(PageReply::text(&format!("engine_active_requests 0\n{lazy}")));
    page("flux_used_streams 4\n");
    sidecar.wait_for_status("/streams", 4);
    let hook = sidecar.call_hook();
    page("");
    sidecar.wait_for_status("/sources/1/state", "absent");
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(5);
    assert_eq!(sidecar.status()["streams"], Value::Null);
    let counted = sidecar.metric("lameduck_source_readings_total{source=\"lazy\",result=\"absent\"}");
    assert!(counted > Some(0.0), "the absent readings are not counted: {counted:?}");
    assert!(hook.is_pending());
    page("flux_used_streams 0\n");
    assert_eq!(hook.outcome()["outcome"], "drained");
}

#[test]
fn page_broken_by_signal_holds_drain_until_exit() {
    let breaks = ["hang", "garbage", "html", "500", "empty", "truncated", "aborted", "nan", "negative", "closed"];
    run_in_parallel(breaks.map(|breaks| (breaks, move || assert_drain_waits_for_exit(breaks))));
}

fn assert_drain_waits_for_exit(breaks: &str) {
    let breaking = ["--page-after-signal", breaks];
    let (mut engine, env) =
        if breaks == "closed" { start_engine(&["--metrics-close-on-signal"]) } else { start_engine(&breaking) };
    let client = engine.client("/v1/listen", &["--durations", "1h"]);
    let sidecar = env.start(&[&QUICK_TIMES[..], &SHORT_SCRAPES].concat());
    sidecar.wait_for_status("/streams", 1);
    sidecar.wait_for_ready();
    let hook = sidecar.call_hook();
    engine.wait_for("SIGINT received (1)");
    sidecar.wait_for_readings(3);
    assert_eq!(sidecar.status()["streams"], Value::Null);
    assert!(hook.is_pending());
    drop(client);
    assert_eq!(engine.exit_code(), Some(0));
    let outcome = hook.outcome();
    // No reading after the signal has seen it still serving.
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("exited"), &Value::Null), "{outcome}");
    assert_eq!(outcome["warnings"], json!(["ended_with_signal"]));
}
