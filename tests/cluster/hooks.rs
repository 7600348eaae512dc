//! Hooks that are not as they should be: what the kubelet makes of them, and what lameduck says.

use serde_json::{Value, json};

use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Place;
use crate::support::pod::Pod;
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[
    together("hooks: one on the sidecar alone does not hold back the engine's SIGTERM", on_the_sidecar_alone),
    together("hooks: a wrong path is success to the kubelet, and an error in lameduck's log", a_wrong_path),
    together("hooks: TLS to the plain port is tried again in clear, and drains once", by_tls),
    together(
        "hooks: a port's name that only the sidecar has passes validation, and fails",
        a_name_of_the_sidecars_port,
    ),
    together("hooks: in the node's own network the kubelet finds nobody to call", in_the_nodes_network),
];

fn native(name: &str) -> Manifest {
    Manifest::example("native-sidecar.yaml").pod(name).grace(60)
}

fn hook(manifest: &mut Manifest) -> &mut Value {
    &mut manifest.container(ENGINE)["lifecycle"]["preStop"]["httpGet"]
}

/// Deletes the pod under two streams, which the engine lets finish whatever the signal; then it is gone.
fn deleted_under_streams<'a>(place: &'a Place, manifest: &Manifest) -> Pod<'a> {
    let pod = place.start(manifest);
    let client = pod.busy("12s,14s");
    pod.drains(&client, 2);
    pod
}

/// The kubelet went on to SIGTERM under open streams, and no drain began.
fn assert_not_held(pod: &Pod) {
    let lines = pod.engine.lines();
    let place_of = |part: &str| lines.iter().position(|line| line.contains(part)).unwrap_or(usize::MAX);
    assert!(place_of("SIGTERM received (1)") < place_of("stream 1 closed"), "{lines:#?}");
    assert_eq!(pod.engine.count("SIGINT received"), 0, "{lines:#?}");
    assert_eq!(pod.lameduck.count("drain begins"), 0);
}

fn on_the_sidecar_alone() -> String {
    let place = Place::new("hooks-sidecar", "restricted");
    let mut manifest = native("hooks-sidecar");
    let lifecycle = manifest.container(ENGINE).as_object_mut().unwrap().remove("lifecycle").unwrap();
    manifest.container(LAMEDUCK)["lifecycle"] = lifecycle;
    let pod = deleted_under_streams(&place, &manifest);

    let lines = pod.engine.lines();
    let place_of = |part: &str| lines.iter().position(|line| line.contains(part));
    assert!(place_of("SIGTERM received (1)").unwrap() < place_of("SIGINT received (2)").unwrap(), "{lines:#?}");
    place.assert_hooks_succeeded();
    "the engine had SIGTERM at once, and SIGINT as its second signal".to_owned()
}

fn a_wrong_path() -> String {
    let place = Place::new("hooks-path", "restricted");
    let mut manifest = native("hooks-path");
    hook(&mut manifest)["path"] = json!("/drain");
    let pod = deleted_under_streams(&place, &manifest);

    let error = pod.lameduck.wait_for("a path that does not exist");
    assert!(error.contains("\"ERROR\"") && error.contains("/prestop"), "{error}");
    assert_not_held(&pod);
    place.assert_hooks_succeeded();
    "404 was success: SIGTERM at once; lameduck's log names the right path".to_owned()
}

fn by_tls() -> String {
    let place = Place::new("hooks-tls", "restricted");
    let mut manifest = native("hooks-tls").setting("LAMEDUCK_LOG_LEVEL", "debug");
    hook(&mut manifest)["scheme"] = json!("HTTPS");
    let pod = deleted_under_streams(&place, &manifest);

    let lines = pod.lameduck.lines();
    let place_of = |part: &str| lines.iter().position(|line| line.contains(part));
    let (by_tls, in_clear) = (place_of("invalid HTTP method"), place_of("drain begins"));
    assert!(by_tls.is_some() && by_tls < in_clear, "the kubelet did not come by TLS first: {lines:#?}");
    assert_eq!(pod.lameduck.count("drain begins"), 1, "the call by TLS is none");
    assert_eq!((pod.engine.count("SIGINT received"), pod.engine.count("SIGTERM received")), (1, 0));
    assert_eq!(pod.termination_message()["stragglers"], 0);
    place.assert_hooks_succeeded();
    "2 streams clean, one drain, one SIGINT: TLS first, then in clear".to_owned()
}

fn a_name_of_the_sidecars_port() -> String {
    let place = Place::new("hooks-port", "restricted");
    let mut manifest = native("hooks-port");
    hook(&mut manifest)["port"] = json!(LAMEDUCK);
    let pod = deleted_under_streams(&place, &manifest);

    let failure = place.wait_for_event("FailedPreStopHook");
    assert_not_held(&pod);
    format!("SIGTERM at once ({failure})")
}

fn in_the_nodes_network() -> String {
    let place = Place::new("hooks-network", "privileged");
    let mut manifest = native("hooks-network");
    manifest.spec()["hostNetwork"] = json!(true);
    let pod = deleted_under_streams(&place, &manifest);

    let failure = place.wait_for_event("FailedPreStopHook");
    assert_not_held(&pod);
    format!("SIGTERM at once ({failure})")
}
