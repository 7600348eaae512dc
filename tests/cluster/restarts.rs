//! A container restarts, and the pod stays.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::parallel;
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::node::signal;
use crate::support::pod::{ENDLESS, Pod, is_ready, is_terminating, restarts};
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("restarts: a sidecar killed while serving starts no drain, and is ready again", killed_sidecar),
    parallel("restarts: after an engine crash the pod becomes ready again", crashed_engine),
    parallel(
        "restarts: a liveness failure drains and restarts the engine, and the pod is ready again",
        liveness_failure,
    ),
    parallel(
        "restarts: deleted during a liveness restart, the pod keeps draining with one signal",
        deleted_during_restart,
    ),
    parallel("restarts: a sidecar restarted by the kubelet starts no drain and sends no signal", restarted_sidecar),
    parallel("restarts: when the engine completes, the sidecar exits and the pod succeeds", completed_engine),
];

fn killed_sidecar() -> String {
    let namespace = Namespace::new("restarts-sidecar", "restricted");
    let pod = namespace.start(&Manifest::native("restarts-sidecar", 60));
    let client = pod.open_streams(3);
    signal(pod.process("lameduck"), Signal::SIGKILL);
    wait_for_restart(&pod, LAMEDUCK);
    let again = pod.log(LAMEDUCK, 1);
    again.wait_for("\"ready\"");
    client.end_streams();
    client.endings().assert_clean(3);

    assert_eq!(again.count("drain started") + again.count("resuming the drain"), 0, "no drain");
    assert_eq!(pod.engine.count("received"), 0, "no signal");
    assert_eq!(pod.get("/status").json()["phase"], "serving");
    "3 streams clean, no drain, no signal, serving again".to_owned()
}

fn crashed_engine() -> String {
    let namespace = Namespace::new("restarts-crash", "restricted");
    let pod = namespace.start(&Manifest::native("restarts-crash", 60));
    let client = pod.open_streams(3);
    signal(pod.process("impeller"), Signal::SIGUSR2);
    assert_eq!(client.endings().cut, 3);
    wait_for_restart(&pod, ENGINE);

    assert_eq!(pod.lameduck.count("drain started"), 0, "there is nothing to drain");
    assert_eq!(pod.get("/status").json()["phase"], "serving");
    delete_with_a_stream(&namespace, &pod);
    "3 streams cut by the crash, no drain; the next engine drained normally".to_owned()
}

fn liveness_failure() -> String {
    let namespace = Namespace::new("restarts-liveness", "restricted");
    let pod = namespace.start(&Manifest::native("restarts-liveness", 120));
    let client = pod.open_streams(3);
    signal(pod.process("impeller"), Signal::SIGUSR1);
    pod.lameduck.wait_for("drain started");
    pod.engine.wait_for("SIGINT received (1)");
    pod.drain(&client, 3);
    wait_for_restart(&pod, ENGINE);

    assert!(!namespace.events("Unhealthy").is_empty(), "the kubelet saw the failure");
    assert_eq!(pod.engine.count("SIGTERM received"), 0, "it exited by itself");
    let outcome = pod.lameduck.wait_for("\"stragglers\":0");
    assert!(outcome.contains("\"drained\"") || outcome.contains("\"exited\""), "{outcome}");
    pod.lameduck.wait_for("serving again");
    namespace.assert_hooks_succeeded();
    delete_with_a_stream(&namespace, &pod);
    "3 streams clean, engine restarted, ready again; the next engine drained normally".to_owned()
}

/// The kubelet waits for the hook of the restart, starts the engine again, and only then ends the pod.
fn deleted_during_restart() -> String {
    let namespace = Namespace::new("restarts-deleted", "restricted");
    let pod = namespace.start(&Manifest::native("restarts-deleted", 300));
    let client = pod.open_streams(3);
    signal(pod.process("impeller"), Signal::SIGUSR1);
    pod.engine.wait_for("SIGINT received (1)");
    pod.delete(&[]);
    pod.wait_until("terminating", is_terminating);
    pod.drain(&client, 3);
    pod.wait_gone();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    let outcome: Value = serde_json::from_str(&pod.lameduck.wait_for("\"outcome\"")).unwrap();
    assert_eq!((&outcome["streams_at_start"], &outcome["stragglers"]), (&3.into(), &0.into()), "{outcome}");
    namespace.assert_hooks_succeeded();
    "3 streams clean, one signal".to_owned()
}

/// The sidecar's liveness probe is the engine's port, so that the test can make it fail; the engine has no probe.
fn restarted_sidecar() -> String {
    let namespace = Namespace::new("restarts-restarted", "restricted");
    let mut manifest = Manifest::native("restarts-restarted", 60);
    manifest.container(ENGINE).as_object_mut().unwrap().remove("livenessProbe");
    manifest.container(LAMEDUCK)["livenessProbe"] =
        json!({"tcpSocket": {"port": 8080}, "initialDelaySeconds": 30, "periodSeconds": 1, "failureThreshold": 1});
    let pod = namespace.start(&manifest);
    let client = pod.open_streams(2);
    signal(pod.process("impeller"), Signal::SIGUSR1);
    pod.lameduck.wait_for("SIGTERM received");
    pod.wait_until("running a restarted sidecar", |pod| restarts(pod, LAMEDUCK) == 1);
    let again = pod.log(LAMEDUCK, 1);
    again.wait_for("\"ready\"");
    client.end_streams();
    client.endings().assert_clean(2);

    for log in [&pod.lameduck, &again] {
        assert_eq!(log.count("drain started") + log.count("resuming the drain"), 0, "no drain");
    }
    assert_eq!(pod.engine.count("SIGINT received") + pod.engine.count("SIGTERM received"), 0, "no signal");
    "2 streams clean, no drain, no signal".to_owned()
}

fn completed_engine() -> String {
    let namespace = Namespace::new("restarts-completed", "restricted");
    let mut manifest = Manifest::native("restarts-completed", 600);
    manifest.spec()["restartPolicy"] = json!("Never");
    let pod = namespace.start(&manifest);
    pod.wait_ready();
    signal(pod.process("impeller"), Signal::SIGINT);
    pod.wait_until("in phase Succeeded", |pod| pod["status"]["phase"] == "Succeeded");

    assert_eq!((pod.exit_code(ENGINE), pod.exit_code(LAMEDUCK)), (Some(0), Some(0)));
    assert_eq!(pod.lameduck.count("drain started"), 0, "there is nothing to drain");
    namespace.assert_hooks_succeeded();
    "no drain; succeeded after the engine was signalled".to_owned()
}

fn wait_for_restart(pod: &Pod, container: &str) {
    let alive = |pod: &Value| restarts(pod, container) == 1 && is_ready(pod);
    pod.wait_until(&format!("ready with a restarted {container}"), alive);
}

/// Checks that a restarted engine drains like the first one.
fn delete_with_a_stream(namespace: &Namespace, pod: &Pod) {
    let engine = pod.log(ENGINE, 1);
    let client = pod.client(&["--durations", ENDLESS]);
    engine.wait_for("stream 1 opened");
    pod.delete_and_drain(&client, 1);
    assert_eq!(engine.count("SIGINT received (1)"), 1, "the restarted engine gets one signal");
    assert_eq!(pod.outcome()["stragglers"], 0);
    namespace.assert_hooks_succeeded();
}
