//! The vendor's chart through `lameduck inject`, as a user would pipe it.

use serde_json::Value;

use crate::support::chart::{self, inject};
use crate::support::clock::{now, since};
use crate::support::manifest::{ENGINE, LAMEDUCK};
use crate::support::namespace::Place;
use crate::support::pod::Pod;
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[
    together("inject: the vendor's Deployment drains after one pipe", the_vendors_deployment_drains),
    together("inject: it drains without a sidecar, too", it_drains_without_a_sidecar),
    together("inject: every shape is valid, twice is the same bytes, and --remove gives back the old", valid_and_back),
];

const IMAGE: [&str; 2] = ["--image", "localhost/lameduck:test"];

fn the_vendors_deployment_drains() -> String {
    let place = Place::new("inject", "baseline");
    // The chart does not say the user, which is the image's own.
    let (pod, seconds) = drained(&place, &["--run-as-user", "1000"]);
    pod.assert_outcome("exited", 0, Some("SIGINT"));
    assert_eq!(pod.termination_message()["streams_at_start"], 4);
    assert_eq!(pod.exit_code(LAMEDUCK), Some(0));
    place.assert_hooks_succeeded();
    format!("4 streams clean, one SIGINT, exited, gone after {seconds} s of 1800")
}

fn it_drains_without_a_sidecar() -> String {
    let place = Place::new("inject-standalone", "baseline");
    let (pod, seconds) = drained(&place, &["--standalone"]);
    let outcome = pod.message_of(ENGINE);
    assert_eq!((&outcome["outcome"], &outcome["streams_at_start"]), (&"exited".into(), &4.into()), "{outcome}");
    // It may end its last stream and itself between two looks.
    assert!(outcome["stragglers"] == 0 || outcome["stragglers"].is_null(), "{outcome}");
    format!("4 streams clean, one SIGINT, {outcome}, gone after {seconds} s of 1800")
}

/// The pod of the vendor's Deployment after a pipe and a deletion under streams, and how long it stayed.
fn drained<'a>(place: &'a Place, args: &[&str]) -> (Pod<'a>, u64) {
    chart::prepare(place);
    place.apply_text(&inject(&chart::at_home(), &[&IMAGE[..], args].concat()));
    place.kubectl(&["rollout", "status", "deployment", chart::NAME, "--timeout=120s"]);
    let pod = place.pods().pop().expect("the Deployment has a pod");
    let client = pod.client(&["--streams", "4", "--durations", "10s,12s,14s,16s"]);
    pod.engine.wait_for("stream 4 opened");
    let deleted = now();
    place.kubectl(&["delete", "deployment", chart::NAME, "--wait=false"]);
    client.endings().assert_clean(4);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pod.engine.count("SIGTERM received"), 0, "and no other");
    assert_eq!(pod.exit_code(ENGINE), Some(0));
    (pod, seconds)
}

fn valid_and_back() -> String {
    let place = Place::new("inject-shapes", "baseline");
    let original = chart::original();
    place.validate(&original, &["--filename", "-"]);
    let shapes: [&[&str]; 3] = [&["--run-as-user=1000"], &["--run-as-user=1000", "--classic"], &["--standalone"]];
    for preset in ["deepgram-engine", "deepgram-api"] {
        for shape in shapes {
            let args = [&IMAGE[..], shape, &["--preset", preset]].concat();
            let injected = inject(&original, &args);
            assert_ne!(injected, original, "{args:?}");
            place.validate(&injected, &["--filename", "-"]);
            assert!(inject(&injected, &args) == injected, "twice is not once: {args:?}");
            assert!(inject(&injected, &["--remove"]) == original, "not the old: {args:?}");
        }
    }
    there_and_back(&place, shapes);
    "3 shapes of Engine and API in strict validation; on the API server, --remove gives back the old specification"
        .to_owned()
}

/// What the API server holds is the old again after the old manifests were made from the new ones.
fn there_and_back(place: &Place, shapes: [&[&str]; 3]) {
    let plain = chart::at_home().replace("replicas: 1", "replicas: 0");
    place.apply_text(&plain);
    let before = specification(place);
    for shape in shapes {
        let injected = inject(&plain, &[&IMAGE[..], shape].concat());
        place.apply_text(&injected);
        assert_ne!(specification(place), before, "{shape:?}");
        place.apply_text(&inject(&injected, &["--remove"]));
        assert_eq!(specification(place), before, "{shape:?}");
    }
}

fn specification(place: &Place) -> Value {
    let text = place.kubectl(&["get", "deployment", chart::NAME, "--output", "json"]);
    serde_json::from_str::<Value>(&text).unwrap()["spec"].take()
}
