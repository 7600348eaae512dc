//! Pods leave because fewer are wanted, or because their node is.

use serde_json::json;

use crate::support::client::Client;
use crate::support::clock::{PATIENCE, poll};
use crate::support::cluster::{repository, try_kubectl};
use crate::support::manifest::Manifest;
use crate::support::namespace::Place;
use crate::support::pod::Pod;
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[
    together("scaling: three pods become one, and no stream is cut", three_become_one),
    together("scaling: an eviction drains, and a disruption budget lets no second pod go meanwhile", eviction),
];

fn deployment(replicas: u32) -> Manifest {
    Manifest::example("native-sidecar.yaml").grace(60).deployment("deepgram-engine", replicas)
}

fn three_become_one() -> String {
    let place = Place::new("scaling-down", "restricted");
    place.apply(&deployment(3));
    let pods = ready_pods(&place, 3);
    let clients: Vec<Client> =
        pods.iter().map(|pod| pod.client(&["--streams", "3", "--durations", "15s,18s,21s"])).collect();
    for pod in &pods {
        pod.engine.wait_for("stream 3 opened");
    }
    place.kubectl(&["scale", "deployment", "deepgram-engine", "--replicas=1"]);
    for client in &clients {
        client.endings().assert_clean(3);
    }
    let gone = || Some(pods.iter().filter(|pod| pod.is_gone()).collect::<Vec<_>>()).filter(|gone| gone.len() == 2);
    let gone = poll(PATIENCE, gone).expect("two pods go");
    for pod in gone {
        assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
        assert_eq!(pod.outcome()["stragglers"], 0);
    }
    let signals: usize = pods.iter().map(|pod| pod.engine.count("SIGINT received")).sum();
    assert_eq!(signals, 2, "the pod that stays was left alone");
    place.assert_hooks_succeeded();
    "9 streams clean in 3 pods, 2 of which drained and went".to_owned()
}

fn eviction() -> String {
    let place = Place::new("scaling-eviction", "restricted");
    place.apply(&deployment(2));
    let budget = repository("k8s-examples/pod-disruption-budget.yaml");
    place.kubectl(&["apply", "--filename", budget.to_str().unwrap()]);
    let pods = ready_pods(&place, 2);
    let allowed = || place.kubectl(&["get", "pdb", "--output", "jsonpath={.items[0].status.disruptionsAllowed}"]);
    poll(PATIENCE, || (allowed() == "1").then_some(())).expect("the budget allows one");
    let client = pods[0].client(&["--streams", "3", "--durations", "12s,15s,18s"]);
    pods[0].engine.wait_for("stream 3 opened");
    assert!(evict(&place, &pods[0]).is_ok());
    let refusal = evict(&place, &pods[1]).expect_err("a second one at the same time");
    assert!(refusal.contains("disruption budget"), "{refusal}");
    client.endings().assert_clean(3);
    pods[0].wait_gone();
    assert_eq!(pods[0].engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pods[0].outcome()["stragglers"], 0);
    assert_eq!(pods[1].engine.count("SIGINT received"), 0, "the other was left alone");
    place.assert_hooks_succeeded();
    "3 streams clean in the evicted pod; the second eviction was refused".to_owned()
}

fn evict(place: &Place, pod: &Pod) -> Result<(), String> {
    let path = format!("/api/v1/namespaces/{}/pods/{}/eviction", place.name(), pod.name);
    let name = json!({"name": pod.name, "namespace": place.name()});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": name});
    let output = try_kubectl(&eviction.to_string(), &["create", "--raw", &path, "--filename", "-"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(error) }
}

fn ready_pods(place: &Place, count: usize) -> Vec<Pod<'_>> {
    let pods = poll(PATIENCE, || Some(place.pods()).filter(|pods| pods.len() == count)).expect("the pods are made");
    pods.iter().for_each(Pod::wait_ready);
    pods
}
