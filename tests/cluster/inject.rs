//! The vendor's chart, piped through `lameduck inject` as a user would do it.

use serde_json::Value;

use crate::parallel;
use crate::support::chart::{self, inject};
use crate::support::clock::{now, since};
use crate::support::manifest::{ENGINE, LAMEDUCK};
use crate::support::namespace::Namespace;
use crate::support::pod::Pod;
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("inject: the vendor's Deployment drains after injection", with_a_sidecar),
    parallel("inject: the vendor's Deployment drains without a sidecar", standalone),
    parallel("inject: every mode is valid and idempotent, and --remove restores the original", every_mode),
];

const IMAGE: [&str; 2] = ["--image", "localhost/lameduck:test"];

fn with_a_sidecar() -> String {
    let namespace = Namespace::new("inject", "baseline");
    // The chart does not set the user; it is the image's.
    let (pod, seconds) = inject_and_delete(&namespace, &["--run-as-user", "1000"]);
    pod.assert_outcome("exited", 0, Some("SIGINT"));
    assert_eq!(pod.termination_message()["streams_at_start"], 4);
    assert_eq!(pod.exit_code(LAMEDUCK), Some(0));
    namespace.assert_hooks_succeeded();
    format!("4 streams clean, one SIGINT, exited, gone after {seconds} s of 1800")
}

fn standalone() -> String {
    let namespace = Namespace::new("inject-standalone", "baseline");
    let (pod, seconds) = inject_and_delete(&namespace, &["--standalone"]);
    let outcome = pod.message_of(ENGINE);
    assert_eq!((&outcome["outcome"], &outcome["streams_at_start"]), (&"exited".into(), &4.into()), "{outcome}");
    // The engine may end its last stream and exit between two polls.
    assert!(outcome["stragglers"] == 0 || outcome["stragglers"].is_null(), "{outcome}");
    format!("4 streams clean, one SIGINT, {outcome}, gone after {seconds} s of 1800")
}

/// Injects into the vendor's Deployment and deletes it while streams are open; returns its pod and how long it stayed.
fn inject_and_delete<'a>(namespace: &'a Namespace, args: &[&str]) -> (Pod<'a>, u64) {
    chart::prepare(namespace);
    namespace.apply_text(&inject(&chart::adapted(), &[&IMAGE[..], args].concat()));
    namespace.kubectl(&["rollout", "status", "deployment", chart::NAME, "--timeout=120s"]);
    let pod = namespace.pods().pop().expect("the Deployment has a pod");
    let client = pod.open_streams(4);
    let deleted = now();
    namespace.kubectl(&["delete", "deployment", chart::NAME, "--wait=false"]);
    if args.contains(&"--standalone") {
        pod.drain_standalone(&client, 4);
    } else {
        pod.drain(&client, 4);
    }
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pod.engine.count("SIGTERM received"), 0, "no SIGTERM");
    assert_eq!(pod.exit_code(ENGINE), Some(0));
    (pod, seconds)
}

fn every_mode() -> String {
    let namespace = Namespace::new("inject-modes", "baseline");
    let original = chart::original();
    namespace.validate(&original, &["--filename", "-"]);
    let modes: [&[&str]; 3] = [&["--run-as-user=1000"], &["--run-as-user=1000", "--classic"], &["--standalone"]];
    for preset in ["deepgram-engine", "deepgram-api"] {
        for mode in modes {
            let args = [&IMAGE[..], mode, &["--preset", preset]].concat();
            let injected = inject(&original, &args);
            assert_ne!(injected, original, "{args:?}");
            namespace.validate(&injected, &["--filename", "-"]);
            assert!(inject(&injected, &args) == injected, "not idempotent: {args:?}");
            assert!(inject(&injected, &["--remove"]) == original, "not the original: {args:?}");
        }
    }
    remove_restores_the_original(&namespace, modes);
    "Engine and API pass strict validation in 3 modes; on the API server, --remove restores the original specification"
        .to_owned()
}

/// Applies injected manifests, then the same after `--remove`: the API server's specification is the original again.
fn remove_restores_the_original(namespace: &Namespace, modes: [&[&str]; 3]) {
    let plain = chart::adapted().replace("replicas: 1", "replicas: 0");
    namespace.apply_text(&plain);
    let before = specification(namespace);
    for mode in modes {
        let injected = inject(&plain, &[&IMAGE[..], mode].concat());
        namespace.apply_text(&injected);
        assert_ne!(specification(namespace), before, "{mode:?}");
        namespace.apply_text(&inject(&injected, &["--remove"]));
        assert_eq!(specification(namespace), before, "{mode:?}");
    }
}

fn specification(namespace: &Namespace) -> Value {
    let text = namespace.kubectl(&["get", "deployment", chart::NAME, "--output", "json"]);
    serde_json::from_str::<Value>(&text).unwrap()["spec"].take()
}
