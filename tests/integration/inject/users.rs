//! What the sidecar takes from the main container: its user, its AppArmor profile; and what it warns of.

use crate::inject::support::{IMAGE, Output, check, inject, injected, removed};
use lameduck_test_support::manifests::libyaml::{container, pod_spec, pod_template};

const USER: &str = "--run-as-user=1000";
const HOST_NETWORK: &str = include_str!("../../fixtures/manifests/host-network.yaml");
const GENERIC: &str = include_str!("../../fixtures/manifests/generic-preset.yaml");
const OPENSHIFT: &str = include_str!("../../fixtures/manifests/openshift.yaml");
const STOP_SIGNAL: &str = include_str!("../../fixtures/manifests/stop-signal.yaml");
const COUNT_ONLY: [&str; 3] = ["--preset=generic", "--streams-port=7000", "--container=relay"];

fn run(manifests: &str, args: &[&str]) -> Output {
    let output = inject(manifests.as_bytes(), &[&[IMAGE], args].concat(), &[]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    output
}

/// A manifest with these lines in its main container.
fn engine(container: &str) -> String {
    format!("{OPENSHIFT}{container}")
}

#[test]
fn preset_without_signal_needs_no_uid_and_no_shared_processes() {
    let once = injected(GENERIC, &COUNT_ONLY);
    let spec = pod_spec(&once);
    assert!(spec.get("shareProcessNamespace").is_none());
    assert_eq!(container(&spec, "initContainers", "lameduck")["securityContext"]["runAsUser"], 65532);
    // A later run need not repeat the settings.
    let Output { stdout, .. } = run(&once, &["--container=relay"]);
    assert_eq!(stdout, once);
    let signalled = injected(GENERIC, &[&COUNT_ONLY[..], &[USER, "--target=relay", "--signal=SIGTERM"]].concat());
    assert_eq!(pod_spec(&signalled)["shareProcessNamespace"], true);
    let Output { code, stderr, .. } = inject(signalled.as_bytes(), &[IMAGE, "--container=relay"], &[]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("--run-as-user"), "{stderr}");
}

#[test]
fn uid_can_be_left_to_the_cluster() {
    for mode in [&["--listen=[::]:8089"][..], &["--classic"], &["--standalone"], &["--signal=none"]] {
        let args = [&["--run-as-user=none", "--strict"], mode].concat();
        let once = injected(OPENSHIFT, &args);
        assert!(!once.contains("runAsUser"), "{once}");
        assert_eq!(injected(&once, &args), once);
        assert_eq!(removed(&once), OPENSHIFT);
        let check = check(&once);
        assert_eq!(check.code, Some(0), "{}", check.stdout);
    }
    let before = injected(OPENSHIFT, &[USER]);
    assert_eq!(injected(&before, &["--run-as-user=none"]), injected(OPENSHIFT, &["--run-as-user=none"]));
    let fixed = OPENSHIFT.replace("{runAsNonRoot: true}", "{runAsUser: 7}");
    let Output { stdout, stderr, .. } = run(&fixed, &["--run-as-user=none"]);
    assert!(
        stdout.contains("            runAsUser: 7\n") && stderr.contains("runs as 7, as set in the manifest"),
        "{stderr}"
    );
    let Output { stderr, .. } = inject(OPENSHIFT.as_bytes(), &[IMAGE], &[]);
    assert!(stderr.contains("--run-as-user none"), "{stderr}");
}

#[test]
fn hook_calls_loopback_with_host_network() {
    let args = ["--preset=generic", "--streams-port=7000", "--workload=DaemonSet/bridge"];
    let Output { stdout, stderr, .. } = run(HOST_NETWORK, &args);
    assert_eq!(pod_spec(&stdout)["containers"][0]["lifecycle"]["preStop"]["httpGet"]["host"], "127.0.0.1");
    assert!(stderr.contains("hostNetwork: the hook calls 127.0.0.1") && stderr.contains("baseline"), "{stderr}");
    assert_eq!(injected(&stdout, &args), stdout);
    assert_eq!(removed(&stdout), HOST_NETWORK);
    let check = check(&stdout);
    assert!(check.stdout.contains("✓ hook address"), "{}", check.stdout);
    assert!(!check.stdout.contains('✗'), "{}", check.stdout);
    // Without it, the address would be the node's.
    let moved = stdout.replace("      hostNetwork: true\n", "");
    let without = HOST_NETWORK.replace("      hostNetwork: true\n", "");
    assert_eq!(injected(&moved, &args), injected(&without, &args));
    assert!(!injected(HOST_NETWORK, &[&args[..], &["--standalone"]].concat()).contains("127.0.0.1"));
}

#[test]
fn shared_processes_are_named_and_s6_is_warned_of() {
    let note = "Deployment/x: shareProcessNamespace is now true";
    for (lines, warned) in [
        ("image: app:1\n        command: [impeller]", false),
        ("image: app:1\n        command: [/init, impeller]", true),
        ("image: lscr.io/linuxserver/self-hosted-engine:1", true),
        ("image: docker.io/jitsi/self-hosted-engine:1", true),
        ("image: linuxserver/app:1\n        command: [impeller]", false),
    ] {
        let text = format!(
            "kind: Deployment\nmetadata: {{name: x}}\nspec:\n  template:\n    spec:\n      terminationGracePeriodSeconds: 60\n      containers:\n      - name: a\n        {lines}\n"
        );
        let Output { stderr, .. } = run(&text, &[USER, "--container=a"]);
        assert!(stderr.contains(note), "{stderr}");
        assert_eq!(stderr.contains("s6-overlay"), warned, "{stderr}");
        let Output { stderr, .. } = run(&text, &["--container=a", "--signal=none"]);
        assert!(!stderr.contains(note) && !stderr.contains("s6-overlay"), "{stderr}");
        let shared = text.replace("      containers:\n", "      shareProcessNamespace: true\n      containers:\n");
        assert!(!run(&shared, &[USER, "--container=a"]).stderr.contains("is now true"));
    }
}

#[test]
fn app_armor_profile_is_copied_to_the_sidecar() {
    for (profile, warned) in [
        ("{type: Localhost, localhostProfile: media}", false),
        ("{type: RuntimeDefault}", false),
        ("{type: Unconfined}", true),
    ] {
        let text = engine(&format!("          securityContext: {{appArmorProfile: {profile}}}\n"));
        let Output { stdout, stderr, .. } = run(&text, &[USER]);
        let spec = pod_spec(&stdout);
        let of = |list, name| container(&spec, list, name)["securityContext"]["appArmorProfile"].clone();
        assert_eq!(of("initContainers", "lameduck"), of("containers", "engine"), "{stdout}");
        assert_eq!(stderr.contains("warning: DeploymentConfig/engine: AppArmor"), warned, "{stderr}");
        assert_eq!(injected(&stdout, &[USER]), stdout);
        assert_eq!(removed(&stdout), text);
        assert!(!injected(&text, &["--signal=none"]).replacen("appArmorProfile", "", 1).contains("appArmorProfile"));
    }
}

#[test]
fn app_armor_annotation_is_copied_to_the_sidecar() {
    const KEY: &str = "container.apparmor.security.beta.kubernetes.io/";
    for (profile, warned) in [("localhost/media", false), ("unconfined", true)] {
        let metadata = format!("    metadata:\n      annotations:\n        {KEY}engine: {profile}\n    spec:\n");
        let text = OPENSHIFT.replace("    spec:\n", &metadata);
        let Output { stdout, stderr, .. } = run(&text, &[USER]);
        let annotations = &pod_template(&stdout)["metadata"]["annotations"];
        assert_eq!(annotations[format!("{KEY}lameduck")], profile, "{stdout}");
        assert_eq!(stderr.contains("warning: DeploymentConfig/engine: AppArmor"), warned, "{stderr}");
        assert_eq!(injected(&stdout, &[USER]), stdout);
        assert_eq!(removed(&stdout), text);
    }
}

#[test]
fn privileged_main_container_gives_a_warning() {
    let text = engine("          securityContext: {privileged: true}\n");
    let Output { stderr, .. } = run(&text, &[USER]);
    assert!(stderr.contains("warning: DeploymentConfig/engine: container engine is privileged"), "{stderr}");
    assert!(stderr.contains("EACCES") && stderr.contains("--signal none"), "{stderr}");
    run(&text, &["--signal=none", "--strict"]);
}

#[test]
fn other_stop_signal_gives_a_warning_unless_the_signal_is_given() {
    let once = run(STOP_SIGNAL, &[]);
    let warning = "container engine declares stopSignal: SIGUSR1, but lameduck sends SIGINT; add --signal";
    assert!(once.stderr.contains(warning), "{}", once.stderr);
    assert!(once.stdout.ends_with("            stopSignal: SIGUSR1\n"), "{}", once.stdout);
    assert_eq!(removed(&once.stdout), STOP_SIGNAL);
    for signal in ["SIGUSR1", "usr1", "SIGINT", "none"] {
        let chosen = run(STOP_SIGNAL, &["--strict", &format!("--signal={signal}")]).stdout;
        assert_eq!(run(&chosen, &["--strict"]).stdout, chosen, "a later run need not repeat it");
    }
    run(&STOP_SIGNAL.replace("SIGUSR1", "SIGINT"), &["--strict"]);
}
