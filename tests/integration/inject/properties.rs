//! Properties of injection for manifests in any style: every byte outside lameduck's parts stays, and libyaml reads both
//! those parts and the rest.
//!
//! `LAMEDUCK_MANIFESTS` sets the number of generated manifests per property.

use std::env;

use lameduck_manifests::{ContainerSelector, Mode, Request, inject, remove};
use proptest::prelude::*;

use crate::inject::support::{request, upgraded, with_final_newline};
use lameduck_test_support::manifests::libyaml::{container, parse, pod_spec, pod_template, without_lameduck};
use lameduck_test_support::manifests::{Tape, stream, stream_with_hook};

/// The number of generated manifests.
pub(crate) fn config() -> ProptestConfig {
    let manifests = env::var("LAMEDUCK_MANIFESTS").ok().and_then(|count| count.parse().ok());
    let cases = manifests.unwrap_or(300);
    ProptestConfig { cases, max_shrink_iters: 5000, max_global_rejects: cases * 10, ..ProptestConfig::default() }
}

fn manifests() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<u8>(), 0..500).prop_map(|bytes| stream(&mut Tape::new(bytes)))
}

fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Native, Mode::Classic, Mode::Standalone])
}

fn with(text: &str, request: &Request) -> Result<String, String> {
    inject(text, request, &|_| Ok(())).map(|edited| edited.text)
}

/// Whether a text can be turned into another one by insertions alone.
fn only_inserts(before: &str, after: &str) -> bool {
    let mut after = after.bytes();
    before.bytes().all(|byte| after.any(|other| other == byte))
}

/// Whether the mode is possible: an ordinary container cannot be added to a Job, nor after a block scalar without a final
/// newline.
fn is_possible(text: &str, mode: Mode) -> bool {
    let refused = with(text, &request(mode)).err();
    !refused.is_some_and(|error| error.contains("never complete") || error.contains("block scalar"))
}

