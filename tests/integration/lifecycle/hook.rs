//! The held hook call: for how long it is held, and what it is answered.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::lifecycle::{Fixture, start_engine};
use lameduck_test_support::http::Call;
use lameduck_test_support::process::{stopwatch, wait_until};
use lameduck_test_support::sidecar::QUICK_TIMES;

const HOUR_OF_LAME_DUCK: [&str; 4] = ["--grace-period", "2h", "--lame-duck", "1h"];

#[test]
fn held_caller_gets_nothing_until_one_small_answer() {
    let mut fixture = Fixture::with_streams(2);
    let sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    sidecar.wait_for_readings(3);
    assert!(hook.is_pending());

    fixture.end_streams();
    let bytes = hook.bytes();
    assert!(bytes.len() < 1024, "{} bytes", bytes.len());
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("connection: close"), "{head}");
    let mut outcome: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(outcome["seconds"].take().as_f64() > Some(0.3), "lame duck and quiet period alone take longer");
    assert!(outcome["id"].take().as_str().is_some_and(|id| id.len() == 16 && u64::from_str_radix(id, 16).is_ok()));
    let whole = json!({"id": null, "outcome": "drained", "streams_at_start": 2, "streams_at_signal": 2, "stragglers": 0,
        "idle_streams": 0, "seconds": null, "signal": "SIGINT", "warnings": []});
    assert_eq!(outcome, whole);
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn held_caller_is_exempt_from_request_timeout() {
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    let unfinished = Call::send(fixture.env.address, "GET /livez HTTP/1.1\r\n");
    unfinished.bytes();
    assert!(hook.is_pending(), "only reading a request has a time limit");
    fixture.page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
}

#[test]
fn fifty_callers_share_one_drain_and_one_signal() {
    let fixture = Fixture::with_streams(7);
    let sidecar = fixture.start_quick();
    let mut hooks: Vec<_> = (0..50).map(|_| sidecar.call_hook()).collect();
    assert_eq!(sidecar.metric("lameduck_hook_callers"), Some(50.0));
    // Half of them disconnect.
    hooks.truncate(25);
    wait_until(|| sidecar.metric("lameduck_hook_callers") == Some(25.0));

    fixture.page.set_streams(0);
    let outcomes: Vec<_> = hooks.into_iter().map(Call::outcome).collect();
    assert_eq!(outcomes[0]["outcome"], "drained");
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:#?}");
    assert_eq!(sidecar.metric("lameduck_drains_total{outcome=\"drained\"}"), Some(1.0));
    assert_eq!(sidecar.metric("lameduck_signals_total{signal=\"SIGINT\",result=\"sent\"}"), Some(1.0));
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn caller_disconnect_cancels_nothing() {
    let mut fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    drop(sidecar.call_hook());
    wait_until(|| sidecar.metric("lameduck_hook_callers") == Some(0.0));
    fixture.target.wait_for("INT");
    sidecar.wait_for_status("/phase", "draining");
    fixture.page.set_streams(0);
    sidecar.wait_for_status("/phase", "done");
    assert_eq!(fixture.env.termination_message().unwrap()["outcome"], "drained");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn pod_is_not_ready_before_signal() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_ready(&HOUR_OF_LAME_DUCK);
    let hook = sidecar.call_hook();
    assert_eq!(sidecar.wait_for_not_ready(""), "lame duck\n");
    assert_eq!(sidecar.get("/accepting").status, 503);
    sidecar.wait_for_readings(3);
    let status = sidecar.status();
    assert_eq!((&status["phase"], &status["drain"]["signalled"]), (&json!("lame_duck"), &json!(false)));
    assert!(hook.is_pending(), "zero streams do not end the lame duck phase");
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn pod_stays_ready_but_does_not_accept_with_unready_after() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_ready(&[&HOUR_OF_LAME_DUCK[..], &["--unready-after", "30m"]].concat());
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "lame_duck");
    sidecar.wait_for_readings(3);
    assert_eq!(sidecar.get("/readyz").body, "ready\n");
    assert_eq!(fixture.env.run_client(&["status", "--ready"]).0, Some(0));
    let accepting = sidecar.get("/accepting");
    assert_eq!((accepting.status, accepting.body.as_str()), (503, "lame duck\n"));
    assert!(sidecar.get("/metrics").body.contains("lameduck_phase{phase=\"lame_duck\"} 1"));
    assert!(hook.is_pending());
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn pod_turns_unready_before_signal_with_unready_after() {
    let fixture = Fixture::with_streams(1);
    let times = ["--grace-period", "1h", "--lame-duck", "30m", "--unready-after", "1s"];
    let sidecar = fixture.start_ready(&times);
    let elapsed = stopwatch();
    let _hook = sidecar.call_hook();
    assert_eq!(sidecar.wait_for_not_ready(""), "lame duck\n");
    assert!(elapsed() >= Duration::from_secs(1), "unready after {:?}", elapsed());
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn signal_waits_for_lame_duck() {
    let mut fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_ready(&["--grace-period", "10m", "--lame-duck", "700ms"]);
    let elapsed = stopwatch();
    let _hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    assert!(elapsed() >= Duration::from_millis(700), "signalled after {:?}", elapsed());
    assert_eq!(sidecar.get("/readyz").body, "draining\n");
}

#[test]
fn one_second_grace_period_suffices_for_signal_and_answer() {
    let mut fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_ready(&["--grace-period", "1"]);
    let elapsed = stopwatch();
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    println!("signalled after {:?}", elapsed());
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("expired"), &json!("SIGINT")));
    assert!(outcome["seconds"].as_f64() >= Some(0.9), "{outcome}");
}

