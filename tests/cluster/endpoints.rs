//! The last endpoint of a Service is deleted while new streams keep arriving: with and without `--unready-after`.

use std::net::TcpStream;

use serde_json::{Value, json};

use crate::parallel;
use crate::support::client::{Client, Endings};
use crate::support::clock::{TIMEOUT, poll};
use crate::support::cluster::kubectl;
use crate::support::manifest::Manifest;
use crate::support::namespace::Namespace;
use crate::support::pod::Pod;
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel(
        "endpoints: a terminating pod that is the last endpoint serves new streams only with --unready-after",
        last_endpoint,
    ),
    parallel("endpoints: a field selector leaves out the events of a clean drain", events_of_a_clean_drain),
];

/// Number of streams opened to each Service in the lame duck, one every 50 ms.
const STREAMS: u32 = 200;
/// Leaves time for all these streams.
const LAME_DUCK: &str = "40s";
/// What leaves out the events of the sidecar in a field selector.
const OTHERS: &str = ",involvedObject.fieldPath!=spec.initContainers{lameduck}";

fn last_endpoint() -> String {
    let namespace = Namespace::new("endpoints", "restricted");
    let [at_once, later] = [("at-once", "0s"), ("later", LAME_DUCK)].map(|(name, unready_after)| {
        let mut manifest = Manifest::native(name, 120)
            .setting("LAMEDUCK_LAME_DUCK", LAME_DUCK)
            .setting("LAMEDUCK_UNREADY_AFTER", unready_after);
        manifest.0["metadata"]["labels"] = json!({"app": name});
        namespace.apply(&service(name));
        namespace.start(&manifest)
    });
    for pod in [&at_once, &later] {
        pod.wait_ready();
        let address = address(&namespace, pod);
        // The node's proxy may not know the ready pod yet.
        poll(TIMEOUT, || TcpStream::connect(&address).ok()).expect("the Service reaches the pod");
        pod.delete(&[]);
        wait_until_terminating(&namespace, pod);
    }
    poll(TIMEOUT, || (condition(&namespace, &at_once, "serving") == json!(false)).then_some(()))
        .expect("without --unready-after, the terminating endpoint no longer serves");
    // The hook comes some time after the deletion.
    poll(TIMEOUT, || (later.get("/accepting").status == 503).then_some(())).expect("the drain begins");
    assert_eq!(later.get("/readyz").status, 200);

    let clients = [&at_once, &later].map(|pod| start_client(&address(&namespace, pod)));
    let [refused, served] = clients.map(|client| client.endings());
    assert_eq!(condition(&namespace, &later, "serving"), json!(true), "the lame duck ended before the client");
    served.assert_clean(STREAMS.into());
    assert!(refused.refused > 0, "without --unready-after no stream was refused: {refused:?}");
    assert_eq!(refused.cut, 0);
    for pod in [&at_once, &later] {
        pod.wait_gone();
        assert_eq!(pod.termination_message()["stragglers"], 0);
    }
    namespace.assert_hooks_succeeded();
    format!("without: {}; with: {}", summary(&refused), summary(&served))
}

/// The readiness probe fails during every drain. The documented selector and query leave that out.
fn events_of_a_clean_drain() -> String {
    let namespace = Namespace::new("endpoints-events", "restricted");
    let pod = namespace.start(&Manifest::native("events", 300));
    let client = pod.open_streams(1);
    let unhealthy = |others: &str| {
        let selector = format!("reason=Unhealthy,involvedObject.name=events{others}");
        let output = "jsonpath={range .items[*]}{.message} {.involvedObject.fieldPath}{\"\\n\"}{end}";
        namespace.kubectl(&["get", "events", "--field-selector", &selector, "--output", output])
    };
    pod.delete(&[]);
    let event = poll(TIMEOUT, || unhealthy("").lines().find(|line| line.contains("503")).map(str::to_owned));
    let event = event.expect("an event of the failed readiness probe");
    assert!(event.ends_with("spec.initContainers{lameduck}"), "{event}");
    let labels = ["pod=\"events\"", "container=\"lameduck\"", "probe_type=\"Readiness\"", "result=\"failed\""];
    let is_failed =
        |line: &str| line.starts_with("prober_probe_total{") && labels.iter().all(|label| line.contains(label));
    let probes = || kubectl(&["get", "--raw", "/api/v1/nodes/node/proxy/metrics/probes"]);
    poll(TIMEOUT, || probes().lines().any(is_failed).then_some(())).expect("a counter of the failed readiness probe");
    // After the signal, the engine closes its listener.
    let others = poll(TIMEOUT, || Some(unhealthy(OTHERS)).filter(|others| others.contains("connection refused")));
    let others = others.expect("an event of the engine's own readiness probe");
    assert!(others.lines().all(|line| line.ends_with("spec.containers{deepgram-engine}")), "{others}");
    pod.drain(&client, 1);
    pod.wait_gone();
    assert_eq!(pod.termination_message()["stragglers"], 0);
    format!("1 stream clean; {event}")
}

/// A Service that sends its streams only to pods on the client's own node, of which there is one.
fn service(name: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8080}], "internalTrafficPolicy": "Local"},
    }))
}

fn address(namespace: &Namespace, pod: &Pod) -> String {
    let ip = namespace.kubectl(&["get", "service", &pod.name, "--output", "jsonpath={.spec.clusterIP}"]);
    format!("{ip}:8080")
}

fn start_client(address: &str) -> Client {
    let streams = STREAMS.to_string();
    Client::start(address, &["--streams", &streams, "--stagger", "50ms", "--durations", "2s,3s", "--rate", "1600"])
}

fn wait_until_terminating(namespace: &Namespace, pod: &Pod) {
    let terminating = || (condition(namespace, pod, "terminating") == json!(true)).then_some(());
    poll(TIMEOUT, terminating).expect("the endpoint is terminating");
}

/// A condition of the pod's endpoint.
fn condition(namespace: &Namespace, pod: &Pod, name: &str) -> Value {
    let selector = format!("kubernetes.io/service-name={}", pod.name);
    let slices = namespace.kubectl(&["get", "endpointslices", "--selector", &selector, "--output", "json"]);
    let slices: Value = serde_json::from_str(&slices).unwrap();
    slices["items"][0]["endpoints"][0]["conditions"][name].clone()
}

fn summary(endings: &Endings) -> String {
    format!("{} clean, {} refused", endings.clean, endings.refused)
}
