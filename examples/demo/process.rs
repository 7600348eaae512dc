//! A process of the demo: its lines go into the queue, and it ends with its handle.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::clock::now;
use crate::events::{Event, Events, Line, Origin, Stop};

/// A process, killed on drop.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a process in a process group of its own, so that the terminal's Ctrl-C reaches only the demo.
    pub(crate) fn start(command: &mut Command, from: Origin, events: &Events) -> Result<Self, Stop> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| Stop::failed(&command_line(command), error))?;
        if let Some(stdout) = child.stdout.take() {
            forward_lines(stdout, from, events.sender());
        }
        if let Some(stderr) = child.stderr.take() {
            forward_lines(stderr, from, events.sender());
        }
        Ok(Self { child })
    }

    /// Its exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends it SIGTERM.
    pub(crate) fn terminate(&mut self) {
        if self.ended().is_none() {
            let _ = kill(self.group(), Signal::SIGTERM);
        }
    }

    /// The process group, whose id is the pid.
    fn group(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = killpg(self.group(), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

fn forward_lines(pipe: impl Read + Send + 'static, from: Origin, queue: Sender<Event>) {
    thread::spawn(move || {
        let lines = BufReader::new(pipe).lines().map_while(Result::ok);
        lines.map(|text| Event::Line(Line { from, text, at: now() })).try_for_each(|event| queue.send(event))
    });
}

/// The command as a user would type it in the current directory.
pub(crate) fn command_line(command: &Command) -> String {
    let here = env::current_dir().unwrap_or_default();
    let program = Path::new(command.get_program());
    let program = program.strip_prefix(&here).unwrap_or(program).to_string_lossy();
    let words = command.get_args().map(|word| quoted(&word.to_string_lossy()));
    words.fold(quoted(&program), |line, word| line + " " + &word)
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@+[]".contains(letter);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
