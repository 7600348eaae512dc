//! A kubelet that restarts, and a kubelet without an API server.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use serde_json::Value;

use crate::serial;
use crate::support::client::Client;
use crate::support::clock::{TIMEOUT, now, poll, since};
use crate::support::cluster::cluster_dir;
use crate::support::log::Log;
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::pod::{ENDLESS, Pod, is_ready};
use crate::support::runner::Scenario;
use crate::support::{node, sidecar};
use lameduck_test_support::http::Call;

pub(crate) const SCENARIOS: &[Scenario] = &[
    serial("kubelet: restarted during a drain, it calls the hook again, which joins the drain", restarted_during_drain),
    serial("kubelet: drains a static pod without an API server", static_pod),
];

fn restarted_during_drain() -> String {
    let namespace = Namespace::new("kubelet-restart", "restricted");
    let pod = namespace.start(&Manifest::example("native-sidecar.yaml").pod("kubelet-restart").grace(300));
    let client = pod.open_streams(3);
    let deleted = now();
    pod.delete(&[]);
    pod.wait_until_counted_after_signal();
    wait_for_callers(&pod, 1);
    node::stop("kubelet");
    wait_for_callers(&pod, 0);
    node::start("kubelet");
    wait_for_callers(&pod, 1);
    client.end_streams();
    client.endings().assert_clean(3);
    pod.wait_gone();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal, although the hook was called twice");
    assert_eq!(pod.outcome()["stragglers"], 0);
    namespace.assert_hooks_succeeded();
    format!("3 streams clean, one SIGINT, hook called twice, gone after {} s", since(deleted).as_secs())
}

/// Waits until this many hook calls are held.
fn wait_for_callers(pod: &Pod, callers: u32) {
    let line = format!("lameduck_hook_callers {callers}");
    let reached = || pod.get("/metrics").body.lines().any(|found| found == line).then_some(());
    poll(TIMEOUT, reached)
        .unwrap_or_else(|| panic!("timed out waiting for {callers} callers: {}", pod.get("/metrics").body));
}

fn static_pod() -> String {
    let manifest = Manifest::example("native-sidecar.yaml").pod("static").grace(120);
    let _kubelet = StandaloneKubelet::start();
    fs::write(StandaloneKubelet::manifest(), manifest.0.to_string()).unwrap();
    let pod = poll(TIMEOUT, || StandaloneKubelet::pod().filter(is_ready)).expect("the static pod becomes ready");
    let field = |path: &str| pod.pointer(path).and_then(Value::as_str).expect("a field of the pod").to_owned();
    let logs = cluster_dir().join("log/pods").join(format!("default_static-node_{}", field("/metadata/uid")));
    let [engine, lameduck] = [ENGINE, LAMEDUCK].map(|container| Log::open(logs.join(container).join("0.log")));
    let client =
        Client::start(&format!("{}:8080", field("/status/podIP")), &["--streams", "3", "--durations", ENDLESS]);
    engine.wait_for("stream 3 opened");
    fs::remove_file(StandaloneKubelet::manifest()).unwrap();
    let address = format!("{}:8089", field("/status/podIP")).parse().expect("an address");
    sidecar::wait_until_counted_after_signal(address);
    client.end_streams();
    client.endings().assert_clean(3);
    poll(TIMEOUT, || StandaloneKubelet::pod().is_none().then_some(())).expect("the static pod is deleted");

    assert_eq!(engine.count("SIGINT received"), 1, "one signal");
    let outcome: Value = serde_json::from_str(&lameduck.wait_for("drain over")).unwrap();
    assert_eq!((&outcome["stragglers"], &outcome["streams_at_start"]), (&0.into(), &3.into()), "{outcome}");
    assert!(!StandaloneKubelet::log().contains("PreStop hook failed"), "the hook succeeded");
    "3 streams clean, one SIGINT, no stragglers, after the manifest was removed".to_owned()
}

/// A kubelet without an API server, which replaces the regular one until dropped.
struct StandaloneKubelet;

impl StandaloneKubelet {
    fn start() -> Self {
        node::stop("kubelet");
        node::start("kubelet-alone");
        Self
    }

    /// The manifest of the static pod, which exists as long as this file.
    fn manifest() -> PathBuf {
        cluster_dir().join("manifests/static.json")
    }

    /// The static pod, as the kubelet itself reports it.
    fn pod() -> Option<Value> {
        let address = SocketAddr::from(([127, 0, 0, 1], 10255));
        TcpStream::connect(address).ok()?;
        let pods = Call::send(address, "GET /pods HTTP/1.0\r\n\r\n").response().json();
        pods["items"].as_array()?.iter().find(|pod| pod["metadata"]["name"] == "static-node").cloned()
    }

    fn log() -> String {
        fs::read_to_string(cluster_dir().join("log/kubelet-alone.log")).expect("it has a log")
    }
}

impl Drop for StandaloneKubelet {
    fn drop(&mut self) {
        let _ = fs::remove_file(Self::manifest());
        node::stop("kubelet-alone");
        node::start("kubelet");
    }
}
