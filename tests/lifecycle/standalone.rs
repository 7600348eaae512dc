//! The drain without a sidecar: an exec hook in the target's own container.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::page::{Answer, Page};
use crate::shell::Shell;
use crate::sidecar::{BINARY, Pod, QUICK, Sidecar};
use crate::sim::{Program, example, wait_until};
use crate::{Scene, engine};

const SHORT: [&str; 10] = [
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
    fn start(pod: &Pod, args: &[&str]) -> Self {
        let mut command = pod.standalone();
        command.args(args);
        Self::spawn(pod, command)
    }

    pub(crate) fn spawn(pod: &Pod, mut command: Command) -> Self {
        let stdout = pod.dir.join(format!("stdout-{}", crate::sidecar::free_address().port()));
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

/// The note that is left for others.
fn note(pod: &Pod) -> Value {
    let files = fs::read_dir(&pod.dir).unwrap().map(|entry| entry.unwrap().path());
    let mut notes = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    serde_json::from_str(&fs::read_to_string(notes.next().unwrap()).unwrap()).unwrap()
}

#[test]
fn real_streams_end_by_themselves_before_the_hook_returns() {
    let (mut engine, pod) = engine(&["--second-signal-quits"]);
    let mut client = engine.client("/v1/listen", &["--streams", "3", "--durations", "2s,3s,4s"]);
    engine.wait_for("stream 3 opened");
    let mut hook = Hook::start(&pod, &QUICK);
    assert_eq!(hook.process.wait_for("drain begins")["trigger"], "hook");
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
fn hooks_at_the_same_instant_are_one_drain_with_one_signal() {
    let mut scene = Scene::with_streams(2);
    let mut hooks: Vec<_> = (0..4).map(|_| Hook::start(&scene.pod, &QUICK)).collect();
    scene.target.wait_for("INT");
    scene.page.count(0);
    let ends: Vec<_> = hooks.iter_mut().map(Hook::end).collect();
    assert_eq!((ends[0].0, &ends[0].1["outcome"]), (Some(0), &json!("drained")));
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:#?}");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn second_hook_goes_on_with_the_drain_of_one_that_was_killed() {
    let mut scene = Scene::with_streams(2);
    let mut first = Hook::start(&scene.pod, &QUICK);
    first.process.wait_for("signal sent");
    scene.target.wait_for("INT");
    let deadline = note(&scene.pod)["deadline"].take();
    let mut second = Hook::start(&scene.pod, &QUICK);
    assert_eq!(second.process.wait_for("another process does this drain")["pid"], first.process.pid());
    first.process.kill();

    assert_eq!(second.process.wait_for("going on with a drain")["signalled"], true);
    assert_eq!(second.process.wait_for("waiting")["streams"], 2);
    assert_eq!(note(&scene.pod)["deadline"], deadline, "one that joined moves nothing");
    scene.page.count(0);
    let (code, outcome) = second.end();
    assert_eq!((code, &outcome["outcome"], &outcome["signal"]), (Some(0), &json!("drained"), &json!("SIGINT")));
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn hook_that_comes_when_no_other_is_there_starts_the_grace_period_again() {
    let mut scene = Scene::with_streams(2);
    let first = Hook::start(&scene.pod, &QUICK);
    scene.target.wait_for("INT");
    first.process.kill();
    let before = note(&scene.pod);
    let mut second = Hook::start(&scene.pod, &QUICK);
    second.process.wait_for("waiting");
    let after = note(&scene.pod);
    let seconds =
        |note: &Value, key: &str| note[key]["secs"].as_f64().unwrap() + note[key]["nanos"].as_f64().unwrap() / 1e9;
    assert!(seconds(&after, "deadline") > seconds(&before, "deadline"), "{before} {after}");
    assert_eq!(after["begun"], before["begun"]);
    scene.page.count(0);
    assert_eq!(second.end().1["outcome"], "drained");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn deaths_at_any_moment_never_make_a_second_signal() {
    let scene = Scene::with_streams(1);
    let times = ["--grace-period", "10m", "--lame-duck", "150ms", "--quiet-period", "100ms", "--exit-wait", "0s"];
    for pause in 0..10 {
        let hooks = [Hook::start(&scene.pod, &times), Hook::start(&scene.pod, &times)];
        std::thread::sleep(Duration::from_millis(30 * pause));
        hooks.into_iter().for_each(|hook| hook.process.kill());
    }
    scene.page.count(0);
    assert_eq!(Hook::start(&scene.pod, &times).end().1["outcome"], "drained");
    assert!(scene.target.signals() <= 1);
}

#[test]
fn hook_after_the_drain_is_answered_at_once() {
    let scene = Scene::with_streams(0);
    let first = Hook::start(&scene.pod, &QUICK).end();
    assert_eq!(first.1["outcome"], "drained");
    scene.page.count(5);
    assert_eq!(Hook::start(&scene.pod, &QUICK).end(), first);
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn hook_after_the_deadline_opens_the_drain_again_without_a_second_signal() {
    let scene = Scene::with_streams(2);
    assert_eq!(Hook::start(&scene.pod, &SHORT).end().1["outcome"], "expired");
    let mut second = Hook::start(&scene.pod, &QUICK);
    second.process.wait_for("draining");
    scene.page.count(0);
    let (code, outcome) = second.end();
    assert_eq!((code, &outcome["outcome"], &outcome["stragglers"]), (Some(0), &json!("drained"), &json!(0)));
    assert!(scene.target.signals() <= 1);
}

#[test]
fn hook_that_joins_a_persons_drain_is_not_bound_by_its_deadline() {
    let mut scene = Scene::with_streams(2);
    let mut command = scene.pod.command_of(Command::new(BINARY), &["drain", "--standalone"]);
    let person = command.args(SHORT).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    scene.target.wait_for("INT");
    let mut hook = Hook::start(&scene.pod, &QUICK);
    hook.process.wait_for("another process does this drain");
    let person = person.wait_with_output().unwrap();
    let stderr = String::from_utf8(person.stderr).unwrap();
    assert!(stderr.contains("the kubelet restarts the container"), "{stderr}");
    assert_eq!(person.status.code(), Some(10), "{stderr}");

    hook.process.wait_for("waiting");
    scene.page.count(0);
    let (code, outcome) = hook.end();
    assert_eq!((code, &outcome["outcome"]), (Some(0), &json!("drained")), "{outcome}");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn new_life_of_the_target_inherits_nothing() {
    let mut scene = Scene::with_streams(0);
    assert_eq!(Hook::start(&scene.pod, &QUICK).end().1["outcome"], "drained");
    assert_eq!(std::mem::replace(&mut scene.target, Shell::named("somebody-else")).signals(), 1);
    scene.target = Shell::named(&scene.pod.target);
    let outcome = Hook::start(&scene.pod, &QUICK).end().1;
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &json!("SIGINT")));
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn grace_period_runs_from_the_start_of_the_process() {
    let scene = Scene::with_streams(0);
    let mut slow = Command::new("sh");
    slow.args(["-c", "sleep 2; exec \"$0\" \"$@\"", BINARY]);
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

#[test]
fn lock_that_cannot_be_taken_does_not_keep_a_hook_from_its_work() {
    let scene = Scene::with_streams(0);
    let first = Hook::start(&scene.pod, &QUICK).end();
    assert_eq!(first.0, Some(0));
    let locks = fs::read_dir(&scene.pod.dir).unwrap().map(|entry| entry.unwrap().path());
    let lock = locks.filter(|path| path.extension().is_some_and(|extension| extension == "lock")).next().unwrap();
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let mut hook = Hook::start(&scene.pod, &QUICK);
    hook.process.wait_for("cannot take turns");
    assert_eq!(hook.end(), first);
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn a_stopped_process_does_not_hold_the_next_hook_beyond_its_deadline() {
    let scene = Scene::with_streams(1);
    let mut first = Hook::start(&scene.pod, &SHORT);
    first.process.wait_for("drain begins");
    first.process.signal(nix::sys::signal::Signal::SIGSTOP);
    let (code, outcome) = Hook::start(&scene.pod, &SHORT).end();
    assert_eq!(outcome["outcome"], "expired");
    assert!(matches!(code, Some(10 | 11)), "{code:?} {outcome}");
    wait_until(|| first.process.is_running());
}
