//! Which kinds get lameduck, and what is said about those that do not.

use crate::inject::support::{IMAGE, Output, inject, injected, removed};
use lameduck_test_support::manifests::libyaml::{container, pod_spec};

const USER: &str = "--run-as-user=1000";
const COUNT_ONLY: [&str; 2] = ["--preset=generic", "--streams-port=7000"];
const ROLLOUT: &str = include_str!("../../fixtures/manifests/argo-rollout.yaml");
const LEADER_WORKER_SET: &str = include_str!("../../fixtures/manifests/leader-worker-set.yaml");
const OTHER_PATHS: &str = include_str!("../../fixtures/manifests/other-paths.yaml");
const OPENSHIFT: &str = include_str!("../../fixtures/manifests/openshift.yaml");
const TWO_NAMESPACES: &str = include_str!("../../fixtures/manifests/two-namespaces.yaml");

fn run(manifests: &str, args: &[&str]) -> Output {
    inject(manifests.as_bytes(), &[&[IMAGE], args].concat(), &[])
}

fn assert_refused(manifests: &str, args: &[&str], parts: &[&str]) {
    let Output { code, stdout, stderr } = run(manifests, args);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{args:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{args:?}: no {part:?} in {stderr}");
    }
}

/// A workload with its pod template at the usual place.
fn workload(version: &str, kind: &str) -> String {
    ROLLOUT
        .split("---\n")
        .next()
        .unwrap()
        .replace("argoproj.io/v1alpha1", version)
        .replace("Rollout\n", &format!("{kind}\n"))
}

#[test]
fn kinds_that_create_pods_are_recognized_without_being_named() {
    for (version, kind) in [
        ("argoproj.io/v1alpha1", "Rollout"),
        ("apps.openshift.io/v1", "DeploymentConfig"),
        ("apps.kruise.io/v1alpha1", "CloneSet"),
        ("apps.kruise.io/v1beta1", "StatefulSet"),
        ("v1", "ReplicationController"),
    ] {
        let text = workload(version, kind);
        let out = injected(&text, &[USER, "--strict"]);
        assert_eq!(container(&pod_spec(&out), "initContainers", "lameduck")["args"][0], "sidecar", "{kind}");
        assert_eq!(injected(&out, &[USER]), out);
        assert_eq!(removed(&out), text);
    }
}

#[test]
fn any_kind_with_a_pod_template_can_be_named() {
    let text = workload("example.com/v1", "Widget");
    for name in ["--workload=Widget/engine", "--workload=widget/Engine"] {
        let out = injected(&text, &[USER, name, "--strict"]);
        assert!(out.contains("path: /prestop"), "{out}");
        assert_eq!(injected(&out, &[USER, name]), out);
        assert_eq!(removed(&out), text);
    }
    let job = text
        .replace("  template:\n", "  jobTemplate:\n   spec:\n    template:\n")
        .replace("\n    spec:\n", "\n     spec:\n");
    assert!(injected(&job, &[USER, "--workload=Widget/engine"]).contains("path: /prestop"));
    assert_refused(&job, &[USER, "--workload=Widget/engine", "--classic"], &["never complete"]);
    // Without its name, it is not changed, and the message says so.
    assert_refused(&text, &[USER], &["nothing to change", "Widget/engine", "--workload"]);
}

#[test]
fn pods_without_lameduck_are_named() {
    let Output { code, stderr, .. } = run(ROLLOUT, &[USER]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("warning: left unchanged, because lameduck cannot be added to them: Service/relay: Knative"),
        "{stderr}"
    );
    assert!(!stderr.contains("--workload"), "{stderr}");
    let text = format!("{ROLLOUT}---\n{OTHER_PATHS}");
    let Output { code, stderr, .. } = run(&text, &[USER]);
    assert_eq!(code, Some(0), "{stderr}");
    for part in [
        "left unchanged: ConfigMap/notes\n",
        "warning: left unchanged, although containers occur in them: RayService/ranker: ",
        "although they create pods: models/LeaderWorkerSet/shards; ",
        "cannot be added to them: Service/relay: ",
        "by hand",
    ] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    assert_refused(&text, &[USER, "--workload=RayService/ranker"], &["spec.template.spec", "by hand"]);
}

#[test]
fn knative_service_is_refused() {
    for kind in ["Service", "Configuration", "Revision"] {
        let text = workload("serving.knative.dev/v1", kind);
        let name = format!("--workload={kind}/engine");
        assert_refused(&text, &[USER, &name], &[&format!("{kind}/engine"), "Knative", "queue-proxy"]);
        assert_refused(&text, &[USER, &name, "--standalone"], &["Knative"]);
        // An earlier version may have added lameduck.
        let injected = injected(&text.replace("serving.knative.dev/v1", "example.com/v1"), &[USER, &name]);
        let injected = injected.replace("example.com/v1", "serving.knative.dev/v1");
        assert_eq!(removed(&injected), text);
    }
}

