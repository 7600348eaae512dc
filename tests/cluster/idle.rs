//! Streams that stay open without data.

use crate::parallel;
use crate::support::client::Client;
use crate::support::clock::{now, since};
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::pod::{ENDLESS, Pod};
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("idle: without --idle-after an idle stream keeps its pod for the whole grace period", without_idle_after),
    parallel("idle: with --idle-after the pod is gone seconds after the last active stream", with_idle_after),
];

/// Clients of one stream that sends audio until it ends, and of one that sends only keep-alives after two seconds and
/// does not end.
fn start_clients(pod: &Pod) -> [Client; 2] {
    let clients = ["1:audio", "1:audio:2s:keepalive"];
    let clients = clients.map(|streams| pod.client(&["--streams", streams, "--durations", ENDLESS]));
    pod.engine.wait_for("stream 2 opened");
    clients
}

fn without_idle_after() -> String {
    let namespace = Namespace::new("idle-without", "restricted");
    // The Engine exits on the kubelet's SIGTERM, so there is time for the sidecar's exit.
    let manifest = Manifest::native("idle-without", 32).engine("--second-signal-quits");
    let pod = namespace.start(&manifest.setting("LAMEDUCK_EXIT_MARGIN", "10s"));
    pod.wait_ready();
    let [active, idle] = start_clients(&pod);
    let deleted = now();
    pod.delete(&[]);
    pod.drain(&active, 1);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    assert_eq!(idle.endings().cut, 1);
    pod.assert_outcome("expired", 1, Some("SIGINT"));
    assert_eq!(pod.exit_code(LAMEDUCK), Some(10), "a stream was cut");
    namespace.assert_hooks_succeeded();
    // The hook is released at the deadline, one exit margin before the end.
    assert!(seconds >= 22, "gone after {seconds} s of 32");
    format!("1 stream clean, the idle one cut at the deadline, gone after {seconds} s of 32")
}

fn with_idle_after() -> String {
    let namespace = Namespace::new("idle-with", "restricted");
    let pod = namespace.start(&Manifest::native("idle-with", 600).setting("LAMEDUCK_IDLE_AFTER", "10s"));
    pod.wait_ready();
    let [active, idle] = start_clients(&pod);
    pod.delete(&[]);
    pod.drain(&active, 1);
    let last_active = now();
    pod.wait_gone();
    let seconds = since(last_active).as_secs();

    assert_eq!(idle.endings().cut, 1);
    pod.assert_outcome("idle", 0, Some("SIGINT"));
    assert_eq!(pod.termination_message()["idle_streams"], 1);
    assert_eq!((pod.exit_code(ENGINE), pod.exit_code(LAMEDUCK)), (Some(137), Some(0)));
    namespace.assert_hooks_succeeded();
    format!("1 stream clean, 1 idle, engine killed, gone {seconds} s of 600 after the last active stream")
}
