//! `lameduck run` in a terminal: keys that send signals, and job control.

use std::process::Command;

use serde_json::Value;

use super::Fixture;
use lameduck_test_support::http::Call;
use lameduck_test_support::process::{binary, wait_until};
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};
use lameduck_test_support::terminal::Terminal;

/// Prints a line for each signal, and ignores SIGTERM if the first argument is `stubborn`.
const SCRIPT: &str = "trap 'echo got-INT' INT; trap 'echo got-TERM; [ $0 = stubborn ] || exit 7' TERM
trap 'echo got-WINCH' WINCH; echo ready; while :; do sleep 0.05; done";

/// `lameduck run` in a shell with job control, on a terminal of its own, as its foreground job. The shell prints how each
/// job ends, and continues a stopped one.
struct Session<'a> {
    terminal: Terminal,
    env: &'a SidecarEnv,
}

impl<'a> Session<'a> {
    fn start(env: &'a SidecarEnv, args: &[&str], command: &[&str]) -> Self {
        let shell = r#"set -m; log=$1; shift; "$@" 2>"$log"; echo "stopped-or-ended $?"; [ -z "$(jobs)" ] || { fg >&-; echo "ended $?"; }"#;
        let mut session = env.with_env(Command::new("setsid"), &["--ctty", "--wait", "bash", "-c", shell, "bash"]);
        session.env_remove("LAMEDUCK_TARGET");
        session.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        session.arg(env.dir.join("run.log")).args([binary(), "run"]).args(args).arg("--").args(command);
        Self { terminal: Terminal::start(session, 80, 24), env }
    }

    /// Starts the script with short times, and waits until it can be drained.
    fn start_script(fixture: &'a Fixture, name: &str) -> Self {
        let mut session = Self::start(&fixture.env, &QUICK_TIMES, &["sh", "-c", SCRIPT, name]);
        session.terminal.wait_for("ready");
        session.wait_for_log("ready");
        session
    }

    /// Waits until this message has been logged this often.
    fn wait_for_log(&self, message: &str) -> Value {
        let mut found = None;
        wait_until(|| {
            let text = std::fs::read_to_string(self.env.dir.join("run.log")).unwrap_or_default();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            found = lines.into_iter().find(|line| line["message"] == message);
            found.is_some()
        });
        found.unwrap()
    }
}

#[test]
fn first_interrupt_drains_and_the_next_ones_terminate_and_kill() {
    let fixture = Fixture::with_streams(2);
    let mut session = Session::start_script(&fixture, "stubborn");
    session.terminal.press("\x03");
    session.wait_for_log("drain started: not ready, still accepting");
    // Had the terminal signalled the command itself, it would have printed that before this.
    session.terminal.wait_until(|shown| shown.contains("got-INT"));
    session.wait_for_log("signal sent");
    session.terminal.press("\x03");
    session.terminal.wait_until(|shown| shown.contains("got-TERM"));
    let record = session.wait_for_log("drain over");
    assert_eq!((&record["outcome"], &record["stragglers"]), (&"interrupted".into(), &2.into()), "{record}");
    session.terminal.press("\x03");
    session.terminal.wait_until(|shown| shown.contains("stopped-or-ended 137"));
    let (shown, _) = session.terminal.end();
    assert_eq!(shown.matches("got-INT").count(), 1, "{shown}");
}

#[test]
fn suspension_stops_both_processes_and_foreground_continues_both() {
    let fixture = Fixture::with_streams(1);
    let mut session = Session::start_script(&fixture, "plain");
    session.terminal.press("\x1a");
    // The shell continues the job at once, and only a running process answers.
    session.terminal.wait_for("stopped-or-ended 147");
    assert_eq!(Call::get(fixture.env.address, "/livez").response().status, 200);
    session.terminal.press("\x03");
    session.terminal.wait_for("got-INT");
    fixture.page.set_streams(0);
    session.terminal.wait_for("ended 7");
    session.terminal.end();
}

#[test]
fn new_size_of_the_terminal_is_forwarded() {
    let fixture = Fixture::with_streams(1);
    let mut session = Session::start_script(&fixture, "plain");
    session.terminal.resize(100, 30);
    session.terminal.wait_for("got-WINCH");
}

#[test]
fn command_does_not_read_the_terminal() {
    let fixture = Fixture::with_streams(0);
    let script = "read -r line || echo end-of-input; exit 5";
    let mut session = Session::start(&fixture.env, &QUICK_TIMES, &["sh", "-c", script]);
    session.terminal.wait_until(|shown| shown.contains("end-of-input"));
    session.terminal.wait_for("stopped-or-ended 5");
    session.terminal.end();
}

#[test]
fn command_that_reads_the_terminal_anyway_is_stopped_and_that_is_logged() {
    let fixture = Fixture::with_streams(0);
    let session = Session::start(&fixture.env, &QUICK_TIMES, &["sh", "-c", "read -r line </dev/tty"]);
    let line = session.wait_for_log(
        "the command is stopped, because it has used the terminal, which only lameduck may: redirect the command's input \
         and output, or start lameduck without a terminal",
    );
    assert_eq!(line["signal"], "SIGTTIN");
}
