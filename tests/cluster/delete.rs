//! A pod is deleted while its streams are open.

use serde_json::json;

use crate::support::clock::{now, since};
use crate::support::manifest::Manifest;
use crate::support::place::Place;
use crate::support::pod::{is_ready, is_terminating};
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[together(
    "delete: streams that end by themselves are not cut, and the pod goes when they have",
    streams_end_by_themselves,
)];

fn native(grace: u32) -> Manifest {
    Manifest::example("native-sidecar.yaml").pod("engine").grace(grace)
}

fn streams_end_by_themselves() -> String {
    let place = Place::new("delete-streams", "restricted");
    let pod = place.start(&native(60).engine(&["--exit-delay", "4s"]));
    pod.wait_ready();
    let client = pod.client(&["--streams", "6", "--durations", "8s,10s,12s,14s,16s,18s", "--stagger", "50ms"]);
    pod.engine.wait_for("stream 6 opened");
    let deleted = now();
    pod.delete(&[]);
    pod.wait_until("unready while it is terminating", |pod| is_terminating(pod) && !is_ready(pod));
    pod.engine.wait_for("SIGINT received (1)");
    client.endings().assert_clean(6);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pod.engine.count("SIGTERM received"), 0, "and no other");
    let outcome = pod.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&json!("drained"), &json!(0)));
    assert_eq!(pod.termination_message()["streams_at_start"], 6);
    place.assert_hooks_succeeded();
    assert!(seconds < 60, "gone after {seconds} s of 60");
    format!("6 streams clean, one SIGINT, drained, gone {seconds} s after the deletion")
}
