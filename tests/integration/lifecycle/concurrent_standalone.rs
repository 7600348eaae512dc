//! Several hooks without a sidecar: one drain, one signal, whoever dies.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::Scene;
use crate::lifecycle::standalone::{Hook, SHORT};
use lameduck_test_support::shell::Shell;
use lameduck_test_support::sidecar::{Pod, QUICK, binary};
use lameduck_test_support::sim::wait_until;

/// The note that is left for others.
fn note(pod: &Pod) -> Value {
    let files = fs::read_dir(&pod.dir).unwrap().map(|entry| entry.unwrap().path());
    let mut notes = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    serde_json::from_str(&fs::read_to_string(notes.next().unwrap()).unwrap()).unwrap()
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
    assert_eq!(after["started_at"], before["started_at"]);
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
        for hook in hooks {
            hook.process.kill();
        }
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
    let mut command = scene.pod.command_of(Command::new(binary()), &["drain", "--standalone"]);
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
fn lock_that_cannot_be_taken_does_not_keep_a_hook_from_its_work() {
    let scene = Scene::with_streams(0);
    let first = Hook::start(&scene.pod, &QUICK).end();
    assert_eq!(first.0, Some(0));
    let mut locks = fs::read_dir(&scene.pod.dir).unwrap().map(|entry| entry.unwrap().path());
    let lock = locks.find(|path| path.extension().is_some_and(|extension| extension == "lock")).unwrap();
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
    let mut first = Hook::start(&scene.pod, &QUICK);
    first.process.wait_for("signal sent");
    first.process.signal(Signal::SIGSTOP);
    let (code, outcome) = Hook::start(&scene.pod, &SHORT).end();
    assert_eq!(outcome["outcome"], "expired");
    assert!(matches!(code, Some(10 | 11)), "{code:?} {outcome}");
    wait_until(|| first.process.is_running());
}
