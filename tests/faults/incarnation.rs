//! One incarnation of the engine as the test controls it, and the clients of its streams.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::engine::ARGS;
use crate::jitter::now;
use lameduck_test_support::process::{KillOnDrop, wait_until};

/// How a stream ended for its client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StreamEnd {
    /// By itself, at the time that the engine reported.
    Clean(Duration),
    /// Without the last line.
    Cut,
}

/// What the test did to end an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Made it exit with this code, even with streams open.
    Exit(u8),
    Kill,
    /// SIGTERM (SIGKILL if it was stopped) after the hook was released, as the kubelet does.
    Kubelet,
    /// Cleaned it up after a drain of another engine.
    Cleanup,
    /// Nothing: `lameduck run` sent SIGTERM after the drain.
    Run,
}

/// A running engine.
pub(crate) struct Incarnation {
    process: Process,
    /// Never reaches another process, even if the engine has been reaped.
    pidfd: OwnedFd,
    pid: u32,
    stdin: ChildStdin,
    lines: Lines,
    reader: JoinHandle<()>,
    streams: Vec<(TcpStream, JoinHandle<StreamEnd>)>,
    address: SocketAddr,
    ended: Option<(Duration, End)>,
    stopped: bool,
}

/// By whom an engine is started and reaped.
enum Process {
    Test(KillOnDrop),
    /// `lameduck run`, which reports the exit status.
    Run(Option<ExitStatus>),
}

/// The lines that an engine has printed.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

/// Everything known about an engine after its end.
#[derive(Debug)]
pub(crate) struct EngineRecord {
    pub(crate) streams: Vec<StreamEnd>,
    /// When and how the test ended it; `None` if it exited by itself.
    pub(crate) ended: Option<(Duration, End)>,
    pub(crate) status: ExitStatus,
    /// Number of signals received.
    pub(crate) signals: usize,
    /// Number of faulty pages served.
    pub(crate) faulty_pages: usize,
    /// Whether it was stopped (SIGSTOP) until its end, and so could not count its signals.
    pub(crate) stopped: bool,
}

