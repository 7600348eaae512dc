//! Which objects are checked, and in which containers lameduck is recognized.

use std::collections::BTreeSet;

use lameduck_manifests::preflight::{Object, Options, Rule};
use serde_norway::Value;

use super::support::Base::{Classic, Native, Standalone, TwoContainers};
use super::support::{Change, NATIVE, findings, findings_with, list_of, of_rule, preflight_with, problems};

/// The manifest of a kind that has its pod template at a path.
fn workload(kind: &str, path: &[&str]) -> Value {
    let template = Native.manifest()["spec"]["template"].clone();
    let nested = path.iter().rev().fold(template, |value, key| {
        let mut map = serde_norway::Mapping::new();
        map.insert((*key).into(), value);
        Value::Mapping(map)
    });
    let mut manifest = nested;
    let map = manifest.as_mapping_mut().unwrap();
    map.insert("kind".into(), kind.into());
    let metadata = serde_norway::from_str("{name: x, namespace: speech}").unwrap();
    map.insert("metadata".into(), metadata);
    manifest
}

fn yaml(value: &Value) -> String {
    serde_norway::to_string(value).unwrap()
}

#[test]
fn every_kind_with_a_pod_template_is_checked() {
    for (kind, path) in [
        ("Pod", &[][..]),
        ("PodTemplate", &["template"]),
        ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
        ("Job", &["spec", "template"]),
        ("StatefulSet", &["spec", "template"]),
        ("Rollout", &["spec", "template"]),
        ("DeploymentConfig", &["spec", "template"]),
        ("CloneSet", &["spec", "template"]),
    ] {
        let preflight = preflight_with(&yaml(&workload(kind, path)), &Options::default());
        assert_eq!(preflight.objects.len(), 1, "{kind}");
        assert_eq!(preflight.objects[0].title(), format!("{kind}/speech/x"));
        assert_eq!(problems(&preflight.objects[0].findings), BTreeSet::new(), "{kind}");
    }
}

#[test]
fn objects_are_found_in_lists_and_in_json() {
    let items = list_of(vec![workload("Pod", &[]), workload("Deployment", &["spec", "template"])]);
    let json = serde_json::to_string_pretty(&items).unwrap();
    for text in [yaml(&items), json] {
        let titles: Vec<_> = preflight_with(&text, &Options::default()).objects.iter().map(Object::title).collect();
        assert_eq!(titles, ["Pod/speech/x", "Deployment/speech/x"]);
    }
    let typed = yaml(&items).replace("kind: List", "kind: DeploymentList");
    let untyped = typed.replace("kind: Deployment\n", "x: y\n");
    assert_eq!(preflight_with(&untyped, &Options::default()).objects[1].title(), "Deployment/speech/x");
}

#[test]
fn yaml_and_json_of_one_object_have_the_same_findings() {
    let changes: &[Change] = &[("terminationGracePeriodSeconds", "60"), ("shareProcessNamespace", "")];
    let text = Native.with(changes);
    let value: Value = serde_norway::from_str(&text).unwrap();
    let rules = |text: &str| -> Vec<_> {
        let findings = findings(text);
        findings.into_iter().map(|finding| (finding.rule, finding.evaluation)).collect()
    };
    assert_eq!(rules(&text), rules(&serde_json::to_string(&value).unwrap()));
}

#[test]
fn documents_are_numbered_and_placed() {
    let text = format!(
        "# first\n---\nkind: ConfigMap\nmetadata: {{name: a}}\n---\n{NATIVE}---\nkind: Pod\nmetadata: {{name: b}}\nspec: {{containers: []}}\n"
    );
    let preflight = preflight_with(&text, &Options::default());
    let object = &preflight.objects[0];
    let line = text.lines().position(|line| line.starts_with("apiVersion: apps/v1")).unwrap() + 1;
    assert_eq!((object.document, object.line), (2, line));
    assert_eq!(preflight.without_lameduck, ["Pod/b"]);
    assert_eq!(preflight.without_pod, ["ConfigMap/a"]);
}

