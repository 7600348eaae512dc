//! A pod is deleted while its streams are open, or before it has any.

use crate::support::clock::{now, since};
use crate::support::manifest::{LAMEDUCK, Manifest};
use crate::support::namespace::Place;
use crate::support::pod::{is_ready, is_terminating};
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[
    together("delete: streams end by themselves, and the pod goes when they have", streams_end_by_themselves),
    together("delete: what outlives the deadline is cut, counted and told", stragglers_at_the_deadline),
    together("delete: an engine that still loads is gone at once", an_engine_that_still_loads),
    together("delete: an engine that runs as root, and lameduck with it but without capabilities", as_root),
    together("delete: --grace-period=1 is over at once", a_grace_period_of_one_second),
];

fn native(name: &str, grace: u32) -> Manifest {
    Manifest::example("native-sidecar.yaml").pod(name).grace(grace)
}

fn streams_end_by_themselves() -> String {
    let place = Place::new("delete-streams", "restricted");
    let pod = place.start(&native("delete-streams", 60).engine("--exit-delay 4s"));
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
    pod.assert_outcome("drained", 0, Some("SIGINT"));
    assert_eq!(pod.termination_message()["streams_at_start"], 6);
    assert_eq!(pod.exit_code(LAMEDUCK), Some(0), "known that nothing was cut");
    place.assert_hooks_succeeded();
    assert!(seconds < 60, "gone after {seconds} s of 60");
    format!("6 streams clean, one SIGINT, drained, gone after {seconds} s of 60")
}

fn as_root() -> String {
    let place = Place::new("delete-root", "baseline");
    let pod = place.start(&Manifest::example("engine-as-root.yaml").pod("delete-root").grace(60));
    let client = pod.busy("10s,12s");
    pod.drains(&client, 2);
    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pod.outcome()["stragglers"], 0);
    place.assert_hooks_succeeded();
    "2 streams clean, one SIGINT from root to root".to_owned()
}

fn stragglers_at_the_deadline() -> String {
    let place = Place::new("delete-stragglers", "restricted");
    let pod = place.start(&native("delete-stragglers", 20));
    let client = pod.busy("90s,90s,8s");
    pod.delete(&[]);
    pod.wait_gone();

    let endings = client.endings();
    assert_eq!((endings.clean, endings.cut), (1, 2), "{endings:?}");
    let lines = pod.engine.lines();
    let place_of = |part: &str| lines.iter().position(|line| line.contains(part));
    assert!(place_of("SIGINT received (1)").unwrap() < place_of("SIGTERM received (2)").unwrap(), "{lines:#?}");
    pod.assert_outcome("expired", 2, Some("SIGINT"));
    assert_eq!(pod.exit_code(LAMEDUCK), Some(10), "streams were cut");
    place.assert_hooks_succeeded();
    format!("1 stream clean, 2 cut, expired with 2 stragglers, exit code 10; {}", endings.harm[0])
}

fn an_engine_that_still_loads() -> String {
    let place = Place::new("delete-loading", "restricted");
    let pod = place.start(&native("delete-loading", 60).engine("--loading 10m"));
    pod.engine.wait_for("loading for");
    // Its cause is a connection that is refused, so the sidecar has looked.
    pod.lameduck.wait_for("no reading yet");
    let deleted = now();
    pod.delete(&[]);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    assert!(!pod.was(is_ready), "it was never ready");
    pod.engine.wait_for("SIGINT received (1), still loading");
    pod.assert_outcome("never_served", 0, Some("SIGINT"));
    place.assert_hooks_succeeded();
    assert!(seconds < 30, "gone after {seconds} s");
    format!("unserved, gone after {seconds} s of 60")
}

fn a_grace_period_of_one_second() -> String {
    let place = Place::new("delete-one-second", "restricted");
    let pod = place.start(&native("delete-one-second", 60));
    let client = pod.busy("90s,90s,90s");
    let deleted = now();
    pod.delete(&["--grace-period=1"]);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    assert_eq!(client.endings().cut, 3);
    pod.engine.wait_for("SIGTERM received (1)");
    assert_eq!(pod.engine.count("SIGINT received"), 0, "the lame duck was not over");
    // The kubelet kills engine and sidecar in the same instant: lameduck may see that, or go itself.
    let told = match pod.exit_code(LAMEDUCK) {
        Some(10) => {
            pod.assert_outcome("exited", 3, None);
            "told as 3 stragglers"
        }
        Some(137) => "and lameduck killed with them",
        code => panic!("lameduck exits with {code:?}"),
    };
    assert!(seconds < 30, "gone after {seconds} s");
    format!("3 streams cut by the kubelet, {told}, gone after {seconds} s")
}
