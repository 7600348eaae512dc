//! Settings of an existing sidecar stay, so a later run checks them together with the given ones.

use super::additions::deployment;
use crate::inject::support::{IMAGE, Output, check, inject, injected};

const USER: &str = "--run-as-user=1000";

/// A second injection, into the result of a first one that `edit` has changed.
fn injected_again(first: &[&str], edit: impl Fn(String) -> String, second: &[&str]) -> Output {
    let first = edit(injected(&deployment("", ""), &[&[USER], first].concat()));
    inject(first.as_bytes(), &[&[IMAGE, USER], second].concat(), &[])
}

fn unchanged(manifests: String) -> String {
    manifests
}

fn assert_refused(output: &Output, parts: &[&str]) {
    assert_eq!((output.code, output.stdout.as_str()), (Some(64), ""), "{}", output.stderr);
    for part in parts {
        assert!(output.stderr.contains(part), "no {part:?} in {}", output.stderr);
    }
}

#[test]
fn settings_that_do_not_fit_the_kept_ones_are_refused() {
    for (first, second, parts) in [
        (
            &["--lame-duck=10s", "--unready-after=8s"][..],
            "--lame-duck=3s",
            &["Deployment/e", "--unready-after 8s", "longer than --lame-duck 3s", "kept", "LAMEDUCK_UNREADY_AFTER"][..],
        ),
        (&["--lame-duck=60s"], "--grace-period=50", &["--lame-duck 60s", "--grace-period 50s", "LAMEDUCK_LAME_DUCK"]),
        (&["--listen=[::]:9000"], "--lame-duck=3s", &["LAMEDUCK_LISTEN", "9000", "8089", "--listen"]),
    ] {
        assert_refused(&injected_again(first, unchanged, &[second]), parts);
    }
}

#[test]
fn settings_that_fit_the_kept_ones_are_accepted() {
    for (first, second) in [
        ("--lame-duck=10s", "--unready-after=8s"),
        ("--streams-port=8080", "--gauge-leak-after=5m"),
        ("--listen=[::]:9000", "--listen=[::]:9000"),
        ("--lame-duck=2000s", "--lame-duck=3s"),
    ] {
        let first: &[&str] = if first.ends_with("2000s") { &[first, "--grace-period=3600"] } else { &[first] };
        let Output { code, stdout, stderr } = injected_again(first, unchanged, &[second, "--grace-period=1800"]);
        assert_eq!(code, Some(0), "{second}: {stderr}");
        let checked = check(&stdout);
        assert_eq!(checked.code, Some(0), "{second}: {}", checked.stdout);
    }
}

#[test]
fn kept_value_from_the_cluster_is_not_guessed() {
    let unknown = |manifests: String| {
        let changed = manifests.replace("value: 8s\n", "valueFrom: {configMapKeyRef: {name: c, key: k}}\n");
        let changed = changed.replace("value: \"8s\"\n", "valueFrom: {configMapKeyRef: {name: c, key: k}}\n");
        assert_ne!(changed, manifests);
        changed
    };
    let first = ["--lame-duck=10s", "--unready-after=8s"];
    let Output { code, stderr, .. } = injected_again(&first, unknown, &["--lame-duck=3s"]);
    assert_eq!(code, Some(0), "{stderr}");
    // What is known is still checked.
    assert_refused(&injected_again(&first, unknown, &["--lame-duck=1795s"]), &["--lame-duck 1795s", "leave nothing"]);
}

#[test]
fn kept_arguments_are_checked() {
    let with_flag = |manifests: String| {
        let changed =
            manifests.replace("            - sidecar\n", "            - sidecar\n            - --lame-duck=3s\n");
        assert_ne!(changed, manifests);
        changed
    };
    assert_refused(&injected_again(&[], with_flag, &["--unready-after=4s"]), &["--unready-after 4s", "--lame-duck 3s"]);
}

#[test]
fn variables_of_the_container_count_for_a_standalone_hook() {
    let env = "          env: [{name: LAMEDUCK_LAME_DUCK, value: 30m}]\n";
    let output = inject(deployment("", env).as_bytes(), &[IMAGE, "--standalone"], &[]);
    assert_refused(&output, &["--lame-duck 1800s", "leave nothing"]);
}

#[test]
fn standalone_gauge_leak_must_be_shorter_than_the_drain() {
    let args = |after| [IMAGE, "--standalone", "--streams-port=8080", after];
    let manifests = deployment("", "");
    let parts = ["--gauge-leak-after 1795s", "at most 1795s", "sidecar"];
    assert_refused(&inject(manifests.as_bytes(), &args("--gauge-leak-after=1795s"), &[]), &parts);
    let Output { code, stdout, stderr } = inject(manifests.as_bytes(), &args("--gauge-leak-after=1794s"), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let checked = check(&stdout.replace("1794s", "1795s"));
    assert!(checked.stdout.contains("--gauge-leak-after 1795s"), "{}", checked.stdout);
    // In a sidecar, the time without connections may begin before the drain.
    injected(&manifests, &[USER, "--streams-port=8080", "--gauge-leak-after=30m"]);
}