#[test]
fn only_templates_with_the_container_are_changed() {
    let args = [&COUNT_ONLY[..], &["--container=server"]].concat();
    let workload = [&args[..], &["--workload=models/LeaderWorkerSet/shards", "--strict"]].concat();
    for args in [args, workload] {
        let Output { code, stdout, stderr } = run(LEADER_WORKER_SET, &args);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("models/LeaderWorkerSet/shards (leaderTemplate): lameduck added"), "{stderr}");
        assert!(stderr.contains("create pods: models/LeaderWorkerSet/shards (workerTemplate)"), "{stderr}");
        let set: serde_json::Value = serde_norway::from_str(&stdout).unwrap();
        let templates = &set["spec"]["leaderWorkerTemplate"];
        assert_eq!(templates["leaderTemplate"]["spec"]["initContainers"][0]["name"], "lameduck");
        assert_eq!(templates["workerTemplate"]["spec"]["initContainers"], serde_json::Value::Null);
        assert_eq!(injected(&stdout, &args), stdout);
        assert_eq!(removed(&stdout), LEADER_WORKER_SET);
    }
    assert_refused(LEADER_WORKER_SET, &["--workload=LeaderWorkerSet/shards"], &["nothing to change", "server, worker"]);
}

#[test]
fn template_of_workers_is_also_that_of_the_leader_if_there_is_no_other() {
    let text = LEADER_WORKER_SET.replace("    leaderTemplate:\n", "    workerTemplate:\n");
    let (text, _) = text.rsplit_once("    workerTemplate:\n").unwrap();
    let out = injected(text, &[&COUNT_ONLY[..], &["--workload=LeaderWorkerSet/shards"]].concat());
    assert!(out.contains("path: /prestop"), "{out}");
    assert_eq!(removed(&out), text);
}

#[test]
fn strict_refuses_pods_without_lameduck_unless_workloads_are_named() {
    assert_refused(ROLLOUT, &[USER, "--strict"], &["Service/relay", "--strict: there is a warning"]);
    injected(ROLLOUT, &[USER, "--strict", "--workload=Rollout/engine"]);
    let text = format!("{ROLLOUT}---\n{OTHER_PATHS}");
    assert_refused(&text, &[USER, "--strict"], &["RayService/ranker", "--strict: there are 3 warnings"]);
}

#[test]
fn workloads_of_one_name_are_told_apart_by_namespace() {
    let both = ["--workload=Deployment/relay", "--container=relay"];
    assert_refused(TWO_NAMESPACES, &[&COUNT_ONLY[..], &both].concat(), &["green/Deployment/relay", "forwarder"]);
    for (name, other) in [("blue", "green"), ("green", "blue")] {
        let workload = format!("--workload={name}/deployment/relay");
        let Output { code, stdout, stderr } = run(TWO_NAMESPACES, &[&COUNT_ONLY[..], &[&workload]].concat());
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains(&format!("{name}/Deployment/relay: lameduck added")), "{stderr}");
        assert!(stderr.contains(&format!("although they create pods: {other}/Deployment/relay")), "{stderr}");
        assert_eq!(stdout.matches("path: /prestop").count(), 1);
        let Output { stdout, .. } = inject(stdout.as_bytes(), &["--remove", &workload], &[]);
        assert_eq!(stdout, TWO_NAMESPACES);
    }
    let names = ["--workload=blue/Deployment/relay", "--workload=green/Deployment/relay"];
    assert_eq!(injected(TWO_NAMESPACES, &[&COUNT_ONLY[..], &names].concat()).matches("path: /prestop").count(), 2);
    assert_refused(
        TWO_NAMESPACES,
        &["--workload=red/Deployment/relay"],
        &["red/Deployment/relay", "blue/Deployment/relay"],
    );
    for invalid in ["relay", "/relay", "a/b/c/d", "a//b"] {
        assert_refused(TWO_NAMESPACES, &["--workload", invalid], &["NAMESPACE/KIND/NAME"]);
    }
}

#[test]
fn unreadable_document_of_unknown_kind_with_containers_is_refused() {
    let broken = "kind: Widget\nspec:\n  template:\n    spec:\n      containers:\n      - name: a: b\n";
    for (other, refused) in [(broken.to_owned(), true), (broken.replace("containers", "parts"), false)] {
        let Output { code, stderr, .. } = run(&format!("{OPENSHIFT}---\n{other}"), &[USER]);
        assert_eq!(code, Some(if refused { 64 } else { 0 }), "{stderr}");
        assert!(stderr.contains("cannot be read"), "{stderr}");
    }
}

#[test]
fn json_objects_without_separator_are_read() {
    let pod = |name: &str| {
        format!(
            r#"{{"kind":"Pod","metadata":{{"name":"{name}"}},"spec":{{"terminationGracePeriodSeconds":60,"containers":[{{"name":"a","command":["impeller"]}}]}}}}"#
        )
    };
    let pretty = serde_json::to_string_pretty(&pod("c").parse::<serde_json::Value>().unwrap()).unwrap();
    for text in [format!("{}{}", pod("a"), pod("b")), format!("{}\n\n{}\n{pretty}\n", pod("a"), pod("b"))] {
        let out = injected(&text, &[USER, "--strict"]);
        let values: Vec<serde_json::Value> =
            serde_json::Deserializer::from_str(&out).into_iter().collect::<Result<_, _>>().unwrap();
        assert!(values.iter().all(|pod| pod["spec"]["initContainers"][0]["name"] == "lameduck"), "{out}");
        assert_eq!(values.len(), text.matches("\"Pod\"").count());
        assert_eq!(injected(&out, &[USER]), out);
        assert_eq!(removed(&out), text);
    }
    assert_refused(&format!("{}\n{{\"a\": ]}}", pod("a")), &[USER], &["line 2, column"]);
}
