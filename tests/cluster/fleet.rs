//! `lameduck-fleet` with the permissions of its manifests: its service account, and the admission policies.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::parallel;
use crate::support::clock::{TIMEOUT, poll};
use crate::support::cluster::{cluster_dir, kubectl, kubectl_with, program, repository, try_kubectl};
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::pod::Pod;
use crate::support::runner::Scenario;
use lameduck_test_support::http::{Call, Response};

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("fleet: the emptiest pod is removed first, and every outcome is counted once", victim_choice),
    parallel("fleet: a shortened grace period shortens the drain", shortened_grace_period),
    parallel("fleet: a pod that is deleted by force is not left out", forced_deletion),
    parallel("fleet: annotations of others stay, and those of the fleet are removed", annotations),
];

const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
const TOKEN: &str = "fleet-token";

/// A running controller, killed on drop.
struct Fleet {
    process: Child,
    address: SocketAddr,
}

impl Fleet {
    /// Starts a controller of this namespace with the permissions of the service account.
    fn start(namespace: &Namespace, port: u16, args: &[&str]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let log = File::create(cluster_dir().join(format!("log/{}.fleet.log", namespace.name()))).unwrap();
        let process = Command::new(program("lameduck-fleet"))
            .args(["--namespace", namespace.name(), "--listen", &address.to_string(), "--log-format", "json"])
            .args(["--lease-namespace", "lameduck"])
            .args(args)
            .env("KUBECONFIG", service_account(namespace.name()))
            .stderr(log)
            .spawn()
            .unwrap();
        let fleet = Self { process, address };
        let is_ready = || Some(fleet.try_get("/readyz")?).filter(|response| response.status == 200);
        poll(TIMEOUT, is_ready).expect("the fleet has listed the pods");
        fleet
    }

    fn try_get(&self, path: &str) -> Option<Response> {
        std::net::TcpStream::connect(self.address).ok()?;
        Some(Call::get(self.address, path).response())
    }

    fn outcomes(&self) -> Vec<Value> {
        let page = self.try_get("/outcomes").expect("the fleet answers").json();
        page["outcomes"].as_array().unwrap().clone()
    }

    /// Waits until this many drains have been reported and counted, and returns them.
    fn wait_for_outcomes(&self, count: usize) -> Vec<Value> {
        let all = || Some(self.outcomes()).filter(|all| all.len() == count && self.counted() == count);
        poll(TIMEOUT, all).unwrap_or_else(|| panic!("{:?}, of which {} are counted", self.outcomes(), self.counted()))
    }

    /// The sum of the counters of drains.
    fn counted(&self) -> usize {
        let page = self.try_get("/metrics").expect("the fleet answers").body;
        let samples = page.lines().filter(|line| line.starts_with("lameduck_fleet_drains_total{"));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
    }

