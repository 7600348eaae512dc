//! A container dies, and the pod lives on.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::clock::{now, since};
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Place;
use crate::support::node::signal;
use crate::support::pod::{Pod, is_ready, is_terminating, restarts};
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[
    together("lives: a sidecar killed while serving begins no drain, and is ready again", a_killed_sidecar),
    together("lives: an engine that crashes in mid-stream is awaited, and the pod ready again", a_crashed_engine),
    together("lives: a liveness failure is a drain, a restart, and a pod that is ready again", a_liveness_failure),
    together("lives: deleted in the middle of such a restart, the pod drains on with one signal", deleted_in_a_restart),
    together("lives: a sidecar that the kubelet restarts begins no drain, and signals nobody", a_restarted_sidecar),
    together("lives: when the engine completes, the sidecar leaves at once and the pod succeeds", a_completed_engine),
];

fn native(name: &str) -> Manifest {
    Manifest::example("native-sidecar.yaml").pod(name).grace(60)
}

fn a_killed_sidecar() -> String {
    let place = Place::new("lives-sidecar", "restricted");
    let pod = place.start(&native("lives-sidecar"));
    let client = pod.busy("20s,20s,20s");
    signal(pod.process("lameduck"), Signal::SIGKILL);
    wait_for_next_life(&pod, LAMEDUCK);
    let again = pod.log(LAMEDUCK, 1);
    again.wait_for("\"ready\"");
    client.endings().assert_clean(3);

    assert_eq!(again.count("drain begins") + again.count("going on with a drain"), 0, "no drain");
    assert_eq!(pod.engine.count("received"), 0, "no signal");
    assert_eq!(pod.ask("/status").json()["phase"], "serving");
    "3 streams clean, no drain, no signal, serving again".to_owned()
}

fn a_crashed_engine() -> String {
    let place = Place::new("lives-crash", "restricted");
    let pod = place.start(&native("lives-crash"));
    let client = pod.busy("60s,60s,60s");
    signal(pod.process("impeller"), Signal::SIGUSR2);
    assert_eq!(client.endings().cut, 3);
    wait_for_next_life(&pod, ENGINE);

    assert_eq!(pod.lameduck.count("drain begins"), 0, "nothing is left to drain");
    assert_eq!(pod.ask("/status").json()["phase"], "serving");
    deleted_with_a_stream(&place, &pod);
    "3 streams cut by the crash, no drain; the next engine drained as ever".to_owned()
}

fn a_liveness_failure() -> String {
    let place = Place::new("lives-liveness", "restricted");
    let pod = place.start(&native("lives-liveness"));
    let client = pod.busy("15s,18s,21s");
    signal(pod.process("impeller"), Signal::SIGUSR1);
    pod.lameduck.wait_for("drain begins");
    pod.engine.wait_for("SIGINT received (1)");
    client.endings().assert_clean(3);
    wait_for_next_life(&pod, ENGINE);

    assert!(!place.events("Unhealthy").is_empty(), "the kubelet saw it");
    assert_eq!(pod.engine.count("SIGTERM received"), 0, "it left by itself");
    let outcome = pod.lameduck.wait_for("\"stragglers\":0");
    assert!(outcome.contains("\"drained\"") || outcome.contains("\"exited\""), "{outcome}");
    pod.lameduck.wait_for("serving again");
    place.assert_hooks_succeeded();
    deleted_with_a_stream(&place, &pod);
    "3 streams clean, engine restarted, ready again; the next engine drained as ever".to_owned()
}

