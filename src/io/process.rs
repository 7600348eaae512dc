//! Finds the target among the visible processes, and whether it can be signalled.

use std::collections::HashSet;
use std::time::Duration;
use std::{fmt, fs};

use rustix::time::{ClockId, clock_gettime};

use crate::io::liveness::stat_of;
use lameduck_machine::target::{CLOCK_TICK, Found, Incarnation, SearchResult};
use lameduck_parsers::procfs::{listeners, socket_inode};

use ancestry::ProcessTable;
use names::{Unmatched, name_of};
use signalling::{SignalRules, status_of};

mod ancestry;
pub mod container;
pub mod descendants;
mod names;
pub mod signalling;
pub mod visible;

/// How the target is recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// By the basename of its executable or of its argv\[0\].
    Name(String),
    /// By the TCP port that it listens on.
    Port(u16),
}

/// Which processes are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchScope {
    /// All visible processes.
    All,
    /// Not those that were started by `kubectl exec`, by a probe or by another hook. This is possible only if the
    /// container has its own PID namespace. In a shared one, such a process looks like the first process of another
    /// container: neither has a visible parent.
    OwnSession,
    /// The descendants of this process.
    Descendants,
    /// This child of this process, however it is named.
    Child(u32),
}

impl SearchScope {
    /// Removes the matches outside of this scope.
    fn restrict(self, matches: &mut HashSet<u32>, table: &mut ProcessTable) {
        match self {
            Self::All | Self::Child(_) => {}
            Self::OwnSession => {
                let own_topmost = table.own_topmost();
                matches.retain(|pid| [INIT_PID, own_topmost].contains(&table.topmost_ancestor(*pid)));
            }
            Self::Descendants => matches.retain(|pid| table.is_descendant(*pid)),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Port(port) => write!(f, "the listener on port {port}"),
        }
    }
}

/// The pid of the first process of a PID namespace.
const INIT_PID: u32 = 1;

/// A visible process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The basename of its argv\[0\] or of its executable.
    pub name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A process may give itself a name of any length.
        write!(f, "{:.64} ({})", self.name, self.pid)
    }
}

impl Matcher {
    /// Every visible process that matches, including children of others that match.
    #[must_use]
    pub fn matching(&self) -> Vec<Process> {
        with_names(match self {
            Self::Port(port) => Listeners::default().find(*port),
            Self::Name(name) => Unmatched::default().find_named(name),
        })
    }
}

/// Finds the target.
#[derive(Clone, Debug)]
pub struct TargetFinder {
    /// How the target is recognized; `None` finds no process.
    pub matcher: Option<Matcher>,
    /// Whether it can be signalled.
    pub rules: SignalRules,
    /// Which processes are searched.
    pub scope: SearchScope,
}

/// What later searches need not read again.
#[derive(Debug, Default)]
pub struct Earlier {
    named: Unmatched,
    listeners: Listeners,
}

/// The processes that have none of these sockets.
#[derive(Debug, Default)]
struct Listeners {
    sockets: HashSet<u64>,
    unmatched: Unmatched,
}

impl Listeners {
    /// The visible processes with a socket that listens on `port`. Several processes may have the same socket.
    fn find(&mut self, port: u16) -> HashSet<u32> {
        let sockets = listening_inodes(port);
        // An idle process may have a socket that listens only now.
        if !sockets.is_subset(&self.sockets) {
            self.unmatched = Unmatched::default();
        }
        self.sockets = sockets;
        if self.sockets.is_empty() {
            return HashSet::new();
        }
        self.unmatched.find(|pid| has_socket(pid, &self.sockets))
    }
}

