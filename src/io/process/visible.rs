//! What is visible to a search that found no target.

use std::fs::File;
use std::io::{self, Read};

use lameduck_parsers::procfs::listening_ports as parse_listening_ports;

use super::{INIT_PID, Process, own_name, visible_processes};

/// The names of the process that holds the namespaces of a pod, in containerd and CRI-O. It is the first process if the
/// pod shares its PID namespace.
const SANDBOX_NAMES: [&str; 2] = ["pause", "pod"];

/// How much of a socket table is read, in bytes. A line has 150.
const MAX_TABLE_BYTES: u64 = 64 * 1024;

/// What is visible from this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    /// The processes that may be a target: all but lameduck's own and the process that holds the pod's namespaces.
    pub processes: Vec<Process>,
    /// The ports on which any process in this network namespace listens, in ascending order.
    pub ports: Vec<u16>,
    /// The user that this process runs as.
    pub uid: u32,
    /// The first process of the PID namespace, if it is visible and not this one.
    pub first: Option<Process>,
    /// Whether lameduck is the first process of its PID namespace, so that it sees no other container.
    pub is_alone: bool,
}

impl Visible {
    /// Reads `/proc`.
    #[must_use]
    pub fn read() -> Self {
        let own_name = own_name();
        let is_own = |process: &Process| Some(&process.name) == own_name.as_ref();
        let mut processes = visible_processes();
        let first = processes.iter().find(|process| process.pid == INIT_PID).cloned();
        processes.retain(|process| !is_own(process) && !process.holds_namespaces());
        Self {
            processes,
            ports: listening_ports(),
            uid: rustix::process::geteuid().as_raw(),
            is_alone: std::process::id() == INIT_PID || first.as_ref().is_some_and(is_own),
            first,
        }
    }
}

impl Process {
    /// Whether it holds the namespaces of its pod.
    #[must_use]
    pub fn holds_namespaces(&self) -> bool {
        self.pid == INIT_PID && SANDBOX_NAMES.contains(&self.name.as_str())
    }
}

/// The ports on which any process in this network namespace listens, in ascending order.
#[must_use]
pub fn listening_ports() -> Vec<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| beginning_of(path).unwrap_or_default());
    let mut ports: Vec<u16> = tables.iter().flat_map(|table| parse_listening_ports(table)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The whole lines at the beginning of a socket table. It lists listeners first, and connections, of which there may be
/// many thousands, after them (`Documentation/networking/proc_net_tcp.rst`).
fn beginning_of(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_TABLE_BYTES).read_to_string(&mut text)?;
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_the_first_process_holds_namespaces() {
        let process = |pid, name: &str| Process { pid, name: name.into() };
        assert!(process(1, "pause").holds_namespaces() && process(1, "pod").holds_namespaces());
        assert!(!process(7, "pod").holds_namespaces() && !process(1, "impeller").holds_namespaces());
    }

    #[test]
    fn open_port_is_listed_once() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = one.local_addr().unwrap().port();
        let _other = TcpListener::bind(("::1", port));
        assert_eq!(listening_ports().into_iter().filter(|other| *other == port).count(), 1);
    }
}
