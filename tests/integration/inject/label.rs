//! The label by which `lameduck-fleet` finds a pod.

use crate::inject::support::{IMAGE, inject, injected, removed};

const USER: &str = "--run-as-user=1000";
const LABEL: &str = "lameduck/sidecar: \"true\"";

fn deployment(selector: &str, labels: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: e\nspec:\n  selector:\n    matchLabels: {selector}\n  \
         template:\n    metadata:\n      labels: {labels}\n    spec:\n      containers:\n        - name: engine\n          \
         command: [impeller]\n"
    )
}

#[test]
fn label_is_on_the_template_and_not_in_the_selector() {
    let text = deployment("{app: e}", "{app: e}");
    let once = injected(&text, &[USER]);
    assert_eq!(once.matches(LABEL).count(), 1, "{once}");
    assert!(once.contains("      labels: {lameduck/sidecar: \"true\", app: e}\n"), "{once}");
    assert_eq!((injected(&once, &[USER]), removed(&once)), (once, text.clone()));
    assert!(!injected(&text, &["--standalone"]).contains(LABEL), "there is no sidecar to read");
}

#[test]
fn label_of_the_user_is_kept() {
    let text = deployment("{app: e}", "{app: e, lameduck/sidecar: \"false\"}");
    assert!(injected(&text, &[USER]).contains("labels: {app: e, lameduck/sidecar: \"false\"}"));
}

#[test]
fn shared_labels_are_not_changed_and_reported() {
    let text = deployment("&labels {app: e}", "*labels");
    let output = inject(text.as_bytes(), &[IMAGE, USER, "--strict", "--grace-period=60"], &[]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(!output.stdout.contains("lameduck/sidecar:") && output.stdout.contains("/prestop"), "{}", output.stdout);
    assert!(output.stderr.contains("the label lameduck/sidecar: \"true\" is not written"), "{}", output.stderr);
}
