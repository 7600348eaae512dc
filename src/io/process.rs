//! Finding the target among the processes in sight, and what stands against signalling it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;
use std::{fmt, fs};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::time::{ClockId, clock_gettime};

use crate::io::liveness::stat_of;
use lameduck_machine::target::{CLOCK_TICK, Found, Incarnation, SearchResult, SignalBlocker};
use lameduck_parsers::procfs::{Stat, Status, basename, listeners, socket_inode};

/// What tells the target from other processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// The basename of its executable or of its argv\[0\].
    Name(String),
    /// The TCP port that it listens on.
    Port(u16),
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Port(port) => write!(f, "the listener on port {port}"),
        }
    }
}

/// The first process of a container that has its PID namespace to itself.
const FIRST: u32 = 1;

/// A process in sight, and what it is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The basename of its argv\[0\] or of its executable.
    pub name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A process may give itself a whole text for its name.
        write!(f, "{:.64} ({})", self.name, self.pid)
    }
}

impl Matcher {
    /// Every process in sight that matches, those that are children of others too.
    #[must_use]
    pub fn matching(&self) -> Vec<Process> {
        named(self.matches(&processes()))
    }

    fn matches(&self, table: &HashMap<u32, Stat>) -> HashSet<u32> {
        match self {
            Self::Port(port) => holders(table, *port),
            Self::Name(name) => table.keys().copied().filter(|pid| is_named(*pid, name)).collect(),
        }
    }
}

/// Looks for the target.
#[derive(Clone, Debug)]
pub struct TargetFinder {
    /// What tells it from others; `None` finds nobody.
    pub matcher: Option<Matcher>,
    /// The signal that it will be sent, if any.
    pub signal: Option<Signal>,
    /// Whether to pass over what was brought into this container beside its own processes, by `kubectl exec`, by a
    /// probe or by another hook. Where containers share a PID namespace nothing tells such a guest from the first
    /// process of another container: both have no parent.
    pub ignore_exec_sessions: bool,
}

impl TargetFinder {
    /// Looks for the target: the one match with no matching ancestor, so never a child of it.
    ///
    /// Who was found is known by its pid from then on, until it ends: it may close its port, give itself another name,
    /// or end its first thread, and what is below it is still its child.
    #[must_use]
    pub fn find(&self, tracked: Option<Incarnation>) -> SearchResult {
        let table = processes();
        let tracked = tracked.filter(|tracked| table.get(&tracked.pid).is_some_and(|it| it.started == tracked.started));
        let mut matches = match (&self.matcher, tracked) {
            (None, _) => return SearchResult::NotFound,
            (Some(Matcher::Port(_)), Some(_)) => HashSet::new(),
            (Some(matcher), _) => matcher.matches(&table),
        };
        if self.ignore_exec_sessions {
            let ours = own_root(&table);
            matches.retain(|pid| [FIRST, ours].contains(&root(&table, *pid)));
        }
        matches.extend(tracked.map(|tracked| tracked.pid));
        self.sort_out(&table, &matches, tracked)
    }

    fn sort_out(
        &self,
        table: &HashMap<u32, Stat>,
        matches: &HashSet<u32>,
        tracked: Option<Incarnation>,
    ) -> SearchResult {
        let is_head = |pid: &u32| {
            tracked.is_some_and(|tracked| tracked.pid == *pid)
                || !ancestors(table, *pid).any(|up| matches.contains(&up))
        };
        let mut heads: Vec<u32> = matches.iter().copied().filter(is_head).collect();
        heads.sort_unstable();
        match heads[..] {
            [] => SearchResult::NotFound,
            [pid] => self.inspect(table, pid).map_or(SearchResult::NotFound, SearchResult::Found),
            _ => SearchResult::Ambiguous(heads),
        }
    }

    fn inspect(&self, table: &HashMap<u32, Stat>, pid: u32) -> Option<Found> {
        let incarnation = Incarnation { pid, started: table.get(&pid)?.started };
        let status = status_of(pid)?;
        let obstacle = self.signal.and_then(|signal| obstacle(pid, &status, signal));
        Some(Found { incarnation, name: name_of(pid).unwrap_or_default(), obstacle })
    }
}

fn obstacle(pid: u32, status: &Status, signal: Signal) -> Option<SignalBlocker> {
    if !can_signal(pid) {
        return Some(SignalBlocker::NotPermitted { theirs: status.uid, ours: rustix::process::geteuid().as_raw() });
    }
    (!status.catches(signal as i32)).then_some(SignalBlocker::NotCaught)
}

