//! A target that is no engine: a shell that says how often it was signalled, and ends when it is told.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sim::Program;

/// A read that fails without a signal means that the test is gone.
const SCRIPT: &str = "
trap 'echo INT; got=1' INT
trap 'echo bye; exit 0' TERM
trap 'exit 3' USR1
echo ready
while :; do
    if read -r _; then :; elif [ \"$got\" ]; then got=; else exit 4; fi
done";

/// A shell that waits for signals: SIGINT is told and survived, SIGTERM ends it with 0, SIGUSR1 with 3.
pub(crate) struct Shell {
    program: Program,
    pub(crate) pid: i32,
}

impl Shell {
    pub(crate) fn named(name: &str) -> Self {
        Self::start(name, Command::new("sh"))
    }

    /// The same as another user.
    pub(crate) fn of_user(name: &str, user: u32) -> Self {
        let mut command = Command::new("sh");
        command.uid(user).gid(user);
        Self::start(name, command)
    }

    fn start(name: &str, mut command: Command) -> Self {
        command.arg0(name).args(["-c", &format!("echo pid=$$\n{SCRIPT}")]).stdin(Stdio::piped());
        let mut program = Program::start(command);
        let pid = program.wait_for("pid=").trim().trim_start_matches("pid=").parse().expect("a pid");
        program.wait_for("ready");
        Self { program, pid }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).expect("the shell is there");
    }

    pub(crate) fn wait_for(&mut self, part: &str) {
        self.program.wait_for(part);
    }

    /// Ends it, and says how often it was signalled until then.
    pub(crate) fn signals(mut self) -> usize {
        self.signal(Signal::SIGTERM);
        self.program.wait_for("bye");
        self.program.seen.iter().filter(|line| line.contains("INT")).count()
    }
}
