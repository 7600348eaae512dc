//! The exact output.

use crate::inject::support::{CHART, IMAGE, Output, inject, injected, removed};
use lameduck_test_support::manifests::libyaml::{container, pod_spec};

const USER: &str = "--run-as-user=1000";

/// Each run of lines that was inserted.
fn added(before: &str, after: &str) -> Vec<String> {
    let mut before = before.lines().peekable();
    let mut runs = vec![String::new()];
    for line in after.lines() {
        if before.peek() == Some(&line) {
            before.next();
            runs.push(String::new());
        } else if let Some(run) = runs.last_mut() {
            run.push_str(line);
            run.push('\n');
        }
    }
    assert_eq!(before.next(), None, "lines are missing");
    runs.retain(|run| !run.is_empty());
    runs
}

const SIDECAR: &str = r#"      shareProcessNamespace: true
      initContainers:
        - name: lameduck
          image: registry.example.com/lameduck:0.1.0
          args:
            - sidecar
          restartPolicy: Always
          env:
            - name: LAMEDUCK_GRACE_PERIOD
              value: "1800"
          ports:
            - name: lameduck
              containerPort: 8089
          startupProbe:
            httpGet:
              path: /livez
              port: 8089
            periodSeconds: 1
            failureThreshold: 30
          readinessProbe:
            httpGet:
              path: /readyz
              port: 8089
            periodSeconds: 1
            failureThreshold: 1
          terminationMessagePolicy: FallbackToLogsOnError
          securityContext:
            runAsUser: 1000
            runAsNonRoot: true
            readOnlyRootFilesystem: true
            allowPrivilegeEscalation: false
            capabilities:
              drop:
                - ALL
            seccompProfile:
              type: RuntimeDefault
          resources:
            requests:
              cpu: "50m"
              memory: "32Mi"
            limits:
              cpu: "50m"
              memory: "32Mi"
"#;

const LABEL: &str = "        lameduck/sidecar: \"true\"\n";

const HOOK: &str = "          lifecycle:
            preStop:
              httpGet:
                path: /prestop
                port: 8089
";

const STANDALONE_HOOK: &str = r#"          lifecycle:
            preStop:
              exec:
                command:
                  - /lameduck/lameduck
                  - drain
                  - "--standalone"
                  - "--hook"
                  - "--grace-period=1800"
                  - "--signal=none"
"#;

#[test]
fn vendor_chart_gets_native_sidecar_and_hook() {
    assert_eq!(added(CHART, &injected(CHART, &[USER])), [LABEL, SIDECAR, HOOK]);
}

#[test]
fn vendor_chart_gets_classic_sidecar_as_last_container() {
    let added = added(CHART, &injected(CHART, &[USER, "--classic"]));
    assert_eq!(added[..3], [LABEL, "      shareProcessNamespace: true\n", HOOK]);
    let native = SIDECAR.split_once("initContainers:\n").unwrap().1.replace("          restartPolicy: Always\n", "");
    assert_eq!(added[3..], [native]);
}

#[test]
fn vendor_chart_gets_standalone_drain() {
    let out = injected(CHART, &["--standalone", "--signal=none"]);
    let added = added(CHART, &out);
    assert_eq!(
        added[1..],
        [
            STANDALONE_HOOK,
            "            - name: lameduck\n              mountPath: /lameduck\n              readOnly: true\n",
            "        - name: lameduck\n          emptyDir: {}\n"
        ]
    );
    assert!(!out.contains("shareProcessNamespace") && !out.contains("8089"), "{out}");
    let spec = pod_spec(&out);
    let installer = container(&spec, "initContainers", "lameduck");
    assert_eq!(installer["args"][0], "install");
    // In lameduck's image, /lameduck is the binary, so nothing can be mounted there.
    assert_eq!(installer["args"][1], "/install");
    assert_eq!(installer["volumeMounts"][0]["mountPath"], "/install");
}

