//! One life of the engine, as the test holds it, and the clients of its streams.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::engine::ROLE;
use crate::jitter::now;
use lameduck_test_support::process::{KillOnDrop, wait_until};

/// How a stream ended for its client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StreamEnd {
    /// By itself; the engine says when.
    Bye(Duration),
    /// Without a last word.
    Cut,
}

/// Who ended an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to exit, whatever is open.
    Exits(u8),
    Killed,
    /// SIGTERM and SIGKILL, after the hook was released.
    Kubelet,
    /// The drain was over, and it was none of it.
    Cleared,
}

/// A running engine.
pub(crate) struct Incarnation {
    running: KillOnDrop,
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
    streams: Vec<(TcpStream, JoinHandle<StreamEnd>)>,
    address: SocketAddr,
    ended: Option<(Duration, End)>,
    stopped: bool,
}

/// All that is known of an engine after its end.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) streams: Vec<StreamEnd>,
    /// When somebody here ended it; `None` if it exited by itself.
    pub(crate) ended: Option<(Duration, End)>,
    pub(crate) status: ExitStatus,
    /// How often it was signalled.
    pub(crate) signals: usize,
    /// How many faulty pages it gave.
    pub(crate) faulty: usize,
    /// Whether it was stopped to its end: then it could not count its signals.
    pub(crate) stopped: bool,
}

impl Incarnation {
    pub(crate) fn start(dir: &Path, name: &str, streams: SocketAddr, page: SocketAddr, deaf: bool) -> Self {
        let mut command = if deaf { deaf_shell(dir, name) } else { own_executable(name) };
        let hearing = if deaf { "deaf" } else { "hearing" };
        command.env(ROLE, format!("{streams} {page} {hearing}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this executable runs");
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (stdout, kept) = (child.stdout.take().expect("it is piped"), Arc::clone(&lines));
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let running = KillOnDrop(child);
        Self { running, lines, reader, streams: Vec::new(), address: streams, ended: None, stopped: false }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.0.id()
    }

    pub(crate) fn said(&self, word: &str) -> usize {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|line| *line == word).count()
    }

    pub(crate) fn open_streams(&mut self, count: usize) {
        wait_until(|| self.said("ready") == 1);
        self.streams = (0..count).map(|_| open(self.address)).collect();
    }

    /// Has each stream end by itself so long after `from`.
    pub(crate) fn end_streams(&mut self, from: Duration, after: &[Duration]) {
        for ((stream, _), after) in self.streams.iter_mut().zip(after) {
            // An engine that has been killed hears it no more.
            let _ = writeln!(stream, "{}", (from + *after).as_micros());
        }
    }

    pub(crate) fn tell(&mut self, command: &str) {
        let stdin = self.running.0.stdin.as_mut().expect("it is piped");
        let _ = writeln!(stdin, "{command}");
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.stopped = signal == Signal::SIGSTOP || (self.stopped && signal != Signal::SIGCONT);
        let pid = i32::try_from(self.pid()).expect("a pid fits");
        // It is not reaped before the test is over, so that the pid is its own.
        let _ = kill(Pid::from_raw(pid), signal);
    }

    /// Ends it, if nobody has.
    pub(crate) fn end(&mut self, by: End) {
        if self.ended.is_some() || !self.running.is_running() {
            return;
        }
        self.ended = Some((now(), by));
        match by {
            End::Exits(code) => self.tell(&format!("exit {code}")),
            End::Kubelet if !self.stopped => self.signal(Signal::SIGTERM),
            End::Kubelet | End::Killed | End::Cleared => self.signal(Signal::SIGKILL),
        }
    }

    /// Waits for its end, and for all its clients.
    pub(crate) fn life(mut self) -> Life {
        self.running.exit_code();
        let status = self.running.0.wait().expect("it is a child");
        self.reader.join().expect("it only reads");
        let word =
            |word| self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|l| *l == word).count();
        let (signals, faulty) = (word("signalled"), word("faulty"));
        let streams = self.streams.into_iter().map(|(_, client)| client.join().expect("it only reads")).collect();
        Life { streams, ended: self.ended, status, signals, faulty, stopped: self.stopped }
    }
}

impl Life {
    /// Whether it can have ended so by what was done to it here.
    pub(crate) fn end_is_explained(&self) -> bool {
        let (code, signal) = (self.status.code(), self.status.signal());
        match self.ended {
            // One that drains may have been quicker.
            Some((_, End::Exits(expected))) => code == Some(expected.into()) || code == Some(0),
            Some((_, End::Killed | End::Cleared | End::Kubelet)) => signal == Some(9) || code == Some(0),
            None => code == Some(0) && self.streams.iter().all(|end| matches!(end, StreamEnd::Bye(_))),
        }
    }
}

fn own_executable(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this test"));
    command.arg0(name);
    command
}

/// The kernel discards the signal for it, as it did for the shell before it.
fn deaf_shell(dir: &Path, name: &str) -> Command {
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
    let listens = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = client.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let bye = text.trim().strip_prefix("bye ").and_then(|micros| micros.parse().ok());
        bye.map_or_else(|| StreamEnd::Cut, |micros| StreamEnd::Bye(Duration::from_micros(micros)))
    });
    (stream, listens)
}