/// The kubelet waits for the restart's hook, starts the engine once more, and only then ends the pod.
fn deleted_in_a_restart() -> String {
    let place = Place::new("lives-deleted", "restricted");
    let pod = place.start(&native("lives-deleted"));
    let client = pod.busy("25s,28s,31s");
    signal(pod.process("impeller"), Signal::SIGUSR1);
    pod.engine.wait_for("SIGINT received (1)");
    pod.delete(&[]);
    pod.wait_until("terminating", is_terminating);
    assert_eq!(pod.engine.count("stream 1 closed"), 0, "deleted in mid-drain");
    client.endings().assert_clean(3);
    let ended = now();
    pod.wait_gone();
    let seconds = since(ended).as_secs();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    let outcome: Value = serde_json::from_str(&pod.lameduck.wait_for("\"outcome\"")).unwrap();
    assert_eq!((&outcome["streams_at_start"], &outcome["stragglers"]), (&3.into(), &0.into()), "{outcome}");
    place.assert_hooks_succeeded();
    assert!(seconds < 30, "gone {seconds} s after the last stream");
    format!("3 streams clean, one signal, gone {seconds} s after the last stream")
}

/// Its liveness probe is the engine's port, so that it fails when it is told to; the engine's own is taken away.
fn a_restarted_sidecar() -> String {
    let place = Place::new("lives-restarted", "restricted");
    let mut manifest = native("lives-restarted");
    manifest.container(ENGINE).as_object_mut().unwrap().remove("livenessProbe");
    manifest.container(LAMEDUCK)["livenessProbe"] =
        json!({"tcpSocket": {"port": 8080}, "initialDelaySeconds": 30, "periodSeconds": 1, "failureThreshold": 1});
    let pod = place.start(&manifest);
    let client = pod.busy("100s,100s");
    signal(pod.process("impeller"), Signal::SIGUSR1);
    pod.lameduck.wait_for("SIGTERM received");
    pod.wait_until("one with a restarted sidecar", |pod| restarts(pod, LAMEDUCK) == 1);
    let again = pod.log(LAMEDUCK, 1);
    again.wait_for("\"ready\"");
    assert_eq!(pod.engine.count("stream 1 closed"), 0, "restarted under streams");
    client.endings().assert_clean(2);

    for life in [&pod.lameduck, &again] {
        assert_eq!(life.count("drain begins") + life.count("going on with a drain"), 0, "no drain");
    }
    assert_eq!(pod.engine.count("SIGINT received") + pod.engine.count("SIGTERM received"), 0, "no signal");
    "2 streams clean, no drain, no signal".to_owned()
}

fn a_completed_engine() -> String {
    let place = Place::new("lives-completed", "restricted");
    let mut manifest = native("lives-completed");
    manifest.spec()["restartPolicy"] = json!("Never");
    let pod = place.start(&manifest);
    pod.wait_ready();
    let ended = now();
    signal(pod.process("impeller"), Signal::SIGINT);
    pod.wait_until("one that has succeeded", |pod| pod["status"]["phase"] == "Succeeded");
    let seconds = since(ended).as_secs();

    assert_eq!((pod.exit_code(ENGINE), pod.exit_code(LAMEDUCK)), (Some(0), Some(0)));
    assert_eq!(pod.lameduck.count("drain begins"), 0, "nothing is left to drain");
    place.assert_hooks_succeeded();
    assert!(seconds < 30, "over after {seconds} s of 60");
    format!("no drain, succeeded {seconds} s after the engine was told to end, of 60")
}

fn wait_for_next_life(pod: &Pod, container: &str) {
    let alive = |pod: &Value| restarts(pod, container) == 1 && is_ready(pod);
    pod.wait_until(&format!("ready with a restarted {container}"), alive);
}

/// A later life of the engine can do what the first one could.
fn deleted_with_a_stream(place: &Place, pod: &Pod) {
    let engine = pod.log(ENGINE, 1);
    let client = pod.client(&["--durations", "10s"]);
    engine.wait_for("stream 1 opened");
    pod.drains(&client, 1);
    assert_eq!(engine.count("SIGINT received (1)"), 1, "the new life is signalled once");
    assert_eq!(pod.outcome()["stragglers"], 0);
    place.assert_hooks_succeeded();
}