/// Whether no null is filled by injection, which replaces its spelling.
fn has_no_fillable_null(text: &str) -> bool {
    let template = pod_template(text);
    let spec = &template["spec"];
    let containers = spec["containers"].as_sequence().unwrap();
    let is_null = |value: &serde_norway::Value, key: &str| value.get(key).is_some_and(serde_norway::Value::is_null);
    let metadata = &template["metadata"];
    let annotations = is_null(&template, "metadata") || is_null(metadata, "annotations") || is_null(metadata, "labels");
    let fields = ["initContainers", "shareProcessNamespace", "volumes"].iter().any(|key| is_null(spec, key));
    let lifecycle = |container: &serde_norway::Value| {
        is_null(container, "lifecycle")
            || container.get("lifecycle").is_some_and(|lifecycle| is_null(lifecycle, "preStop"))
    };
    !annotations && !fields && !containers.iter().any(lifecycle)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn injection_changes_nothing_else(text in manifests(), mode in mode()) {
        prop_assume!(is_possible(&text, mode));
        let out = with(&text, &request(mode)).unwrap();
        prop_assert!(has_no_fillable_null(&text) <= only_inserts(&text, &out), "{out}");
        prop_assert!(parse(&out).is_some(), "{out}");
        prop_assert_eq!(without_lameduck(&text), without_lameduck(&out), "{}", out);
    }

    #[test]
    fn libyaml_reads_sidecar_and_hook(text in manifests(), mode in mode()) {
        prop_assume!(is_possible(&text, mode));
        let out = with(&text, &request(mode)).unwrap();
        let spec = pod_spec(&out);
        let (list, key) = match mode {
            Mode::Native => ("initContainers", "httpGet"),
            Mode::Classic => ("containers", "httpGet"),
            Mode::Standalone => ("initContainers", "exec"),
        };
        let sidecar = container(&spec, list, "lameduck");
        prop_assert_eq!(&sidecar["image"], "registry.example.com/lameduck:0.1.0");
        prop_assert!(container(&spec, "containers", "engine")["lifecycle"]["preStop"].get(key).is_some(), "{out}");
        let before = pod_spec(&text).get("shareProcessNamespace").cloned();
        let is_shared = spec.get("shareProcessNamespace").and_then(serde_norway::Value::as_bool) == Some(true);
        let was_shared = before.as_ref().and_then(serde_norway::Value::as_bool) == Some(true);
        prop_assert_eq!(is_shared, was_shared || mode != Mode::Standalone);
        let label = &pod_template(&out)["metadata"]["labels"]["lameduck/sidecar"];
        prop_assert_eq!(label == "true", mode != Mode::Standalone, "{}", out);
        let annotation = &pod_template(&out)["metadata"]["annotations"]["lameduck/process-namespace-was-shared"];
        let has_annotation = before.is_some() && mode != Mode::Standalone;
        prop_assert_eq!(annotation.as_str().is_some(), has_annotation, "{}", out);
        prop_assert_eq!(annotation == "true", was_shared && has_annotation, "{}", out);
    }

    #[test]
    fn injection_is_idempotent(text in manifests(), mode in mode()) {
        prop_assume!(is_possible(&text, mode));
        let once = with(&text, &request(mode)).unwrap();
        prop_assert_eq!(&with(&once, &request(mode)).unwrap(), &once);
    }

    #[test]
    fn update_equals_fresh_injection(text in manifests(), mode in mode()) {
        prop_assume!(is_possible(&text, mode));
        let once = with(&text, &request(mode)).unwrap();
        prop_assert_eq!(with(&once, &upgraded(mode)).unwrap(), with(&text, &upgraded(mode)).unwrap());
    }

    #[test]
    fn removal_restores_every_byte(text in manifests(), mode in mode()) {
        prop_assume!(is_possible(&text, mode));
        let out = with(&text, &request(mode)).unwrap();
        let back = remove(&out, &ContainerSelector::default()).unwrap().text;
        prop_assert_eq!(back, text, "{}", out);
    }

    #[test]
    fn mode_change_equals_fresh_injection(text in manifests(), first in mode(), second in mode()) {
        prop_assume!(is_possible(&text, first) && is_possible(&text, second));
        let once = with(&text, &request(first)).unwrap();
        prop_assert_eq!(with(&once, &request(second)).unwrap(), with(&text, &request(second)).unwrap());
    }

    #[test]
    fn replaced_hooks_are_restored_in_json(bytes in prop::collection::vec(any::<u8>(), 0..500), mode in mode()) {
        let text = stream_with_hook(&mut Tape::new(bytes));
        prop_assume!(is_possible(&text, mode));
        let once = with(&text, &Request { replace_hook: true, ..request(mode) }).unwrap();
        let documents = parse(&once).unwrap();
        let json: Result<Vec<_>, _> = documents.iter().map(serde_json::to_string_pretty).collect();
        let back = remove(&json.unwrap().join("\n"), &ContainerSelector::default()).unwrap().text;
        let objects = serde_json::Deserializer::from_str(&back).into_iter::<serde_json::Value>();
        prop_assert_eq!(objects.flatten().count(), documents.len(), "{}", back);
        let hook = |text| container(&pod_spec(&with_final_newline(text)), "containers", "engine")["lifecycle"]["preStop"].clone();
        prop_assert_eq!(hook(&back), hook(&text), "{}", back);
    }

    #[test]
    fn replaced_hooks_are_restored(bytes in prop::collection::vec(any::<u8>(), 0..500), mode in mode()) {
        let text = stream_with_hook(&mut Tape::new(bytes));
        prop_assume!(is_possible(&text, mode));
        prop_assert!(with(&text, &request(mode)).unwrap_err().contains("not replaced"), "{text}");
        let replacing = Request { replace_hook: true, ..request(mode) };
        let once = with(&text, &replacing).unwrap();
        let spec = pod_spec(&once);
        let hook = &container(&spec, "containers", "engine")["lifecycle"]["preStop"];
        prop_assert_eq!(hook.get("httpGet").is_some(), mode != Mode::Standalone, "{}", once);
        prop_assert_eq!(&with(&once, &replacing).unwrap(), &once);
        let later = with(&once, &upgraded(mode)).unwrap();
        for out in [once, later] {
            prop_assert_eq!(&remove(&out, &ContainerSelector::default()).unwrap().text, &text, "{}", out);
        }
    }
}
