//! The processes and connections around the sidecar.

use std::env;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use lameduck::io::sockets::SocketReader;
use lameduck_test_support::shipped::{Process, Result, example, target_dir};

use crate::CLIENTS;
use crate::page_server::{FAMILY, PageServer};
use crate::peers::{cpu_time, median};
use crate::setup::{Reads, Setup};
use crate::sidecar::{Cost, INTERVAL, Sidecar};

/// The name of the process that the sidecar watches.
const TARGET: &str = concat!(env!("CARGO_PKG_NAME"), "-poll");
/// How often the socket table is read alone.
const TABLE_READINGS: usize = 21;

/// Idle processes, of which there are only more from one measurement to the next.
pub(crate) struct Pod {
    _target: Process,
    idle: Vec<Process>,
}

impl Pod {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self { _target: start_target()?, idle: Vec::new() })
    }

    /// The cost of a poll, and of its reading of the socket table alone.
    pub(crate) fn measure(
        &mut self,
        binary: &Path,
        server: &PageServer,
        setup: &Setup,
    ) -> Result<(Cost, Option<Duration>)> {
        while self.idle.len() < setup.processes {
            self.idle.push(Process(Command::new("sleep").arg("1d").spawn()?));
        }
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let port = listener.local_addr()?.port();
        let _connections = Connections::open(&listener, setup.connections)?;
        let (mut arguments, port_text) = (vec!["--metrics-url", &server.url, "--streams", FAMILY], port.to_string());
        if setup.reads != Reads::Page {
            arguments.extend(["--target", TARGET, "--signal", "SIGINT"]);
        }
        if setup.reads == Reads::All {
            arguments.extend(["--streams-port", &port_text, "--activity-port", &port_text]);
        }
        let sidecar = Sidecar::start(binary, &arguments, server)?;
        let _hook = if setup.draining { Some(sidecar.drain()?) } else { None };
        let cost = sidecar.measure(&target_dir()?.join("bench-poll-strace"))?;
        let table = if setup.reads == Reads::All { Some(read_table(port)?) } else { None };
        Ok((cost, table))
    }
}

/// The CPU time of reading the socket table, as often as a sidecar reads it: without pauses, it would stay in the caches.
fn read_table(port: u16) -> Result<Duration> {
    let mut reader = SocketReader::default();
    let mut times = Vec::new();
    for _ in 0..TABLE_READINGS {
        let before = cpu_time()?;
        reader.read(&[port], true, &[])?;
        times.push(cpu_time()?.saturating_sub(before));
        thread::sleep(INTERVAL);
    }
    Ok(median(&mut times))
}

fn start_target() -> Result<Process> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(example("engine_sim")?);
    // It runs on after the signal of a drain.
    command.arg0(TARGET).args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--exit-delay", "1h"]);
    Ok(Process(command.stdout(Stdio::null()).spawn()?))
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
pub(crate) fn hold_clients(port: u16, count: u32) -> Result<()> {
    let base = u32::from(Ipv4Addr::new(127, 78, 0, 1));
    let connect = |index: u32| TcpStream::connect((Ipv4Addr::from(base + index % 100), port));
    let held: Vec<TcpStream> = (0..count).map(connect).collect::<std::io::Result<_>>()?;
    std::io::stdout().write_all(b".\n")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}
