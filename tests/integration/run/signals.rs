//! Which signals reach the command, and which do something else.

use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::json;

use super::{Fixture, SCRIPT};
use lameduck_test_support::process::wait_until;
use lameduck_test_support::run::Run;
use lameduck_test_support::sidecar::QUICK_TIMES;
use lameduck_test_support::skip::skip;

/// A Perl program that prints the name of each signal that it gets. It ends with lameduck.
const REPORTER: &str = r#"
    $| = 1;
    for my $name (qw(HUP INT QUIT USR1 USR2 WINCH TERM CONT URG CHLD PIPE ALRM NUM37)) {
        $SIG{$name} = sub { print "got $name\n" };
    }
    $SIG{NUM38} = sub { exit 0 };
    my $parent = getppid;
    print "ready\n";
    sleep 1 while getppid == $parent;
"#;

/// Starts the reporter, and waits until it is ready; `None`, and the skip is reported, where there is no Perl.
fn start_reporter(fixture: &Fixture, args: &[&str]) -> Option<Run> {
    if Command::new("perl").arg("-v").output().is_err() {
        skip("no perl");
        return None;
    }
    let mut command = fixture.env.run_command();
    command.args(QUICK_TIMES).args(args).args(["--", "perl", "-e", REPORTER]);
    let mut run = fixture.env.spawn_run(command);
    run.program.wait_for("ready");
    run.wait_for_ready();
    Some(run)
}

/// Sends a signal by its number, for which nix need not have a name.
fn kill(run: &Run, signal: &str) {
    let pid = run.pid().to_string();
    assert!(Command::new("bash").args(["-c", &format!("kill -{signal} {pid}")]).status().unwrap().success());
}

/// The line of `/proc/PID/status` with this mask, of a process.
fn mask(pid: &str, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim_start_matches([':', '\t']), 16).unwrap()
}

#[test]
fn other_signals_are_forwarded_once_and_those_of_the_kernel_are_not() {
    let fixture = Fixture::with_streams(1);
    let Some(mut run) = start_reporter(&fixture, &[]) else { return };
    for signal in ["URG", "PIPE", "CHLD"] {
        kill(&run, signal);
    }
    let forwarded = ["HUP", "USR1", "USR2", "WINCH", "QUIT", "NUM37"];
    for name in forwarded {
        kill(&run, if name == "NUM37" { "RTMIN+3" } else { name });
        run.program.wait_for(&format!("got {name}"));
    }
    kill(&run, "RTMIN+4");
    assert_eq!(run.exit_code(), Some(0));
    let got: Vec<&str> = run.program.seen.iter().filter_map(|line| line.strip_prefix("got ")).collect();
    assert_eq!(got, forwarded);
}

#[test]
fn drain_on_replaces_the_signals_that_begin_a_drain() {
    let fixture = Fixture::with_streams(1);
    let args = ["--drain-on", "SIGUSR1", "--signal", "SIGQUIT"];
    let Some(mut run) = start_reporter(&fixture, &args) else { return };
    assert_eq!(run.wait_for_log("command started")["drain_on"], json!(["SIGUSR1"]));
    run.signal(Signal::SIGTERM);
    run.program.wait_for("got TERM");
    assert_eq!(run.get("/status").json()["phase"], "serving");
    run.signal(Signal::SIGUSR1);
    run.program.wait_for("got QUIT");
    assert_eq!(run.wait_for_log("SIGUSR1 received")["sender"], std::process::id());
}

#[test]
fn sigint_begins_a_drain_and_a_second_signal_joins_it() {
    let fixture = Fixture::with_streams(1);
    let mut run = fixture.start(&[], SCRIPT);
    run.signal(Signal::SIGINT);
    run.program.wait_for("INT");
    for (signal, count) in [(Signal::SIGINT, 2), (Signal::SIGTERM, 3), (Signal::SIGTERM, 4)] {
        run.signal(signal);
        wait_until(|| run.log_text().matches(" received").count() == count);
    }
    run.wait_until_served_on();
    assert_eq!(run.get("/status").json()["phase"], "draining");
    fixture.page.set_streams(0);
    assert_eq!(run.exit_code(), Some(7));
    assert_eq!(run.program.seen.iter().filter(|line| line.contains("INT")).count(), 1);
}

#[test]
fn mask_and_ignored_signals_are_those_of_the_start() {
    if Command::new("perl").arg("-v").output().is_err() {
        return skip("no perl");
    }
    let fixture = Fixture::with_streams(1);
    // Perl blocks SIGUSR1 and ignores SIGINT, SIGHUP and SIGPIPE, as `nohup` and `&` in a script do.
    let script = r#"use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGUSR1)); $SIG{INT} = $SIG{HUP} = $SIG{PIPE} = "IGNORE"; exec @ARGV"#;
    let mut command = fixture.env.run_command_by(Command::new("perl"), &["-e", script]);
    command.args(QUICK_TIMES).args(["--signal", "SIGINT", "--", "sh", "-c", "echo pid=$$; exec sleep 600"]);
    let mut run = fixture.env.spawn_run(command);
    let line = run.program.wait_for("pid=");
    let pid = line.trim_start_matches("pid=");
    assert_eq!(mask(pid, "SigBlk"), 1 << 9, "SIGUSR1");
    let ignored = mask(pid, "SigIgn");
    assert_eq!(ignored & 0b1, 1, "SIGHUP: {ignored:b}");
    assert_eq!(ignored & 0b10, 0, "SIGINT, the signal of the drain: {ignored:b}");
    assert_eq!(ignored & (1 << 12), 0, "SIGPIPE: {ignored:b}");
    // Neither ends.
    run.signal(Signal::SIGHUP);
    run.signal(Signal::SIGTERM);
    run.wait_for_log("SIGTERM received");
    assert!(!run.log_text().contains("forwarded"));
}
