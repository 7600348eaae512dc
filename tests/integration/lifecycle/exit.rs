//! The target exits: the drain ends immediately, and what was cut is reported.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lifecycle::{Fixture, start_engine};
use lameduck_test_support::page::PageReply;
use lameduck_test_support::process::stopwatch;
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::QUICK_TIMES;

#[test]
fn target_exit_releases_hook_immediately() {
    let mut fixture = Fixture::with_streams(1);
    // With so long a poll interval only the exit can end the drain while this test waits.
    let sidecar = fixture.start_ready(&["--grace-period", "1h", "--lame-duck", "0s", "--poll-interval", "30m"]);
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    fixture.target.signal(Signal::SIGTERM);
    fixture.target.wait_for("bye");
    let elapsed = stopwatch();
    assert_eq!(hook.outcome()["outcome"], "exited");
    println!("from the exit to the answer: {:?}", elapsed());
}

#[test]
fn target_killed_during_drain_is_not_clean() {
    let mut fixture = Fixture::with_streams(4);
    let mut sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    sidecar.wait_for_readings(2);
    fixture.target.signal(Signal::SIGKILL);
    let outcome = hook.outcome();
    assert_eq!(outcome["outcome"], "exited");
    let stragglers = &outcome["stragglers"];
    assert!(*stragglers == 4 || stragglers.is_null(), "{outcome}");
    let code = if stragglers.is_null() { 11 } else { 10 };
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(code));
    assert_eq!(fixture.env.termination_message().unwrap(), outcome);
}

#[test]
fn target_failure_during_drain_makes_stragglers_unknown() {
    let mut fixture = Fixture::with_streams(4);
    let mut sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    fixture.target.signal(Signal::SIGUSR1);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("exited"), &Value::Null));
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(11));
}

#[test]
fn exit_before_signal_counts_streams_as_stragglers() {
    let fixture = Fixture::with_streams(4);
    let mut sidecar = fixture.start_ready(&["--grace-period", "10m", "--lame-duck", "1m"]);
    let hook = sidecar.call_hook();
    sidecar.wait_for_readings(2);
    fixture.target.signal(Signal::SIGUSR1);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&Value::from("exited"), &Value::Null));
    // A reading older than two polls is not counted.
    assert!(outcome["stragglers"] == 4 || outcome["stragglers"].is_null(), "{outcome}");
    sidecar.signal(Signal::SIGTERM);
    assert!(matches!(sidecar.exit_code(), Some(10 | 11)));
}

#[test]
fn new_incarnation_can_be_drained_again() {
    let mut fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    for outcome in ["exited", "drained"] {
        let hook = sidecar.call_hook();
        fixture.target.wait_for("INT");
        if outcome == "exited" {
            fixture.target.signal(Signal::SIGKILL);
        }
        fixture.page.set_streams(0);
        assert_eq!(hook.outcome()["outcome"], outcome);
        assert_eq!(sidecar.get("/readyz").body, "done\n");
        fixture.page.set_streams(1);
        // The assignment drops the old target, which kills it if it is still running.
        fixture.target = ShellTarget::start(&fixture.env.target_name);
        sidecar.wait_for_ready();
        let status = sidecar.status();
        assert_eq!((&status["phase"], &status["drain"]), (&"serving".into(), &Value::Null));
        assert_eq!(status["outcome"]["outcome"], outcome, "the last outcome is kept");
        assert_eq!(status["target"]["pid"], fixture.target.pid);
    }
    assert_eq!(fixture.target.into_signal_count(), 0, "no drain of it was requested");
}

#[test]
fn new_incarnation_needs_its_own_reading() {
    let mut fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    fixture.page.set_reply(PageReply::Refuse);
    fixture.target = ShellTarget::start(&fixture.env.target_name);
    sidecar.wait_for_status("/target/pid", fixture.target.pid);
    assert!(sidecar.wait_for_not_ready("connection refused").starts_with("no reading yet"));
    fixture.page.set_streams(0);
    sidecar.wait_for_ready();
}

#[test]
fn wait_for_exit_ignores_zero_streams() {
    let mut fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &["--wait-for", "exit"]].concat());
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    sidecar.wait_for_readings(20);
    assert!(hook.is_pending());
    fixture.target.signal(Signal::SIGTERM);
    assert_eq!(hook.outcome()["outcome"], "exited");
}

#[test]
fn nonzero_exit_after_signal_is_not_reported_clean() {
    let (mut engine, env) = start_engine(&["--on-signal", "quit", "--exit-code", "1"]);
    let mut client = engine.client("/v1/listen", &["--durations", "1h"]);
    let sidecar = env.start(&QUICK_TIMES);
    sidecar.wait_for_status("/streams", 1);
    sidecar.wait_for_ready();
    let outcome = sidecar.call_hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("exited"), &Value::Null));
    client.wait_for("stream 1 CUT");
    assert_eq!(engine.exit_code(), Some(1));
}
