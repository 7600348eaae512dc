//! What one poll of the sidecar costs: CPU time, system calls and context switches, beside a loop in Go that parses the
//! same page with expfmt, and beside a bare request.
//!
//! `cargo bench --bench poll` builds the binary with the image's flags and measures real processes. System calls are
//! counted with strace, and the loop in Go is built with Go, where they are installed.

mod page_server;
mod peers;
mod process;
mod sidecar;

use std::env;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lameduck_test_support::shipped::{Process, Result, example, target_dir};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sidecar::{Cost, Sidecar};

/// The name of the process that the sidecar watches.
const TARGET: &str = concat!(env!("CARGO_PKG_NAME"), "-poll");
/// The argument that makes this program hold client sockets. The port and the number of sockets follow.
const CLIENTS: &str = "--clients";

/// What is measured.
#[derive(Clone, Copy)]
struct Setup {
    page_bytes: usize,
    reads: Reads,
    /// The number of idle processes beside those that run here anyway.
    processes: usize,
    connections: usize,
    draining: bool,
}

/// What the sidecar reads at every poll.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reads {
    Page,
    PageAndTarget,
    /// The page, the target and the socket table.
    All,
}

const BASE: Setup = Setup { page_bytes: 10_000, reads: Reads::All, processes: 5, connections: 0, draining: false };

const SETUPS: &[Setup] = &[
    Setup { reads: Reads::Page, ..BASE },
    Setup { reads: Reads::PageAndTarget, ..BASE },
    BASE,
    Setup { draining: true, connections: 1, ..BASE },
    Setup { processes: 500, ..BASE },
    Setup { processes: 5000, ..BASE },
    Setup { processes: 5000, draining: true, connections: 1, ..BASE },
    Setup { connections: 1000, ..BASE },
    Setup { connections: 10_000, ..BASE },
    Setup { page_bytes: 1_000_000, reads: Reads::Page, ..BASE },
    Setup { page_bytes: 1_000_000, ..BASE },
    Setup { page_bytes: 1_000_000, processes: 5000, connections: 10_000, ..BASE },
];

fn main() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let arguments: Vec<String> = env::args().collect();
    match &arguments[1..] {
        [role, port, count] if role == CLIENTS => hold_clients(port.parse()?, count.parse()?),
        _ => measure_all(),
    }
}

fn measure_all() -> Result<()> {
    let binary = lameduck_test_support::shipped::build(&["engine_sim"])?;
    println!(
        "{:<8} {:<22} {:>9} {:>11} {:<8} {:>11} {:>7} {:>8} {:>8} {:>7}",
        "page",
        "reads",
        "processes",
        "connections",
        "phase",
        "CPU, median",
        "of Go's",
        "syscalls",
        "switches",
        "threads"
    );
    for bytes in [10_000, 1_000_000] {
        let url = page_server::start(bytes)?;
        let go = peers::go(&url)?;
        if let Some(go) = go {
            print_peer(bytes, "loop in Go with expfmt", go, Some(go));
        }
        print_peer(bytes, "bare request", peers::floor(&url)?, go);
        for setup in SETUPS.iter().filter(|setup| setup.page_bytes == bytes) {
            print(setup, &measure(&binary, &url, setup)?, go);
        }
    }
    Ok(())
}

fn measure(binary: &Path, url: &str, setup: &Setup) -> Result<Cost> {
    let _target = start_target()?;
    let _idle: Vec<Process> = (0..setup.processes).map(|_| start_idle()).collect::<Result<_>>()?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port().to_string();
    let _connections = Connections::open(&listener, setup.connections)?;
    let mut arguments = vec!["--metrics-url", url, "--streams", page_server::FAMILY];
    if setup.reads != Reads::Page {
        arguments.extend(["--target", TARGET, "--signal", "SIGINT"]);
    }
    if setup.reads == Reads::All {
        arguments.extend(["--streams-port", &port, "--activity-port", &port]);
    }
    let sidecar = Sidecar::start(binary, &arguments)?;
    let _hook = if setup.draining { Some(sidecar.drain()?) } else { None };
    sidecar.measure(&summary_path()?)
}

/// Where strace writes its summary.
fn summary_path() -> Result<PathBuf> {
    Ok(target_dir()?.join("bench-poll-strace"))
}

fn start_target() -> Result<Process> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(example("engine_sim")?);
    // It runs on after the signal of a drain.
    command.arg0(TARGET).args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--on-signal", "ignore"]);
    Ok(Process(command.stdout(Stdio::null()).spawn()?))
}

fn start_idle() -> Result<Process> {
    Ok(Process(Command::new("sleep").arg("1d").spawn()?))
}

/// Connections to a port; both ends close with it.
struct Connections {
    _clients: Option<Process>,
    _accepted: Vec<TcpStream>,
}

impl Connections {
    fn open(listener: &TcpListener, count: usize) -> Result<Self> {
        if count == 0 {
            return Ok(Self { _clients: None, _accepted: Vec::new() });
        }
        let arguments = [CLIENTS, &listener.local_addr()?.port().to_string(), &count.to_string()];
        let mut command = Command::new(env::current_exe()?);
        let mut clients = Process(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let accept = |_| Ok(listener.accept().map_err(|error| format!("{error}; is `ulimit -Hn` above 10100?"))?.0);
        let accepted = (0..count).map(accept).collect::<Result<_>>()?;
        clients.0.stdout.take().ok_or("no stdout")?.read_exact(&mut [0])?;
        Ok(Self { _clients: Some(clients), _accepted: accepted })
    }
}

/// Connects to many addresses, so that ports do not run out, and holds the sockets until the parent has ended.
fn hold_clients(port: u16, count: u32) -> Result<()> {
    let base = u32::from(Ipv4Addr::new(127, 78, 0, 1));
    let connect = |index: u32| TcpStream::connect((Ipv4Addr::from(base + index % 100), port));
    let held: Vec<TcpStream> = (0..count).map(connect).collect::<std::io::Result<_>>()?;
    std::io::stdout().write_all(b".\n")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}

fn print(setup: &Setup, cost: &Cost, go: Option<Duration>) {
    let reads = match setup.reads {
        Reads::Page => "page",
        Reads::PageAndTarget => "page, target",
        Reads::All => "page, target, sockets",
    };
    println!(
        "{:<8} {reads:<22} {:>9} {:>11} {:<8} {:>11} {:>7} {:>8} {:>8} {:>7}",
        page_name(setup.page_bytes),
        setup.processes,
        setup.connections,
        if setup.draining { "draining" } else { "serving" },
        format!("{:.2?}", cost.cpu),
        ratio(cost.cpu, go),
        cost.system_calls.map_or("-".to_owned(), |calls| calls.to_string()),
        cost.context_switches,
        cost.threads
    );
}

fn print_peer(bytes: usize, name: &str, cpu: Duration, go: Option<Duration>) {
    let (page, empty, cpu, ratio) = (page_name(bytes), "", format!("{cpu:.2?}"), ratio(cpu, go));
    println!("{page:<8} {name:<22} {empty:>9} {empty:>11} {empty:<8} {cpu:>11} {ratio:>7}");
}

fn page_name(bytes: usize) -> String {
    if bytes < 1_000_000 { format!("{} kB", bytes / 1000) } else { format!("{} MB", bytes / 1_000_000) }
}

fn ratio(cpu: Duration, go: Option<Duration>) -> String {
    go.map_or("-".to_owned(), |go| format!("{:.2}", cpu.as_secs_f64() / go.as_secs_f64()))
}
