//! The processes and connections around the sidecar.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use lameduck::io::sockets::SocketReader;
use lameduck_test_support::held_clients::HeldClients;
use lameduck_test_support::shipped::{Process, Result, example, target_dir, thread_cpu_time};

use crate::page_server::{FAMILY, PageServer};
use crate::peers::median;
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
        let mut accepted = Vec::new();
        let connect = || HeldClients::connect(&listener, setup.connections, &mut accepted);
        let _clients = (setup.connections != 0).then(connect).transpose()?;
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
        let before = thread_cpu_time()?;
        reader.read(&[port], true, &[])?;
        times.push(thread_cpu_time()?.saturating_sub(before));
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
