//! How `lameduck run` ends.

use std::os::unix::process::ExitStatusExt;

use super::Fixture;
use lameduck_test_support::sidecar::SidecarEnv;

/// Runs a command to its end without a listener; returns how lameduck ended, and its stderr.
fn end_of(args: &[&str], command: &[&str]) -> (std::process::ExitStatus, String) {
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    let mut run = env.run_command();
    run.args(["--grace-period", "10m", "--listen", "none"]).args(args).arg("--").args(command);
    let output = run.output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn exit_code_of_the_command_is_passed_on() {
    for code in [0, 1, 3, 10, 11, 64, 126, 127, 128, 143, 255] {
        let (status, log) = end_of(&[], &["sh", "-c", &format!("exit {code}")]);
        assert_eq!(status.code(), Some(code), "{log}");
    }
}

#[test]
fn signal_that_kills_the_command_kills_lameduck() {
    for signal in [1, 2, 3, 6, 9, 10, 11, 12, 13, 14, 15, 31] {
        let (status, log) = end_of(&[], &["sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(status.signal(), Some(signal), "{log}");
        assert!(!status.core_dumped());
    }
}

#[test]
fn missing_command_is_127_and_another_file_126() {
    for (command, code) in [("/nonexistent", 127), ("no-such-program", 127), ("/etc/passwd", 126), ("/", 126)] {
        let (status, log) = end_of(&["--log-level", "error"], &[command]);
        assert_eq!(status.code(), Some(code), "{log}");
        assert!(log.lines().count() == 1 && log.contains(&format!("cannot run {command}: ")), "{log}");
    }
}

#[test]
fn command_that_exits_while_serving_leaves_a_record_of_its_streams() {
    let fixture = Fixture::with_streams(4);
    let mut run = fixture.start(&[], "trap 'exit 3' USR1; trap : INT; echo ready; while :; do sleep 0.05; done");
    run.signal(nix::sys::signal::Signal::SIGUSR1);
    assert_eq!(run.exit_code(), Some(3));
    let record = fixture.env.termination_message().unwrap();
    assert_eq!((&record["outcome"], &record["stragglers"]), (&"exited".into(), &4.into()), "{record}");
    assert_eq!(record["warnings"], serde_json::json!([]), "{record}");
}

#[test]
fn own_settings_are_variables_too() {
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    let mut command = env.run_command();
    command.envs([("LAMEDUCK_DRAIN_ON", "SIGTERM\nusr1"), ("LAMEDUCK_EXIT_CODE", "outcome")]);
    let output =
        command.args(["--grace-period", "10m", "--listen", "none", "--", "sh", "-c", "exit 3"]).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{log}");
    assert!(log.contains(r#""drain_on":["SIGTERM","SIGUSR1"]"#) && !log.contains("ignoring this variable"), "{log}");
}
