//! Several standalone hooks at once: one drain and one signal, whichever of them is killed.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::Fixture;
use crate::lifecycle::standalone::{SHORT, StandaloneHook};
use lameduck_test_support::process::{binary, wait_until};
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};

/// The saved drain that the processes share.
fn saved_state(env: &SidecarEnv) -> Value {
    let files = fs::read_dir(&env.dir).unwrap().map(|entry| entry.unwrap().path());
    let mut states = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    serde_json::from_str(&fs::read_to_string(states.next().unwrap()).unwrap()).unwrap()
}

#[test]
fn simultaneous_hooks_share_one_drain_and_signal() {
    let mut fixture = Fixture::with_streams(2);
    let mut hooks: Vec<_> = (0..4).map(|_| StandaloneHook::start(&fixture.env, &QUICK_TIMES)).collect();
    fixture.target.wait_for("INT");
    fixture.end_streams();
    let ends: Vec<_> = hooks.iter_mut().map(StandaloneHook::finish).collect();
    assert_eq!((ends[0].0, &ends[0].1["outcome"]), (Some(0), &json!("drained")));
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:#?}");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn second_hook_resumes_drain_of_killed_hook() {
    let mut fixture = Fixture::with_streams(2);
    let mut first = StandaloneHook::start(&fixture.env, &QUICK_TIMES);
    first.process.wait_for_log("signal sent");
    fixture.target.wait_for("INT");
    let deadline = saved_state(&fixture.env)["deadline"].take();
    let mut second = StandaloneHook::start(&fixture.env, &QUICK_TIMES);
    assert_eq!(second.process.wait_for_log("another process performs this drain")["pid"], first.process.pid());
    first.process.kill();

    assert_eq!(second.process.wait_for_log("resuming the drain")["signalled"], true);
    assert_eq!(second.process.wait_for_log("waiting")["streams"], 2);
    assert_eq!(saved_state(&fixture.env)["deadline"], deadline, "the second hook moved the deadline");
    fixture.end_streams();
    let (code, outcome) = second.finish();
    assert_eq!((code, &outcome["outcome"], &outcome["signal"]), (Some(0), &json!("drained"), &json!("SIGINT")));
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn hook_without_concurrent_hook_restarts_grace_period() {
    let mut fixture = Fixture::with_streams(2);
    let first = StandaloneHook::start(&fixture.env, &QUICK_TIMES);
    fixture.target.wait_for("INT");
    first.process.kill();
    let before = saved_state(&fixture.env);
    let mut second = StandaloneHook::start(&fixture.env, &QUICK_TIMES);
    second.process.wait_for_log("waiting");
    let after = saved_state(&fixture.env);
    let seconds =
        |saved: &Value, key: &str| saved[key]["secs"].as_f64().unwrap() + saved[key]["nanos"].as_f64().unwrap() / 1e9;
    assert!(seconds(&after, "deadline") > seconds(&before, "deadline"), "{before} {after}");
    assert_eq!(after["started_at"], before["started_at"]);
    fixture.page.set_streams(0);
    assert_eq!(second.finish().1["outcome"], "drained");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn crash_at_any_time_never_sends_second_signal() {
    let fixture = Fixture::with_streams(1);
    let times = ["--grace-period", "10m", "--lame-duck", "150ms", "--quiet-period", "100ms", "--exit-wait", "0s"];
    for pause in 0..10 {
        let hooks = [StandaloneHook::start(&fixture.env, &times), StandaloneHook::start(&fixture.env, &times)];
        std::thread::sleep(Duration::from_millis(30 * pause));
        for hook in hooks {
            hook.process.kill();
        }
    }
    fixture.page.set_streams(0);
    assert_eq!(StandaloneHook::start(&fixture.env, &times).finish().1["outcome"], "drained");
    assert!(fixture.target.into_signal_count() <= 1);
}

#[test]
fn hook_after_drain_is_answered_immediately() {
    let fixture = Fixture::with_streams(0);
    let first = StandaloneHook::start(&fixture.env, &QUICK_TIMES).finish();
    assert_eq!(first.1["outcome"], "drained");
    fixture.page.set_streams(5);
    assert_eq!(StandaloneHook::start(&fixture.env, &QUICK_TIMES).finish(), first);
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn hook_after_deadline_reopens_drain_without_second_signal() {
    let fixture = Fixture::with_streams(2);
    assert_eq!(StandaloneHook::start(&fixture.env, &SHORT).finish().1["outcome"], "expired");
    let mut second = StandaloneHook::start(&fixture.env, &QUICK_TIMES);
    second.process.wait_for_log("draining");
    fixture.page.set_streams(0);
    let (code, outcome) = second.finish();
    assert_eq!((code, &outcome["outcome"], &outcome["stragglers"]), (Some(0), &json!("drained"), &json!(0)));
    assert!(fixture.target.into_signal_count() <= 1);
}

#[test]
fn hook_joining_manual_drain_has_own_deadline() {
    let mut fixture = Fixture::with_streams(2);
    let mut command = fixture.env.with_env(Command::new(binary()), &["drain", "--standalone"]);
    // The hook must join before the deadline.
    command.args(SHORT.map(|arg| if arg == "3s" { "7s" } else { arg }));
    let person = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    fixture.target.wait_for("INT");
    let mut hook = StandaloneHook::start(&fixture.env, &QUICK_TIMES);
    hook.process.wait_for_log("another process performs this drain");
    let person = person.wait_with_output().unwrap();
    let stderr = String::from_utf8(person.stderr).unwrap();
    assert!(stderr.contains("the kubelet restarts the container"), "{stderr}");
    assert_eq!(person.status.code(), Some(10), "{stderr}");

    hook.process.wait_for_log("waiting");
    fixture.page.set_streams(0);
    let (code, outcome) = hook.finish();
    assert_eq!((code, &outcome["outcome"]), (Some(0), &json!("drained")), "{outcome}");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn new_incarnation_inherits_nothing() {
    let mut fixture = Fixture::with_streams(0);
    assert_eq!(StandaloneHook::start(&fixture.env, &QUICK_TIMES).finish().1["outcome"], "drained");
    assert_eq!(std::mem::replace(&mut fixture.target, ShellTarget::start("somebody-else")).into_signal_count(), 1);
    fixture.target = ShellTarget::start(&fixture.env.target_name);
    let outcome = StandaloneHook::start(&fixture.env, &QUICK_TIMES).finish().1;
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &json!("SIGINT")));
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn unusable_lock_does_not_block_hook() {
    let fixture = Fixture::with_streams(0);
    let first = StandaloneHook::start(&fixture.env, &QUICK_TIMES).finish();
    assert_eq!(first.0, Some(0));
    let mut locks = fs::read_dir(&fixture.env.dir).unwrap().map(|entry| entry.unwrap().path());
    let lock = locks.find(|path| path.extension().is_some_and(|extension| extension == "lock")).unwrap();
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let mut hook = StandaloneHook::start(&fixture.env, &QUICK_TIMES);
    hook.process.wait_for_log("cannot lock the drain");
    assert_eq!(hook.finish(), first);
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn stopped_process_does_not_hold_next_hook_past_deadline() {
    let fixture = Fixture::with_streams(1);
    let mut first = StandaloneHook::start(&fixture.env, &QUICK_TIMES);
    first.process.wait_for_log("signal sent");
    first.process.signal(Signal::SIGSTOP);
    let (code, outcome) = StandaloneHook::start(&fixture.env, &SHORT).finish();
    assert_eq!(outcome["outcome"], "expired");
    assert!(matches!(code, Some(10 | 11)), "{code:?} {outcome}");
    wait_until(|| first.process.is_running());
}
