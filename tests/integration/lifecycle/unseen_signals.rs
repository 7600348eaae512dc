//! A kernel that does not show which signals a process catches: gVisor's `/proc/pid/status` has no lines for them.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::lifecycle::container::{Container, SCRIPT};
use lameduck_test_support::check::CheckReport;
use lameduck_test_support::page::PageServer;
use lameduck_test_support::process::binary;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar, SidecarEnv};

const ASSUME: &str = "--assume-signal-caught";

/// A pod in which nothing shows which signals the target catches.
struct Pod {
    page: PageServer,
    env: SidecarEnv,
    target: Container,
}

impl Pod {
    /// `None`, and the skip is reported, where this user may not make namespaces.
    fn start(script: &str) -> Option<Self> {
        let page = PageServer::with_streams(1);
        let env = SidecarEnv::new(&page.url());
        let target = Container::start(&env.target_name, script)?;
        target.replace_in_proc(&env, "/proc/1/status", "grep -v -e ^Sig -e Uid: /proc/1/status");
        Some(Self { page, env, target })
    }

    fn command(&self, command: &str) -> Command {
        self.env.with_env(self.target.exec(), &[binary(), command])
    }

    fn sidecar(&self, args: &[&str]) -> Sidecar {
        let mut command = self.command("sidecar");
        command.args(QUICK_TIMES).args(args).stderr(Stdio::piped());
        self.env.start_command(command)
    }
}

#[test]
fn unseen_signals_are_not_a_missing_target_and_nothing_is_sent() {
    let Some(pod) = Pod::start(SCRIPT) else { return };
    let mut sidecar = pod.sidecar(&[]);
    let reason = sidecar.wait_for_not_ready("cannot see here which signals the target catches");
    for part in ["/proc/1/status", "SIGINT", "--signal none", ASSUME] {
        assert!(reason.contains(part), "no {part:?} in {reason}");
    }
    assert_eq!(sidecar.status()["target"]["pid"], 1);
    let hook = sidecar.call_hook();
    sidecar.wait_for_readings(3);
    pod.page.set_streams(0);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    let reason = sidecar.wait_for_log("count alone")["reason"].take();
    assert!(reason.as_str().unwrap().contains("cannot see here"), "{reason}");
    assert!(!pod.target.init.seen.iter().any(|line| line.contains("INT")));
}

#[test]
fn signal_is_sent_if_assumed_to_be_caught() {
    let Some(mut pod) = Pod::start(SCRIPT) else { return };
    let sidecar = pod.sidecar(&[ASSUME]);
    sidecar.wait_for_ready();
    let hook = sidecar.call_hook();
    pod.target.init.wait_for("INT");
    pod.env.wait_until_served_on();
    pod.page.set_streams(0);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &json!("SIGINT")));
}

#[test]
fn assumption_does_not_apply_to_a_signal_that_is_seen_not_to_be_caught() {
    let page = PageServer::with_streams(1);
    let env = SidecarEnv::new(&page.url());
    let Some(target) = Container::start(&env.target_name, r#"echo ready; exec -a "$0" sleep 600"#) else { return };
    let mut command = env.with_env(target.exec(), &[binary(), "sidecar"]);
    command.args(QUICK_TIMES).arg(ASSUME).stderr(Stdio::null());
    let sidecar = env.start_command(command);
    sidecar.wait_for_not_ready("target does not catch SIGINT");
}

#[test]
fn check_says_that_the_signals_are_not_seen() {
    let Some(pod) = Pod::start(SCRIPT) else { return };
    let report = CheckReport::run(&|| pod.command("check"));
    report.assert_failed(&["signal_caught"], 69);
    report.assert("signal_caught", false, &["cannot see here", "/proc/1/status", "--signal none", ASSUME]);
    report.assert("target", true, &[&pod.env.target_name]);
    report.assert("uid", true, &[]);
    let assuming = || {
        let mut command = pod.command("check");
        command.arg(ASSUME);
        command
    };
    let report = CheckReport::run(&assuming);
    report.assert_failed(&[], 0);
    report.assert("signal_caught", Value::Null, &["cannot see here", ASSUME]);
}
