//! Misconfigured hooks: how the kubelet handles them, and what lameduck logs.

use serde_json::{Value, json};

use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::pod::Pod;
use crate::support::runner::Scenario;
use crate::{parallel, serial};

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("hooks: a hook only on the sidecar does not delay the engine's SIGTERM", only_on_the_sidecar),
    parallel("hooks: a wrong path counts as success for the kubelet; lameduck logs an error", wrong_path),
    parallel("hooks: the kubelet retries a TLS call in plain text, and there is one drain", over_tls),
    parallel("hooks: a port name of the sidecar passes validation, but the call fails", port_name_of_the_sidecar),
    parallel("hooks: with hostNetwork the kubelet's call fails", with_host_network),
    // Both pods use the ports of the node.
    serial("hooks: with hostNetwork, a hook with host 127.0.0.1 holds the drain", with_host_network_and_host),
];

fn hook(manifest: &mut Manifest) -> &mut Value {
    &mut manifest.container(ENGINE)["lifecycle"]["preStop"]["httpGet"]
}

/// Deletes the pod while two streams are open, which end after this line in the engine's log; waits until it is gone.
fn delete_with_streams<'a>(namespace: &'a Namespace, manifest: &Manifest, until: &str) -> Pod<'a> {
    let pod = namespace.start(manifest);
    let client = pod.open_streams(2);
    pod.delete(&[]);
    pod.engine.wait_for(until);
    client.end_streams();
    client.endings().assert_clean(2);
    pod.wait_gone();
    pod
}

/// Deletes the pod while two streams are open; waits until the sidecar has drained them and the pod is gone.
fn delete_and_drain<'a>(namespace: &'a Namespace, manifest: &Manifest) -> Pod<'a> {
    let pod = namespace.start(manifest);
    let client = pod.open_streams(2);
    pod.delete_and_drain(&client, 2);
    pod
}

/// Deletes the pod while two streams are open. Asserts that the kubelet sends SIGTERM meanwhile, and that no drain
/// begins.
fn delete_without_hold<'a>(namespace: &'a Namespace, manifest: &Manifest) -> Pod<'a> {
    let pod = delete_with_streams(namespace, manifest, "SIGTERM received (1)");
    assert_eq!(pod.engine.count("SIGINT received"), 0, "{:#?}", pod.engine.lines());
    assert_eq!(pod.lameduck.count("drain started"), 0);
    pod
}

fn only_on_the_sidecar() -> String {
    let namespace = Namespace::new("hooks-sidecar", "restricted");
    // Leaves time for a late SIGTERM.
    let mut manifest = Manifest::native("hooks-sidecar", 120).setting("LAMEDUCK_LAME_DUCK", "20s");
    let lifecycle = manifest.container(ENGINE).as_object_mut().unwrap().remove("lifecycle").unwrap();
    manifest.container(LAMEDUCK)["lifecycle"] = lifecycle;
    let pod = delete_with_streams(&namespace, &manifest, "SIGINT received (2)");

    assert_eq!(pod.engine.count("SIGTERM received (1)"), 1, "{:#?}", pod.engine.lines());
    namespace.assert_hooks_succeeded();
    "the engine got SIGTERM at once, and SIGINT as its second signal".to_owned()
}

fn wrong_path() -> String {
    let namespace = Namespace::new("hooks-path", "restricted");
    let mut manifest = Manifest::native("hooks-path", 120);
    hook(&mut manifest)["path"] = json!("/drain");
    let pod = delete_without_hold(&namespace, &manifest);

    let error = pod.lameduck.wait_for("hook call to an unknown path");
    assert!(error.contains("\"ERROR\"") && error.contains("/prestop"), "{error}");
    namespace.assert_hooks_succeeded();
    "404 counted as success: SIGTERM at once; lameduck's log names the right path".to_owned()
}

fn over_tls() -> String {
    let namespace = Namespace::new("hooks-tls", "restricted");
    let mut manifest = Manifest::native("hooks-tls", 120).setting("LAMEDUCK_LOG_LEVEL", "debug");
    hook(&mut manifest)["scheme"] = json!("HTTPS");
    let pod = delete_and_drain(&namespace, &manifest);

    let tls = pod.lameduck.count("invalid HTTP method");
    assert!(tls > 0, "the kubelet did not try TLS: {:#?}", pod.lameduck.lines());
    assert_eq!(pod.lameduck.count("drain started"), 1, "the TLS call starts no drain");
    assert_eq!((pod.engine.count("SIGINT received"), pod.engine.count("SIGTERM received")), (1, 0));
    assert_eq!(pod.termination_message()["stragglers"], 0);
    namespace.assert_hooks_succeeded();
    "2 streams clean, one drain, one SIGINT; TLS first, then plain text".to_owned()
}

fn port_name_of_the_sidecar() -> String {
    let namespace = Namespace::new("hooks-port", "restricted");
    let mut manifest = Manifest::native("hooks-port", 120);
    hook(&mut manifest)["port"] = json!(LAMEDUCK);
    delete_without_hold(&namespace, &manifest);

    let failure = namespace.wait_for_event("FailedPreStopHook");
    format!("SIGTERM at once ({failure})")
}

fn with_host_network() -> String {
    let namespace = Namespace::new("hooks-network", "privileged");
    let mut manifest = Manifest::native("hooks-network", 120);
    manifest.spec()["hostNetwork"] = json!(true);
    delete_without_hold(&namespace, &manifest);

    let failure = namespace.wait_for_event("FailedPreStopHook");
    format!("SIGTERM at once ({failure})")
}

fn with_host_network_and_host() -> String {
    let namespace = Namespace::new("hooks-network-host", "privileged");
    let mut manifest = Manifest::native("hooks-network-host", 120);
    manifest.spec()["hostNetwork"] = json!(true);
    hook(&mut manifest)["host"] = json!("127.0.0.1");
    let pod = delete_and_drain(&namespace, &manifest);

    assert_eq!((pod.engine.count("SIGINT received"), pod.engine.count("SIGTERM received")), (1, 0));
    assert_eq!(pod.lameduck.count("drain started"), 1);
    assert_eq!(pod.termination_message()["stragglers"], 0);
    namespace.assert_hooks_succeeded();
    "the drain held the hook; 2 streams clean, one SIGINT".to_owned()
}
