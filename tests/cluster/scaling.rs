//! Pods go because the Deployment is scaled down, or because they are evicted.

use serde_json::json;

use crate::parallel;
use crate::support::client::Client;
use crate::support::clock::{TIMEOUT, poll};
use crate::support::cluster::{repository, try_kubectl};
use crate::support::manifest::Manifest;
use crate::support::namespace::Namespace;
use crate::support::pod::{Pod, is_terminating};
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("scaling: scaled from three pods to one, no stream is cut", scale_down),
    parallel("scaling: an eviction drains, and the disruption budget blocks a second one meanwhile", eviction),
];

fn deployment(replicas: u32) -> Manifest {
    Manifest::example("native-sidecar.yaml").grace(120).deployment("deepgram-engine", replicas)
}

fn scale_down() -> String {
    let namespace = Namespace::new("scaling-down", "restricted");
    namespace.apply(&deployment(3));
    let pods = ready_pods(&namespace, 3);
    let clients: Vec<Client> = pods.iter().map(|pod| pod.open_streams(3)).collect();
    namespace.kubectl(&["scale", "deployment", "deepgram-engine", "--replicas=1"]);
    let terminating = || Some(pods.iter().filter(|pod| pod.was_ever(is_terminating)).collect::<Vec<_>>());
    let terminating = poll(TIMEOUT, || terminating().filter(|pods| pods.len() == 2)).expect("two pods are deleted");
    for pod in &terminating {
        pod.wait_until_counted_after_signal();
    }
    for client in &clients {
        client.end_streams();
        client.endings().assert_clean(3);
    }
    for pod in terminating {
        pod.wait_gone();
        assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
        assert_eq!(pod.outcome()["stragglers"], 0);
    }
    let signals: usize = pods.iter().map(|pod| pod.engine.count("SIGINT received")).sum();
    assert_eq!(signals, 2, "the remaining pod got no signal");
    namespace.assert_hooks_succeeded();
    "9 streams clean in 3 pods; 2 of the pods drained and were deleted".to_owned()
}

fn eviction() -> String {
    let namespace = Namespace::new("scaling-eviction", "restricted");
    namespace.apply(&deployment(2));
    let budget = repository("k8s-examples/pod-disruption-budget.yaml");
    namespace.kubectl(&["apply", "--filename", budget.to_str().unwrap()]);
    let pods = ready_pods(&namespace, 2);
    let allowed = || namespace.kubectl(&["get", "pdb", "--output", "jsonpath={.items[0].status.disruptionsAllowed}"]);
    poll(TIMEOUT, || (allowed() == "1").then_some(())).expect("the budget allows one");
    allow_no_replacement(&namespace);
    let client = pods[0].open_streams(3);
    assert!(evict(&namespace, &pods[0]).is_ok());
    let refusal = evict(&namespace, &pods[1]).expect_err("a second eviction at the same time is refused");
    assert!(refusal.contains("disruption budget"), "{refusal}");
    pods[0].drain(&client, 3);
    pods[0].wait_gone();
    assert_eq!(pods[0].engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pods[0].outcome()["stragglers"], 0);
    assert_eq!(pods[1].engine.count("SIGINT received"), 0, "the other pod got no signal");
    namespace.assert_hooks_succeeded();
    "3 streams clean in the evicted pod; the second eviction was refused".to_owned()
}

/// Until the evicted pod is gone, there is no replacement, with which the budget would allow a second eviction.
fn allow_no_replacement(namespace: &Namespace) {
    namespace.kubectl(&["create", "quota", "pods", "--hard=pods=2"]);
    let used = || namespace.kubectl(&["get", "quota", "pods", "--output", "jsonpath={.status.used.pods}"]);
    poll(TIMEOUT, || (used() == "2").then_some(())).expect("the quota is in use");
}

fn evict(namespace: &Namespace, pod: &Pod) -> Result<(), String> {
    let path = format!("/api/v1/namespaces/{}/pods/{}/eviction", namespace.name(), pod.name);
    let name = json!({"name": pod.name, "namespace": namespace.name()});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": name});
    let output = try_kubectl(&eviction.to_string(), &["create", "--raw", &path, "--filename", "-"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(error) }
}

fn ready_pods(namespace: &Namespace, count: usize) -> Vec<Pod<'_>> {
    let pods =
        poll(TIMEOUT, || Some(namespace.pods()).filter(|pods| pods.len() == count)).expect("the pods are created");
    pods.iter().for_each(Pod::wait_ready);
    pods
}
