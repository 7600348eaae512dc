//! A token that hook calls from other hosts must carry. For the pod, the kubelet is another host.

use serde_json::{Value, json};

use crate::parallel;
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::pod::is_ready;
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("token: a hook with the token drains the pod", hook_with_token),
    parallel("token: a hook without the token cuts no stream", hook_without_token),
];

const TOKEN: &str = "correct-horse.battery+staple";

/// A pod whose lameduck has the token from a Secret, and whose hook has these headers.
fn with_token(namespace: &Namespace, name: &str, headers: &Value) -> Manifest {
    namespace.kubectl(&["create", "secret", "generic", "lameduck", &format!("--from-literal=token={TOKEN}")]);
    let mut manifest = Manifest::example("native-sidecar.yaml").pod(name).grace(120);
    manifest = manifest.setting("LAMEDUCK_TOKEN_FILE", "/etc/lameduck/token");
    manifest.spec()["volumes"] = json!([{"name": "token", "secret": {"secretName": "lameduck"}}]);
    let mounts = json!([{"name": "token", "mountPath": "/etc/lameduck", "readOnly": true}]);
    manifest.container(LAMEDUCK)["volumeMounts"] = mounts;
    manifest.container(ENGINE)["lifecycle"]["preStop"]["httpGet"]["httpHeaders"] = headers.clone();
    manifest
}

fn hook_with_token() -> String {
    let namespace = Namespace::new("token-carried", "restricted");
    let headers = json!([{"name": "Authorization", "value": format!("Bearer {TOKEN}")}]);
    let pod = namespace.start(&with_token(&namespace, "token-carried", &headers));
    let client = pod.open_streams(2);
    pod.delete_and_drain(&client, 2);
    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    let outcome = pod.outcome();
    assert_eq!((&outcome["stragglers"], &outcome["signal"]), (&json!(0), &json!("SIGINT")));
    namespace.assert_hooks_succeeded();
    "2 streams clean, one SIGINT".to_owned()
}

fn hook_without_token() -> String {
    let namespace = Namespace::new("token-forgotten", "restricted");
    let pod = namespace.start(&with_token(&namespace, "token-forgotten", &json!([])));
    let client = pod.open_streams(2);
    pod.delete(&[]);
    pod.lameduck.wait_for("hook call without the token: it is held");
    client.end_streams();
    client.endings().assert_clean(2);
    pod.wait_gone();
    assert!(pod.was_ever(is_ready));
    assert_eq!(pod.engine.count("SIGINT received"), 0, "lameduck sends no signal");
    assert_eq!(pod.engine.count("SIGTERM received"), 1, "the kubelet does, after the streams have ended");
    namespace.assert_hooks_succeeded();
    "2 streams clean, hook held until then, no signal except the kubelet's".to_owned()
}
