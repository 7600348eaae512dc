//! The sidecar under measurement.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use lameduck_test_support::shipped::{Process, Result, process_cpu_time};

use crate::page_server::PageServer;
use crate::peers::median;
use crate::process::{context_switches, count_system_calls};

/// The interval between polls. The default is a second.
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);
/// The polls of one round, and how many rounds the median is taken of.
const POLLS: u32 = 50;
const ROUNDS: usize = 5;

/// A sidecar that polls.
pub(crate) struct Sidecar<'a> {
    process: Process,
    address: String,
    server: &'a PageServer,
}

/// The cost of one poll.
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) system_calls: Option<u64>,
    pub(crate) context_switches: u64,
}

impl<'a> Sidecar<'a> {
    /// Starts the binary with these arguments, and waits until it has polled.
    pub(crate) fn start(binary: &Path, arguments: &[&str], server: &'a PageServer) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(binary);
        command.args(["sidecar", "--grace-period", "1h", "--lame-duck", "0s", "--state-dir", "none"]);
        let interval = format!("{}ms", INTERVAL.as_millis());
        command.args(["--preset", "generic", "--poll-interval", &interval, "--listen", &address]).args(arguments);
        let process = Process(command.stderr(Stdio::null()).spawn()?);
        let sidecar = Self { process, address, server };
        sidecar.wait_for_polls(POLLS)?;
        Ok(sidecar)
    }

    /// Calls the hook, and waits until the drain has begun. The call ends with the returned connection.
    pub(crate) fn drain(&self) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(b"GET /prestop HTTP/1.1\r\nHost: x\r\nUser-Agent: kube-lifecycle/1.34\r\n\r\n")?;
        while !self.get("/metrics")?.contains("lameduck_phase{phase=\"draining\"} 1") {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(stream)
    }

    /// Measures polls; the medians of several rounds.
    pub(crate) fn measure(&self, summary: &Path) -> Result<Cost> {
        let pid = self.process.0.id();
        let (mut cpu, mut switches) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (before, switches_before) = (process_cpu_time(pid)?, context_switches(pid)?);
            let polls = self.wait_for_polls(POLLS)?;
            cpu.push(process_cpu_time(pid)?.saturating_sub(before) / polls);
            switches.push(context_switches(pid)?.saturating_sub(switches_before) / u64::from(polls));
        }
        switches.sort_unstable();
        Ok(Cost {
            cpu: median(&mut cpu),
            context_switches: switches[ROUNDS / 2],
            system_calls: count_system_calls(pid, summary, || self.wait_for_polls(POLLS))?,
        })
    }

    /// Waits for at least this many polls, and returns their number.
    fn wait_for_polls(&self, count: u32) -> Result<u32> {
        let first = self.server.requests();
        for _ in 0..2400 {
            thread::sleep(Duration::from_millis(50));
            let polls = self.server.requests() - first;
            if polls >= count {
                return Ok(polls);
            }
        }
        Err(format!("no {count} polls in two minutes").into())
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut answer = String::new();
        for _ in 0..100 {
            let Ok(mut stream) = TcpStream::connect(&self.address) else {
                // It has not opened its port yet.
                thread::sleep(Duration::from_millis(50));
                continue;
            };
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            stream.read_to_string(&mut answer)?;
            return Ok(answer);
        }
        Err("the sidecar does not listen".into())
    }
}
