//! A Deployment behind a Service is updated while callers keep coming.

use std::net::TcpStream;

use serde_json::json;

use crate::alone;
use crate::support::client::{Client, Endings};
use crate::support::clock::{PATIENCE, poll};
use crate::support::manifest::Manifest;
use crate::support::namespace::Place;
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[alone(
    "rollout: 40 new streams a second; some are refused without lameduck, none with it, and none is cut",
    update_under_load,
)];

/// How many streams come to each of the two Services, one each 25 ms.
const STREAMS: u32 = 1600;

fn update_under_load() -> String {
    let place = Place::new("rollout", "restricted");
    let example = Manifest::example("native-sidecar.yaml").grace(60);
    place.apply(&example.clone().without_lameduck().deployment("plain", 2));
    place.apply(&example.deployment("drained", 2));
    let [plain, drained] = ["plain", "drained"].map(|name| {
        place.apply(&service(name));
        place.kubectl(&["rollout", "status", "deployment", name, "--timeout=120s"]);
        callers(&place, name)
    });
    for name in ["plain", "drained"] {
        place.kubectl(&["rollout", "restart", "deployment", name]);
    }
    for name in ["plain", "drained"] {
        place.kubectl(&["rollout", "status", "deployment", name, "--timeout=120s"]);
    }
    let (plain, drained) = (plain.endings(), drained.endings());
    drained.assert_clean(STREAMS.into());
    assert!(plain.refused > 0, "without lameduck nobody was refused: this load shows nothing");
    place.assert_hooks_succeeded();
    format!("without: {}; with: {}", told(&plain), told(&drained))
}

fn service(name: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8080}]},
    }))
}

fn callers(place: &Place, service: &str) -> Client {
    let address = place.kubectl(&["get", "service", service, "--output", "jsonpath={.spec.clusterIP}"]);
    let streams = STREAMS.to_string();
    let args = ["--streams", &streams, "--stagger", "25ms", "--durations", "2s,3s", "--rate", "1600"];
    let address = format!("{address}:8080");
    // Ready pods are not yet known to the node's proxy.
    poll(PATIENCE, || TcpStream::connect(&address).ok()).expect("the service leads to a pod");
    Client::start(&address, &args)
}

fn told(endings: &Endings) -> String {
    format!("{} clean, {} cut, {} refused", endings.clean, endings.cut, endings.refused)
}
