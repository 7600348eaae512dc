//! What people wrote beside ours, or under our name: it stays, or is named, or nothing is done.

use crate::inject::support::{Answer, IMAGE, inject, injected, removed};
use lameduck_test_support::manifests::view::{container, pod_spec};

const USER: &str = "--run-as-user=1000";

/// A Deployment with these lines in its pod spec and in its container.
fn deployment(spec: &str, container: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: e\nspec:\n  template:\n    spec:\n      terminationGracePeriodSeconds: 1800\n{spec}      containers:\n        - name: engine\n          image: app:1\n          command: [impeller]\n{container}"
    )
}

fn with(manifests: &str, args: &[&str]) -> Answer {
    let answer = inject(manifests.as_bytes(), &[&[IMAGE, USER], args].concat(), &[]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    answer
}

fn assert_refused(manifests: &str, args: &[&str], parts: &[&str]) {
    let Answer { code, stdout, stderr } = inject(manifests.as_bytes(), &[&[IMAGE, USER], args].concat(), &[]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}\n{manifests}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
}

/// A sidecar to which people added what they needed.
fn added_to() -> String {
    let injected = injected(&deployment("", ""), &[USER]);
    let added = injected
        .replace("              value: \"1800\"\n", "              value: \"1800\"\n            # of ours\n            - {name: LAMEDUCK_IDLE_AFTER, value: 60s}\n")
        .replace("          ports:\n", "          volumeMounts:\n            - {name: token, mountPath: /t}\n          ports: # here\n")
        .replace("                port: 8089\n", "                port: 8089\n                httpHeaders: [{name: Authorization, value: Bearer x}]\n")
        .replace("cpu: \"50m\"", "cpu: 200m");
    assert_eq!(added.matches("httpHeaders").count(), 1);
    added
}

#[test]
fn what_people_added_to_the_sidecar_and_the_hook_stays_and_is_named() {
    let added = added_to();
    let Answer { stdout, stderr, .. } = with(&added, &[]);
    assert_eq!(stdout, added);
    assert!(stderr.contains("kept in container lameduck as it was there: volumeMounts"), "{stderr}");
    assert!(stderr.contains("LAMEDUCK_IDLE_AFTER") && stderr.contains("is up to date"), "{stderr}");
}

#[test]
fn an_upgrade_changes_what_is_ours_and_says_what_it_was() {
    let added = added_to();
    let new = "--image=registry.example.com/lameduck:0.2.0";
    let Answer { code, stdout, stderr } =
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
        "line 12: image was registry.example.com/lameduck:0.1.0, and is registry.example.com/lameduck:0.2.0 now",
        "value was 60s, and is \"90s\" now",
        "port was 8089, and is 9000 now",
        "containerPort was 8089, and is 9000 now",
    ] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
}

#[test]
fn a_value_of_ours_that_was_changed_by_hand_is_named_when_it_is_set_back() {
    let changed = injected(&deployment("", ""), &[USER]).replace("failureThreshold: 30", "failureThreshold: 90");
    let Answer { stderr, .. } = with(&changed, &[]);
    assert!(stderr.contains("failureThreshold was 90, and is 30 now"), "{stderr}");
}

#[test]
fn values_of_ours_in_another_style_are_brought_up_to_date() {
    let injected = injected(&deployment("", ""), &[USER]);
    for (ours, theirs) in [
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
        let changed = injected.replace(ours, theirs);
        assert_ne!(changed, injected);
        let Answer { stdout, .. } = with(&changed, &[]);
        let mended = container(&pod_spec(&stdout), "initContainers", "lameduck").clone();
        let mut expected = container(&pod_spec(&injected), "initContainers", "lameduck").clone();
        if theirs.contains("livenessProbe") {
            expected["livenessProbe"] = serde_norway::Value::Mapping(serde_norway::Mapping::default());
        }
        assert_eq!(mended, expected, "{stdout}");
        assert_eq!(with(&stdout, &[]).stdout, stdout);
    }
}

