//! The vendor's chart as Helm renders it, piped through `lameduck inject`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::cluster::{kubectl, repository};
use crate::support::namespace::Namespace;

/// The name of the chart's Deployment and of its main container.
pub(crate) const NAME: &str = "deepgram-engine";

/// What the chart requires but this node does not have, and its replacement. Nothing else is changed.
const REPLACEMENTS: [(&str, &str); 10] = [
    ("quay.io/deepgram/self-hosted-engine:release-260812", "localhost/engine:test"),
    ("imagePullPolicy: IfNotPresent", "imagePullPolicy: Never"),
    ("              nvidia.com/gpu: 1\n", ""),
    ("\"30Gi\"", "\"32Mi\""),
    ("\"40Gi\"", "\"64Mi\""),
    ("\"4000m\"", "\"10m\""),
    ("          persistentVolumeClaim:\n            claimName: models\n", "          emptyDir: {}\n"),
    ("          env:\n", "          env:\n            - {name: ENGINE_SIM_ARGS, value: \"--listen 0.0.0.0:8080\"}\n"),
    ("  replicas: 2\n", "  replicas: 1\n"),
    ("      imagePullSecrets:\n        - name: dg-regcred\n", ""),
];

/// The unchanged chart.
pub(crate) fn original() -> String {
    fs::read_to_string(repository("tests/fixtures/manifests/engine-chart.yaml")).unwrap()
}

/// The chart's engine part, adapted to this cluster.
pub(crate) fn adapted() -> String {
    let text = original();
    let (engine, _) =
        text.split_once("---\n# Source: deepgram-self-hosted/templates/api/").expect("the API comes last");
    REPLACEMENTS.iter().fold(engine.to_owned(), |text, (part, replacement)| {
        assert!(text.contains(part), "the chart has no {part:?}");
        text.replace(part, replacement)
    })
}

/// Creates what the chart expects: its service account, its API key, and a node labelled for engines.
pub(crate) fn prepare(namespace: &Namespace) {
    namespace.kubectl(&["create", "serviceaccount", "deepgram-engine-sa"]);
    namespace.kubectl(&[
        "create",
        "secret",
        "generic",
        "dg-self-hosted-api-key",
        "--from-literal=DEEPGRAM_API_KEY=none",
    ]);
    kubectl(&["label", "node", "--all", "--overwrite", "k8s.deepgram.com/node-type=engine"]);
}

/// Runs `lameduck inject` on these manifests; panics if it fails.
pub(crate) fn inject(manifests: &str, args: &[&str]) -> String {
    let mut child = Command::new(lameduck_test_support::process::binary())
        .arg("inject")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("lameduck was built");
    child.stdin.take().expect("stdin is piped").write_all(manifests.as_bytes()).expect("it reads its input");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "inject {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    String::from_utf8(output.stdout).expect("manifests are text")
}
