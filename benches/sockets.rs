//! The cost of reading the kernel's socket table, over netlink and from `/proc`: `cargo bench --bench sockets`.
//!
//! The clients run on this machine too, so the kernel searches twice as many sockets as in a pod.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lameduck::io::sockets::SocketReader;
use lameduck_machine::socket_table::SocketTable;
use lameduck_parsers::proc_net_tcp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How often each reader runs for each number of connections.
const ROUNDS: usize = 41;
/// The argument that makes this program hold client sockets. The port and the number of sockets follow.
const CLIENTS: &str = "--clients";

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
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port();
    let (mut clients, mut accepted) = (Vec::new(), Vec::new());
    println!("{:>11}  {:<22} {:>12} {:>12} {:>12}", "connections", "reader", "CPU, median", "each", "peak memory");
    for count in [10, 1000, 10_000] {
        clients.push(Clients::connect(&listener, count - accepted.len(), &mut accepted)?);
        let mut sockets = SocketReader::default();
        measure(count, "netlink, with bytes", || Ok(sockets.read(&[port], true, &[])?))?;
        measure(count, "netlink, without", || Ok(sockets.read(&[port], false, &[])?))?;
        measure(count, "/proc/net/tcp and tcp6", || read_proc(port))?;
    }
    Ok(())
}

fn measure(count: usize, reader: &str, mut read: impl FnMut() -> Result<SocketTable>) -> Result<()> {
    // Resets the peak memory (proc(5), clear_refs).
    fs::write("/proc/self/clear_refs", "5")?;
    let before = memory("VmRSS")?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = cpu_time()?;
        let table = black_box(read()?);
        times.push(cpu_time()?.saturating_sub(start));
        if (table.connections.len(), &table.fallback) != (count, &None) {
            return Err(format!("{} connections, not {count}: {:?}", table.connections.len(), table.fallback).into());
        }
    }
    times.sort_unstable();
    let (time, peak) = (times[ROUNDS / 2], memory("VmHWM")?.saturating_sub(before));
    let each = time / u32::try_from(count)?;
    println!(
        "{count:>11}  {reader:<22} {:>12} {:>12} {:>12}",
        format!("{time:.1?}"),
        format!("{each:.1?}"),
        format!("+{peak} kB")
    );
    Ok(())
}

/// Reads the files as the socket reader does without netlink.
fn read_proc(port: u16) -> Result<SocketTable> {
    let mut table = SocketTable::default();
    let mut line = String::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let mut file = BufReader::new(File::open(path)?);
        file.read_line(&mut line)?;
        line.clear();
        while file.read_line(&mut line)? != 0 {
            proc_net_tcp::read_line(&line, &[port], &mut table).map_err(|error| error.to_string())?;
            line.clear();
        }
    }
    table.dedup();
    Ok(table)
}

/// The CPU time of this thread, including the kernel's.
fn cpu_time() -> Result<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?)
}

/// A value from `/proc/self/status`, in kB.
fn memory(key: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A process that holds client sockets, and ends with its handle. One process may not have enough file descriptors for
/// both ends.
struct Clients(Child);

impl Clients {
    fn connect(listener: &TcpListener, count: usize, accepted: &mut Vec<TcpStream>) -> Result<Self> {
        let arguments = [CLIENTS, &listener.local_addr()?.port().to_string(), &count.to_string()];
        let child =
            Command::new(env::current_exe()?).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut clients = Self(child);
        for _ in 0..count {
            accepted.push(listener.accept().map_err(|error| format!("{error}; is `ulimit -Hn` above 10100?"))?.0);
        }
        clients.0.stdout.take().ok_or("no stdout")?.read_exact(&mut [0])?;
        Ok(clients)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connects to many addresses, so that ports do not run out, and holds the sockets until the parent has ended.
fn hold_clients(port: u16, count: u32) -> Result<()> {
    let base = u32::from(Ipv4Addr::new(127, 77, 0, 1));
    let connect = |index: u32| TcpStream::connect((Ipv4Addr::from(base + index % 100), port));
    let held: Vec<TcpStream> = (0..count).map(connect).collect::<std::io::Result<_>>()?;
    std::io::stdout().write_all(b".\n")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}