#[test]
fn what_goes_with_the_sidecar_is_named() {
    let Answer { stderr, .. } = inject(added_to().as_bytes(), &["--remove"], &[]);
    for part in
        ["the sidecar (with volumeMounts, LAMEDUCK_IDLE_AFTER)", "the hook of container engine (with httpHeaders)"]
    {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    let standalone = injected(&deployment("", ""), &["--standalone", "--signal=SIGTERM"]);
    let Answer { stderr, .. } = with(&standalone, &[]);
    assert!(stderr.contains("the hook of container engine (with --signal=SIGTERM)"), "{stderr}");
    let Answer { stderr, .. } = with(&standalone, &["--standalone"]);
    assert!(stderr.contains("command was - /lameduck/lameduck") && stderr.contains("--signal=SIGTERM"), "{stderr}");
}

#[test]
fn parts_of_ours_that_are_shared_by_anchors_are_refused() {
    let shared = injected(&deployment("", ""), &[USER]).replace("          env:\n", "          env: &e\n");
    let shared = format!("{shared}          env: *e\n");
    assert_refused(&shared, &[], &["anchor", "write it out"]);
}

#[test]
fn a_token_file_is_refused_for_it_would_need_more() {
    let parts = ["--token-file /etc/t/token", "volume", "mount", "httpHeaders", "lameduck drain --hook", "by hand"];
    assert_refused(&deployment("", ""), &["--token-file=/etc/t/token"], &parts);
}

#[test]
fn a_container_that_only_has_our_name_is_refused_and_never_taken_out() {
    let init = "      initContainers:\n        - name: lameduck\n          image: busybox\n          command: [sh, -c, \"migrate db\"]\n";
    let ordinary = "        - name: lameduck\n          image: someone/else:1\n";
    for manifest in [deployment(init, ""), deployment("", ordinary)] {
        for shape in [&[][..], &["--classic"], &["--standalone"]] {
            assert_refused(&manifest, shape, &["Deployment/e", "line ", "container lameduck", "another name"]);
        }
        let Answer { code, stdout, stderr } = inject(manifest.as_bytes(), &["--remove"], &[]);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
        assert!(stderr.contains("nothing to remove"), "{stderr}");
        let two = format!("{manifest}---\n{}", injected(&deployment("", ""), &[USER]));
        let Answer { stdout, stderr, .. } = inject(two.as_bytes(), &["--remove"], &[]);
        assert_eq!(stdout, format!("{manifest}---\n{}", deployment("", "")));
        assert!(stderr.contains("container lameduck is not lameduck's, and stays"), "{stderr}");
    }
}

#[test]
fn a_volume_and_a_mount_that_only_have_our_name_are_refused() {
    let volume = "      volumes:\n        - name: lameduck\n          persistentVolumeClaim: {claimName: models}\n";
    assert_refused(&deployment(volume, ""), &["--standalone"], &["line ", "volume lameduck", "another name"]);
    let ours = injected(&deployment("", ""), &["--standalone"]);
    let claim = ours.replace("          emptyDir: {}\n", "          persistentVolumeClaim: {claimName: models}\n");
    assert_ne!(claim, ours);
    assert_refused(&claim, &["--standalone"], &["volume lameduck"]);
    assert!(removed(&claim).contains("claimName: models"));
    let mount = "          volumeMounts:\n            - {name: lameduck, mountPath: /models}\n";
    assert_refused(&deployment("", mount), &["--standalone"], &["line ", "mounts lameduck elsewhere"]);
}

#[test]
fn a_hook_that_only_looks_like_ours_is_not_replaced() {
    let hook = |get: &str| format!("          lifecycle:\n            preStop:\n              httpGet: {{{get}}}\n");
    let gateway = hook("path: /prestop, port: 8089, host: gw.example, scheme: HTTPS");
    let plain = hook("path: /prestop, port: 8089");
    for hook in [&gateway, &plain] {
        assert_refused(&deployment("", hook), &[], &["container engine", "preStop", "not replaced"]);
    }
    let ours = injected(&deployment("", ""), &[USER]);
    let elsewhere = ours.replace(
        "                path: /prestop\n",
        "                host: gw.example\n                path: /prestop\n",
    );
    assert_ne!(elsewhere, ours);
    assert_refused(&elsewhere, &[], &["preStop", "not replaced"]);
    assert!(removed(&elsewhere).contains("host: gw.example"));
}

#[test]
fn a_hook_of_ones_own_that_waits_for_the_sidecar_stays() {
    for command in ["[/lameduck/lameduck, drain, --hook]", "[sh, -c, \"sync; lameduck drain --hook\"]"] {
        let hook = format!("          lifecycle:\n            preStop:\n              exec: {{command: {command}}}\n");
        let once = injected(&deployment("", &hook), &[USER]);
        assert!(once.ends_with(&hook) && once.contains("initContainers"), "{once}");
        assert_eq!(injected(&once, &[USER]), once);
        assert_refused(&once, &["--standalone"], &["preStop", "not replaced"]);
    }
}

#[test]
fn processes_that_were_shared_before_stay_shared() {
    let shared = deployment("      shareProcessNamespace: true\n", "");
    let json =
        r#"{"kind":"Pod","spec":{"shareProcessNamespace":true,"containers":[{"name":"a","command":["impeller"]}]}}"#;
    for text in [shared.as_str(), json] {
        for shape in ["--listen=[::]:8089", "--classic"] {
            let once = injected(text, &[USER, shape]);
            assert_eq!(injected(&once, &[USER, shape]), once);
            let Answer { stdout, stderr, .. } = inject(once.as_bytes(), &["--remove"], &[]);
            assert_eq!(stdout, text);
            assert!(stderr.contains("not shareProcessNamespace"), "{stderr}");
            assert_eq!(injected(&once, &["--standalone"]), injected(text, &["--standalone"]));
        }
    }
}

#[test]
fn without_a_signal_nobody_need_be_known_nor_processes_shared() {
    for spec in ["      shareProcessNamespace: false\n", "      hostPID: true\n", ""] {
        let out = injected(&deployment(spec, ""), &["--signal=none"]);
        let spec = pod_spec(&out);
        assert_eq!(container(&spec, "initContainers", "lameduck")["securityContext"]["runAsUser"], 65532);
        assert_ne!(spec["shareProcessNamespace"].as_bool(), Some(true));
    }
}

#[test]
fn a_sidecar_is_guaranteed_what_it_may_use() {
    let spec = pod_spec(&injected(&deployment("", ""), &[USER]));
    let resources = &container(&spec, "initContainers", "lameduck")["resources"];
    assert_eq!(resources["requests"], resources["limits"]);
    assert!(resources["limits"].get("cpu").is_some());
}

#[test]
fn line_ends_that_are_mixed_are_the_same_the_second_time() {
    let text = deployment("", "");
    for line in 1..text.lines().count() {
        let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
        lines[line] = lines[line].replace('\n', "\r\n");
        let mixed = lines.concat();
        for shape in ["--listen=[::]:8089", "--classic", "--hold=engine"] {
            let once = injected(&mixed, &[USER, shape]);
            assert_eq!(injected(&once, &[USER, shape]), once, "line {line}");
            assert_eq!(removed(&once), mixed, "line {line}");
        }
    }
}
