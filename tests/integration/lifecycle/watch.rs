//! `lameduck status --watch`, on a terminal and in a pipe.

use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStdout, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid, getsid};
use serde_json::Value;

use crate::lifecycle::Fixture;
use lameduck_test_support::process::KillOnDrop;
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};
use lameduck_test_support::terminal::Terminal;

/// Switches to the alternate screen.
const ENTER_SCREEN: &str = "\x1b[?1049h";
/// Restores the terminal.
const RESTORE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

fn watch(env: &SidecarEnv) -> Terminal {
    watch_with(env, &[("NO_COLOR", "1")])
}

fn watch_with(env: &SidecarEnv, variables: &[(&str, &str)]) -> Terminal {
    let mut command = env.client_command(&["status", "--watch"]);
    command.envs(variables.iter().copied());
    Terminal::start(command, 80, 24)
}

/// Asserts that it exits with 0, and that its last output restores the terminal.
fn assert_restored(terminal: Terminal) {
    let (shown, code) = terminal.end();
    assert_eq!(code, Some(0), "{shown:?}");
    assert!(shown.ends_with(RESTORE) && shown.matches(RESTORE).count() == 1, "{shown:?}");
}

/// The complete screens that were shown, as lines.
fn screens(shown: &str) -> Vec<Vec<String>> {
    let mut screens: Vec<_> = shown.split("\x1b[H").skip(1).collect();
    screens.pop();
    let text = |line: &str| line.trim_end_matches('\r').replace("\x1b[K", "").replace("\x1b[J", "");
    let strip = |screen: &&str| screen.replace("\x1b[?25l", "").replace("\x1b[?7l", "");
    screens.iter().map(|screen| strip(screen).trim_end().split('\n').map(text).collect()).collect()
}