#[test]
fn sidecar_is_recognized_by_image_program_or_arguments() {
    let container = |yaml: &'static str| ("initContainers/lameduck", yaml);
    for change in [
        container("{name: drainer, image: 'a/lameduck:1', args: [sidecar], restartPolicy: Always}"),
        container("{name: drainer, image: 'a/b:1', command: [/opt/lameduck, sidecar], restartPolicy: Always}"),
        container("{name: drainer, image: 'a/b:1', command: [/lameduck], args: [sidecar], restartPolicy: Always}"),
        container(
            "{name: drainer, image: 'a/b:1', command: [tini, --], args: [/lameduck, sidecar], restartPolicy: Always}",
        ),
        container("{name: lameduck, image: 'a/b:1', args: [sidecar], restartPolicy: Always}"),
        container("{name: drainer, image: 'a/b:1', args: [sidecar, --grace-period=600], restartPolicy: Always}"),
        container(
            "{name: drainer, image: 'a/b:1', args: [sidecar], env: [{name: LAMEDUCK_GRACE_PERIOD, value: '600'}], restartPolicy: Always}",
        ),
        container(
            "{name: drainer, image: 'a/b:1', command: [sh, -c, 'exec /lameduck sidecar --grace-period=600'], restartPolicy: Always}",
        ),
    ] {
        let findings = findings(&Native.with(&[change]));
        let sidecar = of_rule(&findings, Rule::Sidecar);
        assert!(sidecar[0].detail.contains("native sidecar"), "{change:?}: {sidecar:?}");
        assert!(!problems(&findings).contains(&Rule::RestartPolicy), "{findings:?}");
    }
}

#[test]
fn other_programs_are_not_the_sidecar() {
    for container in [
        "{name: fleet, image: 'a/lameduck-fleet:1'}",
        "{name: web, image: 'a/b:1', args: [sidecar]}",
        "{name: web, image: 'a/b:1', command: [web], args: [--log-dir, /var/log/lameduck]}",
        "{name: web, image: 'a/b:1', command: [web, --log-dir=/var/log/lameduck]}",
        "{name: web, image: 'a/lameduck:1', args: [status, --watch]}",
        "{name: web, image: 'a/b:1', env: [{name: LAMEDUCK_GRACE_PERIOD, value: '600'}]}",
        "{name: web, image: 'a/b:1', lifecycle: {preStop: {httpGet: {path: /prestop, port: 9000}}}}",
        "{}",
        "{name: null, image: [], args: {}, env: 5}",
    ] {
        let text = format!("kind: Pod\nmetadata: {{name: x}}\nspec: {{containers: [{container}]}}\n");
        let preflight = preflight_with(&text, &Options::default());
        assert_eq!(
            (preflight.objects.len(), &preflight.without_lameduck[..]),
            (0, &["Pod/x".to_owned()][..]),
            "{text}"
        );
    }
}

#[test]
fn hooks_and_probes_that_a_mesh_has_rewritten_are_skipped() {
    let findings = findings(&Native.with(&[
        (
            "containers/deepgram-engine/lifecycle/preStop/httpGet",
            "{path: /app-lifecycle/deepgram-engine/prestopz, port: 15020}",
        ),
        ("initContainers/lameduck/readinessProbe/httpGet", "{path: /app-health/lameduck/readyz, port: 15020}"),
        ("initContainers/lameduck/startupProbe/httpGet", "{path: /app-health/lameduck/startupz, port: 15020}"),
    ]));
    assert_eq!(problems(&findings), BTreeSet::new(), "{findings:#?}");
}

#[test]
fn hook_without_sidecar_is_found() {
    for hook in [
        "httpGet: {path: /prestop, port: 8089}",
        "exec: {command: [/x/lameduck, drain, --hook]}",
        "exec: {command: [sh, -c, 'deregister; exec lameduck drain --hook']}",
    ] {
        let text = format!(
            "kind: Pod\nmetadata: {{name: x}}\nspec: {{containers: [{{name: a, lifecycle: {{preStop: {{{hook}}}}}}}]}}\n"
        );
        assert_eq!(problems(&findings(&text)), BTreeSet::from([Rule::Sidecar]), "{text}");
    }
}

