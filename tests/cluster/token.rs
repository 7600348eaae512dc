//! A token that hook calls from other hosts must carry: the kubelet is another host to the pod.

use serde_json::{Value, json};

use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Place;
use crate::support::pod::is_ready;
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[
    together("token: a hook that carries it drains the pod", a_hook_that_carries_it),
    together("token: a hook whose header was forgotten cuts nobody", a_hook_whose_header_was_forgotten),
];

const TOKEN: &str = "correct-horse.battery+staple";

/// Gives lameduck the token of a Secret, and the hook these headers.
fn guarded(place: &Place, name: &str, headers: &Value) -> Manifest {
    place.kubectl(&["create", "secret", "generic", "lameduck", &format!("--from-literal=token={TOKEN}")]);
    let mut manifest = Manifest::example("native-sidecar.yaml").pod(name).grace(60);
    manifest = manifest.setting("LAMEDUCK_TOKEN_FILE", "/etc/lameduck/token");
    manifest.spec()["volumes"] = json!([{"name": "token", "secret": {"secretName": "lameduck"}}]);
    let mounts = json!([{"name": "token", "mountPath": "/etc/lameduck", "readOnly": true}]);
    manifest.container(LAMEDUCK)["volumeMounts"] = mounts;
    manifest.container(ENGINE)["lifecycle"]["preStop"]["httpGet"]["httpHeaders"] = headers.clone();
    manifest
}

fn a_hook_that_carries_it() -> String {
    let place = Place::new("token-carried", "restricted");
    let headers = json!([{"name": "Authorization", "value": format!("Bearer {TOKEN}")}]);
    let pod = place.start(&guarded(&place, "token-carried", &headers));
    let client = pod.busy("10s,12s");
    pod.drains(&client, 2);
    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    let outcome = pod.outcome();
    assert_eq!((&outcome["stragglers"], &outcome["signal"]), (&json!(0), &json!("SIGINT")));
    place.assert_hooks_succeeded();
    "2 streams clean, one SIGINT".to_owned()
}

fn a_hook_whose_header_was_forgotten() -> String {
    let place = Place::new("token-forgotten", "restricted");
    let pod = place.start(&guarded(&place, "token-forgotten", &json!([])));
    let client = pod.busy("10s,12s");
    pod.delete(&[]);
    pod.lameduck.wait_for("a call of /prestop without the token is held");
    client.endings().assert_clean(2);
    pod.wait_gone();
    assert!(pod.was(is_ready));
    assert_eq!(pod.engine.count("SIGINT received"), 0, "lameduck signals nobody");
    assert_eq!(pod.engine.count("SIGTERM received"), 1, "the kubelet does, when the streams have ended");
    place.assert_hooks_succeeded();
    "2 streams clean, held until then, no signal but the kubelet's".to_owned()
}
