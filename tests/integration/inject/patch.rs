//! `--output patch`. `tests/gitops` applies patches with a real kustomize.

use lameduck_manifests::strategic_merge;

use crate::inject::support::{CHART, IMAGE, inject, injected};

const EXAMPLE: &str = include_str!("../../../k8s-examples/kustomize-component/lameduck-patch.yaml");
const PATCH: &str = "--output=patch";
const USER: &str = "--run-as-user=1000";

/// The vendor's Deployment as another kind.
fn of_kind(version: &str, kind: &str) -> String {
    CHART.replacen("apiVersion: apps/v1\nkind: Deployment", &format!("apiVersion: {version}\nkind: {kind}"), 1)
}

fn refusal(manifests: &str) -> String {
    let output = inject(manifests.as_bytes(), &[IMAGE, USER, PATCH], &[]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(64), ""), "{}", output.stderr);
    output.stderr
}

#[test]
fn example_is_the_patch_of_the_vendors_chart() {
    assert_eq!(injected(CHART, &[USER, PATCH]), EXAMPLE);
}

#[test]
fn manifests_without_changes_give_no_patch() {
    let output = inject(injected(CHART, &[USER]).as_bytes(), &[IMAGE, USER, PATCH], &[]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""), "{}", output.stderr);
    assert!(output.stderr.contains("nothing to patch") && output.stderr.contains("kustomize"), "{}", output.stderr);
    assert_eq!(injected(CHART, &[USER, "--output=manifests"]), injected(CHART, &[USER]));
}

#[test]
fn patch_has_the_namespace_and_only_what_changes() {
    let manifests = "kind: Deployment\nmetadata: {namespace: speech, name: \"007\"}\napiVersion: apps/v1\nspec:\n  \
        template:\n    spec:\n      terminationGracePeriodSeconds: 60\n      containers: [{name: first}, {name: \
        engine, command: [impeller], env: [{name: A}]}, {name: last}]\n";
    let patch = injected(manifests, &["--standalone", PATCH, "--grace-period=90"]);
    let (head, rest) = patch.split_once("      initContainers:\n").unwrap();
    assert_eq!(
        head,
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: \"007\"\n  namespace: speech\nspec:\n  template:\n    \
        spec:\n      terminationGracePeriodSeconds: 90\n"
    );
    // The patch names an unchanged container before a changed container, but not one after it.
    let containers = rest.split_once("      containers:\n").unwrap().1;
    assert!(containers.starts_with("        - name: first\n        - name: engine\n          "), "{containers}");
    assert!(!containers.contains("last") && !containers.contains("env"), "{containers}");
}

#[test]
fn each_changed_item_of_a_list_has_its_patch() {
    let item = |name| {
        format!(
            "- apiVersion: v1\n  kind: Pod\n  metadata: {{name: {name}}}\n  spec: {{containers: [{{name: engine, command: [impeller]}}]}}\n"
        )
    };
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{}{}", item("first"), item("second"));
    let patch = injected(&list, &[USER, PATCH]);
    let names: Vec<_> = patch.split("---\n").map(|document| document.lines().nth(3).unwrap()).collect();
    assert_eq!(names, ["  name: first", "  name: second"]);
}

#[test]
fn items_of_a_typed_list_have_its_kind() {
    let list = |kind: &str, version: &str| {
        format!(
            "apiVersion: {version}\nkind: {kind}List\nitems:\n- metadata: {{name: a}}\n  spec: {{template: {{spec: {{containers: [{{name: engine, command: [impeller]}}]}}}}}}\n"
        )
    };
    let patch = injected(&list("Deployment", "apps/v1"), &[USER, PATCH]);
    assert!(patch.starts_with("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\n"), "{patch}");
    let error = refusal(&list("Rollout", "argoproj.io/v1alpha1"));
    assert!(error.contains("Rollout/a: ") && error.contains("\"argoproj.io/v1alpha1\""), "{error}");
}

#[test]
fn removed_entries_are_null_and_removed_items_are_deleted() {
    let before =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  x: 1\n  volumes:\n  - name: b\n  - name: c\n";
    let after = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes:\n  - name: c\n";
    let patch = strategic_merge(before, after).unwrap();
    assert_eq!(
        patch,
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  volumes:\n    - name: b\n      \"$patch\": delete\n  x: null\n"
    );
}

#[test]
fn what_kustomize_cannot_merge_is_refused() {
    let error = refusal(&of_kind("extensions/v1beta1", "Deployment"));
    assert!(error.contains("Deployment/deepgram-engine: --output patch: kustomize replaces the lists"), "{error}");
    assert!(error.contains("function of kustomize"), "{error}");
    let error = refusal(&CHART.replacen(
        "kind: Deployment\nmetadata:\n  name:",
        "kind: Deployment\nmetadata:\n  generateName:",
        1,
    ));
    assert!(error.contains("has no metadata.name"), "{error}");
    let twice =
        CHART.replace("      volumes:\n", "        - name: deepgram-engine\n          image: other\n      volumes:\n");
    let error = refusal(&twice);
    assert!(error.contains("deepgram-engine occurs twice in this list") || error.contains("several"), "{error}");
}

#[test]
fn of_two_equal_keys_the_last_counts() {
    let manifest =
        |spec: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{b: 1, b: 2, {spec}}}\n");
    let patch = strategic_merge(&manifest("c: 3"), &manifest("c: 4")).unwrap();
    assert_eq!(patch, "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  c: 4\n");
}
