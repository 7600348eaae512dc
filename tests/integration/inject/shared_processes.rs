//! Pods whose processes were already shared: an annotation records it, and removal leaves the field alone.

use crate::inject::additions::{assert_refused, deployment};
use crate::inject::support::{Output, inject, injected, removed};

const USER: &str = "--run-as-user=1000";

#[test]
fn already_shared_process_namespace_stays_shared() {
    let shared = deployment("      shareProcessNamespace: true\n", "");
    let json =
        r#"{"kind":"Pod","spec":{"shareProcessNamespace":true,"containers":[{"name":"a","command":["impeller"]}]}}"#;
    for text in [shared.as_str(), json] {
        for mode in ["--listen=[::]:8089", "--classic"] {
            let once = injected(text, &[USER, mode]);
            assert_eq!(injected(&once, &[USER, mode]), once);
            let Output { stdout, stderr, .. } = inject(once.as_bytes(), &["--remove"], &[]);
            assert_eq!(stdout, text);
            assert!(stderr.contains("not shareProcessNamespace"), "{stderr}");
            assert_eq!(injected(&once, &["--standalone"]), injected(text, &["--standalone"]));
        }
    }
}

#[test]
fn annotation_is_written_into_any_metadata() {
    let (annotation, label) = ("lameduck/process-namespace-was-shared: \"true\"", "lameduck/sidecar: \"true\"");
    let template = |metadata: &str| {
        deployment("      shareProcessNamespace: true\n", "")
            .replace("  template:\n", &format!("  template:\n{metadata}"))
    };
    for (metadata, expected) in [
        ("", format!("    metadata:\n      labels:\n        {label}\n      annotations:\n        {annotation}\n")),
        ("    metadata: {}\n", format!("    metadata: {{ labels: {{{label}}}, annotations: {{{annotation}}}}}\n")),
        (
            "    metadata: {labels: {a: b}}\n",
            format!("    metadata: {{annotations: {{{annotation}}}, labels: {{{label}, a: b}}}}\n"),
        ),
        (
            "    metadata:\n      # l\n      labels: {a: b}\n",
            format!(
                "    metadata:\n      annotations:\n        {annotation}\n      # l\n      labels: {{{label}, a: b}}\n"
            ),
        ),
        (
            "    metadata:\n      annotations: {}\n",
            format!("    metadata:\n      labels:\n        {label}\n      annotations: {{ {annotation}}}\n"),
        ),
        (
            "    metadata:\n      annotations:\n        x: \"1\"\n",
            format!(
                "    metadata:\n      labels:\n        {label}\n      annotations:\n        {annotation}\n        x: \"1\"\n"
            ),
        ),
    ] {
        let text = template(metadata);
        for mode in ["--listen=[::]:8089", "--classic"] {
            let once = injected(&text, &[USER, mode]);
            assert!(once.contains(&format!("  template:\n{expected}    spec:\n")), "{once}");
            assert_eq!(injected(&once, &[USER, mode]), once);
            assert_eq!(removed(&once), text);
        }
        assert!(!injected(&text, &["--standalone"]).contains(annotation));
    }
    for null in ["    metadata:\n", "    metadata:\n      annotations: null\n"] {
        let once = injected(&template(null), &[USER]);
        assert!(once.contains(annotation), "{once}");
        assert_eq!(injected(&once, &[USER]), once);
        let removed = removed(&once);
        assert!(!removed.contains("lameduck") && removed.contains("shareProcessNamespace: true"), "{removed}");
    }
}

#[test]
fn annotation_is_written_on_every_kind_of_pod() {
    let spec = "shareProcessNamespace: true, containers: [{name: a, command: [impeller]}]";
    for text in [
        format!("kind: Pod\nspec: {{{spec}}}\n"),
        format!("kind: Pod\nmetadata: {{name: p}}\nspec: {{{spec}}}\n"),
        format!("kind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec: {{{spec}}}\n"),
        format!("kind: List\nitems:\n- spec: {{{spec}}}\n  kind: Pod\n- {{kind: Pod, spec: {{{spec}}}}}\n"),
    ] {
        let once = injected(&text, &[USER]);
        let expected = text.matches("shareProcessNamespace").count();
        assert_eq!(once.matches("lameduck/process-namespace-was-shared: \"true\"").count(), expected, "{once}");
        assert_eq!(injected(&once, &[USER]), once);
        assert_eq!(removed(&once), text);
    }
}

#[test]
fn unwritable_metadata_is_refused() {
    for (metadata, part) in [
        ("    metadata: &m {labels: {a: b}}\n    x: *m\n", "write it out"),
        ("    metadata: {annotations: none}\n", "annotations is not a map"),
        ("    x: &m {annotations: {a: b}}\n    metadata: {<<: *m}\n", "merge"),
    ] {
        let text = deployment("      shareProcessNamespace: true\n", "");
        assert_refused(&text.replace("  template:\n", &format!("  template:\n{metadata}")), &[], &["line ", part]);
    }
}
