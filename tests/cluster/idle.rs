//! Streams that stay open without data.

use crate::parallel;
use crate::support::client::Client;
use crate::support::clock::{now, since};
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::pod::Pod;
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("idle: without --idle-after an idle stream keeps its pod for the whole grace period", without_idle_after),
    parallel("idle: with --idle-after the pod is gone seconds after the last active stream", with_idle_after),
];

/// Duration of the idle stream: longer than the pod's grace period.
const IDLE_DURATION: &str = "300s";

/// One stream that sends audio to its end, and one that sends only keep-alives after two seconds.
fn start_client(pod: &Pod) -> Client {
    let client = pod.client(&[
        "--streams",
        "1:audio",
        "--streams",
        "1:audio:2s:keepalive",
        "--durations",
        &format!("12s,{IDLE_DURATION}"),
    ]);
    pod.engine.wait_for("stream 2 opened");
    client
}

fn without_idle_after() -> String {
    let namespace = Namespace::new("idle-without", "restricted");
    let pod = namespace.start(&Manifest::native("idle-without", 25));
    pod.wait_ready();
    let client = start_client(&pod);
    let deleted = now();
    pod.delete(&[]);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    let endings = client.endings();
    assert_eq!((endings.clean, endings.cut), (1, 1), "{endings:?}");
    pod.assert_outcome("expired", 1, Some("SIGINT"));
    assert_eq!(pod.exit_code(LAMEDUCK), Some(10), "a stream was cut");
    namespace.assert_hooks_succeeded();
    // The hook is released at the deadline, one exit margin before the end; the engine keeps waiting for its stream.
    assert!(seconds >= 22, "gone after {seconds} s of 25");
    format!("1 stream clean, the idle one cut at the deadline, gone after {seconds} s of 25")
}

fn with_idle_after() -> String {
    let namespace = Namespace::new("idle-with", "restricted");
    let pod = namespace.start(&Manifest::native("idle-with", 120).setting("LAMEDUCK_IDLE_AFTER", "5s"));
    pod.wait_ready();
    let client = start_client(&pod);
    pod.delete(&[]);
    pod.engine.wait_for("stream 1 closed");
    let last_active = now();
    pod.wait_gone();
    let seconds = since(last_active).as_secs();

    let endings = client.endings();
    assert_eq!((endings.clean, endings.cut), (1, 1), "{endings:?}");
    pod.assert_outcome("idle", 0, Some("SIGINT"));
    assert_eq!(pod.termination_message()["idle_streams"], 1);
    assert_eq!((pod.exit_code(ENGINE), pod.exit_code(LAMEDUCK)), (Some(137), Some(0)));
    namespace.assert_hooks_succeeded();
    assert!(seconds < 60, "gone {seconds} s of 120 after the last active stream");
    format!("1 stream clean, 1 idle, engine killed, gone {seconds} s of 120 after the last active stream")
}
