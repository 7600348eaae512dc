//! A simple target: a shell that reports the signals it receives.

use std::io::{PipeWriter, Write, pipe};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::Program;

/// Runs as long as its test does. `read` also fails when a signal interrupts it.
const SCRIPT: &str = "
trap 'echo INT' INT
trap 'echo bye; exit 0' TERM
trap 'exit 3' USR1
trap 'exit 4' 37
echo ready
while read -r _ || [ -d /proc/$PPID ]; do :; done";

/// A shell that waits for signals: it prints a line on SIGINT, and exits with 0 on SIGTERM, with 3 on SIGUSR1, with 4 on
/// SIGRTMIN+3.
pub struct ShellTarget {
    program: Program,
    pub pid: i32,
}

impl ShellTarget {
    /// Starts it with this process name.
    pub fn start(name: &str) -> Self {
        Self::spawn(name, Command::new("sh"))
    }

    /// Starts it as another user.
    pub fn start_as(name: &str, user: u32) -> Self {
        let mut command = Command::new("sh");
        command.uid(user).gid(user);
        Self::spawn(name, command)
    }

    fn spawn(name: &str, mut command: Command) -> Self {
        command.arg0(name).args(["-c", &format!("echo pid=$$\n{SCRIPT}")]);
        let (input, output) = pipe().expect("the kernel has a pipe");
        command.stdin(input);
        send_lines(output);
        let mut program = Program::start(command);
        let pid = program.wait_for("pid=").trim().trim_start_matches("pid=").parse().expect("a pid");
        program.wait_for("ready");
        Self { program, pid }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).expect("the shell exists");
    }

    pub fn wait_for(&mut self, part: &str) {
        self.program.wait_for(part);
    }

    /// Ends it; returns how often it received SIGINT.
    pub fn into_signal_count(mut self) -> usize {
        self.signal(Signal::SIGTERM);
        self.program.wait_for("bye");
        self.program.seen.iter().filter(|line| line.contains("INT")).count()
    }
}

/// Sends empty lines until the shell exits: a signal that comes just before `read` is handled only after the next line.
fn send_lines(mut output: PipeWriter) {
    thread::spawn(move || {
        while output.write_all(b"\n").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
}
