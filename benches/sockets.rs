//! The cost of reading the kernel's socket table, over netlink and from `/proc`: `cargo bench --bench sockets`.
//!
//! The clients run on this machine too, so the kernel searches twice as many sockets as in a pod.

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::id;

use lameduck::io::sockets::SocketReader;
use lameduck_machine::socket_table::SocketTable;
use lameduck_parsers::proc_net_tcp;
use lameduck_test_support::held_clients::{self, HeldClients};
use lameduck_test_support::shipped::{Result, status, thread_cpu_time};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How often each reader runs for each number of connections.
const ROUNDS: usize = 41;

fn main() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let arguments: Vec<String> = env::args().collect();
    match &arguments[1..] {
        [role, port, count] if role == held_clients::ROLE => held_clients::hold(port.parse()?, count.parse()?),
        _ => measure_all(),
    }
}

fn measure_all() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port();
    let (mut clients, mut accepted) = (Vec::new(), Vec::new());
    println!("{:>11}  {:<22} {:>12} {:>12} {:>12}", "connections", "reader", "CPU, median", "each", "peak memory");
    for count in [10, 1000, 10_000] {
        clients.push(HeldClients::connect(&listener, count - accepted.len(), &mut accepted)?);
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
    let before = status(id(), "VmRSS")?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = thread_cpu_time()?;
        let table = black_box(read()?);
        times.push(thread_cpu_time()?.saturating_sub(start));
        if (table.connections.len(), &table.fallback) != (count, &None) {
            return Err(format!("{} connections, not {count}: {:?}", table.connections.len(), table.fallback).into());
        }
    }
    times.sort_unstable();
    let (time, peak) = (times[ROUNDS / 2], status(id(), "VmHWM")?.saturating_sub(before));
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