#[test]
fn json_stays_compact_or_indented_json() {
    let compact = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"securityContext":{"runAsUser":0},"containers":[{"name":"a","image":"b","command":["impeller"]}]}}"#;
    let value: serde_json::Value = serde_json::from_str(compact).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    for text in [compact, &pretty] {
        let out = injected(text, &[]);
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        let hook = r#"{"path":"/prestop","port":8089}"#.parse::<serde_json::Value>().unwrap();
        assert_eq!(value["spec"]["containers"][0]["lifecycle"]["preStop"]["httpGet"], hook);
        assert_eq!(out.contains(r#""lifecycle":{"preStop":"#), text == compact, "{out}");
        assert_eq!(removed(&out), text);
    }
}

#[test]
fn root_target_gets_root_sidecar_without_capabilities() {
    let manifest = "kind: Pod\nspec:\n  containers:\n  - name: a\n    command: [impeller]\n    securityContext:\n      runAsUser: 0\n      runAsGroup: 5\n";
    let spec = pod_spec(&injected(manifest, &[]));
    let context = &container(&spec, "initContainers", "lameduck")["securityContext"];
    assert_eq!((context["runAsUser"].as_u64(), context["runAsGroup"].as_u64()), (Some(0), Some(5)));
    assert_eq!(context["runAsNonRoot"].as_bool(), Some(false), "the pod's own value must not apply");
    assert_eq!(context["capabilities"]["drop"][0], "ALL");
}

#[test]
fn container_uid_overrides_pod_and_flag() {
    let manifest = "kind: Pod\nspec:\n  securityContext: {runAsUser: 5, runAsGroup: 6}\n  containers:\n  - name: a\n    command: [impeller]\n    securityContext: {runAsUser: 7}\n";
    let Output { stdout, stderr, .. } = inject(manifest.as_bytes(), &[IMAGE, USER], &[]);
    assert!(stdout.contains("      runAsUser: 7\n      runAsGroup: 6\n"), "{stdout}");
    assert!(stderr.contains("runs as 7, as set in the manifest, not as 1000"), "{stderr}");
}

#[test]
fn settings_become_sidecar_env_vars() {
    let settings = [
        "--streams=a{b=\"c\"}",
        "--streams=d",
        "--lame-duck=10s",
        "--log-level=debug",
        "--state-dir=/no/where",
        "--assume-signal-caught",
    ];
    let spec = pod_spec(&injected(CHART, &[&[USER], &settings[..]].concat()));
    let env = container(&spec, "initContainers", "lameduck")["env"].as_sequence().unwrap();
    let env: Vec<_> =
        env.iter().map(|variable| (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap())).collect();
    assert_eq!(
        env,
        [
            ("LAMEDUCK_GRACE_PERIOD", "1800"),
            ("LAMEDUCK_STREAMS", "a{b=\"c\"}\nd"),
            ("LAMEDUCK_ASSUME_SIGNAL_CAUGHT", "true"),
            ("LAMEDUCK_LAME_DUCK", "10s"),
            ("LAMEDUCK_STATE_DIR", "/no/where"),
            ("LAMEDUCK_LOG_LEVEL", "debug"),
        ]
    );
}

#[test]
fn grace_period_is_set_for_pod_and_sidecar() {
    let Output { stdout, stderr, .. } = inject(CHART.as_bytes(), &[IMAGE, USER, "--grace-period=1h"], &[]);
    assert!(stdout.contains("      terminationGracePeriodSeconds: 3600\n") && stdout.contains("value: \"3600\""));
    assert!(stderr.contains("terminationGracePeriodSeconds was 1800 and is now 3600"), "{stderr}");
    let without = CHART.replacen("      terminationGracePeriodSeconds: 1800\n", "", 1);
    let Output { stdout, stderr, .. } = inject(without.as_bytes(), &[IMAGE, USER], &[]);
    assert!(stdout.contains("value: \"30\""));
    assert!(stderr.contains("no terminationGracePeriodSeconds, so it is 30 s") && stderr.contains("--grace-period"));
    let set = injected(&without, &[USER, "--grace-period=60"]);
    assert!(set.contains("      terminationGracePeriodSeconds: 60\n      shareProcessNamespace: true\n"), "{set}");
    let Output { stderr, .. } = inject(set.as_bytes(), &["--remove"], &[]);
    assert!(stderr.contains("terminationGracePeriodSeconds stays 60"), "{stderr}");
}

#[test]
fn unchanged_workloads_are_listed() {
    let Output { stderr, .. } = inject(CHART.as_bytes(), &[IMAGE, USER], &[]);
    for part in [
        "Deployment/deepgram-engine: lameduck added (native sidecar, grace period 1800 s)",
        "left unchanged: ConfigMap/deepgram-engine, Service/deepgram-engine-internal\n",
        "warning: left unchanged, although they create pods: Deployment/deepgram-api; --workload",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
    let Output { stderr, .. } = inject(injected(CHART, &[USER]).as_bytes(), &[IMAGE, USER], &[]);
    assert!(stderr.contains("is up to date"), "{stderr}");
}

#[test]
fn also_hook_adds_and_later_removes_hook() {
    let two = CHART.replace("      volumes:\n", "        - name: proxy\n          image: proxy:1\n      volumes:\n");
    let both = injected(&two, &[USER, "--also-hook=proxy"]);
    assert_eq!(both.matches("path: /prestop").count(), 2);
    assert!(pod_spec(&both)["containers"][1]["lifecycle"]["preStop"].get("httpGet").is_some());
    assert_eq!(injected(&both, &[USER]), injected(&two, &[USER]));
    assert_eq!(removed(&both), two);
}

#[test]
fn any_container_can_be_selected() {
    let api = ["--workload=deployment/deepgram-api", "--preset=generic", "--metrics-url=http://a/", "--streams=b"];
    let out = injected(CHART, &[&[USER], &api[..]].concat());
    let (engine, api) = out.split_at(out.find("# Source: deepgram-self-hosted/templates/api").unwrap());
    assert!(!engine.contains("lameduck") && api.contains("path: /prestop"), "{out}");
    assert!(api.contains("LAMEDUCK_PRESET"));
    let out = injected(CHART, &[USER, "--container=deepgram-api", "--signal=none"]);
    assert!(out.ends_with("          args: [ \"-v\", \"serve\", \"/etc/config/api.toml\" ]\n"));
}

#[test]
fn mirrored_image_is_recognized_and_others_are_not() {
    let pod = |image: &str| format!("kind: Pod\nspec:\n  containers:\n  - {{name: a, image: '{image}'}}\n");
    for image in
        ["mirror:5000/dg/self-hosted-engine", "quay.io/deepgram/self-hosted-engine@sha256:00", "self-hosted-engine:1"]
    {
        assert!(injected(&pod(image), &[USER]).contains("/prestop"), "{image}");
    }
    for image in ["quay.io/deepgram/self-hosted-api:1", "my-self-hosted-engine:1", "self-hosted-engine-x"] {
        assert_eq!(inject(pod(image).as_bytes(), &[IMAGE, USER], &[]).code, Some(64), "{image}");
    }
}

#[test]
fn missing_final_newline_stays_missing() {
    let pod = "kind: Pod\r\nspec:\r\n  containers:\r\n  - name: a\r\n    image: b\r\n    command: [impeller] # c";
    let out = injected(pod, &[USER, "--classic"]);
    assert!(out.ends_with("memory: \"32Mi\"") && out.contains("[impeller] # c\r\n  - name: lameduck\r\n"), "{out:?}");
    assert_eq!(out.matches('\n').count(), out.matches("\r\n").count());
    assert_eq!(removed(&out), pod);
}

#[test]
fn comments_stay_with_their_subject() {
    let pod = "kind: Pod\nspec:\n  # how long\n  terminationGracePeriodSeconds: 60\n  # the containers\n  # are these\n  containers:\n    - name: a\n      image: b\n      # runs it\n      command: [impeller]\n      # no more of it\n    # end of the list\n  # end of the pod\nstatus: {}\n";
    let out = injected(pod, &[USER, "--classic"]);
    for part in [
        "  terminationGracePeriodSeconds: 60\n  shareProcessNamespace: true\n  # the containers\n",
        "      image: b\n      lifecycle:\n",
        "      # runs it\n      command",
        "      # no more of it\n    - name: lameduck\n",
        "\"32Mi\"\n    # end of the list\n  # end of the pod\nstatus",
    ] {
        assert!(out.contains(part), "no {part:?} in {out}");
    }
}

#[test]
fn deeper_comment_belongs_to_previous_entry() {
    let pod =
        "kind: Pod\nspec:\n  x: \"a\n    # b\"\n    # of x\n  containers:\n  - name: a\n    command: [impeller]\n";
    let out = injected(pod, &[USER]);
    assert!(out.contains("  x: \"a\n    # b\"\n    # of x\n  shareProcessNamespace: true\n"), "{out}");
}

#[test]
fn program_name_as_argument_is_not_a_match() {
    let pod = "kind: Pod\nspec:\n  containers:\n  - {name: watch, args: [--watch, impeller]}\n  - {name: a, args: [impeller]}\n";
    assert!(
        injected(pod, &[USER]).contains("{lifecycle: {preStop: {httpGet: {path: /prestop, port: 8089}}}, name: a,")
    );
}

#[test]
fn whitespace_in_brackets_stays() {
    let pod = |hook: &str| {
        format!(
            "kind: Pod\nspec:\n  containers:\n  - name: a\n    image: b\n    lifecycle: {{ preStop: {hook} }} # c\n    command: [impeller]\n"
        )
    };
    assert!(injected(&pod("null"), &[USER]).contains(&pod("{    httpGet: {path: /prestop, port: 8089}}")[25..]));
}

#[test]
fn grace_period_of_a_probe_is_reported() {
    let manifest = |seconds| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: e\nspec:\n  template:\n    spec:\n      terminationGracePeriodSeconds: 1800\n      containers:\n        - name: engine\n          image: app:1\n          command: [impeller]\n          livenessProbe:\n            terminationGracePeriodSeconds: {seconds}\n            httpGet: {{path: /, port: 80}}\n          startupProbe: {{terminationGracePeriodSeconds: 1800, httpGet: {{path: /, port: 80}}}}\n"
        )
    };
    let Output { code, stdout, stderr } = inject(manifest(20).as_bytes(), &[IMAGE, USER], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    for part in ["Deployment/e: line 14", "livenessProbe of container engine", "only 20 s instead of 1800 s"] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    assert!(!stderr.contains("startupProbe"), "an equal one does no harm: {stderr}");
    assert!(stdout.contains("            terminationGracePeriodSeconds: 20\n"), "the probe is not changed");
    let Output { stderr, .. } = inject(manifest(1800).as_bytes(), &[IMAGE, USER], &[]);
    assert!(!stderr.contains("livenessProbe"), "{stderr}");
}
