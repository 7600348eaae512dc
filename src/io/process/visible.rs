//! What is visible to a search that found no target.

use std::fs::File;
use std::io::{self, Read};

pub use lameduck_parsers::procfs::Listener;
use lameduck_parsers::procfs::all_listeners;

use super::container::{is_sandbox_name, shares_pid_namespace};
use super::{INIT_PID, Process, SearchScope, TargetFinder, own_name, visible_processes};

/// How much of a socket table is read, in bytes. A line has 150.
const MAX_TABLE_BYTES: u64 = 64 * 1024;

/// What is visible from this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    /// The processes that may be a target: all but lameduck's own and the process that holds the pod's namespaces.
    pub processes: Vec<Process>,
    /// The sockets on which any process in this network namespace listens, in ascending order.
    pub listeners: Vec<Listener>,
    /// The user that this process runs as.
    pub uid: u32,
    /// The first process of the PID namespace, if it is visible and not this one.
    pub first: Option<Process>,
    /// Whether lameduck is the first process of its PID namespace, so that it sees no other container.
    pub is_alone: bool,
    /// Whether the first process belongs to another container, so that the PID namespace is shared.
    pub is_shared: bool,
}

impl TargetFinder {
    /// What is visible to this search. A descendant is in no other container.
    #[must_use]
    pub fn visible(&self) -> Visible {
        let visible = Visible::read();
        Visible { is_alone: visible.is_alone && self.scope == SearchScope::All, ..visible }
    }
}

impl Visible {
    /// Reads `/proc`.
    #[must_use]
    pub fn read() -> Self {
        let own_name = own_name();
        let is_own = |process: &Process| Some(&process.name) == own_name.as_ref();
        let is_shared = shares_pid_namespace();
        let is_sandbox = |process: &Process| is_shared && process.pid == INIT_PID && is_sandbox_name(&process.name);
        let mut processes = visible_processes();
        let first = processes.iter().find(|process| process.pid == INIT_PID).cloned();
        processes.retain(|process| !is_own(process) && !is_sandbox(process));
        Self {
            processes,
            listeners: listening_sockets(),
            uid: rustix::process::geteuid().as_raw(),
            is_alone: std::process::id() == INIT_PID || first.as_ref().is_some_and(is_own),
            first,
            is_shared,
        }
    }

    /// The ports of the listeners.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        ports_of(&self.listeners)
    }
}

/// The ports on which any process in this network namespace listens, in ascending order.
#[must_use]
pub fn listening_ports() -> Vec<u16> {
    ports_of(&listening_sockets())
}

fn ports_of(listeners: &[Listener]) -> Vec<u16> {
    let mut ports: Vec<u16> = listeners.iter().map(|listener| listener.port).collect();
    ports.dedup();
    ports
}

fn listening_sockets() -> Vec<Listener> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| beginning_of(path).unwrap_or_default());
    let mut listeners: Vec<Listener> = tables.iter().flat_map(|table| all_listeners(table)).collect();
    listeners.sort_unstable();
    listeners
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
    fn open_port_is_listed_once() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = one.local_addr().unwrap().port();
        let _other = TcpListener::bind(("::1", port));
        assert_eq!(listening_ports().into_iter().filter(|other| *other == port).count(), 1);
        let uid = rustix::process::geteuid().as_raw();
        assert!(Visible::read().listeners.contains(&Listener { port, uid }));
    }
}
