//! Misconfigurations that would break a drain show before any traffic arrives: the pod stays unready and gives the reason.

use serde_json::{Value, json};

use crate::parallel;
use crate::support::manifest::{ENGINE, Manifest};
use crate::support::namespace::Namespace;
use crate::support::pod::{Pod, is_ready, status};
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("unready: lameduck runs under a different uid than the engine", different_uid),
    parallel("unready: no shared process namespace", no_shared_process_namespace),
];

fn different_uid() -> String {
    let namespace = Namespace::new("unready-uid", "restricted");
    let mut manifest = Manifest::example("native-sidecar.yaml").pod("unready-uid").grace(30);
    manifest.container(ENGINE)["securityContext"]["runAsUser"] = json!(1001);
    let pod = namespace.start(&manifest);
    let reason = unready_reason(&pod, "cannot signal the target");
    assert!(reason.contains("uid 1001") && reason.contains("uid 1000"), "{reason}");
    reason
}

fn no_shared_process_namespace() -> String {
    let namespace = Namespace::new("unready-namespace", "restricted");
    let mut manifest = Manifest::example("native-sidecar.yaml").pod("unready-namespace").grace(30);
    manifest.spec()["shareProcessNamespace"] = json!(false);
    let pod = namespace.start(&manifest);
    let reason = unready_reason(&pod, "target not found");
    assert!(reason.contains("shareProcessNamespace: true"), "{reason}");
    reason
}

/// The reason that `/readyz` and the log give once only the engine is ready.
fn unready_reason(pod: &Pod, begins: &str) -> String {
    let engine_is_ready = |pod: &Value| status(pod, ENGINE).is_some_and(|engine| engine["ready"] == true);
    pod.wait_until("running a ready engine", engine_is_ready);
    pod.lameduck.wait_for(begins);
    let answer = pod.get("/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with(begins), "{answer:?}");
    pod.delete(&[]);
    pod.wait_gone();
    assert!(!pod.was_ever(is_ready), "the pod was never ready");
    assert_eq!(pod.engine.count("SIGINT received"), 0, "lameduck sent no signal");
    answer.body.trim().to_owned()
}
