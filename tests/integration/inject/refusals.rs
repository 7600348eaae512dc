//! Refusals: exit code 64, nothing on stdout, and a message that names the cause and the fix.

use crate::inject::support::{CHART, IMAGE, Output, inject, injected};

const USER: &str = "--run-as-user=1000";

/// A Deployment with additional lines in its pod spec and main container.
fn deployment(spec: &str, container: &str) -> String {
    let lines = |lines: &str, indent: usize| -> String {
        lines.lines().flat_map(|line| [&" ".repeat(indent), line, "\n"].map(str::to_owned)).collect()
    };
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n{}      containers:\n      - name: app\n        image: app:1\n        command: [impeller]\n{}",
        lines(spec, 6),
        lines(container, 8)
    )
}

fn assert_refused(manifests: &str, args: &[&str], parts: &[&str]) {
    let Output { code, stdout, stderr } = inject(manifests.as_bytes(), args, &[]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{args:?}: {stderr}\n{manifests}");
    for part in parts {
        assert!(stderr.contains(part), "{args:?}: no {part:?} in {stderr}");
    }
}

fn assert_manifest_refused(manifests: &str, parts: &[&str]) {
    assert_refused(manifests, &[IMAGE, USER], parts);
}

#[test]
fn image_is_required() {
    for args in [&[USER][..], &[USER, "--image="], &[USER, "--image=a b"]] {
        assert_refused(CHART, args, &["--image", "registry.example.com/lameduck"]);
    }
}

#[test]
fn unknown_uid_is_refused() {
    let parts = ["Deployment/web", "--run-as-user", "kubectl exec POD -c app -- id -u"];
    assert_refused(&deployment("", ""), &[IMAGE], &parts);
    assert_refused(&deployment("securityContext: {}", "securityContext:"), &[IMAGE], &parts);
    let quoted = deployment("securityContext: {runAsUser: \"7\"}", "");
    assert_refused(&quoted, &[IMAGE], &["line 8", "runAsUser", "1000"]);
    assert!(injected(&quoted, &[USER]).contains("          runAsUser: 1000\n"));
}

#[test]
fn nothing_selected_is_refused() {
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";
    assert_manifest_refused(config, &["nothing to change", "impeller", "ConfigMap/c", "--workload", "--container"]);
    assert_manifest_refused("", &["nothing to change", "no manifests"]);
    assert_refused(
        CHART,
        &[IMAGE, "--container=nobody"],
        &["nobody", "Deployment/deepgram-engine", "their containers: deepgram-engine, deepgram-api"],
    );
    assert_refused(
        CHART,
        &[IMAGE, "--preset=generic", "--metrics-url=http://a/", "--streams=a"],
        &["no option says which"],
    );
    assert_refused(CHART, &[IMAGE, "--workload=Deployment/x"], &["Deployment/x", "Deployment/deepgram-api"]);
    assert_refused(CHART, &[IMAGE, "--workload=x"], &["--workload", "KIND/NAME"]);
}

#[test]
fn same_kind_in_other_api_group_is_not_a_workload() {
    let other = deployment("", "").replace("apps/v1", "example.com/v1");
    assert_manifest_refused(&other, &["nothing to change", "Deployment/web"]);
}

#[test]
fn ambiguous_container_must_be_named() {
    let two = deployment("", "")
        .replace("      containers:\n", "      containers:\n      - {name: second, command: [/bin/impeller]}\n");
    assert_manifest_refused(&two, &["Deployment/web", "second, app", "--container", "--also-hook"]);
    assert!(injected(&two, &[USER, "--container=app"]).contains("- {name: second, command: [/bin/impeller]}\n"));
    let workload = "--workload=Deployment/web";
    assert_refused(&two, &[IMAGE, USER, workload, "--container=x"], &["--container x", "second, app"]);
    assert_refused(&two, &[IMAGE, USER, "--container=app", "--also-hook=x"], &["--also-hook x", "second, app"]);
    assert_refused(&two, &[IMAGE, USER, workload, "--target=x"], &["Deployment/web", "second, app", "--container"]);
}

#[test]
fn existing_hook_is_not_replaced() {
    for hook in [
        "lifecycle: {preStop: {sleep: {seconds: 5}}}",
        "lifecycle:\n  postStart: {sleep: {seconds: 1}}\n  preStop:\n    exec:\n      command: [sh, -c, sleep 5]",
        "lifecycle: {preStop: {httpGet: {path: /prestop, port: 8080}}}",
        "\"lifecycle\": {\"preStop\": {httpGet: {path: /x, port: 8089}}}",
    ] {
        let parts = ["Deployment/web", "container app", "line ", "preStop", "remove it", "lameduck drain --hook"];
        assert_manifest_refused(&deployment("", hook), &parts);
    }
}

#[test]
fn unsupported_pods_are_refused() {
    for (spec, parts) in [
        ("hostPID: true", ["hostPID", "shareProcessNamespace", "--standalone"]),
        ("shareProcessNamespace: false", ["shareProcessNamespace", "line 8", "--standalone"]),
        ("os: {name: windows}", ["Windows", "Linux", "--workload"]),
        ("nodeSelector: {kubernetes.io/os: windows}", ["Windows", "Linux", "--workload"]),
    ] {
        assert_manifest_refused(&deployment(spec, ""), &parts);
    }
    for spec in ["hostPID: true", "shareProcessNamespace: false"] {
        injected(&deployment(spec, ""), &["--standalone"]);
    }
}

#[test]
fn port_in_use_is_refused_and_another_accepted() {
    for (spec, container) in [
        ("", "ports: [{containerPort: 8089}]"),
        ("initContainers:\n- name: proxy\n  restartPolicy: Always\n  ports:\n  - containerPort: 8089", ""),
    ] {
        let manifest = deployment(spec, container);
        assert_manifest_refused(&manifest, &["port 8089", "container", "--listen"]);
        let out = injected(&manifest, &[USER, "--listen=[::]:9000"]);
        assert!(out.contains("port: 9000") && out.contains("value: \"[::]:9000\""), "{out}");
    }
    assert_refused(CHART, &[IMAGE, "--listen=127.0.0.1:8089"], &["--listen 127.0.0.1:8089", "loopback", "[::]:8089"]);
    assert_refused(CHART, &[IMAGE, "--listen=[::]:0"], &["--listen [::]:0", "[::]:8089"]);
}

#[test]
fn invalid_grace_period_is_refused() {
    for period in ["\"1800\"", "0x10", "1_800", "010", "-1", "1.5", "ten", "!!int 5", "0", "{}"] {
        let manifest = deployment(&format!("terminationGracePeriodSeconds: {period}"), "");
        assert_manifest_refused(&manifest, &["Deployment/web", "line 8", "terminationGracePeriodSeconds", "1800"]);
    }
    assert_refused(CHART, &[IMAGE, USER, "--grace-period=1500ms"], &["--grace-period", "whole seconds"]);
    assert_refused(CHART, &[IMAGE, USER, "--grace-period=0"], &["--grace-period"]);
}

#[test]
fn invalid_sidecar_settings_are_refused() {
    assert_refused(
        CHART,
        &[IMAGE, USER, "--exit-margin=30m"],
        &["Deployment/deepgram-engine", "--exit-margin", "--grace-period"],
    );
    assert_refused(CHART, &[IMAGE, USER, "--signal=SIGFOO"], &["--signal", "SIGFOO"]);
    assert_refused(CHART, &[IMAGE, USER, "--streams=a{"], &["--streams", "a{"]);
}

#[test]
fn incompatible_options_are_refused() {
    let job = deployment("", "").replace("apps/v1", "batch/v1").replace("Deployment", "Job");
    assert_refused(&job, &[IMAGE, USER, "--classic"], &["Job/web", "never complete", "--classic"]);
    assert_refused(CHART, &[IMAGE, "--classic", "--standalone"], &["--classic", "--standalone"]);
    let open = "kind: Pod\nspec:\n  containers:\n  - name: a\n    command:\n    - impeller\n    - |\n      x";
    assert_refused(open, &[IMAGE, USER, "--classic"], &["block scalar", "end it with a newline"]);
    assert_refused(CHART, &[IMAGE, "--standalone", "--listen=[::]:1"], &["--listen", "leave it out"]);
    assert_refused(CHART, &[IMAGE, "--standalone", "--idle-after=60s"], &["--idle-after", "use a sidecar"]);
    assert_refused(CHART, &[IMAGE, "--standalone", "--accept-below=3"], &["--accept-below", "leave it out"]);
    let two = deployment("", "").replace("      containers:\n", "      containers:\n      - {name: second}\n");
    assert_refused(&two, &[IMAGE, "--standalone", "--also-hook=second"], &["--also-hook", "--standalone"]);
    assert_refused(CHART, &["--remove", IMAGE], &["--remove", "--image"]);
    assert_refused(CHART, &["--remove", "--signal=none"], &["--signal", "--remove", "leave it out"]);
    assert_refused(CHART, &["--remove", "--grace-period=5"], &["--grace-period", "--remove", "leave it out"]);
}

#[test]
fn shared_anchors_and_merges_are_refused() {
    let engine = "- &e {name: app, command: [impeller]}";
    for (manifest, part) in [
        (format!("apiVersion: v1\nkind: Pod\nx: &s\n  containers:\n  {engine}\nspec: *s\n"), "line 6"),
        (format!("apiVersion: v1\nkind: Pod\nspec: &s\n  containers:\n  {engine}\nx: *s\n"), "line 3"),
        (format!("apiVersion: v1\nkind: Pod\nx: &s\n  containers:\n  {engine}\nspec:\n  <<: *s\n"), "merge"),
        (format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  {engine}\n  - *e\n"), "several"),
        (format!("apiVersion: v1\nkind: Pod\nx:\n  {engine}\nspec:\n  containers:\n  - *e\n"), "write it out"),
        (format!("apiVersion: v1\nkind: Pod\nspec:\n  containers: &c\n  {engine}\nx: *c\n"), "line "),
        ("apiVersion: v1\nkind: Pod\nx: &l {preStop: {sleep: {seconds: 1}}}\nspec:\n  containers:\n  - name: app\n    command: [impeller]\n    lifecycle: *l\n".into(), "line 8"),
        ("apiVersion: v1\nkind: Pod\nx: &l {lifecycle: {postStart: {sleep: {seconds: 1}}}}\nspec:\n  containers:\n  - name: app\n    command: [impeller]\n    <<: *l\n".into(), "merge"),
        ("apiVersion: v1\nkind: Pod\nx: &l []\nspec:\n  initContainers: *l\n  containers:\n  - name: app\n    command: [impeller]\n".into(), "line 5"),
        ("apiVersion: v1\nkind: Pod\nspec:\n  initContainers: &l\n  containers:\n  - name: app\n    command: [impeller]\n".into(), "anchor"),
    ] {
        assert_manifest_refused(&manifest, &["Pod/", part]);
    }
    // Parts that are only read may be shared.
    let read = "apiVersion: v1\nkind: Pod\nx: &u {runAsUser: 7}\nspec:\n  containers:\n  - name: app\n    command: [impeller]\n    securityContext: *u\n";
    assert!(injected(read, &[]).contains("      runAsUser: 7\n      runAsNonRoot: true\n"));
}

#[test]
fn duplicate_keys_are_refused() {
    let twice = deployment("terminationGracePeriodSeconds: 5\nterminationGracePeriodSeconds: 6", "");
    assert_manifest_refused(&twice, &["Deployment/web", "line 9", "terminationGracePeriodSeconds", "duplicate"]);
}

#[test]
fn syntax_error_is_refused_with_position() {
    assert_manifest_refused("a: b: c\n", &["cannot be read", "line 1, column"]);
    assert_manifest_refused(&deployment("\tx: y", ""), &["cannot be read", "line 9"]);
    let Output { code, stdout, stderr } = inject(b"a: \xff\n", &[IMAGE], &[]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""));
    assert!(stderr.contains("not UTF-8 (at byte 3)"), "{stderr}");
}

#[test]
fn non_list_and_non_map_values_are_refused() {
    assert_manifest_refused(&deployment("initContainers: none", ""), &["line 8", "initContainers is not a list"]);
    assert_manifest_refused(&deployment("", "lifecycle: soon"), &["container app", "lifecycle is not a map"]);
}

#[test]
fn unusual_key_placement_is_refused() {
    let flow = deployment("", "").replace("- name: app\n        image: app:1\n", "- {name: app, lifecycle, x: y,\n");
    for manifest in [
        deployment("? initContainers\n: - name: first", ""),
        deployment("? volumes\n: - name: first", ""),
        deployment("", "? lifecycle"),
        flow.replace("[impeller]\n", "[impeller]}\n"),
    ] {
        assert_refused(&manifest, &[IMAGE, USER, "--standalone"], &["line ", "key:"]);
    }
    let explicit = "kind: Pod\nspec:\n  ? containers\n  : [{name: app, command: [impeller]}]\n";
    assert_manifest_refused(explicit, &["`containers` on a line of its own"]);
}

#[test]
fn removal_of_nothing_is_refused() {
    assert_refused(CHART, &["--remove"], &["nothing to remove", "lameduck"]);
    assert_refused(CHART, &["--remove", "--workload=Deployment/x"], &["Deployment/x"]);
}

#[test]
fn environment_settings_are_ignored() {
    let env = [("LAMEDUCK_STREAMS", "a{"), ("LAMEDUCK_GRACE_PERIOD", "7"), ("LAMEDUCK_LISTEN", "127.0.0.1:1")];
    let Output { code, stdout, stderr } = inject(CHART.as_bytes(), &[IMAGE, USER], &env);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, injected(CHART, &[USER]));
}

#[test]
fn manifests_are_read_from_a_file_or_stdin() {
    let file = "tests/fixtures/manifests/engine-chart.yaml";
    let Output { code, stdout, stderr } = inject(b"", &[IMAGE, USER, file], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, injected(CHART, &[USER]));
    assert_eq!(stdout, injected(CHART, &[USER, "-"]));
    for path in ["tests/fixtures/manifests/missing.yaml", "tests/fixtures"] {
        assert_refused(CHART, &[IMAGE, USER, path], &[path, "cannot be read"]);
    }
}