/// A watch in a pipe, killed on drop.
struct Piped {
    running: KillOnDrop,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Piped {
    fn start(env: &SidecarEnv, args: &[&str]) -> Self {
        let mut command = env.client_command(&[&["status", "--watch"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { running: KillOnDrop(child), lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("the watch continues").unwrap()
    }
}

#[test]
fn terminal_is_restored_after_every_ending_signal() {
    let fixture = Fixture::with_streams(3);
    let _sidecar = fixture.start_quick();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let mut terminal = watch(&fixture.env);
        terminal.wait_until(|shown| shown.contains(ENTER_SCREEN) && shown.contains("streams  3"));
        terminal.signal(signal);
        assert_restored(terminal);
    }
}

#[test]
fn sidecar_restart_is_shown() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_quick();
    let mut terminal = watch(&fixture.env);
    terminal.wait_for("streams  3");
    sidecar.kill();
    terminal.wait_for("no sidecar answers for");
    fixture.page.set_streams(4);
    let sidecar = fixture.start_quick();
    terminal.wait_for("streams  4");
    sidecar.kill();
    terminal.wait_for("no sidecar answers for");
    terminal.signal(Signal::SIGINT);
    assert_restored(terminal);
}

#[test]
fn resize_is_followed() {
    let fixture = Fixture::with_streams(3);
    let _sidecar = fixture.start_quick();
    let mut terminal = watch(&fixture.env);
    terminal.wait_for("streams  3");
    terminal.resize(20, 5);
    let fits =
        |screen: &Vec<String>| screen.len() <= 5 && screen.iter().all(|line: &String| line.chars().count() <= 20);
    terminal.wait_until(|shown| screens(shown).iter().any(|screen| screen.len() > 3 && fits(screen)));
    terminal.resize(80, 24);
    terminal.wait_until(|shown| screens(shown).last().is_some_and(|screen| !fits(screen)));
    terminal.signal(Signal::SIGINT);
    assert_restored(terminal);
}

#[test]
fn terminal_is_restored_while_stopped() {
    let fixture = Fixture::with_streams(3);
    let _sidecar = fixture.start_quick();
    let mut terminal = watch(&fixture.env);
    terminal.wait_for("streams  3");
    terminal.signal(Signal::SIGTSTP);
    let leader = getsid(None).unwrap();
    // In an orphaned process group, SIGTSTP is discarded.
    if leader.as_raw() > 0 && getpgid(Some(leader)).is_ok() {
        terminal.wait_for(RESTORE);
        terminal.wait_for_stop();
        terminal.signal(Signal::SIGCONT);
        terminal.wait_for(ENTER_SCREEN);
    }
    terminal.wait_for("streams  3");
    terminal.signal(Signal::SIGINT);
    assert_restored(terminal);
}

#[test]
fn watch_ends_with_its_terminal() {
    let fixture = Fixture::with_streams(3);
    let _sidecar = fixture.start_quick();
    let mut terminal = watch(&fixture.env);
    terminal.wait_for("streams  3");
    assert_eq!(terminal.close(), Some(0));
}

#[test]
fn drain_is_shown_until_its_outcome() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_quick();
    let mut terminal = watch(&fixture.env);
    terminal.wait_for("serving");
    let hook = sidecar.call_hook();
    terminal.wait_for("0 of 3 ended");
    terminal.wait_until(|shown| shown.contains(" left") && shown.contains("no estimate"));
    fixture.page.set_streams(0);
    hook.outcome();
    terminal.wait_for("drained after");
}

#[test]
fn no_color_is_respected() {
    let fixture = Fixture::with_streams(3);
    let _sidecar = fixture.start_quick();
    let mut terminal = watch_with(&fixture.env, &[("TERM", "xterm")]);
    terminal.wait_for("\x1b[32mserving\x1b[0m");
    let mut terminal = watch_with(&fixture.env, &[("NO_COLOR", "")]);
    terminal.wait_for("\x1b[32mserving\x1b[0m");
    let mut terminal = watch_with(&fixture.env, &[("NO_COLOR", "1")]);
    terminal.wait_for("phase    serving\r");
}

#[test]
fn dumb_terminal_gets_plain_lines() {
    let fixture = Fixture::with_streams(3);
    let _sidecar = fixture.start_quick();
    let mut terminal = watch_with(&fixture.env, &[("TERM", "dumb")]);
    terminal.wait_until(|shown| shown.contains("streams 3"));
    fixture.page.set_streams(2);
    terminal.wait_until(|shown| shown.contains("streams 2") && !shown.contains('\x1b'));
}

#[test]
fn pipe_gets_one_plain_line_per_change() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_quick();
    let mut piped = Piped::start(&fixture.env, &[]);
    let state = |streams| {
        let (name, pid) = (&fixture.env.target_name, fixture.target.pid);
        format!("serving: streams {streams}, metrics {streams}, lazy 0; target {name} (pid {pid})")
    };
    let mut lines = vec![piped.line()];
    // Once another watch has printed three lines, this one has polled several times, too.
    let mut other = Piped::start(&fixture.env, &["--json"]);
    (0..3).for_each(|_| drop(other.line()));
    fixture.page.set_streams(2);
    lines.push(piped.line());
    sidecar.kill();
    lines.push(piped.line());
    let _sidecar = fixture.start_quick();
    // The sidecar may be polled before its first readings.
    while !lines.last().unwrap().starts_with(&state(2)) {
        lines.push(piped.line());
    }
    let states: Vec<_> = lines.iter().map(|line| line.split(" at ").next().unwrap()).collect();
    assert_eq!(states[..3], [state(3).as_str(), &state(2), "no sidecar answers"]);
    assert!(states.windows(2).all(|pair| pair[0] != pair[1]), "{states:#?}");
    assert!(lines.concat().chars().all(|c| !c.is_control()), "{lines:?}");
}

#[test]
fn json_watch_prints_one_status_per_second() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_quick();
    let mut piped = Piped::start(&fixture.env, &["--json"]);
    let mut streams = || serde_json::from_str::<Value>(&piped.line()).unwrap()["streams"].take();
    assert_eq!((streams(), streams()), (3.into(), 3.into()));
    sidecar.kill();
    fixture.page.set_streams(4);
    let _sidecar = fixture.env.start(&QUICK_TIMES);
    while streams() != 4 {}
}

