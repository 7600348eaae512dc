//! A Deployment behind a Service is updated while new streams keep arriving.

use std::collections::HashMap;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::client::{Client, Endings};
use crate::support::clock::{TIMEOUT, poll};
use crate::support::manifest::Manifest;
use crate::support::namespace::{Namespace, text};
use crate::support::pod::{Pod, is_ready, is_terminating};
use crate::support::runner::Scenario;
use crate::{parallel, serial};

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("rollout: four replicas that drain slowly become eight pods", pods_at_once),
    serial(
        "rollout: at 40 new streams a second, none is refused or cut with lameduck, some are without",
        update_under_load,
    ),
];

/// Number of replicas whose update is measured.
const REPLICAS: u32 = 4;

/// Number of streams opened to each of the two Services, one every 25 ms.
const STREAMS: u32 = 1600;

fn update_under_load() -> String {
    let namespace = Namespace::new("rollout", "restricted");
    let example = Manifest::example("native-sidecar.yaml").grace(60);
    namespace.apply(&example.clone().without_lameduck().deployment("plain", 2));
    // A node that is busy with two rollouts may need more than the usual 5 s to forget a pod.
    namespace.apply(&example.setting("LAMEDUCK_LAME_DUCK", "15s").deployment("drained", 2));
    let [plain, drained] = ["plain", "drained"].map(|name| {
        namespace.apply(&service(name));
        wait_for_rollout(&namespace, name);
        start_client(&namespace, name)
    });
    for name in ["plain", "drained"] {
        namespace.kubectl(&["rollout", "restart", "deployment", name]);
    }
    for name in ["plain", "drained"] {
        wait_for_rollout(&namespace, name);
    }
    let (mut plain, drained) = (plain.endings(), drained.endings());
    drained.assert_clean(STREAMS.into());
    // The kubelet's SIGTERM may come so late that the node has forgotten the pod.
    for _ in 0..4 {
        if plain.refused == 0 {
            let client = start_client(&namespace, "plain");
            namespace.kubectl(&["rollout", "restart", "deployment", "plain"]);
            wait_for_rollout(&namespace, "plain");
            plain = client.endings();
        }
    }
    assert!(plain.refused > 0, "without lameduck no stream was refused: this load proves nothing");
    namespace.assert_hooks_succeeded();
    format!("without: {}; with: {}", summary(&plain), summary(&drained))
}

fn wait_for_rollout(namespace: &Namespace, deployment: &str) {
    namespace.kubectl(&["rollout", "status", "deployment", deployment, "--timeout=180s"]);
}

/// How many pods exist at once while all replicas are replaced, and every old pod has a stream that does not end.
fn pods_at_once() -> String {
    let strategies = [("surge", 1, 0), ("no-surge", 0, 1)];
    let totals = strategies.map(|(name, surge, unavailable)| {
        let namespace = Namespace::new(&format!("rollout-{name}"), "restricted");
        let mut deployment = Manifest::example("native-sidecar.yaml").grace(600).deployment(name, REPLICAS);
        let limits = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        deployment.0["spec"]["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": limits});
        namespace.apply(&deployment);
        wait_for_rollout(&namespace, name);
        let pods = namespace.pods();
        let clients: Vec<Client> = pods.iter().map(|pod| pod.open_streams(1)).collect();
        namespace.kubectl(&["rollout", "restart", "deployment", name]);
        wait_for_rollout(&namespace, name);
        assert!(pods.iter().all(|pod| pod.was_ever(is_terminating) && !pod.is_gone()), "the old pods still drain");
        drop(clients);
        pods.iter().for_each(Pod::wait_gone);
        max_pods(&namespace.history())
    });
    let all = REPLICAS as usize;
    assert_eq!(totals, [Pods { total: 2 * all, terminating: all, ready: all }; 2]);
    "4 ready and 4 terminating at once, with maxSurge 1 and with maxSurge 0".to_owned()
}

/// The state with the most pods in a watch, of these with the most terminating ones, and of these with the most ready
/// ones: a pod may be unready for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Pods {
    total: usize,
    terminating: usize,
    /// Ready, and not terminating.
    ready: usize,
}

fn max_pods(history: &[Value]) -> Pods {
    let (mut current, mut max) = (HashMap::new(), Pods::default());
    for event in history {
        let (uid, pod) = (text(&event["object"]["metadata"]["uid"]), event["object"].clone());
        if event["type"] == "DELETED" {
            current.remove(&uid)
        } else {
            current.insert(uid, pod)
        };
        let terminating = current.values().filter(|pod| is_terminating(pod)).count();
        let ready = current.values().filter(|pod| is_ready(pod) && !is_terminating(pod)).count();
        max = max.max(Pods { total: current.len(), terminating, ready });
    }
    max
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
