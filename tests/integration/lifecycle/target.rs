//! Which process is the target, and when it is signalled.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::{Fixture, start_engine};
use lameduck_test_support::page::PageServer;
use lameduck_test_support::port::ClosedPort;
use lameduck_test_support::process::wait_until;
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::{NOBODY, QUICK_TIMES, Sidecar, SidecarEnv};

#[test]
fn two_matching_targets_are_not_ready_and_not_signalled() {
    let fixture = Fixture::with_streams(0);
    let second = ShellTarget::start(&fixture.env.target_name);
    let mut sidecar = fixture.env.start(&QUICK_TIMES);
    let mut pids = [fixture.target.pid, second.pid];
    pids.sort_unstable();
    let reason = sidecar.wait_for_not_ready("several targets");
    assert!(reason.contains(&format!("{pids:?}")) && reason.contains("--target-port"), "{reason}");

    let outcome = sidecar.call_hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    sidecar.wait_for_log("no signal is sent: this drain relies on the stream count alone");
    assert_eq!([fixture.target.into_signal_count(), second.into_signal_count()], [0, 0]);
}

#[test]
fn renamed_target_is_still_the_target() {
    let page = PageServer::with_streams(2);
    let env = SidecarEnv::new(&page.url());
    let mut target = RenamingProcess::start(&env.target_name);
    let sidecar = env.start(&[&QUICK_TIMES[..], &["--signal", "none"]].concat());
    sidecar.wait_for_status("/target/pid", target.0.id());
    sidecar.wait_for_ready();
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    target.rename();
    sidecar.wait_for_readings(3);
    let status = sidecar.status();
    let seen = (&status["target"]["pid"], &status["target"]["alive"], &status["phase"]);
    assert_eq!(seen, (&json!(target.0.id()), &json!(true), &json!("draining")));
    page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
}

/// A process with a child of the same name, which can change its own name.
struct RenamingProcess(Child);

impl RenamingProcess {
    fn start(name: &str) -> Self {
        let script = r#"(exec -a "$0" sleep 60) & read -r _; exec -a another sleep 60"#;
        let mut bash = Command::new("bash");
        bash.arg0(name).args(["-c", script, name]).process_group(0).stdin(Stdio::piped());
        Self(bash.spawn().expect("bash starts"))
    }

    fn rename(&mut self) {
        let stdin = self.0.stdin.as_mut().expect("stdin is piped");
        stdin.write_all(b"\n").expect("bash reads its stdin");
        let renamed =
            || std::fs::read_to_string(format!("/proc/{}/cmdline", self.0.id())).unwrap().starts_with("another");
        wait_until(renamed);
    }
}

impl Drop for RenamingProcess {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(-self.0.id().cast_signed());
        let _ = nix::sys::signal::kill(group, Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[test]
fn first_target_is_signalled_once_second_is_gone() {
    let mut fixture = Fixture::with_streams(1);
    let second = ShellTarget::start(&fixture.env.target_name);
    let sidecar = fixture.env.start(&QUICK_TIMES);
    sidecar.wait_for_not_ready("several targets");
    let _hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(3);
    assert_eq!(second.into_signal_count(), 0);
    fixture.target.wait_for("INT");
    sidecar.wait_for_status("/drain/signalled", true);
}

#[test]
fn target_without_handler_is_not_signalled() {
    for mode in ["default", "ignore"] {
        let (mut engine, env) = start_engine(&["--on-signal", mode]);
        let mut sidecar = env.start(&QUICK_TIMES);
        let reason = sidecar.wait_for_not_ready("target does not catch SIGINT");
        assert!(reason.contains(&format!("SigCgt in /proc/{}/status", engine.pid())), "{reason}");
        assert!(reason.contains("--signal"), "no fix: {reason}");
        let outcome = sidecar.call_hook().outcome();
        assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
        assert!(sidecar.wait_for_log("count alone")["reason"].as_str().unwrap().contains("SIGINT"));
        assert!(engine.program.is_running());
    }
}

#[test]
fn signal_none_needs_no_target_and_waits_for_zero() {
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &["--signal", "none", "--target", "nobody-at-all"]].concat());
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(3);
    assert!(hook.is_pending());
    fixture.page.set_streams(0);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn another_signal_can_be_chosen() {
    let mut fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &["--signal", "usr1"]].concat());
    let outcome = sidecar.call_hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("exited"), &json!("SIGUSR1")));
    fixture.target = ShellTarget::start(&fixture.env.target_name);
}

