//! The kubelet itself comes and goes, or is all there is.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use serde_json::Value;

use crate::alone;
use crate::support::client::Client;
use crate::support::clock::{PATIENCE, now, poll, since};
use crate::support::cluster::folder;
use crate::support::log::Log;
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Place;
use crate::support::node;
use crate::support::pod::{Pod, is_ready};
use crate::support::runner::Scenario;
use lameduck_test_support::http::Call;

pub(crate) const SCENARIOS: &[Scenario] = &[
    alone("kubelet: restarted in mid-drain, it calls the hook again, which joins the drain", restarted_in_mid_drain),
    alone("kubelet: alone, without an API server, it drains a static pod", a_static_pod),
];

fn restarted_in_mid_drain() -> String {
    let place = Place::new("kubelet-restart", "restricted");
    let pod = place.start(&Manifest::example("native-sidecar.yaml").pod("kubelet-restart").grace(60));
    let client = pod.busy("30s,32s,34s");
    let deleted = now();
    pod.delete(&[]);
    pod.engine.wait_for("SIGINT received (1)");
    wait_for_callers(&pod, 1);
    node::stop("kubelet");
    wait_for_callers(&pod, 0);
    node::start("kubelet");
    wait_for_callers(&pod, 1);
    client.endings().assert_clean(3);
    pod.wait_gone();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal, though the hook came twice");
    assert_eq!(pod.outcome()["stragglers"], 0);
    place.assert_hooks_succeeded();
    format!("3 streams clean, one SIGINT, hook called twice, gone after {} s", since(deleted).as_secs())
}

/// Waits until so many hooks are held.
fn wait_for_callers(pod: &Pod, callers: u32) {
    let line = format!("lameduck_hook_callers {callers}");
    let held = || pod.ask("/metrics").body.lines().any(|found| found == line).then_some(());
    poll(PATIENCE, held).unwrap_or_else(|| panic!("not {callers} callers: {}", pod.ask("/metrics").body));
}

fn a_static_pod() -> String {
    let manifest = Manifest::example("native-sidecar.yaml").pod("static").grace(60);
    let _alone = Alone::start();
    fs::write(Alone::manifest(), manifest.0.to_string()).unwrap();
    let pod = poll(PATIENCE, || Alone::pod().filter(is_ready)).expect("the static pod gets ready");
    let field = |path: &str| pod.pointer(path).and_then(Value::as_str).expect("a field of the pod").to_owned();
    let logs = folder().join("log/pods").join(format!("default_static-node_{}", field("/metadata/uid")));
    let [engine, lameduck] = [ENGINE, LAMEDUCK].map(|container| Log::open(logs.join(container).join("0.log")));
    let client =
        Client::start(&format!("{}:8080", field("/status/podIP")), &["--streams", "3", "--durations", "12s,15s"]);
    engine.wait_for("stream 3 opened");
    fs::remove_file(Alone::manifest()).unwrap();
    client.endings().assert_clean(3);
    poll(PATIENCE, || Alone::pod().is_none().then_some(())).expect("the static pod goes");

    assert_eq!(engine.count("SIGINT received"), 1, "one signal");
    let outcome: Value = serde_json::from_str(&lameduck.wait_for("drain over")).unwrap();
    assert_eq!((&outcome["stragglers"], &outcome["streams_at_start"]), (&0.into(), &3.into()), "{outcome}");
    assert!(!Alone::log().contains("PreStop hook failed"), "the hook succeeded");
    "3 streams clean, one SIGINT, no straggler, after the manifest was removed".to_owned()
}

/// The kubelet without an API server, in place of the one that has it.
struct Alone;

impl Alone {
    fn start() -> Self {
        node::stop("kubelet");
        node::start("kubelet-alone");
        Self
    }

    /// A file that is a pod: it begins and ends with it.
    fn manifest() -> PathBuf {
        folder().join("manifests/static.json")
    }

    /// The static pod, as the kubelet itself tells it.
    fn pod() -> Option<Value> {
        let address = SocketAddr::from(([127, 0, 0, 1], 10255));
        TcpStream::connect(address).ok()?;
        let pods = Call::send(address, "GET /pods HTTP/1.0\r\n\r\n").response().json();
        pods["items"].as_array()?.iter().find(|pod| pod["metadata"]["name"] == "static-node").cloned()
    }

    fn log() -> String {
        fs::read_to_string(folder().join("log/kubelet-alone.log")).expect("it has a log")
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = fs::remove_file(Self::manifest());
        node::stop("kubelet-alone");
        node::start("kubelet");
    }
}
