//! What would keep a drain from working is shown before any traffic comes: the pod is unready, and says why.

use serde_json::{Value, json};

use crate::support::manifest::{ENGINE, Manifest};
use crate::support::namespace::Place;
use crate::support::pod::{Pod, is_ready, status};
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[
    together("unready: another uid than the engine's", another_uid),
    together("unready: no shared process namespace", no_shared_process_namespace),
];

fn another_uid() -> String {
    let place = Place::new("unready-uid", "restricted");
    let mut manifest = Manifest::example("native-sidecar.yaml").pod("unready-uid").grace(30);
    manifest.container(ENGINE)["securityContext"]["runAsUser"] = json!(1001);
    let pod = place.start(&manifest);
    let reason = refusal(&pod, "may not signal the target");
    assert!(reason.contains("uid 1001") && reason.contains("uid 1000"), "{reason}");
    reason
}

fn no_shared_process_namespace() -> String {
    let place = Place::new("unready-namespace", "restricted");
    let mut manifest = Manifest::example("native-sidecar.yaml").pod("unready-namespace").grace(30);
    manifest.spec()["shareProcessNamespace"] = json!(false);
    let pod = place.start(&manifest);
    let reason = refusal(&pod, "target not found");
    assert!(reason.contains("shareProcessNamespace: true"), "{reason}");
    reason
}

/// The reason that `/readyz` and the log give, once the engine alone is ready.
fn refusal(pod: &Pod, begins: &str) -> String {
    let engine_is_ready = |pod: &Value| status(pod, ENGINE).is_some_and(|engine| engine["ready"] == true);
    pod.wait_until("one with a ready engine", engine_is_ready);
    pod.lameduck.wait_for(begins);
    let answer = pod.ask("/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with(begins), "{answer:?}");
    pod.delete(&[]);
    pod.wait_gone();
    assert!(!pod.was(is_ready), "it was never ready");
    assert_eq!(pod.engine.count("SIGINT received"), 0, "and never signalled by lameduck");
    answer.body.trim().to_owned()
}
