//! The drain without a sidecar: an exec hook in the target's own container.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::lifecycle::{Scene, engine};
use lameduck_test_support::page::{Answer, Page};
use lameduck_test_support::sidecar::{Pod, QUICK, Sidecar, binary};
use lameduck_test_support::sim::{Program, example};

pub(crate) const SHORT: [&str; 10] = [
    "--grace-period",
    "3s",
    "--exit-margin",
    "1s",
    "--lame-duck",
    "100ms",
    "--quiet-period",
    "200ms",
    "--poll-interval",
    "1s",
];
const ALONE: [&str; 3] = ["drain", "--standalone", "--hook"];

/// A hook under way, and where its stdout goes.
pub(crate) struct Hook {
    pub(crate) process: Sidecar,
    stdout: std::path::PathBuf,
}

impl Hook {
    pub(crate) fn start(pod: &Pod, args: &[&str]) -> Self {
        let mut command = pod.standalone();
        command.args(args);
        Self::spawn(pod, command)
    }

    pub(crate) fn spawn(pod: &Pod, mut command: Command) -> Self {
        let stdout = pod.dir.join(format!("stdout-{}", lameduck_test_support::sidecar::free_address().port()));
        command.stdout(File::create(&stdout).unwrap()).stderr(Stdio::piped());
        Self { process: pod.launch(command), stdout }
    }

    /// Waits for the end: the exit code and the one line on stdout.
    pub(crate) fn end(&mut self) -> (Option<i32>, Value) {
        let code = self.process.exit_code();
        let text = fs::read_to_string(&self.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}: {:#?}", self.process.log());
        (code, serde_json::from_str(&text).unwrap())
    }
}

#[test]
fn real_streams_end_by_themselves_before_the_hook_returns() {
    let (mut engine, pod) = engine(&["--second-signal-quits"]);
    let mut client = engine.client("/v1/listen", &["--streams", "3", "--durations", "4s,5s,6s"]);
    engine.wait_for("stream 3 opened");
    let mut hook = Hook::start(&pod, &QUICK);
    assert_eq!(hook.process.wait_for("started")["trigger"], "hook");
    hook.process.wait_for("waiting");
    let (code, outcome) = hook.end();
    assert_eq!((code, &outcome["stragglers"]), (Some(0), &json!(0)), "{outcome}");
    assert_eq!((&outcome["streams_at_start"], &outcome["signal"]), (&json!(3), &json!("SIGINT")));
    assert_eq!(pod.termination_message().unwrap(), outcome);
    engine.wait_for("SIGINT received (1)");
    client.wait_for("3 streams: 3 clean, 0 cut, 0 refused");
    assert_eq!(engine.exit_code(), Some(0));
}

#[test]
fn deadline_ends_it_and_the_code_says_that_streams_were_cut() {
    let scene = Scene::with_streams(2);
    let (code, outcome) = Hook::start(&scene.pod, &SHORT).end();
    assert_eq!((code, &outcome["outcome"], &outcome["stragglers"]), (Some(10), &json!("expired"), &json!(2)));
    assert_eq!(scene.pod.termination_message().unwrap(), outcome);

    scene.page.set(Answer::Refuse);
    let mut other = Scene::with_streams(2);
    other.pod.url.clone_from(&scene.page.url());
    let (code, outcome) = Hook::start(&other.pod, &SHORT).end();
    assert_eq!((code, &outcome["outcome"], &outcome["stragglers"]), (Some(11), &json!("expired"), &Value::Null));
}

#[test]
fn grace_period_runs_from_the_start_of_the_process() {
    let scene = Scene::with_streams(0);
    let mut slow = Command::new("sh");
    slow.args(["-c", "sleep 2; exec \"$0\" \"$@\"", binary()]);
    let mut command = scene.pod.command_of(slow, &ALONE);
    command.args(QUICK);
    let outcome = Hook::spawn(&scene.pod, command).end().1;
    assert!(outcome["seconds"].as_f64() >= Some(2.0), "{outcome}");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn hook_of_another_user_goes_by_count_alone_and_says_so() {
    let scene = Scene::with_streams(1);
    let Some(mut command) = scene.pod.as_nobody(&ALONE) else { return };
    command.args(QUICK);
    let mut hook = Hook::spawn(&scene.pod, command);
    let reason = hook.process.wait_for("count alone")["reason"].take();
    assert!(reason.as_str().unwrap().contains("may not signal the target"), "{reason}");
    scene.page.count(0);
    let (code, outcome) = hook.end();
    assert_eq!((code, &outcome["outcome"], &outcome["signal"]), (Some(0), &json!("drained"), &Value::Null));
    assert_eq!(scene.target.signals(), 0);
}

#[test]
fn target_that_is_not_found_is_not_signalled_and_its_streams_are_waited_for() {
    let page = Page::counting(1);
    let pod = Pod::new(&page.url());
    let mut hook = Hook::start(&pod, &QUICK);
    let reason = hook.process.wait_for("count alone")["reason"].take();
    assert!(reason.as_str().unwrap().contains("target not found"), "{reason}");
    hook.process.wait_for("waiting");
    page.count(0);
    let (code, outcome) = hook.end();
    assert_eq!((code, &outcome["outcome"], &outcome["signal"]), (Some(0), &json!("drained"), &Value::Null));
}

#[test]
fn engine_that_is_still_loading_is_signalled_and_its_exit_ends_the_drain() {
    let page = Page::new(Answer::Refuse);
    let pod = Pod::new(&page.url());
    let mut command = Command::new(example("engine_sim"));
    command.arg0(&pod.target).args(["--loading", "1h"]);
    let mut engine = Program::start(command);
    engine.wait_for("loading for 1h");
    let (code, outcome) = Hook::start(&pod, &QUICK).end();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("exited"), &json!("SIGINT")));
    assert!(matches!(code, Some(0 | 11)), "{code:?} {outcome}");
    assert_eq!(engine.exit_code(), Some(0));
}

#[test]
fn without_a_state_dir_it_drains_and_says_what_is_missing() {
    let scene = Scene::with_streams(0);
    let mut hook = Hook::start(&scene.pod, &[&QUICK[..], &["--state-dir", "none"]].concat());
    hook.process.wait_for("no state dir");
    assert_eq!(hook.end().1["outcome"], "drained");
    let left: Vec<_> = fs::read_dir(&scene.pod.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().is_none()), "{left:?}");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn state_dir_that_cannot_be_written_costs_a_warning_and_not_the_drain() {
    let scene = Scene::with_streams(0);
    let mut hook = Hook::start(&scene.pod, &[&QUICK[..], &["--state-dir", "/no/such/dir"]].concat());
    hook.process.wait_for("cannot take turns");
    hook.process.wait_for("cannot note the drain");
    assert_eq!(hook.end().1["outcome"], "drained");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn what_the_environment_says_to_a_sidecar_does_not_fail_a_hook() {
    let scene = Scene::with_streams(0);
    let mut command = scene.pod.standalone();
    command.args(QUICK).envs([
        ("LAMEDUCK_LISTEN", "nonsense"),
        ("LAMEDUCK_ON_SIGTERM", "drain"),
        ("LAMEDUCK_ACCEPT_BELOW", "capacity"),
        ("LAMEDUCK_ADDRESS", "127.0.0.1:1"),
        ("LAMEDUCK_IDLE_AFTER", "60s"),
    ]);
    let mut hook = Hook::spawn(&scene.pod, command);
    hook.process.wait_for("LAMEDUCK_IDLE_AFTER is ignored");
    assert_eq!(hook.end().1["outcome"], "drained");
}