#[test]
fn closed_pipe_ends_watch() {
    let fixture = Fixture::with_streams(3);
    let _sidecar = fixture.start_quick();
    let Piped { mut running, mut lines } = Piped::start(&fixture.env, &["--json"]);
    lines.next().unwrap().unwrap();
    drop(lines);
    assert_eq!(running.exit_code(), Some(0));
}

#[test]
fn signal_kills_watch_in_pipe() {
    let fixture = Fixture::with_streams(3);
    let _sidecar = fixture.start_quick();
    let mut piped = Piped::start(&fixture.env, &[]);
    piped.line();
    kill(Pid::from_raw(i32::try_from(piped.running.0.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(piped.running.exit_code(), None);
}

/// Drains under a watch in a pipe, kills the sidecar once the watch shows the outcome, and returns the lines and the exit
/// code of the watch.
fn watch_drain(args: &[&str]) -> (Vec<String>, Option<i32>) {
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let mut piped = Piped::start(&fixture.env, args);
    let mut lines = vec![piped.line()];
    let hook = sidecar.call_hook();
    while !lines.last().unwrap().contains("draining") {
        lines.push(piped.line());
    }
    fixture.page.set_streams(0);
    while !lines.last().unwrap().contains("drained") {
        lines.push(piped.line());
    }
    hook.outcome();
    sidecar.kill();
    let Piped { mut running, lines: rest } = piped;
    lines.extend(rest.map(Result::unwrap));
    (lines, running.exit_code())
}

#[test]
fn watch_in_pipe_ends_with_outcome() {
    let (lines, code) = watch_drain(&[]);
    assert!(lines[0].starts_with("serving: streams 1"), "{lines:#?}");
    assert!(lines.last().unwrap().starts_with("outcome: drained after "), "{lines:#?}");
    assert_eq!(code, Some(0), "{lines:#?}");
}

/// Whether a watch in a pipe shows the outcome of a sidecar that exits as soon as the drain is over.
fn sees_outcome_of_exiting_sidecar() -> bool {
    let fixture = Fixture::with_streams(1);
    // The target exits with 3 on this signal, and the kubelet then ends the sidecar.
    let mut sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &["--signal", "USR1"]].concat());
    let mut piped = Piped::start(&fixture.env, &[]);
    piped.line();
    let outcome = sidecar.call_hook().outcome();
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(outcome["outcome"], "exited");
    sidecar.exit_code();
    loop {
        let line = piped.line();
        if line.starts_with("outcome: exited after ") || line.contains("no sidecar answers") {
            return line.starts_with("outcome");
        }
    }
}

#[test]
fn watch_in_pipe_sees_outcome_of_sidecar_that_exits_at_once() {
    // The sidecar waits for a watch that polls every second. On a busy machine, a watch may be late.
    assert!((0..10).any(|_| sees_outcome_of_exiting_sidecar()));
}

#[test]
fn json_watch_ends_with_outcome() {
    let (lines, code) = watch_drain(&["--json"]);
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!((&last["outcome"]["outcome"], code), (&"drained".into(), Some(0)), "{lines:#?}");
}

#[test]
fn ready_reports_readiness_by_exit_code() {
    let fixture = Fixture::with_streams(1);
    let (code, stdout, stderr) = fixture.env.run_client(&["status", "--ready"]);
    assert_eq!((code, stdout.as_str()), (Some(69), ""), "{stderr}");
    let sidecar = fixture.start_quick();
    let ready = || fixture.env.run_client(&["status", "--ready"]);
    assert_eq!(ready(), (Some(0), "ready\n".to_owned(), String::new()));
    let _hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    assert_eq!(ready(), (Some(1), "draining\n".to_owned(), String::new()));
    let (code, _, stderr) = fixture.env.run_client(&["status", "--ready", "--watch"]);
    assert_eq!(code, Some(64), "{stderr}");
}