impl Incarnation {
    pub(crate) fn start(dir: &Path, name: &str, ports: [SocketAddr; 2], ignores_sigint: bool) -> Self {
        let mut command = if ignores_sigint { shell_ignoring_sigint(dir, name) } else { own_executable(name) };
        command.env(ARGS, arguments(ports, ignores_sigint)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this executable runs");
        let pipes = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
        Self::new(child.id(), pipes, ports[0], Process::Test(KillOnDrop(child)))
    }

    /// The engine with this pid, which is the command of a `lameduck run` that has these pipes.
    pub(crate) fn of_run(pid: u32, pipes: (ChildStdin, ChildStdout), ports: [SocketAddr; 2]) -> Self {
        Self::new(pid, pipes, ports[0], Process::Run(None))
    }

    fn new(pid: u32, (stdin, stdout): (ChildStdin, ChildStdout), address: SocketAddr, process: Process) -> Self {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid");
        let pidfd = pidfd_open(raw, PidfdFlags::empty()).expect("the engine has just been started");
        let lines = Lines::default();
        let collected = lines.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                collected.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { process, pidfd, pid, stdin, lines, reader, streams: Vec::new(), address, ended: None, stopped: false }
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Counts the lines printed so far that equal this one.
    pub(crate) fn count_lines(&self, line: &str) -> usize {
        self.lines.count(line)
    }

    pub(crate) fn open_streams(&mut self, count: usize) {
        wait_until(|| self.count_lines("ready") == 1);
        self.streams = (0..count).map(|_| open(self.address)).collect();
    }

    /// Sets the time at which each stream ends, relative to `from`.
    pub(crate) fn end_streams(&mut self, from: Duration, after: &[Duration]) {
        for ((stream, _), after) in self.streams.iter_mut().zip(after) {
            // Fails if the engine has already been killed.
            let _ = writeln!(stream, "{}", (from + *after).as_micros());
        }
    }

    pub(crate) fn send_command(&mut self, command: &str) {
        let _ = writeln!(self.stdin, "{command}");
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.stopped = signal == Signal::SIGSTOP || (self.stopped && signal != Signal::SIGCONT);
        let signal = rustix::process::Signal::from_named_raw(signal as i32).expect("a signal with a name");
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Ends the engine, unless it has ended already.
    pub(crate) fn end(&mut self, how: End) {
        let has_exited = match &mut self.process {
            Process::Test(child) => !child.is_running(),
            Process::Run(_) => false,
        };
        if self.ended.is_some() || has_exited {
            return;
        }
        self.ended = Some((now(), how));
        match how {
            End::Exit(code) => self.send_command(&format!("exit {code}")),
            End::Kubelet if !self.stopped => self.signal(Signal::SIGTERM),
            End::Kubelet | End::Kill | End::Cleanup => self.signal(Signal::SIGKILL),
            End::Run => {}
        }
    }

    /// Takes what `lameduck run` has reported: the exit status, and whether it sent SIGTERM after the drain.
    pub(crate) fn ended_under_run(&mut self, status: ExitStatus, terminated: bool) {
        self.process = Process::Run(Some(status));
        if terminated {
            self.end(End::Run);
        }
    }

    /// Waits for the engine and all its clients to end.
    pub(crate) fn into_record(self) -> EngineRecord {
        let status = match self.process {
            Process::Test(mut child) => child.exit_status(),
            Process::Run(status) => status.expect("lameduck run has reported it"),
        };
        self.reader.join().expect("it only reads");
        let (signals, faulty_pages) = (self.lines.count("signalled"), self.lines.count("faulty"));
        let streams = self.streams.into_iter().map(|(_, client)| client.join().expect("it only reads")).collect();
        EngineRecord { streams, ended: self.ended, status, signals, faulty_pages, stopped: self.stopped }
    }
}

impl Lines {
    fn count(&self, line: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|printed| *printed == line).count()
    }
}

impl EngineRecord {
    /// Whether what the test did explains the exit status.
    pub(crate) fn has_expected_status(&self) -> bool {
        let (code, signal) = (self.status.code(), self.status.signal());
        match self.ended {
            // A draining engine may have exited with 0 just before.
            Some((_, End::Exit(expected))) => code == Some(expected.into()) || code == Some(0),
            Some((_, End::Kill | End::Cleanup | End::Kubelet | End::Run)) => signal == Some(9) || code == Some(0),
            None => code == Some(0) && self.streams.iter().all(|end| matches!(end, StreamEnd::Clean(_))),
        }
    }
}

/// The value of [`ARGS`] for an engine.
pub(crate) fn arguments([streams, page]: [SocketAddr; 2], ignores_sigint: bool) -> String {
    format!("{streams} {page} {}", if ignores_sigint { "ignore" } else { "handle" })
}

fn own_executable(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this test"));
    command.arg0(name);
    command
}

/// A shell that ignores SIGINT and then becomes this executable, which inherits the ignored signal.
pub(crate) fn shell_ignoring_sigint(dir: &Path, name: &str) -> Command {
    let link = dir.join(name);
    if !fs::exists(&link).expect("the directory is ours") {
        symlink(std::env::current_exe().expect("the path of this test"), &link).expect("the directory is ours");
    }
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' INT; exec \"$0\""]).arg(link);
    command
}

fn open(address: SocketAddr) -> (TcpStream, JoinHandle<StreamEnd>) {
    let stream = TcpStream::connect(address).expect("the engine is ready");
    let mut client = stream.try_clone().expect("a descriptor");
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = client.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let ended = text.trim().strip_prefix("bye ").and_then(|micros| micros.parse().ok());
        ended.map_or_else(|| StreamEnd::Cut, |micros| StreamEnd::Clean(Duration::from_micros(micros)))
    });
    (stream, reader)
}
