//! A server under test as a process.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use lameduck_test_support::environment::prepare;
use lameduck_test_support::process::wait_until;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Names the directory in which `tests/servers/run` installed the servers.
const SERVERS: &str = "LAMEDUCK_SERVERS";

/// The command that starts a server, in its language's directory. It gets its ports in the environment variables PORT
/// and `METRICS_PORT`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// The directory of the language.
    pub(crate) language: &'static str,
    /// The program, and its first arguments.
    pub(crate) command: &'static [&'static str],
}

/// A running server, killed with its child processes on drop.
pub(crate) struct Server {
    pid: Pid,
    /// How it ended, once it has. Its process is reaped at once, as in a pod.
    end: Arc<OnceLock<End>>,
    /// The port of the streams on 127.0.0.1.
    pub(crate) port: u16,
    /// The port of the metrics page.
    pub(crate) metrics_port: u16,
    /// What it prints.
    output: PathBuf,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End(ExitStatus);

impl Server {
    /// Starts it with this last argument; returns when it listens.
    pub(crate) fn start(program: &Program, way: &str, has_page: bool) -> Self {
        prepare();
        let servers = env::var(SERVERS).unwrap_or_else(|_| panic!("{SERVERS} is not set: use tests/servers/run"));
        let directory = Path::new(&servers).join(program.language);
        let [port, metrics_port] = free_ports();
        let output = Path::new(&servers).join(format!("output-{port}"));
        let file = File::create(&output).expect("the directory is writable");
        let mut command = Command::new(program.command[0]);
        command.args(&program.command[1..]).args(way.split_whitespace()).current_dir(&directory);
        command.env("PORT", port.to_string()).env("UVICORN_PORT", port.to_string());
        if has_page {
            command.env("METRICS_PORT", metrics_port.to_string());
        }
        let stderr = file.try_clone().expect("a descriptor");
        let (pid, end) = spawn(command.stdout(file).stderr(stderr).process_group(0));
        let server = Self { pid, end, port, metrics_port, output };
        server.wait_until_listening(port);
        if has_page {
            server.wait_until_listening(metrics_port);
        }
        server
    }

    fn wait_until_listening(&self, port: u16) {
        wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok() || self.end.get().is_some());
        assert!(self.end.get().is_none(), "the server ended");
    }

    /// The text of `/proc/PID/status`.
    pub(crate) fn status(&self) -> String {
        fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("the server runs")
    }

    /// Sends SIGTERM, as the kubelet does after the hook, if it still runs; waits until it has ended.
    pub(crate) fn terminate(&self) -> End {
        self.end_on(Signal::SIGTERM)
    }

    /// Sends this signal, if the server still runs; waits until it has ended.
    pub(crate) fn end_on(&self, signal: Signal) -> End {
        self.send(signal);
        self.wait_until_ended()
    }

    /// Sends this signal, if the server still runs.
    pub(crate) fn send(&self, signal: Signal) {
        if self.end.get().is_none() {
            // It may end meanwhile.
            let _ = kill(self.pid, signal);
        }
    }

    /// Waits until the server has ended.
    pub(crate) fn wait_until_ended(&self) -> End {
        wait_until(|| self.end.get().is_some());
        *self.end.get().expect("it has ended")
    }
}

/// Starts a process that is reaped as soon as it ends.
fn spawn(command: &mut Command) -> (Pid, Arc<OnceLock<End>>) {
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid fits"));
    let end = Arc::new(OnceLock::new());
    let reaped = Arc::clone(&end);
    thread::spawn(move || reaped.set(End(child.wait().expect("the child can be waited for"))));
    (pid, end)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers may outlive their parent. The group is gone if all have ended.
        let _ = killpg(self.pid, Signal::SIGKILL);
        if thread::panicking() {
            println!("{}", fs::read_to_string(&self.output).unwrap_or_default());
        }
        let _ = fs::remove_file(&self.output);
    }
}

impl Display for End {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let signal = self.0.signal().map(|number| Signal::try_from(number).map_or("a signal", Signal::as_str));
        match (signal, self.0.code()) {
            (Some(signal), _) => write!(f, "killed by {signal}"),
            (None, Some(code)) => write!(f, "exit code {code}"),
            (None, None) => f.write_str("unknown"),
        }
    }
}

/// Two ports that nothing on this machine uses, and that no other scenario gets. They are below those that the kernel
/// gives to connections (`ip_local_port_range`), so they stay free until the server listens.
fn free_ports() -> [u16; 2] {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    let candidates = || Some(NEXT.fetch_add(1, Ordering::Relaxed)).filter(|port| *port < 32_768);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    let mut free = std::iter::from_fn(candidates).filter(is_free);
    [(); 2].map(|()| free.next().expect("a port is free"))
}
