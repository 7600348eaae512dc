//! Programs under test: where they are, and how a test starts, watches and ends them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::environment::prepare;
use crate::http::TIMEOUT;

/// A process that is killed on drop.
pub struct KillOnDrop(pub Child);

/// A running program whose lines on stdout can be waited for.
pub struct Program {
    process: KillOnDrop,
    lines: Receiver<String>,
    /// The lines that were waited for and those before them.
    pub seen: Vec<String>,
}

impl KillOnDrop {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a pid fits")
    }

    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("the child can be waited for").is_none()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("the process exists");
    }

    /// Waits until it exits; `None` if a signal killed it.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.exit_status().code()
    }

    /// Waits until it exits.
    pub fn exit_status(&mut self) -> ExitStatus {
        wait_until(|| !self.is_running());
        self.0.wait().expect("the child can be waited for")
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    pub fn start(mut command: Command) -> Self {
        prepare();
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Self { process: KillOnDrop(child), lines, seen: Vec::new() }
    }

    /// Waits for a line that contains this.
    pub fn wait_for(&mut self, part: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(TIMEOUT) else { panic!("no {part:?} after {:#?}", self.seen) };
            self.seen.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until it exits; `None` if a signal killed it.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.process.exit_code()
    }
}

/// The `lameduck` binary.
///
/// # Panics
/// Panics if it has not been built.
pub fn binary() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| built("lameduck", "cargo build"));
    &PATH
}

/// An example program.
///
/// # Panics
/// Panics if it has not been built.
pub fn example(name: &str) -> PathBuf {
    built(&format!("examples/{name}"), "cargo build --examples").into()
}

/// A path in the directory above that of the test binary, where cargo puts what it builds.
fn built(path: &str, build: &str) -> String {
    prepare();
    let this = std::env::current_exe().expect("the path of this test");
    let path = this.ancestors().nth(2).expect("a target directory").join(path);
    assert!(path.exists(), "{} is missing: run `{build}`", path.display());
    path.into_os_string().into_string().expect("a path in UTF-8")
}

/// The first argument of a process, by which the sidecar finds its target; `None` once the process has exited.
pub fn first_argument(pid: i32) -> Option<String> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let first = arguments.split(|byte| *byte == 0).next().filter(|first| !first.is_empty())?;
    Some(String::from_utf8_lossy(first).into_owned())
}

/// A number that no other caller in this process gets; also a port.
pub fn unique_number() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An unused address: each test process has its own loopback address, derived from its pid.
pub fn free_address() -> SocketAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    (Ipv4Addr::new(127, 64 + high, middle, low), unique_number()).into()
}

/// Returns a function that returns the time since this call.
pub fn stopwatch() -> impl Fn() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a test measures time from outside")]
    let start = Instant::now();
    move || {
        #[expect(clippy::disallowed_methods, reason = "a test measures time from outside")]
        start.elapsed()
    }
}

/// Polls the condition until it holds.
///
/// # Panics
/// Panics if it does not hold within [`TIMEOUT`].
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    const INTERVAL: Duration = Duration::from_millis(10);
    let waited = stopwatch();
    while !condition() {
        assert!(waited() < TIMEOUT, "the condition did not hold within {TIMEOUT:?}");
        thread::sleep(INTERVAL);
    }
}
