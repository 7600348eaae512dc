//! `lameduck drain` and `lameduck status` against a real sidecar.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::{Fixture, SHORT_SCRAPES};
use lameduck_test_support::page::PageReply;
use lameduck_test_support::process;
use lameduck_test_support::process::binary;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar, SidecarEnv};

/// A deadline after 4.5 s, before which a test does what it must on a busy machine.
const SHORT: [&str; 6] = ["--grace-period", "5s", "--lame-duck", "0s", "--quiet-period", "100ms"];

/// Runs `lameduck drain`, and `during` while it drains.
fn drain(env: &SidecarEnv, sidecar: &Sidecar, args: &[&str], during: impl FnOnce()) -> (Option<i32>, Value, String) {
    thread::scope(|scope| {
        let client = scope.spawn(|| env.run_client(&[&["drain"], args].concat()));
        sidecar.wait_for_status("/phase", "draining");
        during();
        let (code, stdout, stderr) = client.join().unwrap();
        assert_eq!(stdout.lines().count(), 1, "{stdout:?}");
        (code, serde_json::from_str(&stdout).unwrap(), stderr)
    })
}

#[test]
fn manual_drain_waits_prints_outcome_and_warns() {
    let fixture = Fixture::with_streams(2);
    let sidecar = fixture.start_quick();
    let (code, outcome, stderr) = drain(&fixture.env, &sidecar, &[], || {
        assert_eq!(sidecar.status()["drain"]["trigger"], "cli");
        assert_eq!(sidecar.metric("lameduck_hook_callers"), Some(0.0));
        fixture.end_streams();
    });
    assert_eq!((code, &outcome["outcome"], &outcome["signal"]), (Some(0), &json!("drained"), &json!("SIGINT")));
    assert!(stderr.contains("the kubelet restarts"), "{stderr}");
    assert_eq!(sidecar.status()["outcome"], outcome);
}

#[test]
fn drain_with_hook_flag_counts_as_hook() {
    let fixture = Fixture::with_streams(2);
    let sidecar = fixture.start_quick();
    let (code, outcome, stderr) = drain(&fixture.env, &sidecar, &["--hook"], || {
        assert_eq!(sidecar.status()["drain"]["trigger"], "hook");
        fixture.end_streams();
    });
    assert_eq!((code, &outcome["outcome"]), (Some(0), &json!("drained")));
    assert!(!stderr.contains("the kubelet restarts"), "{stderr}");
}

#[test]
fn drain_exit_code_reports_stragglers() {
    let fixture = Fixture::with_streams(2);
    let sidecar = fixture.start_ready(&[&SHORT[..], &["--poll-interval", "10s"]].concat());
    let (code, outcome, _) = drain(&fixture.env, &sidecar, &[], || {});
    assert_eq!((code, &outcome["stragglers"]), (Some(10), &json!(2)));

    let fixture = Fixture::with_streams(2);
    let sidecar = fixture.start_ready(&[&SHORT[..], &SHORT_SCRAPES].concat());
    let (code, outcome, _) = drain(&fixture.env, &sidecar, &[], || fixture.page.set_reply(PageReply::Hang));
    assert_eq!((code, &outcome["stragglers"]), (Some(11), &Value::Null));
}

#[test]
fn manual_drain_joins_without_moving_deadline() {
    let fixture = Fixture::with_streams(2);
    let sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    let (code, outcome, _) = drain(&fixture.env, &sidecar, &[], || fixture.end_streams());
    assert_eq!((code, hook.outcome()), (Some(0), outcome));
}

#[test]
fn sidecar_crash_during_client_drain_is_unreachable() {
    let fixture = Fixture::with_streams(2);
    let sidecar = fixture.start_quick();
    let env = &fixture.env;
    let (code, stdout, stderr) = thread::scope(|scope| {
        let client = scope.spawn(|| env.run_client(&["drain", "--hook"]));
        sidecar.wait_for_status("/phase", "draining");
        sidecar.signal(Signal::SIGKILL);
        client.join().unwrap()
    });
    assert_eq!((code, stdout.as_str()), (Some(69), ""));
    assert!(stderr.contains("no sidecar answers"), "{stderr}");
}

#[test]
fn unreachable_sidecar_is_reported_with_fix() {
    let env = SidecarEnv::new("http://127.0.0.1:1/");
    let drains = [&["drain"][..], &["drain", "--hook"]];
    let statuses = [&["status"][..], &["status", "--json"], &["status", "--watch"], &["status", "--watch", "--json"]];
    for args in drains.into_iter().chain(statuses) {
        let (code, stdout, stderr) = env.run_client(args);
        assert_eq!((code, stdout.as_str()), (Some(69), ""), "{args:?}");
        assert!(stderr.contains(&env.address.to_string()) && stderr.contains("--address"), "{args:?}: {stderr}");
    }
}

#[test]
fn other_http_server_is_not_mistaken_for_sidecar() {
    let page = lameduck_test_support::page::PageServer::with_streams(0);
    let mut env = SidecarEnv::new("");
    env.address = page.url().trim_start_matches("http://").trim_end_matches("/metrics").parse().unwrap();
    for command in ["drain", "status"] {
        let (code, stdout, stderr) = env.run_client(&[command]);
        assert_eq!((code, stdout.as_str()), (Some(69), ""), "{command}");
        assert!(stderr.contains("not"), "{command}: {stderr}");
    }
}

#[test]
fn status_prints_text_or_json() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_quick();
    let (code, text, _) = fixture.env.run_client(&["status"]);
    assert_eq!(code, Some(0));
    for part in ["serving", "metrics: 3 streams", &format!("{} (pid {})", fixture.env.target_name, fixture.target.pid)]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let (code, text, _) = fixture.env.run_client(&["status", "--json"]);
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &status["streams"], &status["phase"]), (Some(0), &json!(3), &json!("serving")));

    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    let text = fixture.env.run_client(&["status"]).1;
    assert!(text.contains("by hook") && text.contains("3 streams at start"), "{text}");
    fixture.end_streams();
    hook.outcome();
    let text = fixture.env.run_client(&["status"]).1;
    assert!(text.contains("drained after") && text.contains("stragglers: 0"), "{text}");
}

#[test]
fn drain_hook_survives_sidecar_restart() {
    let mut fixture = Fixture::with_streams(2);
    let sidecar = fixture.start_quick();
    let address = fixture.env.address.to_string();
    let mut command = Command::new(binary());
    command.env_clear().args(["drain", "--hook", "--log-format", "json", "--address", &address]);
    let mut hook = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(hook.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("waiting")), "it knows how long it may wait");
    fixture.target.wait_for("INT");
    sidecar.kill();
    let again = fixture.env.start(&QUICK_TIMES);
    again.wait_for_status("/phase", "draining");
    process::wait_until(|| again.metric("lameduck_hook_callers") == Some(1.0));
    assert!(hook.try_wait().unwrap().is_none());
    fixture.end_streams();
    let output = hook.wait_with_output().unwrap();
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &outcome["outcome"]), (Some(0), &json!("drained")));
}
