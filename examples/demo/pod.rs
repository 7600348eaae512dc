//! The pod and its clients: an engine, lameduck next to it, and open streams.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use lameduck::io::report::StatusReport;
use tokio::net::TcpSocket;

use crate::events::{Event, Events, Line, Origin, Stop};
use crate::http::{self, Answer};
use crate::process::{Process, command_line};
use crate::programs::Programs;
use crate::screen::Screen;

/// Durations of the streams that are open when the pod is deleted.
pub(crate) const DURATIONS: [&str; 6] = ["6s", "8s", "9s", "11s", "13s", "15s"];
/// What the streams send: the fifth stops after two seconds and sends only keep-alives.
const PLAN: [&str; 3] = ["4:audio", "1:audio:2s:keepalive", "1:audio"];
/// The idle threshold.
pub(crate) const IDLE_AFTER: &str = "4s";
/// How long the engine takes to exit after its last stream.
pub(crate) const EXIT_DELAY: &str = "3s";

/// Timeout for anything that should be quick.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than the whole drain.
const HOOK_TIMEOUT: Duration = Duration::from_secs(90);

/// The processes, which end with this value.
pub(crate) struct Pod {
    pub(crate) engine: Process,
    pub(crate) sidecar: Process,
    pub(crate) clients: Vec<Process>,
    programs: Programs,
    /// The engine's address for streams.
    streams: SocketAddr,
    /// lameduck's address.
    pub(crate) address: SocketAddr,
    directory: Directory,
}

/// A temporary directory, removed on drop.
#[derive(Debug)]
struct Directory(PathBuf);

/// The engine's addresses, as it prints them.
struct Ports {
    line: String,
    streams: SocketAddr,
    metrics: SocketAddr,
}

impl Pod {
    /// Starts all processes, and returns once lameduck is ready and counts all streams.
    pub(crate) fn start(programs: Programs, screen: &mut Screen, events: &mut Events) -> Result<Self, Stop> {
        let directory = Directory::new()?;
        screen.heading("The pod: an engine with long-lived streams, and lameduck next to it");
        let mut command = engine(&programs);
        screen.command(&command_line(&command));
        let engine = Process::start(&mut command, Origin::Engine, events)?;
        let ports = events.wait_for("the engine to listen", TIMEOUT, |line| Ok(line.and_then(Ports::read)))?;
        screen.output(&ports.line);

        let (reserved, address) = free_port().map_err(|error| Stop::failed("no free port", error))?;
        let mut command = sidecar(&programs, &ports, address, &directory.0);
        screen.command(&command_line(&command));
        let sidecar = Process::start(&mut command, Origin::Lameduck, events)?;
        let streams = ports.streams;
        let mut pod = Self { engine, sidecar, clients: Vec::new(), programs, streams, address, directory };
        let ready = pod.wait_until_ready(events)?;
        screen.output(&format!("lameduck: GET /readyz {}", ready.status));
        drop(reserved);

        screen.heading("The clients: six streams now, one of which goes idle, and two more later");
        screen.command(&command_line(&pod.client(&PLAN, &DURATIONS)));
        pod.start_client(&PLAN, &DURATIONS, 0, events)?;
        pod.wait_until_counted(events)?;
        Ok(pod)
    }

    /// Starts a client that opens streams with this plan and these durations, `after` the streams of other clients.
    pub(crate) fn start_client(
        &mut self,
        plan: &[&str],
        durations: &[&str],
        after: u32,
        events: &Events,
    ) -> Result<(), Stop> {
        let client = Process::start(&mut self.client(plan, durations), Origin::Client { after }, events)?;
        self.clients.push(client);
        Ok(())
    }

    /// Plays the kubelet: calls the preStop hook. Its answer becomes an event.
    pub(crate) fn call_hook(&self, events: &Events) {
        let (address, queue) = (self.address, events.sender());
        thread::spawn(move || queue.send(Event::Hook(http::get(address, "/prestop", http::HOOK, HOOK_TIMEOUT))));
    }

