//! The deadline: nobody is held longer, and what was cut is said.

use std::time::Duration;

use serde_json::Value;

use crate::lifecycle::Scene;
use lameduck_test_support::http::Call;
use lameduck_test_support::page::Answer;
use lameduck_test_support::sidecar::stopwatch;

const SHORT: [&str; 8] =
    ["--grace-period", "3s", "--exit-margin", "1s", "--lame-duck", "100ms", "--quiet-period", "200ms"];
/// A reading is believed for two of these, however busy the machine is.
const FRESH: [&str; 2] = ["--poll-interval", "1s"];
/// How long an answer may be on its way on a machine that has other things to do.
const LATE: Duration = Duration::from_secs(10);

#[test]
fn deadline_releases_everybody_and_counts_the_stragglers() {
    let scene = Scene::with_streams(3);
    let sidecar = scene.serve(&[&SHORT[..], &FRESH].concat());
    let elapsed = stopwatch();
    let first = sidecar.hook();
    scene.page.count(2);
    let hooks = [first, sidecar.hook(), sidecar.hook()];
    for outcome in hooks.map(Call::outcome) {
        assert_eq!(outcome["outcome"], "expired");
        assert_eq!(outcome["streams_at_start"], 3);
        assert_eq!(outcome["stragglers"], 2);
        assert!(outcome["seconds"].as_f64() >= Some(2.0), "{outcome}");
    }
    assert!(elapsed() < Duration::from_secs(2) + LATE, "held for {:?}", elapsed());
    assert_eq!(sidecar.metric("lameduck_stragglers_total"), Some(2.0));
    assert!(scene.target.signals() <= 1);
}

#[test]
fn stragglers_are_unknown_where_the_page_is() {
    for answer in [Answer::Hang, Answer::Refuse] {
        let scene = Scene::with_streams(3);
        let sidecar = scene.serve(&SHORT);
        let hook = sidecar.hook();
        scene.page.set(answer);
        let outcome = hook.outcome();
        assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("expired"), &Value::Null));
        assert_eq!(outcome["streams_at_start"], 3);
    }
}

#[test]
fn hook_after_the_deadline_is_held_again_without_a_second_signal() {
    let scene = Scene::with_streams(2);
    let sidecar = scene.serve(&SHORT);
    assert_eq!(sidecar.hook().outcome()["outcome"], "expired");
    let again = sidecar.hook();
    sidecar.wait_for_status("/phase", "draining");
    assert!(again.is_silent());
    scene.page.count(0);
    let outcome = again.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("drained"), &Value::from(0)));
    assert!(scene.target.signals() <= 1);
}

#[test]
fn zero_that_has_not_held_yet_at_the_deadline_is_no_drain() {
    let scene = Scene::with_streams(1);
    let times = ["--grace-period", "6s", "--exit-margin", "1s", "--lame-duck", "0s", "--quiet-period", "4900ms"];
    let sidecar = scene.serve(&[&times[..], &FRESH].concat());
    let hook = sidecar.hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(1);
    scene.page.count(0);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("expired"), &Value::from(0)));
}
