//! Requests for the library, and runs of the real binary.

use std::borrow::Cow;
use std::io::Write;
use std::process::{Command, Stdio};

use lameduck_manifests::{ContainerSelector, Mode, Request, RunAsUser, Setting};

pub(crate) const CHART: &str = include_str!("../../fixtures/manifests/engine-chart.yaml");
pub(crate) const IMAGE: &str = "--image=registry.example.com/lameduck:0.1.0";

/// The result of a run.
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `lameduck inject` with these manifests on stdin.
pub(crate) fn inject(manifests: &[u8], args: &[&str], env: &[(&str, &str)]) -> Output {
    run(manifests, &[&["inject"], args].concat(), env)
}

/// Runs `lameduck check -f -` with these manifests on stdin.
pub(crate) fn check(manifests: &str) -> Output {
    run(manifests.as_bytes(), &["check", "-f", "-"], &[])
}

fn run(manifests: &[u8], args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(lameduck_test_support::process::binary());
    command.args(args).env_clear().envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The write fails if the program rejects its arguments before it reads.
    let _ = stdin.write_all(manifests);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs `lameduck inject` with an image, expects success, and returns stdout.
pub(crate) fn injected(manifests: &str, args: &[&str]) -> String {
    let Output { code, stdout, stderr } = inject(manifests.as_bytes(), &[&[IMAGE], args].concat(), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    stdout
}

/// Runs `lameduck inject --remove`, expects success, and returns stdout.
pub(crate) fn removed(manifests: &str) -> String {
    let Output { code, stdout, stderr } = inject(manifests.as_bytes(), &["--remove"], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    stdout
}

/// A text as kubectl reads it: with a newline at the end of the last line.
pub(crate) fn with_final_newline(text: &str) -> Cow<'_, str> {
    if text.ends_with('\n') { text.into() } else { format!("{text}\n").into() }
}

/// A request to inject into the workload that runs the Engine.
pub(crate) fn request(mode: Mode) -> Request {
    let engine = ContainerSelector {
        program: Some("impeller".into()),
        image: Some("self-hosted-engine"),
        ..ContainerSelector::default()
    };
    Request {
        selector: engine,
        mode,
        image: "registry.example.com/lameduck:0.1.0".into(),
        settings: Vec::new(),
        grace_period: None,
        run_as_user: Some(RunAsUser::Uid(1000)),
        port: 8089,
        signal: Some("SIGINT".into()),
        replace_hook: false,
    }
}

/// A request with another image, port and settings, as after an upgrade.
pub(crate) fn upgraded(mode: Mode) -> Request {
    let streams = Setting {
        flag: "streams".into(),
        variable: "LAMEDUCK_STREAMS".into(),
        values: vec!["a{b=\"c\"}".into(), "d".into()],
    };
    Request { image: "lameduck".into(), settings: vec![streams], port: 9089, ..request(mode) }
}