/// Whether the kernel would let a signal pass: signal 0 asks for permission only (kill(2)).
#[must_use]
pub fn can_signal(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::EPERM))
}

/// Every process in sight that has a name, but this one. Threads of the kernel have none.
#[must_use]
pub fn visible_processes() -> Vec<Process> {
    named(processes().into_keys())
}

/// What this process is known by.
#[must_use]
pub fn own_name() -> Option<String> {
    name_of(std::process::id())
}

/// Whether anybody in this network namespace listens on a port, whoever it is.
#[must_use]
pub fn has_listener(port: u16) -> bool {
    !listening(port).is_empty()
}

/// What `/proc` says of how one process takes its signals; `None` if it is gone, or cannot be read.
#[must_use]
pub fn status_of(pid: u32) -> Option<Status> {
    // The name in it may be any bytes.
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    Status::parse(&String::from_utf8_lossy(&status))
}

fn named(pids: impl IntoIterator<Item = u32>) -> Vec<Process> {
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

/// The age of this process; zero where it cannot be known.
#[must_use]
pub fn own_age() -> Duration {
    let ticks = now_in_ticks().saturating_sub(own_start_ticks());
    CLOCK_TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// Now, in the unit of [`Incarnation::started`], which runs on while the machine sleeps (`CLOCK_BOOTTIME`).
fn now_in_ticks() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let millis = u128::try_from(now.tv_sec).unwrap_or(0) * 1000 + u128::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000;
    u64::try_from(millis / CLOCK_TICK.as_millis()).unwrap_or(u64::MAX)
}

/// Whether this container shares its PID namespace with the others of its pod, whose first process is then the
/// sandbox's.
#[must_use]
pub fn shares_pid_namespace() -> bool {
    fs::read_to_string("/proc/1/comm").is_ok_and(|name| name.trim_end() == "pause")
}

/// Every process in sight that has not ended, but this one.
fn processes() -> HashMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let others = pids.filter(|pid| *pid != std::process::id());
    others.filter_map(|pid| Some((pid, stat_of(pid)?))).filter(|(_, stat)| !stat.ended).collect()
}

fn is_named(pid: u32, name: &str) -> bool {
    argv0(pid).as_deref().map(basename) == Some(name) || exe(pid).as_deref().map(basename) == Some(name)
}

fn name_of(pid: u32) -> Option<String> {
    argv0(pid).or_else(|| exe(pid)).map(|path| basename(&path).to_owned())
}

fn argv0(pid: u32) -> Option<String> {
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let first = cmdline.split(|byte| *byte == 0).next().filter(|first| !first.is_empty())?;
    Some(String::from_utf8_lossy(first).into_owned())
}

/// The path of the executable, where the kernel lets us see it (same user and dumpable).
fn exe(pid: u32) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let path = path.to_string_lossy();
    Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
}

/// The processes that hold a socket listening on `port` in this network namespace.
fn holders(table: &HashMap<u32, Stat>, port: u16) -> HashSet<u32> {
    let inodes = listening(port);
    if inodes.is_empty() {
        return HashSet::new();
    }
    table.keys().copied().filter(|pid| holds_one_of(*pid, &inodes)).collect()
}

/// The sockets that listen on `port` in this network namespace.
fn listening(port: u16) -> HashSet<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| listeners(table, port)).collect()
}

fn holds_one_of(pid: u32, inodes: &HashSet<u64>) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter_map(|link| socket_inode(link.to_str()?)).any(|inode| inodes.contains(&inode))
}

fn ancestors(table: &HashMap<u32, Stat>, pid: u32) -> impl Iterator<Item = u32> {
    let parent = |pid: &u32| table.get(pid).map(|stat| stat.parent).filter(|parent| *parent != 0);
    // The table was read process by process, so a loop in it is possible, however unlikely.
    std::iter::successors(parent(&pid), parent).take(table.len())
}

/// The ancestor of a process that has no parent in sight, or the process itself.
fn root(table: &HashMap<u32, Stat>, pid: u32) -> u32 {
    ancestors(table, pid).last().unwrap_or(pid)
}

/// The same of this process, which is not in the table.
fn own_root(table: &HashMap<u32, Stat>) -> u32 {
    let own = std::process::id();
    let parent = stat_of(own).map(|stat| stat.parent).filter(|parent| *parent != 0);
    parent.map_or(own, |parent| root(table, parent))
}
