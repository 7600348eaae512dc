//! What the command inherits, and what becomes of the processes that it starts.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Fixture, SCRIPT};
use lameduck_test_support::process::{KillOnDrop, binary, stopwatch, wait_until};
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};

#[test]
fn command_inherits_what_lameduck_was_started_with() {
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    let dir = env.dir.join("work dir");
    std::fs::create_dir(&dir).unwrap();
    // systemd sets these variables, and passes sockets from descriptor 3 on.
    let outer = r#"ulimit -Sn 200; umask 027; exec 3<"$0"; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_PIDFDID=1
        export NOTIFY_SOCKET=/nowhere WATCHDOG_PID=$$ WATCHDOG_USEC=1000000; exec "$@""#;
    let inner = r#"[ "$LISTEN_PID" = $$ ] && [ $LISTEN_FDS = 1 ] && echo listen pid
        echo "$(ulimit -Sn) $(umask) ${NOTIFY_SOCKET-none} ${WATCHDOG_PID-none} ${WATCHDOG_USEC-none} ${LISTEN_PIDFDID-none}"
        pwd; readlink /proc/$$/fd/3; ls -l /proc/$$/fd | grep -c -e socket -e anon_inode; echo "$1 end""#;
    let mut command = env.run_command_by(Command::new("bash"), &["-c", outer, "/etc/passwd"]);
    command.current_dir(&dir).args(["--grace-period", "10m", "--", "sh", "-c", inner, "sh", "an argument"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let dir = dir.display();
    let expected = format!("listen pid\n200 0027 none none none none\n{dir}\n/etc/passwd\n0\nan argument end\n");
    assert_eq!(shown, expected, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn closed_input_is_no_obstacle() {
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    let mut command = env.run_command_by(Command::new("sh"), &["-c", r#"exec "$0" "$@" <&- "#]);
    let output = command.args(["--grace-period", "10m", "--", "sh", "-c", "cat; echo end"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "end\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn input_is_passed_through_a_pipe() {
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    let mut command = env.run_command_by(Command::new("sh"), &["-c", r#"echo from the pipe | "$0" "$@""#]);
    let output = command.args(["--grace-period", "10m", "--", "cat"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "from the pipe\n");
}

/// A script that exits with 4 and leaves a process that has run these commands first and last.
fn leave(env: &SidecarEnv, first: &str, last: &str) -> String {
    let file = env.dir.join("up").display().to_string();
    format!("({first}; : >{file}; {last}) & until [ -e {file} ]; do sleep 0.02; done; echo ready; exit 4")
}

#[test]
fn processes_left_by_the_command_get_sigterm() {
    let fixture = Fixture::with_streams(0);
    let script = leave(&fixture.env, "trap 'echo left-TERM; exit' TERM", "while :; do sleep 0.05; done");
    let mut run = fixture.env.start_script(&QUICK_TIMES, &script);
    run.program.wait_for("left-TERM");
    assert_eq!(run.exit_code(), Some(4));
}

#[test]
fn processes_that_ignore_sigterm_do_not_hold_lameduck() {
    let fixture = Fixture::with_streams(0);
    let args = ["--grace-period", "10m", "--exit-margin", "300ms"];
    let script = leave(&fixture.env, "trap '' TERM", "exec sleep 600");
    let mut run = fixture.env.start_script(&args, &script);
    assert_eq!(run.exit_code(), Some(4));
    assert!(run.logged("do not end on SIGTERM").is_some());
    let group = run.log()[0]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(-i32::try_from(group).unwrap()), Signal::SIGKILL).unwrap();
}

#[test]
fn processes_that_ignore_sigterm_are_killed_at_the_end_of_a_stop() {
    let fixture = Fixture::with_streams(0);
    let script = leave(&fixture.env, "trap '' TERM", "exec sleep 600");
    let script =
        format!("trap : INT; trap 'exit 4' TERM\n{}", script.replace("exit 4", "while :; do sleep 0.05; done"));
    let args = ["--grace-period", "4s", "--exit-margin", "1s", "--lame-duck", "100ms", "--quiet-period", "200ms"];
    let mut run = fixture.env.start_script(&args, &script);
    run.wait_for_ready();
    let group = i32::try_from(run.wait_for_log("command started")["pid"].as_i64().unwrap()).unwrap();
    run.signal(Signal::SIGTERM);
    assert_eq!(run.exit_code(), Some(4), "{}", run.log_text());
    assert!(run.logged("do not end on SIGTERM; killing them").is_some(), "{}", run.log_text());
    wait_until(|| kill(Pid::from_raw(-group), None) == Err(Errno::ESRCH));
}

#[test]
fn command_that_has_left_its_process_group_is_killed_at_the_end_of_the_grace_period() {
    let fixture = Fixture::with_streams(1);
    let script = "exec perl -e '$SIG{TERM} = $SIG{INT} = sub {}; setpgrp(0, getpgrp(getppid())); $| = 1; print \"ready\\n\"; \
                  sleep 1 while 1'";
    let args = ["--grace-period", "4s", "--exit-margin", "1s", "--lame-duck", "100ms", "--quiet-period", "200ms"];
    let mut run = fixture.env.start_script(&args, script);
    run.wait_for_ready();
    run.signal(Signal::SIGTERM);
    assert_eq!(run.exit_code(), None, "it dies of SIGKILL, as the command");
    assert!(run.logged("a signal has killed the command").is_some(), "{}", run.log_text());
}

#[test]
fn end_of_the_command_is_seen_although_sigchld_was_ignored() {
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    let mut command = env.run_command_by(Command::new("env"), &["--ignore-signal=CHLD"]);
    let output = command.args(["--grace-period", "10m", "--", "sh", "-c", "exit 3"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn command_gets_sigterm_when_lameduck_is_killed() {
    let fixture = Fixture::with_streams(1);
    let mut run = fixture.start(&[], SCRIPT);
    run.signal(Signal::SIGKILL);
    run.program.wait_for("TERM");
}

#[test]
fn target_that_outlives_the_command_is_drained() {
    let fixture = Fixture::with_streams(1);
    let name = &fixture.env.target_name;
    let script = format!("setsid bash -c 'exec -a {name} bash -c \"$0\"' \"$SCRIPT\" & exit 3");
    let mut command = fixture.env.run_command();
    // A shell cannot trap SIGINT in the background.
    command.env("SCRIPT", SCRIPT.replace("' INT", "' USR1")).args(QUICK_TIMES);
    command.args(["--signal", "SIGUSR1", "--target", name, "--", "bash", "-c", &script]);
    let mut run = fixture.env.spawn_run(command);
    run.program.wait_for("ready");
    run.wait_for_ready();
    run.wait_for_log("the command has exited");
    run.wait_for_status("/target/alive", true);
    run.signal(Signal::SIGTERM);
    run.program.wait_for("INT");
    run.wait_until_served_on();
    fixture.page.set_streams(0);
    run.program.wait_for("TERM");
    assert_eq!(run.exit_code(), Some(3));
    assert_eq!(fixture.env.termination_message().unwrap()["outcome"], "drained");
}

#[test]
fn target_below_the_command_is_found_and_others_are_not() {
    let fixture = Fixture::with_streams(1);
    let name = &fixture.env.target_name;
    // Another process with the same name, which is no descendant.
    let mut other = Command::new("bash");
    other.args(["-c", "exec -a \"$0\" sleep 600", name]);
    let _other = KillOnDrop(other.spawn().unwrap());
    let script = format!("trap : TERM; bash -c 'exec -a {name} bash -c \"$0\"' \"$SCRIPT\" & wait; wait; exit 9");
    let mut command = fixture.env.run_command();
    // A shell cannot trap SIGINT in the background.
    command.env("SCRIPT", SCRIPT.replace("' INT", "' USR1")).args(QUICK_TIMES);
    command.args(["--signal", "SIGUSR1", "--target", name, "--", "bash", "-c", &script]);
    let mut run = fixture.env.spawn_run(command);
    run.program.wait_for("ready");
    run.wait_for_ready();
    run.signal(Signal::SIGTERM);
    run.program.wait_for("INT");
    run.wait_until_served_on();
    fixture.page.set_streams(0);
    // SIGTERM reaches the command alone, which here waits for its child: the grace period would end it. A person does so.
    run.wait_for_log("signal sent to the command");
    let target = run.get("/status").json()["target"]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(target).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(run.exit_code(), Some(9));
}

#[test]
fn stop_is_never_lost_while_the_command_starts() {
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    for round in 0..60 {
        let mut command = env.run_command();
        command.args(["--grace-period", "10m", "--listen", "none", "--", "sleep", "600"]);
        let mut process = KillOnDrop(command.stderr(Stdio::null()).spawn().unwrap());
        let waited = stopwatch();
        while waited().as_micros() < round * 250 {}
        process.signal(Signal::SIGTERM);
        let mut status = None;
        wait_until(|| {
            status = process.0.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().signal(), Some(15), "round {round}");
    }
}

#[test]
fn commands_that_end_around_the_stop_end_lameduck() {
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    let start = |millis: u64| {
        let mut command = env.run_command();
        command.args(["--grace-period", "10m", "--listen", "none"]);
        command.args(["--", "sleep", &format!("0.{millis:03}")]);
        KillOnDrop(command.stderr(Stdio::null()).spawn().unwrap())
    };
    for round in 0..10 {
        // They end before, during and after the stop.
        let mut processes: Vec<KillOnDrop> = (0..10).map(|index| start(round + index * 10)).collect();
        for process in &mut processes {
            if process.is_running() {
                process.signal(Signal::SIGTERM);
            }
        }
        for process in &mut processes {
            assert!([Some(0), None].contains(&process.exit_code()));
        }
    }
}

#[test]
fn run_in_run_sends_one_signal_and_passes_the_code_on() {
    let fixture = Fixture::with_streams(1);
    let mut command = fixture.env.run_command();
    command.args(QUICK_TIMES).args(["--", binary(), "run"]).args(QUICK_TIMES).args(["--listen", "none", "--"]);
    let mut run = fixture.env.spawn_run({
        command.args(["sh", "-c", SCRIPT]);
        command
    });
    run.program.wait_for("ready");
    run.wait_for_ready();
    wait_until(|| run.log_text().matches("\"ready\"").count() == 2);
    run.signal(Signal::SIGTERM);
    run.program.wait_for("INT");
    run.wait_until_served_on();
    fixture.page.set_streams(0);
    assert_eq!(run.exit_code(), Some(7));
    assert_eq!(run.program.seen.iter().filter(|line| line.contains("INT")).count(), 1);
}
