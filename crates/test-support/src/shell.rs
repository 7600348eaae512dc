//! A target that is no engine: a shell that says how often it was signalled, and ends when it is told.

use std::io::{PipeWriter, Write, pipe};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sim::Program;

/// It lives as long as its test: a read may fail for a signal, too.
const SCRIPT: &str = "
trap 'echo INT' INT
trap 'echo bye; exit 0' TERM
trap 'exit 3' USR1
echo ready
while read -r _ || [ -d /proc/$PPID ]; do :; done";

/// A shell that waits for signals: SIGINT is told and survived, SIGTERM ends it with 0, SIGUSR1 with 3.
pub struct Shell {
    program: Program,
    pub pid: i32,
}

impl Shell {
    pub fn named(name: &str) -> Self {
        Self::start(name, Command::new("sh"))
    }

    /// The same as another user.
    pub fn of_user(name: &str, user: u32) -> Self {
        let mut command = Command::new("sh");
        command.uid(user).gid(user);
        Self::start(name, command)
    }

    fn start(name: &str, mut command: Command) -> Self {
        command.arg0(name).args(["-c", &format!("echo pid=$$\n{SCRIPT}")]);
        let (input, prompter) = pipe().expect("the kernel has a pipe");
        command.stdin(input);
        prompt(prompter);
        let mut program = Program::start(command);
        let pid = program.wait_for("pid=").trim().trim_start_matches("pid=").parse().expect("a pid");
        program.wait_for("ready");
        Self { program, pid }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).expect("the shell is there");
    }

    pub fn wait_for(&mut self, part: &str) {
        self.program.wait_for(part);
    }

    /// Ends it, and says how often it was signalled until then.
    pub fn signals(mut self) -> usize {
        self.signal(Signal::SIGTERM);
        self.program.wait_for("bye");
        self.program.seen.iter().filter(|line| line.contains("INT")).count()
    }
}

/// Sends empty lines for as long as somebody may read them: a signal that comes just before a shell waits for a line
/// is not looked at before the next one.
fn prompt(mut prompter: PipeWriter) {
    thread::spawn(move || {
        while prompter.write_all(b"\n").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
}
