//! What users added to lameduck's parts or named like them: it is kept, or reported, or the run is refused.

use crate::inject::support::{IMAGE, Output, inject, injected, removed};
use lameduck_test_support::manifests::libyaml::{container, pod_spec};

const USER: &str = "--run-as-user=1000";

/// A Deployment with these lines in its pod spec and in its container.
pub(super) fn deployment(spec: &str, container: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: e\nspec:\n  template:\n    spec:\n      terminationGracePeriodSeconds: 1800\n{spec}      containers:\n        - name: engine\n          image: app:1\n          command: [impeller]\n{container}"
    )
}

fn with(manifests: &str, args: &[&str]) -> Output {
    let answer = inject(manifests.as_bytes(), &[&[IMAGE, USER], args].concat(), &[]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    answer
}

pub(super) fn assert_refused(manifests: &str, args: &[&str], parts: &[&str]) {
    let Output { code, stdout, stderr } = inject(manifests.as_bytes(), &[&[IMAGE, USER], args].concat(), &[]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}\n{manifests}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
}

/// An injected manifest in which users extended the sidecar and the hook.
fn with_user_additions() -> String {
    let injected = injected(&deployment("", ""), &[USER]);
    let added = injected
        .replace("              value: \"1800\"\n", "              value: \"1800\"\n            # custom\n            - {name: LAMEDUCK_IDLE_AFTER, value: 60s}\n")
        .replace("          ports:\n", "          volumeMounts:\n            - {name: token, mountPath: /t}\n          ports: # here\n")
        .replace("                port: 8089\n", "                port: 8089\n                httpHeaders: [{name: Authorization, value: Bearer x}]\n")
        .replace("cpu: \"50m\"", "cpu: 200m");
    assert_eq!(added.matches("httpHeaders").count(), 1);
    added
}

#[test]
fn user_additions_are_kept_and_named() {
    let added = with_user_additions();
    let Output { stdout, stderr, .. } = with(&added, &[]);
    assert_eq!(stdout, added);
    assert!(stderr.contains("kept in container lameduck: volumeMounts"), "{stderr}");
    assert!(stderr.contains("LAMEDUCK_IDLE_AFTER") && stderr.contains("is up to date"), "{stderr}");
}

#[test]
fn upgrade_changes_managed_fields_and_reports_old_values() {
    let added = with_user_additions();
    let new = "--image=registry.example.com/lameduck:0.2.0";
    let Output { code, stdout, stderr } =
        inject(added.as_bytes(), &[new, USER, "--listen=[::]:9000", "--idle-after=90s"], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let expected = added.replace("lameduck:0.1.0", "lameduck:0.2.0").replace("8089", "9000").replace(
        "value: 60s}\n",
        "value: \"90s\"}\n            - name: LAMEDUCK_LISTEN\n              value: \"[::]:9000\"\n",
    );
    let mut lines: Vec<_> = stdout.lines().collect();
    let mut others: Vec<_> = expected.lines().collect();
    assert_eq!(lines.len(), others.len(), "{stdout}");
    lines.sort_unstable();
    others.sort_unstable();
    assert_eq!(lines, others);
    for part in [
        "line 15: image was registry.example.com/lameduck:0.1.0 and is now registry.example.com/lameduck:0.2.0",
        "value was 60s and is now \"90s\"",
        "port was 8089 and is now 9000",
        "containerPort was 8089 and is now 9000",
    ] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
}

#[test]
fn restoring_a_managed_field_is_reported() {
    let changed = injected(&deployment("", ""), &[USER]).replace("failureThreshold: 30", "failureThreshold: 90");
    let Output { stderr, .. } = with(&changed, &[]);
    assert!(stderr.contains("failureThreshold was 90 and is now 30"), "{stderr}");
}

#[test]
fn managed_fields_in_any_style_are_updated() {
    let injected = injected(&deployment("", ""), &[USER]);
    for (original, edited) in [
        ("              value: \"1800\"\n", "              value: |-\n                600\n\n              # next\n"),
        ("              value: \"1800\"\n", "              value:\n"),
        ("          startupProbe:\n", "          livenessProbe: {}\n          startupProbe:\n"),
        ("              drop:\n                - ALL\n", "              drop: none\n"),
        ("              drop:\n                - ALL\n", "              drop: [KILL, CHOWN]\n"),
        (
            "              drop:\n                - ALL\n",
            "              drop:\n                - |\n                  KILL\n\n",
        ),
        ("            seccompProfile:\n              type: RuntimeDefault\n", "            seccompProfile: [x]\n"),
        (
            "          ports:\n            - name: lameduck\n              containerPort: 8089\n",
            "          ports: []\n",
        ),
        ("            runAsNonRoot: true\n", "            runAsNonRoot: yes\n"),
    ] {
        let changed = injected.replace(original, edited);
        assert_ne!(changed, injected);
        let Output { stdout, .. } = with(&changed, &[]);
        let updated = container(&pod_spec(&stdout), "initContainers", "lameduck").clone();
        let mut expected = container(&pod_spec(&injected), "initContainers", "lameduck").clone();
        if edited.contains("livenessProbe") {
            expected["livenessProbe"] = serde_norway::Value::Mapping(serde_norway::Mapping::default());
        }
        assert_eq!(updated, expected, "{stdout}");
        assert_eq!(with(&stdout, &[]).stdout, stdout);
    }
}

#[test]
fn missing_termination_policy_is_added_and_another_is_kept() {
    const POLICY: &str = "          terminationMessagePolicy: FallbackToLogsOnError\n";
    let injected = injected(&deployment("", ""), &[USER]);
    assert_eq!(injected.matches(POLICY).count(), 1);
    for older in ["", "          terminationMessagePolicy:\n"] {
        let Output { stdout, stderr, .. } = with(&injected.replace(POLICY, older), &[]);
        let sidecar = container(&pod_spec(&stdout), "initContainers", "lameduck").clone();
        assert_eq!(sidecar["terminationMessagePolicy"], "FallbackToLogsOnError", "{stdout}");
        assert!(stderr.contains("lameduck updated"), "{stderr}");
        assert_eq!(with(&stdout, &[]).stdout, stdout);
    }
    let chosen = injected.replace(POLICY, "          terminationMessagePolicy: File\n");
    let Output { stdout, stderr, .. } = with(&chosen, &[]);
    assert_eq!(stdout, chosen);
    assert!(stderr.contains("kept in container lameduck: terminationMessagePolicy"), "{stderr}");
    for manifest in [&injected, &chosen] {
        assert_eq!(removed(manifest), deployment("", ""));
    }
}

#[test]
fn removed_user_additions_are_named() {
    let Output { stderr, .. } = inject(with_user_additions().as_bytes(), &["--remove"], &[]);
    for part in
        ["the sidecar (with volumeMounts, LAMEDUCK_IDLE_AFTER)", "the hook of container engine (with httpHeaders)"]
    {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    let standalone = injected(&deployment("", ""), &["--standalone", "--signal=SIGTERM"]);
    let Output { stderr, .. } = with(&standalone, &[]);
    assert!(stderr.contains("the hook of container engine (with --signal=SIGTERM)"), "{stderr}");
    let Output { stderr, .. } = with(&standalone, &["--standalone"]);
    assert!(stderr.contains("command was - /lameduck/lameduck") && stderr.contains("--signal=SIGTERM"), "{stderr}");
}

#[test]
fn sidecar_shared_by_anchor_is_refused() {
    let shared = injected(&deployment("", ""), &[USER]).replace("          env:\n", "          env: &e\n");
    let shared = format!("{shared}          env: *e\n");
    assert_refused(&shared, &[], &["anchor", "write it out"]);
}

#[test]
fn token_file_is_refused() {
    let parts = ["--token-file /etc/t/token", "volume", "mount", "httpHeaders", "lameduck drain --hook", "by hand"];
    assert_refused(&deployment("", ""), &["--token-file=/etc/t/token"], &parts);
}

#[test]
fn foreign_container_named_lameduck_is_refused_and_kept() {
    let init = "      initContainers:\n        - name: lameduck\n          image: busybox\n          command: [sh, -c, \"migrate db\"]\n";
    let ordinary = "        - name: lameduck\n          image: someone/else:1\n";
    for manifest in [deployment(init, ""), deployment("", ordinary)] {
        for mode in [&[][..], &["--classic"], &["--standalone"]] {
            assert_refused(&manifest, mode, &["Deployment/e", "line ", "container lameduck", "another name"]);
        }
        let Output { code, stdout, stderr } = inject(manifest.as_bytes(), &["--remove"], &[]);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
        assert!(stderr.contains("nothing to remove"), "{stderr}");
        let two = format!("{manifest}---\n{}", injected(&deployment("", ""), &[USER]));
        let Output { stdout, stderr, .. } = inject(two.as_bytes(), &["--remove"], &[]);
        assert_eq!(stdout, format!("{manifest}---\n{}", deployment("", "")));
        assert!(stderr.contains("container lameduck is user-defined and was kept"), "{stderr}");
    }
}

#[test]
fn foreign_volume_and_mount_named_lameduck_are_refused() {
    let volume = "      volumes:\n        - name: lameduck\n          persistentVolumeClaim: {claimName: models}\n";
    assert_refused(&deployment(volume, ""), &["--standalone"], &["line ", "volume lameduck", "another name"]);
    let original = injected(&deployment("", ""), &["--standalone"]);
    let claim = original.replace("          emptyDir: {}\n", "          persistentVolumeClaim: {claimName: models}\n");
    assert_ne!(claim, original);
    assert_refused(&claim, &["--standalone"], &["volume lameduck"]);
    assert!(removed(&claim).contains("claimName: models"));
    let mount = "          volumeMounts:\n            - {name: lameduck, mountPath: /models}\n";
    assert_refused(&deployment("", mount), &["--standalone"], &["line ", "mounts lameduck at another path"]);
}

#[test]
fn other_volume_at_the_path_of_the_program_is_refused() {
    for path in ["/lameduck", "/lameduck/"] {
        let mount = format!("          volumeMounts:\n            - name: models\n              mountPath: {path}\n");
        let parts = ["line 14", "volume models", "/lameduck", "another path", "without --standalone"];
        assert_refused(&deployment("", &mount), &["--standalone"], &parts);
        injected(&deployment("", &mount), &[USER]);
    }
    let below = "          volumeMounts:\n            - {name: models, mountPath: /lameduck-models}\n";
    injected(&deployment("", below), &["--standalone"]);
}

#[test]
fn similar_foreign_hook_is_not_replaced() {
    let hook = |get: &str| format!("          lifecycle:\n            preStop:\n              httpGet: {{{get}}}\n");
    let gateway = hook("path: /prestop, port: 8089, host: gw.example, scheme: HTTPS");
    assert_refused(&deployment("", &gateway), &[], &["container engine", "preStop", "not replaced"]);
    let original = injected(&deployment("", ""), &[USER]);
    let elsewhere = original.replace(
        "                path: /prestop\n",
        "                host: gw.example\n                path: /prestop\n",
    );
    assert_ne!(elsewhere, original);
    assert_refused(&elsewhere, &[], &["preStop", "not replaced"]);
    assert!(removed(&elsewhere).contains("host: gw.example"));
}

#[test]
fn signal_none_needs_no_uid_and_no_shared_processes() {
    for spec in ["      shareProcessNamespace: false\n", "      hostPID: true\n", ""] {
        let out = injected(&deployment(spec, ""), &["--signal=none"]);
        let spec = pod_spec(&out);
        assert_eq!(container(&spec, "initContainers", "lameduck")["securityContext"]["runAsUser"], 65532);
        assert_ne!(spec["shareProcessNamespace"].as_bool(), Some(true));
    }
}

#[test]
fn sidecar_requests_equal_limits() {
    let spec = pod_spec(&injected(&deployment("", ""), &[USER]));
    let resources = &container(&spec, "initContainers", "lameduck")["resources"];
    assert_eq!(resources["requests"], resources["limits"]);
    assert!(resources["limits"].get("cpu").is_some());
}

#[test]
fn mixed_line_endings_are_idempotent_and_removable() {
    let text = deployment("", "");
    for line in 1..text.lines().count() {
        let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
        lines[line] = lines[line].replace('\n', "\r\n");
        let mixed = lines.concat();
        for mode in ["--listen=[::]:8089", "--classic", "--also-hook=engine"] {
            let once = injected(&mixed, &[USER, mode]);
            assert_eq!(injected(&once, &[USER, mode]), once, "line {line}");
            assert_eq!(removed(&once), mixed, "line {line}");
        }
    }
}