impl TargetFinder {
    /// Finds the target: the one match without a matching ancestor, and so never one of its children.
    ///
    /// The `tracked` target is recognized by its pid until it ends, even if it closes its port, changes its name or ends
    /// its first thread. Processes below it are still its children.
    ///
    /// Every search considers every visible process. With what `earlier` searches have read, it finds the same as
    /// without: see `Unmatched`.
    #[must_use]
    pub fn find(&self, tracked: Option<Incarnation>, earlier: &mut Earlier) -> SearchResult {
        let mut table = ProcessTable::default();
        let tracked =
            tracked.filter(|tracked| table.get(tracked.pid).is_some_and(|stat| stat.started == tracked.started));
        let mut matches = match (self.scope, &self.matcher) {
            (SearchScope::Child(pid), _) => HashSet::from([pid]),
            (_, None) => return SearchResult::NotFound,
            (_, Some(Matcher::Name(name))) => earlier.named.find_named(name),
            (_, Some(Matcher::Port(port))) => earlier.listeners.find(*port),
        };
        matches.retain(|pid| table.get(*pid).is_some());
        self.scope.restrict(&mut matches, &mut table);
        matches.extend(tracked.map(|tracked| tracked.pid));
        self.resolve(&mut table, &matches, tracked)
    }

    fn resolve(&self, table: &mut ProcessTable, matches: &HashSet<u32>, tracked: Option<Incarnation>) -> SearchResult {
        let is_topmost = |pid: &u32| {
            tracked.is_some_and(|tracked| tracked.pid == *pid)
                || !table.ancestors(*pid).iter().any(|ancestor| matches.contains(ancestor))
        };
        let mut topmost: Vec<u32> = matches.iter().copied().filter(is_topmost).collect();
        topmost.sort_unstable();
        match topmost[..] {
            [] => SearchResult::NotFound,
            [pid] => self.inspect(table, pid).map_or(SearchResult::NotFound, SearchResult::Found),
            _ => SearchResult::Ambiguous(topmost),
        }
    }

    fn inspect(&self, table: &mut ProcessTable, pid: u32) -> Option<Found> {
        let incarnation = Incarnation { pid, started: table.get(pid)?.started };
        let blocker = self.rules.blocker(pid, &status_of(pid)?);
        Some(Found { incarnation, name: name_of(pid).unwrap_or_default(), blocker })
    }
}

/// Every visible process with a name, except this one. Kernel threads have no name.
#[must_use]
pub fn visible_processes() -> Vec<Process> {
    with_names(visible_pids())
}

/// The parent of all these processes; `None` if they have different parents, or if it is not visible.
#[must_use]
pub fn common_parent(pids: &[u32]) -> Option<Process> {
    let mut parents: Vec<u32> = pids.iter().filter_map(|pid| Some(stat_of(*pid)?.parent)).collect();
    parents.dedup();
    let [pid] = parents[..] else { return None };
    Some(Process { pid, name: name_of(pid)? })
}

/// The name of this process.
#[must_use]
pub fn own_name() -> Option<String> {
    name_of(std::process::id())
}

fn with_names(pids: impl IntoIterator<Item = u32>) -> Vec<Process> {
    let processes = pids.into_iter().filter_map(|pid| Some(Process { pid, name: name_of(pid)? }));
    let mut processes: Vec<Process> = processes.collect();
    processes.sort_unstable_by_key(|process| process.pid);
    processes
}

/// When this process started, in the unit of [`Incarnation::started`].
#[must_use]
pub fn own_start_ticks() -> u64 {
    stat_of(std::process::id()).map_or(u64::MAX, |stat| stat.started)
}

/// The age of this process; zero if unknown.
#[must_use]
pub fn own_age() -> Duration {
    let ticks = now_in_ticks().saturating_sub(own_start_ticks());
    CLOCK_TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// The time now, in the unit of [`Incarnation::started`]. This clock includes suspended time (`CLOCK_BOOTTIME`).
fn now_in_ticks() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let millis = u128::try_from(now.tv_sec).unwrap_or(0) * 1000 + u128::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000;
    u64::try_from(millis / CLOCK_TICK.as_millis()).unwrap_or(u64::MAX)
}

/// The pids of the visible processes except this one, in ascending order.
fn visible_pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut others: Vec<u32> = pids.filter(|pid| *pid != std::process::id()).collect();
    others.sort_unstable();
    others
}

/// The inodes of the sockets that listen on `port` in this network namespace.
fn listening_inodes(port: u16) -> HashSet<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| listeners(table, port)).collect()
}

fn has_socket(pid: u32, inodes: &HashSet<u64>) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter_map(|link| socket_inode(link.to_str()?)).any(|inode| inodes.contains(&inode))
}

#[cfg(test)]
mod tests;
