//! Manifests that are right: the examples, and what `lameduck inject` writes.

use std::fs;
use std::path::PathBuf;

use lameduck_manifests::inject;
use lameduck_manifests::preflight::Options;
use lameduck_test_support::manifests::{Tape, stream};
use proptest::prelude::*;

use super::support::{failures, findings, is_complaint, preflight_with};
use crate::inject::properties::config;
use crate::inject::support::{CHART, injected, request};
use lameduck_manifests::Mode;

const MODES: [Mode; 3] = [Mode::Native, Mode::Classic, Mode::Standalone];

/// Every example manifest.
fn examples() -> Vec<(PathBuf, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/k8s-examples");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let manifests = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    manifests.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn no_example_has_a_failure() {
    let mut checked = 0;
    for (path, text) in examples() {
        for object in preflight_with(&text, &Options::default()).objects {
            let failures = failures(&object);
            assert!(failures.is_empty(), "{}: {failures:#?}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 7, "only {checked} examples have lameduck");
}

#[test]
fn injected_chart_has_no_failure() {
    for args in [
        &["--run-as-user=1000"][..],
        &["--run-as-user=1000", "--classic"],
        &["--standalone"],
        &["--run-as-user=1000", "--listen=[::]:9000", "--grace-period=5m"],
        &[
            "--run-as-user=1000",
            "--signal=none",
            "--preset=generic",
            "--streams-port=8080",
            "--container=deepgram-engine",
        ],
        &["--run-as-user=1000", "--workload=Deployment/deepgram-api", "--preset=deepgram-api"],
    ] {
        let failures: Vec<_> = findings(&injected(CHART, args)).into_iter().filter(is_failure).collect();
        assert!(failures.is_empty(), "{args:?}: {failures:#?}");
    }
}

fn is_failure(finding: &lameduck_manifests::preflight::Finding) -> bool {
    is_complaint(finding) && !matches!(finding.evaluation, lameduck_manifests::preflight::Evaluation::Warn { .. })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_inject_writes_has_no_failure(bytes in prop::collection::vec(any::<u8>(), 0..500), mode in 0..3_usize) {
        let text = stream(&mut Tape::new(bytes));
        let Ok(edited) = inject(&text, &request(MODES[mode]), &|_| Ok(())) else { return Ok(()) };
        let preflight = preflight_with(&edited.text, &Options::default());
        prop_assert!(!preflight.objects.is_empty(), "{}", edited.text);
        for object in &preflight.objects {
            prop_assert!(failures(object).is_empty(), "{:#?}\n{}", failures(object), edited.text);
        }
    }
}
