//! `lameduck check` of the target, its user and its signal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::lifecycle::{Fixture, start_engine};
use lameduck_test_support::check::CheckReport;
use lameduck_test_support::page::PageServer;
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::{NOBODY, SidecarEnv};
use lameduck_test_support::skip::skip;

#[test]
fn both_of_two_targets_are_listed() {
    let fixture = Fixture::with_streams(0);
    let second = ShellTarget::start(&fixture.env.target_name);
    let report = CheckReport::with_args(&fixture.env, &[]);
    report.assert_failed(&["target"], 69);
    let [one, other] = [fixture.target.pid, second.pid].map(|pid| format!("{} ({pid})", fixture.env.target_name));
    report.assert("target", false, &[&one, &other, "--target-port"]);
    report.assert("signal_caught", Value::Null, &[]);
}

#[test]
fn children_of_target_are_not_signalled() {
    let (engine, env) = start_engine(&["--child"]);
    let child = engine.program.seen.iter().find_map(|line| line.strip_prefix("engine: child pid=")).unwrap();
    let report = CheckReport::with_args(&env, &[]);
    report.assert_failed(&[], 0);
    let [target, child] = [&engine.pid().to_string(), child].map(|pid| format!("{} ({pid})", env.target_name));
    report.assert("target", true, &[&format!("{target}; not signalled, as its children: {child}")]);
}

#[test]
fn missing_target_gets_suggestion() {
    let fixture = Fixture::with_streams(0);
    let report = CheckReport::with_args(&fixture.env, &["--target", &format!("{}x", fixture.env.target_name)]);
    report.assert_failed(&["target"], 69);
    report.assert("target", false, &["visible to uid ", &format!("--target {}", fixture.env.target_name)]);

    let without_signal = ["--target", "nobody-at-all", "--signal", "none"];
    let report = CheckReport::with_args(&fixture.env, &without_signal);
    report.assert_failed(&[], 0);
    report.assert("target", Value::Null, &["no process is named nobody-at-all"]);
    report.assert("signal_permitted", Value::Null, &["no signal is sent"]);

    // With --wait-for exit, a target is required.
    let report = CheckReport::with_args(&fixture.env, &[&without_signal[..], &["--wait-for", "exit"]].concat());
    report.assert_failed(&["target"], 69);
}

#[test]
fn fatal_and_ignored_signals_are_distinguished() {
    for (mode, part) in [("default", "would be killed"), ("ignore", "ignores SIGINT")] {
        let (engine, env) = start_engine(&["--on-signal", mode]);
        let report = CheckReport::with_args(&env, &[]);
        report.assert_failed(&["signal_caught"], 69);
        report.assert("signal_caught", false, &[part, &format!("/proc/{}/status", engine.pid())]);
        report.assert("signal_permitted", true, &[]);
    }
}

/// An environment with a termination log to which only root can write.
fn with_unwritable_termination_log(url: &str) -> SidecarEnv {
    let env = SidecarEnv::new(url);
    let termination = env.dir.join("termination");
    fs::write(&termination, "").unwrap();
    fs::set_permissions(&termination, fs::Permissions::from_mode(0o600)).unwrap();
    env
}

#[test]
fn check_as_another_user_reports_missing_permissions() {
    let fixture = Fixture::with_streams(0);
    if fixture.env.check_command_as_nobody().is_none() {
        return;
    }
    let report = CheckReport::run(&|| fixture.env.check_command_as_nobody().unwrap());
    report.assert_failed(&["uid", "signal_permitted"], 77);
    report.assert("uid", false, &["uid 0", "uid 65534", "runAsUser: 0"]);
    report.assert("signal_permitted", false, &["SIGINT", "EPERM"]);
    report.assert("signal_caught", true, &[]);
}

#[test]
fn unwritable_file_is_a_missing_permission() {
    let page = PageServer::with_streams(0);
    let env = with_unwritable_termination_log(&page.url());
    if env.check_command_as_nobody().is_none() {
        return;
    }
    let _target = ShellTarget::start_as(&env.target_name, NOBODY);
    let report = CheckReport::run(&|| env.check_command_as_nobody().unwrap());
    report.assert_failed(&["termination_log"], 77);
    report.assert("termination_log", false, &[&env.dir.to_string_lossy(), "denied"]);
    report.assert("uid", true, &["uid 65534"]);
}

#[test]
fn listener_of_another_user_is_a_missing_permission() {
    let (engine, env) = start_engine(&[]);
    let port = engine.ws.rsplit_once(':').unwrap().1;
    let by_port = |mut command: Command| {
        command.env_remove("LAMEDUCK_TARGET").args(["--target-port", port]);
        command
    };
    let report = CheckReport::run(&|| by_port(env.check_command()));
    report.assert_failed(&[], 0);
    report.assert("target", true, &[&engine.pid().to_string()]);
    if env.check_command_as_nobody().is_none() {
        return;
    }
    let report = CheckReport::run(&|| by_port(env.check_command_as_nobody().unwrap()));
    report.assert_failed(&["target"], 77);
    report.assert("target", false, &[port, "does not show to uid 65534 which", "runAsUser"]);
}

#[test]
fn unshared_pid_namespace_fails() {
    let page = PageServer::with_streams(0);
    let env = SidecarEnv::new(&page.url());
    let unshared = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc"]);
        command
    };
    if !unshared().arg("true").output().is_ok_and(|output| output.status.success()) {
        return skip("no PID namespaces");
    }
    let command = || {
        let (check, mut command) = (env.check_command(), unshared());
        command.env_clear().arg(check.get_program()).args(check.get_args());
        command.envs(check.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    let report = CheckReport::run(&command);
    report.assert_failed(&["pid_namespace", "target"], 69);
    report.assert("pid_namespace", false, &["shareProcessNamespace: true"]);
}
