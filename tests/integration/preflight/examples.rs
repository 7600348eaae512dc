//! Correct manifests: the examples, and the output of `lameduck inject`.

use std::fs;
use std::path::PathBuf;

use lameduck_manifests::preflight::{Evaluation, Options};
use lameduck_manifests::{ContainerSelector, Mode, Request, RunAsUser, inject};
use lameduck_test_support::manifests::{Tape, stream};
use proptest::prelude::*;

use super::support::{config, failures, findings, lameduck, preflight_with};

const CHART: &str = include_str!("../../fixtures/manifests/engine-chart.yaml");
const IMAGE: &str = "registry.example.com/lameduck:0.1.0";
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
        let image = ["inject", "--image", IMAGE];
        let output = lameduck(&[&image, args].concat(), CHART, &[]);
        assert_eq!(output.code, Some(0), "{args:?}: {}", output.stderr);
        let mut failures = findings(&output.stdout);
        failures.retain(|finding| matches!(finding.evaluation, Evaluation::Fail { .. }));
        assert!(failures.is_empty(), "{args:?}: {failures:#?}");
    }
}

fn request(mode: Mode) -> Request {
    let selector = ContainerSelector {
        program: Some("impeller".into()),
        image: Some("self-hosted-engine"),
        ..ContainerSelector::default()
    };
    Request {
        selector,
        mode,
        image: IMAGE.to_owned(),
        settings: Vec::new(),
        grace_period: None,
        run_as_user: Some(RunAsUser::Uid(1000)),
        port: 8089,
        signal: Some("SIGINT".into()),
        replace_hook: false,
    }
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
