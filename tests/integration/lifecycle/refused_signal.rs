//! Signals that the kernel refuses although the uids match: AppArmor, SELinux, seccomp.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::Fixture;
use crate::lifecycle::standalone::StandaloneHook;
use lameduck_test_support::check::CheckReport;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar};
use lameduck_test_support::skip::skip;

/// The lowest signal number that the kernel refuses.
#[derive(Clone, Copy)]
enum Refused {
    /// The check whether a signal would be permitted, and every signal.
    Check = 0,
    /// Every signal, but not the check.
    Signals = 1,
}

/// Compiles the program that makes the kernel refuse signals; `None`, and the skip is reported, if that is not possible.
fn refuse_signals(dir: &Path) -> Option<PathBuf> {
    let program = dir.join("refuse_signals");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/refuse_signals.c");
    let compiled = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(source).output();
    if !compiled.is_ok_and(|output| output.status.success()) {
        skip("no C compiler");
        return None;
    }
    let works = Command::new(&program).args(["13", "1", "true"]).status().is_ok_and(|status| status.success());
    if !works {
        skip("no seccomp");
        return None;
    }
    Some(program)
}

/// The same command, in which the kernel refuses signals with this error number.
fn refusing(program: &Path, command: &Command, errno: i32, refused: Refused) -> Command {
    let mut refusing = Command::new(program);
    refusing.env_clear().args([errno.to_string(), (refused as i32).to_string()]);
    refusing.arg(command.get_program()).args(command.get_args());
    refusing.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    refusing
}

/// Drains a target with a stream over some polls, until the stream ends; returns the outcome and the sidecar's log.
fn drain(fixture: Fixture, mut sidecar: Sidecar) -> (Value, Vec<Value>) {
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(5);
    fixture.page.set_streams(0);
    let outcome = hook.outcome();
    assert_eq!(fixture.target.into_signal_count(), 0);
    sidecar.signal(Signal::SIGTERM);
    (outcome, sidecar.log().to_vec())
}

fn errors(log: &[Value]) -> Vec<String> {
    log.iter().filter(|line| line["level"] == "ERROR").map(ToString::to_string).collect()
}

fn start(fixture: &Fixture, program: &Path, errno: i32, refused: Refused) -> Sidecar {
    let mut command = refusing(program, &fixture.env.sidecar_command(), errno, refused);
    command.args(QUICK_TIMES).stderr(Stdio::piped());
    fixture.env.start_command(command)
}

#[test]
fn forbidden_signal_makes_pod_not_ready_and_is_one_error() {
    for (errno, name, cause) in [(13, "EACCES", "AppArmor"), (1, "EPERM", "seccomp")] {
        let fixture = Fixture::with_streams(1);
        let Some(program) = refuse_signals(&fixture.env.dir) else { return };
        let sidecar = start(&fixture, &program, errno, Refused::Check);
        let reason = sidecar.wait_for_not_ready("cannot signal the target");
        for part in [name, cause, "SIGINT", &format!("process {}", fixture.target.pid)] {
            assert!(reason.contains(part), "no {part:?} in {reason}");
        }
        let (outcome, log) = drain(fixture, sidecar);
        assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
        let errors = errors(&log);
        assert!(errors.len() == 1 && errors[0].contains(name) && errors[0].contains(cause), "{log:#?}");
    }
}

#[test]
fn signal_refused_at_the_drain_is_one_error() {
    let fixture = Fixture::with_streams(1);
    let Some(program) = refuse_signals(&fixture.env.dir) else { return };
    let sidecar = start(&fixture, &program, 13, Refused::Signals);
    sidecar.wait_for_ready();
    let pid = fixture.target.pid;
    let (outcome, log) = drain(fixture, sidecar);
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    let refusals: Vec<_> = log.iter().filter(|line| line["message"].as_str().unwrap().contains("refuses")).collect();
    let [refusal] = refusals[..] else { panic!("{log:#?}") };
    assert_eq!(
        (&refusal["level"], &refusal["pid"], &refusal["signal"]),
        (&json!("ERROR"), &json!(pid), &json!("SIGINT"))
    );
    assert_eq!(refusal["error"], "EACCES");
    assert!(refusal["cause"].as_str().unwrap().contains("AppArmor"), "{refusal}");
    assert_eq!(errors(&log).len(), 1, "{log:#?}");
}

#[test]
fn any_refusal_is_one_error_for_a_standalone_drain_too() {
    // AppArmor; a seccomp profile by default, and with another error.
    for (errno, name) in [(13, "EACCES"), (1, "EPERM"), (38, "ENOSYS")] {
        for refused in [Refused::Check, Refused::Signals] {
            let fixture = Fixture::with_streams(1);
            let Some(program) = refuse_signals(&fixture.env.dir) else { return };
            let mut command = refusing(&program, &fixture.env.standalone_command(), errno, refused);
            command.args(QUICK_TIMES);
            let mut hook = StandaloneHook::spawn(&fixture.env, command);
            let error = match refused {
                Refused::Check => hook.process.wait_for_log("no signal is sent")["reason"].take(),
                Refused::Signals => hook.process.wait_for_log("refuses the signal")["error"].take(),
            };
            assert!(error.as_str().unwrap().contains(name), "{error}");
            fixture.page.set_streams(0);
            let (code, outcome) = hook.finish();
            assert_eq!((code, &outcome["outcome"], &outcome["signal"]), (Some(0), &json!("drained"), &Value::Null));
            assert_eq!(errors(hook.process.log()).len(), 1, "{:#?}", hook.process.log());
            assert_eq!(fixture.target.into_signal_count(), 0);
        }
    }
}

#[test]
fn each_refused_attempt_is_counted() {
    let fixture = Fixture::with_streams(1);
    let Some(program) = refuse_signals(&fixture.env.dir) else { return };
    let sidecar = start(&fixture, &program, 13, Refused::Signals);
    sidecar.wait_for_ready();
    let hook = sidecar.call_hook();
    let failed = || sidecar.metric(r#"lameduck_signals_total{signal="SIGINT",result="failed"}"#);
    lameduck_test_support::process::wait_until(|| failed() >= Some(2.0));
    fixture.page.set_streams(0);
    hook.outcome();
    assert_eq!(sidecar.metric(r#"lameduck_signals_total{signal="SIGINT",result="sent"}"#), None);
}

#[test]
fn check_names_error_and_cause_of_a_forbidden_signal() {
    let fixture = Fixture::with_streams(1);
    let Some(program) = refuse_signals(&fixture.env.dir) else { return };
    let report = CheckReport::run(&|| refusing(&program, &fixture.env.check_command(), 13, Refused::Check));
    report.assert_failed(&["signal_permitted"], 77);
    report.assert("signal_permitted", false, &["EACCES", "AppArmor", "same profile", "--signal none"]);
}
