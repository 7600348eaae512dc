//! Pods other than an engine with a sidecar: without a sidecar, the API, and a proxy in front of the engine.

use std::fs;

use serde_json::json;

use crate::parallel;
use crate::support::client::Client;
use crate::support::cluster::cluster_dir;
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::pod::ENDLESS;
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("exec-in-main: the hook drains without a sidecar, and ends with the engine", exec_in_main),
    parallel("api: the API's exit ends the drain", api),
    parallel("two containers: a proxy with the hook serves until the engine's streams have ended", proxy_with_hook),
];

const API: &str = "deepgram-api";

fn exec_in_main() -> String {
    let namespace = Namespace::new("exec-in-main", "restricted");
    let mut manifest = Manifest::example("exec-in-main.yaml").pod("exec-in-main").engine("--exit-delay 7s");
    manifest.spec()["terminationGracePeriodSeconds"] = json!(600);
    let command = &mut manifest.container(ENGINE)["lifecycle"]["preStop"]["exec"]["command"];
    let last = command.as_array_mut().unwrap().last_mut().unwrap();
    assert_eq!(*last, "--grace-period=3600");
    *last = json!("--grace-period=600");
    let pod = namespace.start(&manifest);
    pod.wait_ready();
    let command = ["exec", "exec-in-main", "-c", ENGINE, "--", "/lameduck/lameduck", "check", "--grace-period=600"];
    let check = namespace.kubectl(&command);
    let client = pod.open_streams(4);
    pod.delete(&[]);
    pod.drain_standalone(&client, 4);
    pod.wait_gone();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pod.engine.count("SIGTERM received"), 0, "no SIGTERM");
    let outcome = pod.message_of(ENGINE);
    assert_eq!(
        json!([outcome["outcome"], outcome["streams_at_start"], outcome["stragglers"]]),
        json!(["exited", 4, 0])
    );
    assert_eq!(pod.exit_code(ENGINE), Some(0));
    assert_eq!(pod.exit_code(LAMEDUCK), Some(0), "it only installed the binary");
    let hook = end_of_hook(&namespace);
    let check = check.lines().last().unwrap_or_default();
    format!("{check}; 4 streams clean, one SIGINT, exited; {hook}")
}

/// The kernel ends the hook together with the engine, which is the container's first process.
fn end_of_hook(namespace: &Namespace) -> String {
    let event = namespace.wait_for_event("FailedPreStopHook");
    let log = fs::read_to_string(cluster_dir().join("log/kubelet.log")).unwrap();
    let killed = "drain --standalone --hook --grace-period=600' exited with 137";
    assert!(log.contains(killed), "the kubelet's log does not contain {killed:?}");
    format!("the hook exited with 137 (event: {event})")
}

fn api() -> String {
    let namespace = Namespace::new("api", "restricted");
    let manifest = Manifest::example("api-pod.yaml").pod("api").grace(600).simulated(API, "--role api --exit-delay 3s");
    let pod = namespace.start(&manifest);
    pod.wait_ready();
    let api = pod.log(API, 0);
    let client = pod.client(&["--streams", "3", "--durations", ENDLESS]);
    api.wait_for("stream 3 opened");
    pod.delete_and_drain(&client, 3);

    assert_eq!(api.count("SIGINT received"), 1, "one signal");
    assert_eq!(api.count("SIGTERM received"), 0, "no SIGTERM");
    pod.assert_outcome("exited", 0, Some("SIGINT"));
    assert_eq!((pod.exit_code(API), pod.exit_code(LAMEDUCK)), (Some(0), Some(0)));
    namespace.assert_hooks_succeeded();
    "3 streams clean, one SIGINT, exited".to_owned()
}

/// A simulated engine that cuts its streams at SIGTERM plays the proxy.
fn proxy_with_hook() -> String {
    let namespace = Namespace::new("two-containers", "restricted");
    let mut manifest = Manifest::example("two-containers.yaml")
        .pod("two-containers")
        .grace(600)
        .simulated("proxy", "--listen 0.0.0.0:8443 --metrics 127.0.0.1:9992 --on-signal quit");
    manifest.container("proxy")["command"] = json!(["stem"]);
    let pod = namespace.start(&manifest);
    pod.wait_ready();
    let proxy = pod.log("proxy", 0);
    let proxy_client = Client::start(&pod.address(8443).to_string(), &["--streams", "2", "--durations", ENDLESS]);
    proxy.wait_for("stream 2 opened");
    let engine_client = pod.open_streams(2);
    pod.delete(&[]);
    pod.wait_until_counted_after_signal();
    proxy_client.end_streams();
    proxy_client.endings().assert_clean(2);
    pod.drain(&engine_client, 2);
    pod.wait_gone();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    assert_eq!((proxy.count("SIGINT received"), proxy.count("SIGTERM received")), (0, 1));
    assert_eq!(pod.outcome()["stragglers"], 0);
    namespace.assert_hooks_succeeded();
    "2 streams at the proxy and 2 at the engine clean; the proxy got only SIGTERM, after they had ended".to_owned()
}