#[test]
fn real_time_signal_can_be_chosen() {
    for written in ["SIGRTMIN+3", "rtmax-27", "37"] {
        let fixture = Fixture::with_streams(1);
        let mut sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &["--signal", written]].concat());
        let outcome = sidecar.call_hook().outcome();
        assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("exited"), &json!("SIGRTMIN+3")), "{written}");
        assert_eq!(sidecar.wait_for_log("signal sent")["signal"], "SIGRTMIN+3");
        assert_eq!(sidecar.metric(r#"lameduck_signals_total{signal="SIGRTMIN+3",result="sent"}"#), Some(1.0));
        assert_eq!(fixture.env.termination_message().unwrap()["signal"], "SIGRTMIN+3");
    }
}

#[test]
fn real_time_signal_without_handler_is_not_sent() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.env.start(&[&QUICK_TIMES[..], &["--signal", "SIGRTMIN+4"]].concat());
    let reason = sidecar.wait_for_not_ready("target does not catch SIGRTMIN+4");
    assert!(reason.contains("it catches SIGINT, SIGTERM, SIGUSR1, SIGRTMIN+3"), "{reason}");
    assert_eq!(sidecar.call_hook().outcome()["signal"], Value::Null);
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn target_is_signalled_with_zero_quiet_period() {
    let fixture = Fixture::with_streams(0);
    let times = ["--grace-period", "10m", "--lame-duck", "0s", "--quiet-period", "0s", "--exit-wait", "0s"];
    let outcome = fixture.start_ready(&times).call_hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &json!("SIGINT")));
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn target_port_signals_only_the_listener() {
    let fixture = Fixture::with_streams(0);
    let (mut listener, env) = start_engine(&["--exit-delay", "60s"]);
    let port = listener.ws.rsplit_once(':').unwrap().1.to_owned();
    // The signal closes its port, by which it was found; it must still be the target.
    let sidecar = start_by_port(&env, &port);
    sidecar.wait_for_status("/target/pid", listener.pid());
    sidecar.wait_for_ready();
    let outcome = sidecar.call_hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &json!("SIGINT")));
    listener.wait_for("SIGINT received (1)");
    assert_eq!(sidecar.status()["target"]["alive"], true);
    assert_eq!(fixture.target.into_signal_count(), 0);
}

fn start_by_port(env: &SidecarEnv, port: &str) -> Sidecar {
    let mut command = env.sidecar_command();
    command.env_remove("LAMEDUCK_TARGET").args(QUICK_TIMES).args(["--target-port", port]).stderr(Stdio::null());
    env.start_command(command)
}

#[test]
fn target_port_without_listener_finds_no_target() {
    let fixture = Fixture::with_streams(0);
    let closed = ClosedPort::open();
    let sidecar = start_by_port(&fixture.env, &closed.number().to_string());
    sidecar.wait_for_not_ready("target not found");
    assert_eq!(sidecar.status()["target"], Value::Null);
}

#[test]
fn child_of_the_same_name_is_never_signalled() {
    let (mut engine, env) = start_engine(&["--child", "--exit-delay", "60s"]);
    let sidecar = env.start(&QUICK_TIMES);
    sidecar.wait_for_ready();
    assert_eq!(sidecar.status()["target"]["pid"], engine.pid());
    assert_eq!(sidecar.call_hook().outcome()["signal"], "SIGINT");
    engine.wait_for("SIGINT received (1)");
    let child = engine.program.seen.iter().find_map(|line| line.strip_prefix("engine: child pid="));
    // It has no handler: the signal would have killed it.
    let child = child.and_then(|pid| pid.parse().ok()).unwrap();
    assert_eq!(lameduck_test_support::process::first_argument(child).as_deref(), Some(env.target_name.as_str()));
}

#[test]
fn sidecar_of_other_user_reports_missing_permission() {
    let fixture = Fixture::with_streams(0);
    let Some(mut command) = fixture.env.sidecar_command_as_nobody() else { return };
    command.args(QUICK_TIMES).stderr(Stdio::piped());
    let mut sidecar = fixture.env.start_command(command);
    let reason = sidecar.wait_for_not_ready("cannot signal the target");
    for part in ["uid 0 ", "uid 65534", "SIGINT", "runAsUser", &format!("process {}", fixture.target.pid)] {
        assert!(reason.contains(part), "{part:?} is not in {reason}");
    }
    let outcome = sidecar.call_hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    sidecar.wait_for_log("count alone");
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn sidecar_of_same_user_needs_no_other_permission() {
    let page = PageServer::with_streams(1);
    let env = SidecarEnv::new(&page.url());
    let Some(mut command) = env.sidecar_command_as_nobody() else { return };
    let mut target = ShellTarget::start_as(&env.target_name, NOBODY);
    command.args(QUICK_TIMES).stderr(Stdio::null());
    let mut sidecar = env.start_command(command);
    sidecar.wait_for_ready();
    let hook = sidecar.call_hook();
    target.wait_for("INT");
    env.wait_until_served_on();
    target.signal(Signal::SIGTERM);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&json!("exited"), &json!(0)), "{outcome}");
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(0));
    assert_eq!(env.termination_message().unwrap(), outcome);
}
