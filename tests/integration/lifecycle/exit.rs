//! The target's own end: the wait is over at once, and what it took with it is said.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lifecycle::{Scene, engine};
use lameduck_test_support::page::Answer;
use lameduck_test_support::shell::Shell;
use lameduck_test_support::sidecar::{QUICK, stopwatch};

#[test]
fn exit_of_the_target_ends_the_wait_at_once() {
    let mut took: Vec<Duration> = (0..5).map(|_| exit_to_answer()).collect();
    took.sort();
    println!("from the exit to the answer: median {:?} of {took:?}", took[2]);
    assert!(took[2] < Duration::from_secs(2), "{took:?}");
}

/// A poll interval as long as this leaves only the exit itself to end the wait.
fn exit_to_answer() -> Duration {
    let mut scene = Scene::with_streams(1);
    let sidecar = scene.serve(&["--grace-period", "10m", "--lame-duck", "0s", "--poll-interval", "1m"]);
    let hook = sidecar.hook();
    scene.target.wait_for("INT");
    scene.target.signal(Signal::SIGTERM);
    scene.target.wait_for("bye");
    let elapsed = stopwatch();
    assert_eq!(hook.outcome()["outcome"], "exited");
    elapsed()
}

#[test]
fn target_that_is_killed_in_mid_drain_is_not_clean() {
    let mut scene = Scene::with_streams(4);
    let mut sidecar = scene.serve_quick();
    let hook = sidecar.hook();
    scene.target.wait_for("INT");
    sidecar.wait_for_readings(2);
    scene.target.signal(Signal::SIGKILL);
    let outcome = hook.outcome();
    assert_eq!(outcome["outcome"], "exited");
    let stragglers = &outcome["stragglers"];
    assert!(*stragglers == 4 || stragglers.is_null(), "{outcome}");
    let code = if stragglers.is_null() { 11 } else { 10 };
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(code));
    assert_eq!(scene.pod.termination_message().unwrap(), outcome);
}

#[test]
fn target_that_fails_in_mid_drain_leaves_nobody_knowing() {
    let mut scene = Scene::with_streams(4);
    let mut sidecar = scene.serve_quick();
    let hook = sidecar.hook();
    scene.target.wait_for("INT");
    scene.target.signal(Signal::SIGUSR1);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("exited"), &Value::Null));
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(11));
}

#[test]
fn target_that_ends_unsignalled_leaves_its_streams_as_stragglers() {
    let scene = Scene::with_streams(4);
    let mut sidecar = scene.serve(&["--grace-period", "10m", "--lame-duck", "1m"]);
    let hook = sidecar.hook();
    sidecar.wait_for_readings(2);
    scene.target.signal(Signal::SIGUSR1);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&Value::from("exited"), &Value::Null));
    // A reading that is older than two polls says nothing.
    assert!(outcome["stragglers"] == 4 || outcome["stragglers"].is_null(), "{outcome}");
    sidecar.signal(Signal::SIGTERM);
    assert!(matches!(sidecar.exit_code(), Some(10 | 11)));
}

#[test]
fn new_incarnation_starts_over_and_can_be_drained_again() {
    let mut scene = Scene::with_streams(1);
    let sidecar = scene.serve_quick();
    for outcome in ["exited", "drained"] {
        let hook = sidecar.hook();
        scene.target.wait_for("INT");
        if outcome == "exited" {
            scene.target.signal(Signal::SIGKILL);
        }
        scene.page.count(0);
        assert_eq!(hook.outcome()["outcome"], outcome);
        assert_eq!(sidecar.get("/readyz").body, "done\n");
        scene.page.count(1);
        // The old one goes with the assignment, if it has not gone yet.
        scene.target = Shell::named(&scene.pod.target);
        sidecar.wait_for_ready();
        let status = sidecar.status();
        assert_eq!(
            (&status["phase"], &status["drain"], &status["outcome"]),
            (&"serving".into(), &Value::Null, &Value::Null)
        );
        assert_eq!(status["target"]["pid"], scene.target.pid);
    }
    assert_eq!(scene.target.signals(), 0, "nobody has asked for its end");
}

#[test]
fn new_incarnation_waits_for_a_reading_of_its_own() {
    let mut scene = Scene::with_streams(0);
    let sidecar = scene.serve_quick();
    scene.page.set(Answer::Refuse);
    scene.target = Shell::named(&scene.pod.target);
    sidecar.wait_for_status("/target/pid", scene.target.pid);
    assert!(sidecar.wait_for_unready("connection refused").starts_with("no reading yet"));
    scene.page.count(0);
    sidecar.wait_for_ready();
}

#[test]
fn only_the_exit_ends_a_drain_that_waits_for_it() {
    let mut scene = Scene::with_streams(0);
    let sidecar = scene.serve(&[&QUICK[..], &["--wait-for", "exit"]].concat());
    let hook = sidecar.hook();
    scene.target.wait_for("INT");
    sidecar.wait_for_readings(20);
    assert!(hook.is_silent());
    scene.target.signal(Signal::SIGTERM);
    assert_eq!(hook.outcome()["outcome"], "exited");
}

#[test]
fn engine_that_quits_on_the_signal_is_not_called_clean_where_its_code_says_otherwise() {
    let (mut engine, pod) = engine(&["--on-signal", "quit", "--exit-code", "1"]);
    let mut client = engine.client("/v1/listen", &["--durations", "60s"]);
    let sidecar = pod.start(&QUICK);
    sidecar.wait_for_status("/streams", 1);
    sidecar.wait_for_ready();
    let outcome = sidecar.hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("exited"), &Value::Null));
    client.wait_for("stream 1 CUT");
    assert_eq!(engine.exit_code(), Some(1));
}
