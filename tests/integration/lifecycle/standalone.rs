//! The drain without a sidecar: an exec hook in the target's container.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::{Fixture, start_engine};
use lameduck_test_support::page::{PageReply, PageServer};
use lameduck_test_support::process::{Program, binary};
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar, SidecarEnv};
use lameduck_test_support::sim::engine_command;

/// A reading is valid for two poll intervals: on a busy machine, it must not be out of date.
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
    "10s",
];
const STANDALONE_HOOK: [&str; 3] = ["drain", "--standalone", "--hook"];

/// A running standalone hook, and the file with its stdout.
pub(crate) struct StandaloneHook {
    pub(crate) process: Sidecar,
    stdout: std::path::PathBuf,
}

impl StandaloneHook {
    pub(crate) fn start(env: &SidecarEnv, args: &[&str]) -> Self {
        let mut command = env.standalone_command();
        command.args(args);
        Self::spawn(env, command)
    }

    pub(crate) fn spawn(env: &SidecarEnv, mut command: Command) -> Self {
        let stdout = env.dir.join(format!("stdout-{}", lameduck_test_support::process::free_address().port()));
        command.stdout(File::create(&stdout).unwrap()).stderr(Stdio::piped());
        Self { process: env.spawn_command(command), stdout }
    }

    /// Waits until it exits; returns its exit code and the line of JSON on stdout.
    pub(crate) fn finish(&mut self) -> (Option<i32>, Value) {
        let code = self.process.exit_code();
        let text = fs::read_to_string(&self.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}: {:#?}", self.process.log());
        (code, serde_json::from_str(&text).unwrap())
    }
}

#[test]
fn hook_returns_after_real_streams_end() {
    let (mut engine, env) = start_engine(&["--second-signal-quits"]);
    let mut client = engine.client("/v1/listen", &["--streams", "3", "--durations", "1h"]);
    engine.wait_for("stream 3 opened");
    let mut hook = StandaloneHook::start(&env, &QUICK_TIMES);
    assert_eq!(hook.process.wait_for_log("started")["trigger"], "hook");
    hook.process.wait_for_log("waiting");
    env.wait_until_served_on();
    client.signal(Signal::SIGTERM);
    let (code, outcome) = hook.finish();
    assert_eq!((code, &outcome["stragglers"]), (Some(0), &json!(0)), "{outcome}");
    assert_eq!((&outcome["streams_at_start"], &outcome["signal"]), (&json!(3), &json!("SIGINT")));
    assert_eq!(env.termination_message().unwrap(), outcome);
    engine.wait_for("SIGINT received (1)");
    client.wait_for("3 streams: 3 clean, 0 cut, 0 refused");
    assert_eq!(engine.exit_code(), Some(0));
}

#[test]
fn exit_code_at_deadline_reports_stragglers() {
    let fixture = Fixture::with_streams(2);
    let (code, outcome) = StandaloneHook::start(&fixture.env, &SHORT).finish();
    assert_eq!((code, &outcome["outcome"], &outcome["stragglers"]), (Some(10), &json!("expired"), &json!(2)));
    assert_eq!(fixture.env.termination_message().unwrap(), outcome);

    fixture.page.set_reply(PageReply::Refuse);
    let mut other = Fixture::with_streams(2);
    other.env.metrics_url.clone_from(&fixture.page.url());
    let (code, outcome) = StandaloneHook::start(&other.env, &SHORT).finish();
    assert_eq!((code, &outcome["outcome"], &outcome["stragglers"]), (Some(11), &json!("expired"), &Value::Null));
}

#[test]
fn grace_period_runs_from_process_start() {
    let fixture = Fixture::with_streams(0);
    let mut slow = Command::new("sh");
    slow.args(["-c", "sleep 2; exec \"$0\" \"$@\"", binary()]);
    let mut command = fixture.env.with_env(slow, &STANDALONE_HOOK);
    command.args(QUICK_TIMES);
    let outcome = StandaloneHook::spawn(&fixture.env, command).finish().1;
    assert!(outcome["seconds"].as_f64() >= Some(2.0), "{outcome}");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn hook_of_other_user_only_counts_and_logs_it() {
    let fixture = Fixture::with_streams(1);
    let Some(mut command) = fixture.env.command_as_nobody(&STANDALONE_HOOK) else { return };
    command.args(QUICK_TIMES);
    let mut hook = StandaloneHook::spawn(&fixture.env, command);
    let reason = hook.process.wait_for_log("count alone")["reason"].take();
    assert!(reason.as_str().unwrap().contains("cannot signal the target"), "{reason}");
    fixture.page.set_streams(0);
    let (code, outcome) = hook.finish();
    assert_eq!((code, &outcome["outcome"], &outcome["signal"]), (Some(0), &json!("drained"), &Value::Null));
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn missing_target_is_not_signalled_but_streams_are_awaited() {
    let page = PageServer::with_streams(1);
    let env = SidecarEnv::new(&page.url());
    let mut hook = StandaloneHook::start(&env, &QUICK_TIMES);
    let reason = hook.process.wait_for_log("count alone")["reason"].take();
    assert!(reason.as_str().unwrap().contains("target not found"), "{reason}");
    hook.process.wait_for_log("waiting");
    page.set_streams(0);
    let (code, outcome) = hook.finish();
    assert_eq!((code, &outcome["outcome"], &outcome["signal"]), (Some(0), &json!("drained"), &Value::Null));
}

#[test]
fn loading_engine_is_signalled_and_its_exit_ends_drain() {
    let page = PageServer::new(PageReply::Refuse);
    let env = SidecarEnv::new(&page.url());
    let mut command = engine_command(&env.target_name);
    command.args(["--loading", "1h"]);
    let mut engine = Program::start(command);
    engine.wait_for("loading for 1h");
    let (code, outcome) = StandaloneHook::start(&env, &QUICK_TIMES).finish();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("exited"), &json!("SIGINT")));
    assert!(matches!(code, Some(0 | 11)), "{code:?} {outcome}");
    assert_eq!(engine.exit_code(), Some(0));
}

#[test]
fn without_state_dir_it_drains_with_a_warning() {
    let fixture = Fixture::with_streams(0);
    let mut hook = StandaloneHook::start(&fixture.env, &[&QUICK_TIMES[..], &["--state-dir", "none"]].concat());
    hook.process.wait_for_log("no state dir");
    assert_eq!(hook.finish().1["outcome"], "drained");
    let left: Vec<_> = fs::read_dir(&fixture.env.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().is_none()), "{left:?}");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn unwritable_state_dir_costs_only_a_warning() {
    let fixture = Fixture::with_streams(0);
    let mut hook = StandaloneHook::start(&fixture.env, &[&QUICK_TIMES[..], &["--state-dir", "/no/such/dir"]].concat());
    hook.process.wait_for_log("cannot lock the drain");
    hook.process.wait_for_log("cannot save drain state");
    assert_eq!(hook.finish().1["outcome"], "drained");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn sidecar_only_variables_do_not_fail_standalone_hook() {
    let fixture = Fixture::with_streams(0);
    let mut command = fixture.env.standalone_command();
    command.args(QUICK_TIMES).envs([
        ("LAMEDUCK_LISTEN", "nonsense"),
        ("LAMEDUCK_ON_SIGTERM", "drain"),
        ("LAMEDUCK_ACCEPT_BELOW", "capacity"),
        ("LAMEDUCK_ADDRESS", "127.0.0.1:1"),
        ("LAMEDUCK_IDLE_AFTER", "60s"),
    ]);
    let mut hook = StandaloneHook::spawn(&fixture.env, command);
    hook.process.wait_for_log("LAMEDUCK_IDLE_AFTER is ignored");
    assert_eq!(hook.finish().1["outcome"], "drained");
}