    /// Ends it in an orderly way.
    fn stop(mut self) {
        kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Creates what the manifests contain except the Deployment, and returns a kubeconfig of the service account.
fn service_account(name: &str) -> String {
    let file = repository("k8s-examples/fleet/fleet.yaml");
    let text = kubectl(&["create", "--dry-run=client", "--output", "json", "--filename", file.to_str().unwrap()]);
    let objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map(Result::unwrap);
    for object in objects.filter(|object| object["kind"] != "Deployment") {
        kubectl_with(&object.to_string(), &["apply", "--validate=strict", "--filename", "-"]);
    }
    let policies = repository("k8s-examples/fleet/admission.yaml");
    kubectl(&["apply", "--validate=strict", "--filename", policies.to_str().unwrap()]);
    let token = kubectl(&["--namespace", "lameduck", "create", "token", "lameduck-fleet"]);
    let mut config: Value = serde_json::from_str(&kubectl(&["config", "view", "--raw", "--output", "json"])).unwrap();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let path = cluster_dir().join(format!("{name}.kubeconfig"));
    fs::write(&path, config.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn labelled(mut manifest: Manifest) -> Manifest {
    let metadata = if manifest.0["kind"] == "Pod" {
        &mut manifest.0["metadata"]
    } else {
        &mut manifest.0["spec"]["template"]["metadata"]
    };
    metadata["labels"]["lameduck/sidecar"] = json!("true");
    manifest
}

fn annotation(pod: &Pod, key: &str) -> Option<String> {
    let last = pod.history().pop()?;
    last["object"]["metadata"]["annotations"][key].as_str().map(str::to_owned)
}

fn cost(pod: &Pod) -> Option<String> {
    annotation(pod, COST)
}

fn victim_choice() -> String {
    let namespace = Namespace::new("fleet-victims", "restricted");
    let fleet = Fleet::start(&namespace, 18090, &["--poll-interval", "1s"]);
    let manifest = Manifest::example("native-sidecar.yaml").grace(60).deployment("deepgram-engine", 3);
    namespace.apply(&labelled(manifest));
    let pods = poll(TIMEOUT, || Some(namespace.pods()).filter(|pods| pods.len() == 3)).expect("three pods");
    // The oldest pod stays without streams: a ReplicaSet would remove the youngest one.
    let clients = [&pods[1], &pods[2]].map(|pod| pod.open_streams(2));
    pods[0].wait_ready();
    let is_written = || (cost(&pods[0]).as_deref() == Some("-100")).then_some(());
    poll(TIMEOUT, is_written).expect("the empty pod has a negative cost");
    namespace.kubectl(&["scale", "deployment", "deepgram-engine", "--replicas=2"]);
    pods[0].wait_gone();
    assert!(!pods[1].is_gone() && !pods[2].is_gone());
    fleet.wait_for_outcomes(1);
    namespace.kubectl(&["scale", "deployment", "deepgram-engine", "--replicas=0"]);
    for (pod, client) in pods[1..].iter().zip(&clients) {
        pod.drain(client, 2);
    }
    let outcomes = fleet.wait_for_outcomes(3);
    assert!(outcomes.iter().all(|outcome| outcome["stragglers"] == 0), "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| outcome["workload"] == "deepgram-engine"), "{outcomes:?}");
    // One about each pod, and one about the Deployment for each pod.
    let events = || Some(namespace.events("Drained")).filter(|events| events.len() == 6);
    poll(TIMEOUT, events).unwrap_or_else(|| panic!("{:?}", namespace.events("Drained")));
    fleet.stop();
    "the empty pod was removed first; 3 outcomes, 6 Events, 4 streams clean".to_owned()
}

fn shortened_grace_period() -> String {
    let namespace = Namespace::new("fleet-deadline", "restricted");
    namespace.kubectl(&["create", "secret", "generic", "lameduck", &format!("--from-literal=token={TOKEN}")]);
    let token = cluster_dir().join("fleet-token");
    fs::write(&token, TOKEN).unwrap();
    let fleet =
        Fleet::start(&namespace, 18091, &["--leader-election", "false", "--token-file", token.to_str().unwrap()]);
    let mut manifest =
        labelled(Manifest::native("shortened", 300)).setting("LAMEDUCK_TOKEN_FILE", "/etc/lameduck/token");
    manifest.spec()["volumes"] = json!([{"name": "token", "secret": {"secretName": "lameduck"}}]);
    manifest.container(LAMEDUCK)["volumeMounts"] =
        json!([{"name": "token", "mountPath": "/etc/lameduck", "readOnly": true}]);
    let headers = json!([{"name": "Authorization", "value": format!("Bearer {TOKEN}")}]);
    manifest.container(ENGINE)["lifecycle"]["preStop"]["httpGet"]["httpHeaders"] = headers;
    let pod = namespace.start(&manifest);
    let _client = pod.open_streams(1);
    pod.delete(&["--grace-period", "20"]);
    pod.wait_gone();
    let outcome = fleet.wait_for_outcomes(1).remove(0);
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&json!("expired"), &json!(1)), "{outcome}");
    assert!(outcome["seconds"].as_f64() < Some(20.0), "{outcome}");
    assert_eq!(outcome["warnings"], json!(["deadline_shortened"]));
    format!("drain of 300 s ended after {} s, before SIGKILL", outcome["seconds"])
}

fn forced_deletion() -> String {
    let namespace = Namespace::new("fleet-force", "restricted");
    let fleet = Fleet::start(&namespace, 18092, &["--leader-election", "false"]);
    let pod = namespace.start(&labelled(Manifest::native("forced", 60)));
    let _client = pod.open_streams(1);
    let change = try_kubectl(
        "",
        &[
            "--kubeconfig",
            &service_account(namespace.name()),
            "--namespace",
            namespace.name(),
            "label",
            "pod",
            "forced",
            "stolen=true",
        ],
    );
    let refusal = String::from_utf8_lossy(&change.stderr).into_owned();
    assert!(refusal.contains("may not change labels"), "{refusal}");
    pod.delete(&["--force", "--grace-period", "0"]);
    let outcome = fleet.wait_for_outcomes(1).remove(0);
    assert!(outcome["outcome"] != "drained", "{outcome}");
    format!("recorded once, as {}", outcome["outcome"])
}

fn annotations() -> String {
    let namespace = Namespace::new("fleet-annotations", "restricted");
    let args =
        ["--leader-election", "false", "--poll-interval", "1s", "--safe-to-evict", "--do-not-disrupt", "duration"];
    let fleet = Fleet::start(&namespace, 18093, &args);
    let mut manifest = labelled(Manifest::example("native-sidecar.yaml").grace(60).deployment("deepgram-engine", 2));
    // The template sets the cost, and so owns it.
    manifest.0["spec"]["template"]["metadata"]["annotations"] = json!({ COST: "5" });
    namespace.apply(&manifest);
    let pods = poll(TIMEOUT, || Some(namespace.pods()).filter(|pods| pods.len() == 2)).expect("two pods");
    let _client = pods[0].open_streams(1);
    let values = || Some((annotation(&pods[0], SAFE_TO_EVICT)?, annotation(&pods[0], DO_NOT_DISRUPT)?));
    let (safe, disrupt) = poll(TIMEOUT, values).expect("the busy pod is protected");
    assert!(safe == "false" && disrupt.ends_with('s'), "{safe} {disrupt}");
    assert_eq!((annotation(&pods[1], SAFE_TO_EVICT), annotation(&pods[1], DO_NOT_DISRUPT)), (None, None));
    fleet.stop();
    poll(TIMEOUT, || annotation(&pods[0], SAFE_TO_EVICT).is_none().then_some(())).expect("an orderly exit removes it");
    assert_eq!(annotation(&pods[0], DO_NOT_DISRUPT), Some(disrupt), "it ends by itself");
    let log = fs::read_to_string(cluster_dir().join("log/fleet-annotations.fleet.log")).unwrap();
    assert_eq!(log.matches("another field manager owns this annotation").count(), 1, "{log}");
    let cleanup = Command::new(program("lameduck-fleet"))
        .args(["cleanup", "--namespace", namespace.name()])
        .env("KUBECONFIG", service_account(namespace.name()))
        .status();
    assert!(cleanup.unwrap().success());
    poll(TIMEOUT, || annotation(&pods[0], DO_NOT_DISRUPT).is_none().then_some(())).expect("the cleanup removes it");
    assert_eq!([&pods[0], &pods[1]].map(cost), [Some("5".to_owned()), Some("5".to_owned())]);
    "the template's cost stayed; protections were written, and removed".to_owned()
}
