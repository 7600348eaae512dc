//! Properties of injection for manifests in any style: every byte outside lameduck's parts stays, and libyaml reads both
//! those parts and the rest.
//!
//! `LAMEDUCK_MANIFESTS` sets the number of generated manifests per property.

use std::env;

use lameduck_manifests::{ContainerSelector, Mode, Request, inject, remove};
use proptest::prelude::*;

use crate::inject::support::{request, upgraded};
use lameduck_test_support::manifests::libyaml::{container, parse, pod_spec, pod_template, without_lameduck};
use lameduck_test_support::manifests::{Tape, stream};

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

/// Whether no null is filled by injection; removal cannot restore such a null.
fn has_no_fillable_null(text: &str) -> bool {
    let template = pod_template(text);
    let spec = &template["spec"];
    let containers = spec["containers"].as_sequence().unwrap();
    let is_null = |value: &serde_norway::Value, key: &str| value.get(key).is_some_and(serde_norway::Value::is_null);
    let annotations = is_null(&template, "metadata") || is_null(&template["metadata"], "annotations");
    let lists = ["initContainers", "volumes"].iter().any(|key| is_null(spec, key));
    let lifecycle = |container: &serde_norway::Value| {
        is_null(container, "lifecycle")
            || container.get("lifecycle").is_some_and(|lifecycle| is_null(lifecycle, "preStop"))
    };
    !annotations && !lists && !containers.iter().any(lifecycle)
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
        let was_shared = pod_spec(&text).get("shareProcessNamespace").is_some();
        prop_assert_eq!(spec.get("shareProcessNamespace").is_some(), was_shared || mode != Mode::Standalone);
        let annotation = &pod_template(&out)["metadata"]["annotations"]["lameduck/process-namespace-was-shared"];
        prop_assert_eq!(annotation.as_str(), (was_shared && mode != Mode::Standalone).then_some("true"), "{}", out);
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
        prop_assert_eq!(without_lameduck(&back), without_lameduck(&text), "{}", back);
        if has_no_fillable_null(&text) {
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn mode_change_equals_fresh_injection(text in manifests(), first in mode(), second in mode()) {
        prop_assume!(is_possible(&text, first) && is_possible(&text, second) && has_no_fillable_null(&text));
        let once = with(&text, &request(first)).unwrap();
        prop_assert_eq!(with(&once, &request(second)).unwrap(), with(&text, &request(second)).unwrap());
    }
}
