//! A container with its own PID namespace, in which the target is the init process.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::lifecycle::container::{Container, SCRIPT};
use crate::lifecycle::standalone::StandaloneHook;
use lameduck_test_support::check::CheckReport;
use lameduck_test_support::page::PageServer;
use lameduck_test_support::process::{Program, binary, wait_until};
use lameduck_test_support::sidecar::SidecarEnv;

/// A process with the target's name and no parent in the container: a session of `kubectl exec` or, in a shared PID
/// namespace, the first process of another container.
fn session(container: &Container, env: &SidecarEnv) -> Program {
    let mut session = container.exec();
    session.args(["bash", "-c", r#"exec -a "$0" bash -c "$1""#, &env.target_name, SCRIPT]).stdin(Stdio::piped());
    let mut session = Program::start(session);
    session.wait_for("ready");
    session
}

#[test]
fn init_process_is_target_but_exec_session_is_not() {
    let page = PageServer::with_streams(2);
    let env = SidecarEnv::new(&page.url());
    let Some(mut container) = Container::start(&env.target_name, SCRIPT) else { return };
    let mut session = session(&container, &env);
    let mut hooks = [container.hook(&env), container.hook(&env)];
    container.init.wait_for("INT");
    env.wait_until_served_on();
    page.set_streams(0);
    let ends = hooks.each_mut().map(StandaloneHook::finish);
    assert_eq!((ends[0].0, &ends[0].1["outcome"]), (Some(0), &json!("drained")));
    assert_eq!(ends[0], ends[1]);
    assert_eq!(container.init.seen.iter().filter(|line| line.contains("INT")).count(), 1);
    // A signal to it would have arrived before the drain was over.
    assert!(session.is_running() && !session.seen.iter().any(|line| line.contains("INT")));
}

#[test]
fn exec_session_alone_is_never_the_target() {
    // Not even if the container's own process is named like that of a pod's sandbox.
    for name in ["another", "pod"] {
        let page = PageServer::with_streams(1);
        let env = SidecarEnv::new(&page.url());
        let Some(container) = Container::start(name, SCRIPT) else { return };
        let mut session = session(&container, &env);
        let mut hook = container.hook(&env);
        let reason = hook.process.wait_for_log("count alone")["reason"].take();
        assert!(reason.as_str().unwrap().contains("target not found"), "{name}: {reason}");
        page.set_streams(0);
        assert_eq!(hook.finish().1["signal"], Value::Null);
        assert!(session.is_running());
    }
}

#[test]
fn target_in_shared_namespace_is_signalled_whatever_the_first_process_is_called() {
    for name in ["pod", "pause", "another"] {
        let page = PageServer::with_streams(1);
        let env = SidecarEnv::new(&page.url());
        let Some(container) = Container::start(name, SCRIPT) else { return };
        // The first process is in another container.
        container.replace_in_proc(&env, "/proc/1/cgroup", "sed 's|:/.*|:/../other|' /proc/1/cgroup");
        let mut target = session(&container, &env);
        let mut hook = container.hook(&env);
        target.wait_for("INT");
        env.wait_until_served_on();
        page.set_streams(0);
        let (code, outcome) = hook.finish();
        assert_eq!((code, &outcome["outcome"], &outcome["signal"]), (Some(0), &json!("drained"), &json!("SIGINT")));
    }
}

#[test]
fn check_knows_a_shared_namespace_whatever_the_first_process_is_called() {
    let page = PageServer::with_streams(1);
    let env = SidecarEnv::new(&page.url());
    let Some(container) = Container::start("another", SCRIPT) else { return };
    let check = || CheckReport::run(&|| env.with_env(container.exec(), &[binary(), "check"]));
    check().assert("pid_namespace", Value::Null, &["it is unknown"]);
    container.replace_in_proc(&env, "/proc/1/cgroup", "sed 's|:/.*|:/../other|' /proc/1/cgroup");
    check().assert("pid_namespace", true, &["process 1, another, belongs to another container"]);
}

#[test]
fn child_of_init_process_is_found() {
    let page = PageServer::with_streams(1);
    let env = SidecarEnv::new(&page.url());
    let wrapper = format!(r#"bash -c 'exec -a "$0" bash -c "$1"' {} "{SCRIPT}"; :"#, env.target_name);
    let Some(mut container) = Container::start("wrapper", &wrapper) else { return };
    let mut hook = container.hook(&env);
    container.init.wait_for("INT");
    env.wait_until_served_on();
    page.set_streams(0);
    assert_eq!(hook.finish().1["signal"], "SIGINT");
}

#[test]
fn init_process_that_ignores_signal_is_only_counted() {
    let page = PageServer::with_streams(1);
    let env = SidecarEnv::new(&page.url());
    // A shell could not be it: it would catch the signal.
    let Some(container) = Container::start(&env.target_name, r#"echo ready; exec -a "$0" sleep 600"#) else { return };
    wait_until(|| fs::read(format!("/proc/{}/cmdline", container.pid)).is_ok_and(|line| line.ends_with(b"\x00600\0")));
    let mut hook = container.hook(&env);
    let reason = hook.process.wait_for_log("count alone")["reason"].take();
    assert!(reason.as_str().unwrap().contains("does not catch SIGINT"), "{reason}");
    page.set_streams(0);
    let (code, outcome) = hook.finish();
    assert_eq!((code, &outcome["outcome"], &outcome["signal"]), (Some(0), &json!("drained"), &Value::Null));
    wait_until(|| fs::metadata(format!("/proc/{}", container.pid)).is_ok());
}

#[test]
fn outcome_survives_hook_killed_with_init_process() {
    let page = PageServer::with_streams(2);
    let env = SidecarEnv::new(&page.url());
    let script = SCRIPT.replace("echo INT", "exit 0");
    let Some(mut container) = Container::start(&env.target_name, &script) else { return };
    // Long enough for a first reading before the signal, on a busy machine as well.
    let args = ["--grace-period", "10m", "--lame-duck", "2s", "--scrape-timeout", "10s"];
    let mut hook = container.hook_with_args(&env, &args);
    assert_eq!(container.init.exit_code(), Some(0));
    assert_ne!(hook.process.exit_code(), Some(0), "the hook was killed");
    let message = env.termination_message().unwrap();
    assert_eq!((&message["outcome"], &message["stragglers"]), (&json!("exited"), &Value::Null));
    assert_eq!((&message["streams_at_start"], &message["signal"]), (&json!(2), &json!("SIGINT")));
}

#[test]
fn termination_message_is_updated_when_last_streams_end() {
    let page = PageServer::with_streams(2);
    let env = SidecarEnv::new(&page.url());
    let Some(mut container) = Container::start(&env.target_name, SCRIPT) else { return };
    let args = ["--grace-period", "10m", "--lame-duck", "0s", "--exit-wait", "5m"];
    let mut hook = container.hook_with_args(&env, &args);
    container.init.wait_for("INT");
    page.set_streams(3);
    while hook.process.wait_for_log("waiting")["streams"] != 3 {}
    assert_eq!(env.termination_message().unwrap()["stragglers"], Value::Null, "they may still end with the target");
    let is_zero = || fs::read_to_string(env.dir.join("termination")).unwrap().contains("\"stragglers\":0");
    assert!(!is_zero());
    page.set_streams(0);
    wait_until(is_zero);
    hook.process.kill();
}
