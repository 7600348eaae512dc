//! Requests, and the real binary.

use std::io::Write;
use std::process::{Command, Stdio};

use lameduck_manifests::select::ContainerSelector;
use lameduck_manifests::sidecar_spec::Mode;
use lameduck_manifests::{Request, Setting};

pub(crate) const CHART: &str = include_str!("../../fixtures/manifests/engine-chart.yaml");
pub(crate) const IMAGE: &str = "--image=registry.example.com/lameduck:0.1.0";

pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `lameduck inject` with these manifests on stdin.
pub(crate) fn inject(manifests: &[u8], args: &[&str], env: &[(&str, &str)]) -> Answer {
    let mut command = Command::new(lameduck_test_support::process::binary());
    command.arg("inject").args(args).env_clear().envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that refuses its arguments does not read.
    let _ = stdin.write_all(manifests);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The same, where it must succeed.
pub(crate) fn injected(manifests: &str, args: &[&str]) -> String {
    let Answer { code, stdout, stderr } = inject(manifests.as_bytes(), &[&[IMAGE], args].concat(), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    stdout
}

pub(crate) fn removed(manifests: &str) -> String {
    let Answer { code, stdout, stderr } = inject(manifests.as_bytes(), &["--remove"], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    stdout
}

pub(crate) fn request(shape: Mode) -> Request {
    let engine = ContainerSelector {
        program: Some("impeller".into()),
        image: Some("self-hosted-engine"),
        ..ContainerSelector::default()
    };
    Request {
        wanted: engine,
        shape,
        image: "registry.example.com/lameduck:0.1.0".into(),
        settings: Vec::new(),
        grace_period: None,
        run_as_user: Some(1000),
        port: 8089,
    }
}

/// The same as another version would ask for it.
pub(crate) fn other(shape: Mode) -> Request {
    let streams = Setting {
        flag: "streams".into(),
        variable: "LAMEDUCK_STREAMS".into(),
        values: vec!["a{b=\"c\"}".into(), "d".into()],
    };
    Request { image: "lameduck".into(), settings: vec![streams], port: 9089, ..request(shape) }
}
