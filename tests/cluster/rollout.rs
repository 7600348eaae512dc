//! A Deployment behind a Service is updated while new streams keep arriving.

use std::net::TcpStream;

use serde_json::json;

use crate::serial;
use crate::support::client::{Client, Endings};
use crate::support::clock::{TIMEOUT, poll};
use crate::support::manifest::Manifest;
use crate::support::namespace::Namespace;
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[serial(
    "rollout: at 40 new streams a second, none is refused or cut with lameduck, some are without",
    update_under_load,
)];

/// Number of streams opened to each of the two Services, one every 25 ms.
const STREAMS: u32 = 1600;

fn update_under_load() -> String {
    let namespace = Namespace::new("rollout", "restricted");
    let example = Manifest::example("native-sidecar.yaml").grace(60);
    namespace.apply(&example.clone().without_lameduck().deployment("plain", 2));
    namespace.apply(&example.deployment("drained", 2));
    let [plain, drained] = ["plain", "drained"].map(|name| {
        namespace.apply(&service(name));
        namespace.kubectl(&["rollout", "status", "deployment", name, "--timeout=120s"]);
        start_client(&namespace, name)
    });
    for name in ["plain", "drained"] {
        namespace.kubectl(&["rollout", "restart", "deployment", name]);
    }
    for name in ["plain", "drained"] {
        namespace.kubectl(&["rollout", "status", "deployment", name, "--timeout=120s"]);
    }
    let (plain, drained) = (plain.endings(), drained.endings());
    drained.assert_clean(STREAMS.into());
    assert!(plain.refused > 0, "without lameduck no stream was refused: this load proves nothing");
    namespace.assert_hooks_succeeded();
    format!("without: {}; with: {}", summary(&plain), summary(&drained))
}

fn service(name: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8080}]},
    }))
}

fn start_client(namespace: &Namespace, service: &str) -> Client {
    let address = namespace.kubectl(&["get", "service", service, "--output", "jsonpath={.spec.clusterIP}"]);
    let streams = STREAMS.to_string();
    let args = ["--streams", &streams, "--stagger", "25ms", "--durations", "2s,3s", "--rate", "1600"];
    let address = format!("{address}:8080");
    // The node's proxy may not know the ready pods yet.
    poll(TIMEOUT, || TcpStream::connect(&address).ok()).expect("the Service reaches a pod");
    Client::start(&address, &args)
}

fn summary(endings: &Endings) -> String {
    format!("{} clean, {} cut, {} refused", endings.clean, endings.cut, endings.refused)
}
