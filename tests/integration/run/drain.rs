//! A stop of `lameduck run` drains its command first.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::{Fixture, SCRIPT};
use lameduck_test_support::process::wait_until;
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};
use lameduck_test_support::skip::skip;

/// A grace period that a test reaches. A count is not out of date after a second.
const SHORT: [&str; 10] = [
    "--grace-period",
    "10s",
    "--exit-margin",
    "1s",
    "--lame-duck",
    "100ms",
    "--quiet-period",
    "200ms",
    "--poll-interval",
    "500ms",
];

#[test]
fn stop_waits_for_streams_and_then_terminates_the_command() {
    let fixture = Fixture::with_streams(3);
    let mut run = fixture.start(&[], SCRIPT);
    run.signal(Signal::SIGTERM);
    run.program.wait_for("INT");
    assert_eq!(run.get("/readyz").status, 503);
    assert_eq!(run.get("/status").json()["drain"]["trigger"], "sigterm");
    assert!(run.get("/metrics").body.contains("lameduck_signals_total{signal=\"SIGINT\",result=\"sent\"} 1"));
    run.wait_until_served_on();
    fixture.page.set_streams(2);
    run.wait_for_status("/streams", 2);
    fixture.page.set_streams(0);
    assert_eq!(run.exit_code(), Some(7));
    assert_eq!(run.program.seen.iter().filter(|line| line.contains("INT")).count(), 1);
    let record = fixture.env.termination_message().unwrap();
    assert_eq!((&record["outcome"], &record["stragglers"]), (&json!("drained"), &json!(0)), "{record}");
    assert_eq!(run.logged("the command has exited").unwrap()["code"], 7);
}

#[test]
fn command_that_does_not_end_is_terminated_at_the_deadline_and_then_killed() {
    let fixture = Fixture::with_streams(2);
    let script = "trap 'echo INT' INT; trap 'echo TERM' TERM; echo ready; while :; do sleep 0.05; done";
    let mut run = fixture.env.start_script(&SHORT, script);
    run.wait_for_ready();
    run.signal(Signal::SIGTERM);
    run.program.wait_for("INT");
    run.program.wait_for("TERM");
    assert_eq!(run.exit_code(), None, "it dies of the command's SIGKILL");
    let record = fixture.env.termination_message().unwrap();
    assert_eq!((&record["outcome"], &record["stragglers"]), (&json!("expired"), &json!(2)), "{record}");
    let sent = run.log().into_iter().filter(|line| line["message"] == "signal sent to the command");
    assert_eq!(sent.map(|line| line["signal"].clone()).collect::<Vec<_>>(), ["SIGTERM", "SIGKILL"]);
}

#[test]
fn exit_code_of_the_outcome_is_that_of_the_drain() {
    // The streams after the signal, and the exit code.
    for (streams, code) in [(0, 0), (2, 10)] {
        let fixture = Fixture::with_streams(2);
        let mut run = fixture.env.start_script(&[&SHORT[..], &["--exit-code", "outcome"]].concat(), SCRIPT);
        run.wait_for_ready();
        run.signal(Signal::SIGTERM);
        run.program.wait_for("INT");
        run.wait_until_served_on();
        fixture.page.set_streams(streams);
        assert_eq!(run.exit_code(), Some(code));
    }
}

#[test]
fn exit_code_of_the_outcome_is_that_of_the_command_without_a_drain() {
    let fixture = Fixture::with_streams(0);
    let mut run = fixture
        .start(&["--exit-code", "outcome"], "trap 'exit 3' USR1; trap : INT; echo ready; while :; do sleep 0.05; done");
    run.signal(Signal::SIGUSR1);
    assert_eq!(run.exit_code(), Some(3));
}

#[test]
fn drain_of_a_person_can_be_cancelled_and_stops_nothing() {
    let fixture = Fixture::with_streams(1);
    let run = fixture.start(&["--signal", "none"], SCRIPT);
    let drain = fixture.env.client_command(&["drain"]).spawn().unwrap();
    let _drain = lameduck_test_support::process::KillOnDrop(drain);
    run.wait_for_status("/phase", "draining");
    let (code, shown, errors) = fixture.env.run_client(&["drain", "--cancel"]);
    assert_eq!(code, Some(0), "{shown}{errors}");
    run.wait_for_ready();
    assert!(!run.log_text().contains("signal sent to the command"));
}

