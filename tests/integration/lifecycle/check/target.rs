//! What the rehearsal says of the target, its user and its signal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::lifecycle::{Scene, engine};
use lameduck_test_support::check::Rehearsal;
use lameduck_test_support::page::Page;
use lameduck_test_support::shell::Shell;
use lameduck_test_support::sidecar::{NOBODY, Pod};

#[test]
fn two_targets_are_both_named() {
    let scene = Scene::with_streams(0);
    let second = Shell::named(&scene.pod.target);
    let rehearsal = Rehearsal::of(&scene.pod, &[]);
    rehearsal.assert_amiss(&["target"], 69);
    let [one, other] = [scene.target.pid, second.pid].map(|pid| format!("{} ({pid})", scene.pod.target));
    rehearsal.assert("target", false, &[&one, &other, "--target-port"]);
    rehearsal.assert("signal_caught", Value::Null, &[]);
}

#[test]
fn children_of_the_target_are_left_alone() {
    let (engine, pod) = engine(&["--child"]);
    let child = engine.program.seen.iter().find_map(|line| line.strip_prefix("engine: child pid=")).unwrap();
    let rehearsal = Rehearsal::of(&pod, &[]);
    rehearsal.assert_amiss(&[], 0);
    let [target, child] = [&engine.pid().to_string(), child].map(|pid| format!("{} ({pid})", pod.target));
    rehearsal.assert("target", true, &[&format!("{target}; below it and so left alone: {child}")]);
}

#[test]
fn target_that_is_not_there_is_looked_for_among_those_that_are() {
    let scene = Scene::with_streams(0);
    let rehearsal = Rehearsal::of(&scene.pod, &["--target", &format!("{}x", scene.pod.target)]);
    rehearsal.assert_amiss(&["target"], 69);
    rehearsal.assert("target", false, &["in sight: ", &format!("--target {}", scene.pod.target)]);

    let without_signal = ["--target", "nobody-at-all", "--signal", "none"];
    let rehearsal = Rehearsal::of(&scene.pod, &without_signal);
    rehearsal.assert_amiss(&[], 0);
    rehearsal.assert("target", Value::Null, &["no process is named nobody-at-all"]);
    rehearsal.assert("signal_permitted", Value::Null, &["no signal is sent"]);

    // Its exit is waited for, so that it must be there.
    let rehearsal = Rehearsal::of(&scene.pod, &[&without_signal[..], &["--wait-for", "exit"]].concat());
    rehearsal.assert_amiss(&["target"], 69);
}

#[test]
fn signal_that_would_kill_is_told_from_one_that_is_ignored() {
    for (mode, part) in [("default", "would be killed"), ("ignore", "ignores SIGINT")] {
        let (engine, pod) = engine(&["--on-signal", mode]);
        let rehearsal = Rehearsal::of(&pod, &[]);
        rehearsal.assert_amiss(&["signal_caught"], 69);
        rehearsal.assert("signal_caught", false, &[part, &format!("/proc/{}/status", engine.pid())]);
        rehearsal.assert("signal_permitted", true, &[]);
    }
}

/// A pod in whose termination message only root may write.
fn pod_with_a_closed_termination_log(url: &str) -> Pod {
    let pod = Pod::new(url);
    let termination = pod.dir.join("termination");
    fs::write(&termination, "").unwrap();
    fs::set_permissions(&termination, fs::Permissions::from_mode(0o600)).unwrap();
    pod
}

#[test]
fn rehearsal_of_another_user_says_what_is_not_permitted() {
    let scene = Scene::with_streams(0);
    if scene.pod.check_of_nobody().is_none() {
        return;
    }
    let rehearsal = Rehearsal::run(&|| scene.pod.check_of_nobody().unwrap());
    rehearsal.assert_amiss(&["uid", "signal_permitted"], 77);
    rehearsal.assert("uid", false, &["uid 0", "uid 65534", "runAsUser: 0"]);
    rehearsal.assert("signal_permitted", false, &["SIGINT", "EPERM"]);
    rehearsal.assert("signal_caught", true, &[]);
}

#[test]
fn file_that_this_user_may_not_write_is_a_missing_permission() {
    let page = Page::counting(0);
    let pod = pod_with_a_closed_termination_log(&page.url());
    if pod.check_of_nobody().is_none() {
        return;
    }
    let _target = Shell::of_user(&pod.target, NOBODY);
    let rehearsal = Rehearsal::run(&|| pod.check_of_nobody().unwrap());
    rehearsal.assert_amiss(&["termination_log"], 77);
    rehearsal.assert("termination_log", false, &[&pod.dir.to_string_lossy(), "denied"]);
    rehearsal.assert("uid", true, &["uid 65534"]);
}

#[test]
fn listener_of_another_user_is_a_missing_permission() {
    let (engine, pod) = engine(&[]);
    let port = engine.ws.rsplit_once(':').unwrap().1;
    let by_port = |mut command: Command| {
        command.env_remove("LAMEDUCK_TARGET").args(["--target-port", port]);
        command
    };
    let rehearsal = Rehearsal::run(&|| by_port(pod.check()));
    rehearsal.assert_amiss(&[], 0);
    rehearsal.assert("target", true, &[&engine.pid().to_string()]);
    if pod.check_of_nobody().is_none() {
        return;
    }
    let rehearsal = Rehearsal::run(&|| by_port(pod.check_of_nobody().unwrap()));
    rehearsal.assert_amiss(&["target"], 77);
    rehearsal.assert("target", false, &[port, "does not show us who", "runAsUser"]);
}

#[test]
fn process_namespace_of_its_own_is_told() {
    let page = Page::counting(0);
    let pod = Pod::new(&page.url());
    let unshared = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc"]);
        command
    };
    if !unshared().arg("true").output().is_ok_and(|output| output.status.success()) {
        println!("no process namespace can be made here");
        return;
    }
    let command = || {
        let (check, mut command) = (pod.check(), unshared());
        command.env_clear().arg(check.get_program()).args(check.get_args());
        command.envs(check.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    let rehearsal = Rehearsal::run(&command);
    rehearsal.assert_amiss(&["pid_namespace", "target"], 69);
    rehearsal.assert("pid_namespace", false, &["shareProcessNamespace: true"]);
}