#[test]
fn aliases_and_merges_are_followed() {
    let text = "kind: Pod
metadata: {name: x}
spec:
  terminationGracePeriodSeconds: 600
  shareProcessNamespace: true
  base: &base {image: 'a:1', lifecycle: &hook {preStop: {httpGet: {path: /prestop, port: 8089}}}}
  containers:
  - {name: a, <<: *base, command: [impeller]}
  - {name: b, image: 'b:1', lifecycle: *hook}
  - name: lameduck
    image: lameduck:1
    args: [sidecar, --grace-period=600]
    readinessProbe: {httpGet: {path: /readyz, port: 8089}, periodSeconds: 1, failureThreshold: 1}
";
    let findings = findings(text);
    assert!(!problems(&findings).contains(&Rule::Hook), "{findings:#?}");
    let ports = of_rule(&findings, Rule::HookPort);
    assert_eq!(ports.iter().map(|port| port.detail.as_str()).collect::<Vec<_>>(), ["8089, on a", "8089, on b"]);
}

#[test]
fn last_of_duplicate_keys_counts_as_for_the_api_server() {
    let text = NATIVE.replace(
        "      terminationGracePeriodSeconds: 3600\n",
        "      terminationGracePeriodSeconds: 3600\n      terminationGracePeriodSeconds: 60\n",
    );
    assert!(problems(&findings(&text)).contains(&Rule::GracePeriod));
}

#[test]
fn job_does_not_complete_with_an_ordinary_sidecar() {
    let text = Classic.with(&[]).replace("kind: Deployment", "kind: Job");
    assert_eq!(problems(&findings(&text)), BTreeSet::from([Rule::RestartPolicy]));
}

#[test]
fn also_hook_names_containers_that_must_have_the_hook() {
    let without = TwoContainers.with(&[("containers/proxy/lifecycle", "")]);
    let also = |name: &str| Options { also_hook: vec![name.to_owned()], ..Options::default() };
    assert_eq!(problems(&findings(&without)), BTreeSet::new());
    let hint = of_rule(&findings(&without), Rule::Hook);
    assert!(hint.iter().any(|finding| finding.detail.contains("stopped at once: proxy")), "{hint:?}");
    assert_eq!(problems(&findings_with(&without, &also("proxy"))), BTreeSet::from([Rule::Hook]));
    let with = TwoContainers.with(&[]);
    assert_eq!(problems(&findings_with(&with, &also("proxy"))), BTreeSet::new());
    // In a stream, other pods may have it.
    assert_eq!(problems(&findings_with(&with, &also("envoy"))), BTreeSet::new());
}

#[test]
fn container_option_names_the_main_container() {
    let text = TwoContainers.with(&[("containers/proxy/lifecycle", "")]);
    let options = Options { container: Some("proxy".into()), ..Options::default() };
    assert_eq!(problems(&findings_with(&text, &options)), BTreeSet::from([Rule::Hook]));
}

#[test]
fn without_a_known_target_the_containers_with_a_hook_are_the_main_ones() {
    let generic = [
        (
            "initContainers/lameduck/args",
            "[sidecar, --preset=generic, --target-port=80, --signal=SIGTERM, --streams-port=80]",
        ),
        ("containers/proxy/lifecycle", ""),
    ];
    let findings = findings(&TwoContainers.with(&generic));
    assert_eq!(problems(&findings), BTreeSet::new(), "{findings:#?}");
    let none = [generic[0], generic[1], ("containers/deepgram-engine/lifecycle", "")];
    let findings = self::findings(&TwoContainers.with(&none));
    assert_eq!(problems(&findings), BTreeSet::from([Rule::Hook]), "{findings:#?}");
}

#[test]
fn standalone_hook_in_the_image_needs_no_installer() {
    let changes = [("initContainers", ""), ("volumes", ""), ("containers/deepgram-engine/volumeMounts", "")];
    assert_eq!(problems(&findings(&Standalone.with(&changes))), BTreeSet::new());
}