#[test]
fn zero_must_hold_for_the_quiet_period() {
    let fixture = Fixture::with_streams(1);
    let times = ["--grace-period", "10m", "--lame-duck", "0s", "--quiet-period", "4s", "--exit-wait", "0s"];
    let sidecar = fixture.start_ready(&times);
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    // A new stream within the quiet period restarts it.
    fixture.page.set_streams(0);
    sidecar.wait_for_readings(3);
    fixture.page.set_streams(1);
    sidecar.wait_for_status("/streams", 1);
    let elapsed = stopwatch();
    fixture.page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
    assert!(elapsed() >= Duration::from_secs(4), "{:?}", elapsed());
}

#[test]
fn hook_after_drain_is_answered_without_signal() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    let first = sidecar.call_hook().outcome();
    fixture.page.set_streams(5);
    sidecar.wait_for_readings(3);
    assert_eq!(sidecar.call_hook().outcome(), first);
    assert_eq!(sidecar.get("/readyz").body, "done\n");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn hook_restarts_grace_period_only_if_no_other_is_held() {
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let budget = || {
        let drain = sidecar.status()["drain"].take();
        drain["elapsed_seconds"].as_f64().unwrap() + drain["remaining_seconds"].as_f64().unwrap()
    };
    let first = sidecar.call_hook();
    assert!((budget() - 595.0).abs() < 0.01, "{}", budget());
    thread::sleep(Duration::from_secs(1));
    let joined = sidecar.call_hook();
    assert!((budget() - 595.0).abs() < 0.01, "the second hook moved the deadline: {}", budget());
    drop((first, joined));
    wait_until(|| sidecar.metric("lameduck_hook_callers") == Some(0.0));

    let again = sidecar.call_hook();
    assert!(budget() > 596.0, "the deadline was not moved: {}", budget());
    fixture.page.set_streams(0);
    let outcome = again.outcome();
    assert!(outcome["seconds"].as_f64() > Some(1.0), "a new drain was started: {outcome}");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn hook_returns_after_real_streams_end() {
    let (mut engine, env) = start_engine(&["--second-signal-quits"]);
    let sidecar = env.start(&QUICK_TIMES);
    sidecar.wait_for_ready();
    let mut client = engine.client("/v1/listen", &["--streams", "3", "--durations", "1h"]);
    engine.wait_for("stream 3 opened");
    let hook = sidecar.call_hook();
    env.wait_until_served_on();
    client.signal(Signal::SIGTERM);
    let outcome = hook.outcome();
    assert_eq!(outcome["stragglers"], 0, "{outcome}");
    assert!(engine.wait_for("received (1)").starts_with("engine: SIGINT"));
    client.wait_for("3 streams: 3 clean, 0 cut, 0 refused");
    assert_eq!(engine.exit_code(), Some(0));
}
