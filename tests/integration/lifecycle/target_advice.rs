//! What users are advised if the target is not found or not the only match: never what they have done already.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::lifecycle::start_engine;
use lameduck_test_support::check::CheckReport;
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};
use lameduck_test_support::sim::EngineSim;
use lameduck_test_support::skip::is_root_or_skip;

fn by_port(mut command: Command, port: &str) -> Command {
    command.env_remove("LAMEDUCK_TARGET").args(["--target-port", port]);
    command
}

fn port_of(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

fn not_ready_reason(env: &SidecarEnv, mut command: Command, part: &str) -> String {
    command.args(QUICK_TIMES).stderr(Stdio::null());
    env.start_command(command).wait_for_not_ready(part)
}

#[test]
fn several_listeners_on_one_port_get_their_parent_as_advice() {
    let share = "--share-metrics-port";
    let (one, env) = start_engine(&[share]);
    let other = EngineSim::start_as("worker", &[share, "--metrics", &one.metrics]);
    let port = port_of(&one.metrics);
    let reason = not_ready_reason(&env, by_port(env.sidecar_command(), port), "several targets");
    let mut pids = [one.pid(), other.pid()];
    pids.sort_unstable();
    // Both are children of this process.
    let parent = format!("({}) drains them", std::process::id());
    for part in [&format!("{pids:?}"), "name the target with --target", &parent, "name it: --target "] {
        assert!(reason.contains(part), "no {part:?} in {reason}");
    }
    assert!(!reason.contains("--target-port"), "{reason}");
    let report = CheckReport::run(&|| by_port(env.check_command(), port));
    report.assert("target", false, &["let only one process listen there", &parent]);
    assert!(!report.checks("target")[0]["fix"].as_str().unwrap().contains("--target-port"));
}

/// The same command without capabilities, as in a container with `capabilities: {drop: [ALL]}`.
fn without_capabilities(command: &Command) -> Command {
    let mut setpriv = Command::new("setpriv");
    setpriv.env_clear().args(["--bounding-set=-all", "--inh-caps=-all", "--"]);
    setpriv.arg(command.get_program()).args(command.get_args());
    setpriv.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    setpriv
}

#[test]
fn listener_with_more_capabilities_is_named_by_its_process() {
    if !is_root_or_skip() {
        return;
    }
    let (engine, env) = start_engine(&[]);
    let port = port_of(&engine.ws);
    let sidecar = || without_capabilities(&by_port(env.sidecar_command(), port));
    let reason = not_ready_reason(&env, sidecar(), "target not found");
    for part in [&format!("uid 0 listens on port {port}"), "capabilities", "--target"] {
        assert!(reason.contains(part), "no {part:?} in {reason}");
    }
    assert!(!reason.contains("runAsUser"), "both run as uid 0 already: {reason}");
    let report = CheckReport::run(&|| without_capabilities(&by_port(env.check_command(), port)));
    report.assert_failed(&["target"], 77);
    report.assert("target", false, &["capabilities", "--target"]);
    assert!(!report.checks("target")[0]["fix"].as_str().unwrap().contains("runAsUser"));

    // The advice works: the name needs no capability.
    let report = CheckReport::run(&|| without_capabilities(&env.check_command()));
    report.assert_failed(&[], 0);
    report.assert("signal_permitted", true, &[]);
    report.assert("signal_caught", true, &["SIGINT"]);
}

#[test]
fn unknown_page_process_is_no_reason_for_a_port_that_is_set() {
    let (engine, env) = start_engine(&[]);
    let without = CheckReport::with_args(&env, &[]);
    let with = CheckReport::with_args(&env, &["--streams-port", engine.port()]);
    for (report, advised) in [(without, true), (with, false)] {
        report.assert("page_process", Value::Null, &["does not show which process answers"]);
        let detail = report.checks("page_process")[0]["detail"].as_str().unwrap().to_owned();
        assert_eq!(detail.contains("--streams-port"), advised, "{detail}");
    }
}