    /// Plays the kubelet: probes the pod's readiness.
    pub(crate) fn readiness(&self) -> Option<Answer> {
        http::get(self.address, "/readyz", http::PROBE, TIMEOUT).ok()
    }

    pub(crate) fn status(&self) -> Option<StatusReport> {
        let answer = http::get(self.address, "/status", http::PROBE, TIMEOUT).ok()?;
        serde_json::from_str(&answer.body).ok()
    }

    /// The termination message that lameduck has written.
    pub(crate) fn termination_message(&self) -> Option<String> {
        fs::read_to_string(termination_log(&self.directory.0)).ok()
    }

    fn wait_until_ready(&mut self, events: &mut Events) -> Result<Answer, Stop> {
        events.wait_for("lameduck to be ready", TIMEOUT, |_| {
            self.check_sidecar()?;
            Ok(self.readiness().filter(|answer| answer.status == "200 OK"))
        })
    }

    fn wait_until_counted(&mut self, events: &mut Events) -> Result<(), Stop> {
        let all = u64::try_from(DURATIONS.len()).ok();
        events.wait_for("lameduck to count the streams", TIMEOUT, |_| {
            self.check_sidecar()?;
            Ok(self.status().filter(|status| status.streams == all).map(drop))
        })
    }

    fn check_sidecar(&mut self) -> Result<(), Stop> {
        self.sidecar.ended().map_or(Ok(()), |status| Err(Stop::failed("lameduck has exited", status)))
    }

    fn client(&self, plan: &[&str], durations: &[&str]) -> Command {
        let mut command = Command::new(&self.programs.client);
        command.args(["--url", &format!("ws://{}/v1/listen", self.streams)]);
        for streams in plan {
            command.args(["--streams", streams]);
        }
        command.args(["--durations", &durations.join(",")]);
        if durations.len() > 1 {
            command.args(["--stagger", "100ms"]);
        }
        command
    }
}

impl Directory {
    fn new() -> Result<Self, Stop> {
        let path = env::temp_dir().join(format!("lameduck-demo-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| Stop::failed(&path.to_string_lossy(), error))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Ports {
    fn read(line: &Line) -> Option<Self> {
        let words = || line.text.strip_prefix("engine: listening ").into_iter().flat_map(|text| text.split(' '));
        let port = |key: &str| words().find_map(|word| word.strip_prefix(key))?.parse().ok();
        Some(Self { line: line.text.clone(), streams: port("ws=")?, metrics: port("metrics=")? })
    }
}

fn engine(programs: &Programs) -> Command {
    let mut command = Command::new(&programs.engine);
    command.args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--exit-delay", EXIT_DELAY]);
    command
}

/// The times are shorter than in production, so that the demo takes less than a minute.
fn sidecar(programs: &Programs, ports: &Ports, address: SocketAddr, directory: &Path) -> Command {
    let mut command = Command::new(&programs.lameduck);
    command.args(["sidecar", "--grace-period", "60s", "--lame-duck", "3s", "--quiet-period", "1s"]);
    let port = ports.streams.port().to_string();
    command.args(["--target-port", &port, "--activity-port", &port, "--idle-after", IDLE_AFTER]);
    command.args(["--metrics-url", &format!("http://{}/metrics", ports.metrics)]);
    command.args(["--listen", &address.to_string()]);
    command.arg("--state-dir").arg(directory).arg("--termination-log").arg(termination_log(directory));
    // Settings from the user's environment must not affect the demo.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LAMEDUCK_")) {
        command.env_remove(name);
    }
    command
}

fn termination_log(directory: &Path) -> PathBuf {
    directory.join("outcome")
}

/// Reserves a port as long as the socket exists. The socket is bound but does not listen, so another process can listen
/// on the port (socket(7), `SO_REUSEADDR`).
pub(crate) fn free_port() -> std::io::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}
