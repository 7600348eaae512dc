//! Streams that stay open though nothing is said.

use crate::support::client::Client;
use crate::support::clock::{now, since};
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Place;
use crate::support::pod::Pod;
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[
    together("idle: without --idle-after an idle stream holds its pod for the whole grace period", without),
    together("idle: with --idle-after the pod is gone seconds after the last work", with),
];

/// How long the idle stream would stay: longer than the pod may.
const FOR_EVER: &str = "300s";

fn native(name: &str, grace: u32) -> Manifest {
    Manifest::example("native-sidecar.yaml").pod(name).grace(grace)
}

/// One stream that works to its end, and one over which nothing but keep-alives runs after two seconds.
fn callers(pod: &Pod) -> Client {
    let client = pod.client(&[
        "--streams",
        "1:audio",
        "--streams",
        "1:audio:2s:keepalive",
        "--durations",
        &format!("12s,{FOR_EVER}"),
    ]);
    pod.engine.wait_for("stream 2 opened");
    client
}

fn without() -> String {
    let place = Place::new("idle-without", "restricted");
    let pod = place.start(&native("idle-without", 25));
    pod.wait_ready();
    let client = callers(&pod);
    let deleted = now();
    pod.delete(&[]);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    let endings = client.endings();
    assert_eq!((endings.clean, endings.cut), (1, 1), "{endings:?}");
    pod.assert_outcome("expired", 1, Some("SIGINT"));
    assert_eq!(pod.exit_code(LAMEDUCK), Some(10), "a stream was cut");
    place.assert_hooks_succeeded();
    // The hook is released an exit margin before the end, and the engine waits on for its stream.
    assert!(seconds >= 22, "gone after {seconds} s of 25");
    format!("1 stream clean, the idle one cut at the deadline, gone after {seconds} s of 25")
}

fn with() -> String {
    let place = Place::new("idle-with", "restricted");
    let pod = place.start(&native("idle-with", 120).setting("LAMEDUCK_IDLE_AFTER", "5s"));
    pod.wait_ready();
    let client = callers(&pod);
    pod.delete(&[]);
    pod.engine.wait_for("stream 1 closed");
    let last_work = now();
    pod.wait_gone();
    let seconds = since(last_work).as_secs();

    let endings = client.endings();
    assert_eq!((endings.clean, endings.cut), (1, 1), "{endings:?}");
    pod.assert_outcome("idle", 0, Some("SIGINT"));
    assert_eq!(pod.termination_message()["idle_streams"], 1);
    assert_eq!((pod.exit_code(ENGINE), pod.exit_code(LAMEDUCK)), (Some(137), Some(0)));
    place.assert_hooks_succeeded();
    assert!(seconds < 60, "gone {seconds} s after the last work, of 120");
    format!("1 stream clean, 1 idle, engine killed, gone {seconds} s after the last work, of 120")
}
