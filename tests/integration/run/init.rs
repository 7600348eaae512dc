//! `lameduck run` as the first process of a PID namespace, as in a container.

use std::process::{Command, Stdio};

use super::{Fixture, SCRIPT};
use lameduck_test_support::run::Run;
use lameduck_test_support::sidecar::QUICK_TIMES;
use lameduck_test_support::skip::skip;

const UNSHARE: [&str; 3] = ["-Urpf", "--mount-proc", "--kill-child"];

/// Starts a script under `lameduck run` as PID 1; `None`, and the skip is reported, where this user may not make
/// namespaces.
fn start(fixture: &Fixture, script: &str) -> Option<Run> {
    let mut probe = Command::new("unshare");
    if !probe.args(UNSHARE).arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        skip("no user namespaces");
        return None;
    }
    let mut command = fixture.env.run_command_by(Command::new("unshare"), &UNSHARE);
    command.args(QUICK_TIMES).args(["--", "sh", "-c", script]);
    Some(fixture.env.spawn_run(command))
}

/// Sends SIGTERM to PID 1 of the namespace.
fn terminate(run: &Run) {
    let outer = run.pid();
    let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    assert!(Command::new("kill").arg(children.trim()).status().unwrap().success());
}

#[test]
fn stop_of_the_container_drains_its_command() {
    let fixture = Fixture::with_streams(2);
    let Some(mut run) = start(&fixture, SCRIPT) else { return };
    run.program.wait_for("ready");
    run.wait_for_ready();
    terminate(&run);
    run.program.wait_for("INT");
    run.wait_until_served_on();
    fixture.page.set_streams(0);
    assert_eq!(run.exit_code(), Some(7));
    assert_eq!(fixture.env.termination_message().unwrap()["outcome"], "drained");
}

#[test]
fn signal_that_kills_the_command_becomes_an_exit_code() {
    let fixture = Fixture::with_streams(0);
    for (signal, code) in [(11, 139), (9, 137), (34, 162)] {
        let Some(mut run) = start(&fixture, &format!("kill -{signal} $$")) else { return };
        assert_eq!(run.exit_code(), Some(code), "{}", run.log_text());
    }
}

#[test]
fn thousand_orphans_leave_no_zombie() {
    let fixture = Fixture::with_streams(0);
    let script = "i=0; while [ $i -lt 1000 ]; do (sleep 0.01 &); i=$((i+1)); done
        while grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null; do sleep 0.05; done
        echo no zombies of $(ls -d /proc/[0-9]* | wc -l); exit 6";
    let Some(mut run) = start(&fixture, script) else { return };
    run.program.wait_for("no zombies");
    assert_eq!(run.exit_code(), Some(6));
}