#[test]
fn command_that_does_not_catch_the_signal_is_not_sent_it() {
    if Command::new("perl").arg("-v").output().is_err() {
        return skip("no perl");
    }
    let fixture = Fixture::with_streams(1);
    // A shell catches SIGINT while it waits for a program.
    let script = r#"$SIG{TERM} = sub { exit 8 }; $| = 1; print "ready\n"; sleep 1 while 1"#;
    let mut command = fixture.env.run_command();
    command.args(QUICK_TIMES).args(["--", "perl", "-e", script]);
    let mut run = fixture.env.spawn_run(command);
    run.program.wait_for("ready");
    run.wait_for_status("/streams", 1);
    run.signal(Signal::SIGTERM);
    let reason = run.wait_for_log("count alone")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("does not catch SIGINT"), "{reason}");
    fixture.page.set_streams(0);
    assert_eq!(run.exit_code(), Some(8));
    assert_eq!(fixture.env.termination_message().unwrap()["signal"], serde_json::Value::Null);
}

#[test]
fn shell_without_a_trap_gets_a_hint() {
    let fixture = Fixture::with_streams(1);
    let run = fixture
        .env
        .start_script(&[&QUICK_TIMES[..], &["--signal", "SIGUSR1"]].concat(), "echo ready; tail -f /dev/null; :");
    wait_until(|| run.get("/readyz").body.contains("sh is a shell: begin the last line of its script with exec"));
}

#[test]
fn missing_descendant_is_no_matter_of_other_containers() {
    let fixture = Fixture::with_streams(1);
    let run = fixture.env.start_script(&[&QUICK_TIMES[..], &["--target", "no-such"]].concat(), SCRIPT);
    wait_until(|| run.get("/readyz").body.contains("no process is named no-such"));
    assert!(!run.get("/readyz").body.contains("shareProcessNamespace"));
}

#[test]
fn missing_grace_period_names_the_settings_of_supervisors() {
    let env = SidecarEnv::new("http://127.0.0.1:1/");
    let output = env.run_command().args(["--", "true"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(error.contains("--grace-period is required") && error.contains("TimeoutStopSec"), "{error}");
}

#[test]
fn clients_and_check_work_next_to_a_command() {
    let fixture = Fixture::with_streams(1);
    let run = fixture.start(&[], SCRIPT);
    let (code, shown, _) = fixture.env.run_client(&["status"]);
    assert!(code == Some(0) && shown.contains("streams  1"), "{shown}");
    let mut check = fixture.env.check_command();
    check.env_remove("KUBERNETES_SERVICE_HOST").args(QUICK_TIMES);
    let report = String::from_utf8(check.output().unwrap().stdout).unwrap();
    for part in ["a sidecar answers at", "there is no pod here", "between the stop signal and SIGKILL"] {
        assert!(report.contains(part), "{report}");
    }
    drop(run);
}

#[test]
fn stop_signal_to_both_processes_is_noticed() {
    let fixture = Fixture::with_streams(2);
    let args = ["--grace-period", "10m", "--lame-duck", "1m"];
    let mut run = fixture.env.start_script(&args, SCRIPT);
    run.wait_for_ready();
    // As systemd does without `KillMode=mixed`.
    run.signal(Signal::SIGTERM);
    run.wait_for_log("drain started");
    let pid = run.wait_for_log("command started")["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(run.exit_code(), Some(7));
    assert!(!run.program.seen.iter().any(|line| line.contains("INT")), "{:?}", run.program.seen);
    let record = fixture.env.termination_message().unwrap();
    assert_eq!((&record["outcome"], &record["warnings"]), (&json!("exited"), &json!(["told_by_others"])), "{record}");
    assert!(run.log_text().contains("KillMode=mixed"));
}
