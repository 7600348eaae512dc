//! Finds the target among the visible processes, and whether it can be signalled.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use std::{fmt, fs};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::time::{ClockId, clock_gettime};

use crate::io::liveness::stat_of;
use crate::io::target_signal::TargetSignal;
use lameduck_machine::target::{CLOCK_TICK, Found, Incarnation, SearchResult, SignalBlocker};
use lameduck_parsers::procfs::{SignalMasks, Stat, Status, basename, listeners, socket_inode};

pub mod container;
pub mod visible;

/// How the target is recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// By the basename of its executable or of its argv\[0\].
    Name(String),
    /// By the TCP port that it listens on.
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
        with_names(self.matches(&process_table()))
    }

    fn matches(&self, table: &HashMap<u32, Stat>) -> HashSet<u32> {
        match self {
            Self::Port(port) => listening_pids(table, *port),
            Self::Name(name) => table.keys().copied().filter(|pid| is_named(*pid, name)).collect(),
        }
    }
}

/// Finds the target.
#[derive(Clone, Debug)]
pub struct TargetFinder {
    /// How the target is recognized; `None` finds no process.
    pub matcher: Option<Matcher>,
    /// The signal that will be sent to it, if any.
    pub signal: Option<TargetSignal>,
    /// Whether the target may be signalled if the kernel does not show which signals it catches.
    pub assume_signal_caught: bool,
    /// Whether to ignore processes that were started by `kubectl exec`, by a probe or by another hook. This is possible
    /// only if the container has its own PID namespace. In a shared one, such a process looks like the first process of
    /// another container: neither has a visible parent.
    pub ignore_exec_sessions: bool,
}

impl TargetFinder {
    /// Finds the target: the one match without a matching ancestor, and so never one of its children.
    ///
    /// The `tracked` target is recognized by its pid until it ends, even if it closes its port, changes its name or ends
    /// its first thread. Processes below it are still its children.
    #[must_use]
    pub fn find(&self, tracked: Option<Incarnation>) -> SearchResult {
        let table = process_table();
        let tracked =
            tracked.filter(|tracked| table.get(&tracked.pid).is_some_and(|stat| stat.started == tracked.started));
        let mut matches = match (&self.matcher, tracked) {
            (None, _) => return SearchResult::NotFound,
            (Some(Matcher::Port(_)), Some(_)) => HashSet::new(),
            (Some(matcher), _) => matcher.matches(&table),
        };
        if self.ignore_exec_sessions {
            let own_topmost = own_topmost(&table);
            matches.retain(|pid| [INIT_PID, own_topmost].contains(&topmost_ancestor(&table, *pid)));
        }
        matches.extend(tracked.map(|tracked| tracked.pid));
        self.resolve(&table, &matches, tracked)
    }

    fn resolve(
        &self,
        table: &HashMap<u32, Stat>,
        matches: &HashSet<u32>,
        tracked: Option<Incarnation>,
    ) -> SearchResult {
        let is_topmost = |pid: &u32| {
            tracked.is_some_and(|tracked| tracked.pid == *pid)
                || !ancestors(table, *pid).any(|ancestor| matches.contains(&ancestor))
        };
        let mut topmost: Vec<u32> = matches.iter().copied().filter(is_topmost).collect();
        topmost.sort_unstable();
        match topmost[..] {
            [] => SearchResult::NotFound,
            [pid] => self.inspect(table, pid).map_or(SearchResult::NotFound, SearchResult::Found),
            _ => SearchResult::Ambiguous(topmost),
        }
    }

    fn inspect(&self, table: &HashMap<u32, Stat>, pid: u32) -> Option<Found> {
        let incarnation = Incarnation { pid, started: table.get(&pid)?.started };
        let status = status_of(pid)?;
        let blocker = self.signal.and_then(|signal| self.signal_blocker(pid, &status, signal));
        Some(Found { incarnation, name: name_of(pid).unwrap_or_default(), blocker })
    }

    fn signal_blocker(&self, pid: u32, status: &Status, signal: TargetSignal) -> Option<SignalBlocker> {
        if let Err(errno) = may_signal(pid) {
            let ours = rustix::process::geteuid().as_raw();
            return Some(SignalBlocker::NotPermitted { errno: errno as i32, theirs: status.uid, ours });
        }
        match status.signals {
            Some(masks) => (!masks.catches(signal.number())).then_some(SignalBlocker::NotCaught),
            None => (!self.assume_signal_caught).then_some(SignalBlocker::CaughtUnknown),
        }
    }
}

/// Checks that this process is permitted to signal another one. Signal 0 only checks the permission (kill(2)).
///
/// # Errors
/// The kernel's refusal: `EPERM` because of the users or a seccomp profile, `EACCES` because of a security module such as
/// AppArmor. A process that has ended refuses nothing.
pub fn may_signal(pid: u32) -> Result<(), Errno> {
    let pid = i32::try_from(pid).map_err(|_| Errno::EINVAL)?;
    match kill(Pid::from_raw(pid), None) {
        Err(Errno::ESRCH) => Ok(()),
        result => result,
    }
}

/// Every visible process with a name, except this one. Kernel threads have no name.
#[must_use]
pub fn visible_processes() -> Vec<Process> {
    with_names(process_table().into_keys())
}

/// The parent of all these processes; `None` if they have different parents, or if it is not visible.
#[must_use]
pub fn common_parent(pids: &[u32]) -> Option<Process> {
    let mut parents: Vec<u32> = pids.iter().filter_map(|pid| Some(stat_of(*pid)?.parent)).collect();
    parents.dedup();
    let [pid] = parents[..] else { return None };
    Some(Process { pid, name: name_of(pid)? })
}

/// The most real-time signals that are listed. A runtime may catch all of them, which shows nothing.
const MAX_REAL_TIME: usize = 4;

/// The signals that a process catches, among those on which programs usually drain.
#[must_use]
pub fn caught_signals(masks: &SignalMasks) -> Vec<&'static str> {
    const COMMON: [Signal; 6] =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];
    let common = COMMON.into_iter().filter(|signal| masks.catches(*signal as i32)).map(Signal::as_str);
    let real_time = TargetSignal::real_time().filter(|signal| masks.catches(signal.number()));
    let mut real_time: Vec<&str> = real_time.map(TargetSignal::as_str).collect();
    if real_time.len() > MAX_REAL_TIME {
        real_time.clear();
    }
    common.chain(real_time).collect()
}

/// The name of this process.
#[must_use]
pub fn own_name() -> Option<String> {
    name_of(std::process::id())
}

/// Reads a process's user and signal dispositions from `/proc/pid/status`; `None` if the process is gone.
#[must_use]
pub fn status_of(pid: u32) -> Option<Status> {
    let owner = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let text = match fs::read(format!("/proc/{pid}/status")) {
        Ok(text) => text,
        // A security module may forbid reading this file of another process.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Vec::new(),
        Err(_) => return None,
    };
    // The process name in it may be any bytes.
    Some(Status::parse(&String::from_utf8_lossy(&text), owner))
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

/// Every visible process that has not ended, except this one.
fn process_table() -> HashMap<u32, Stat> {
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

/// The path of the executable, if the kernel lets this process read it (same user and dumpable).
fn exe(pid: u32) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let path = path.to_string_lossy();
    Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
}

/// The processes with a socket that listens on `port` in this network namespace.
fn listening_pids(table: &HashMap<u32, Stat>, port: u16) -> HashSet<u32> {
    let inodes = listening_inodes(port);
    if inodes.is_empty() {
        return HashSet::new();
    }
    table.keys().copied().filter(|pid| has_socket(*pid, &inodes)).collect()
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

fn ancestors(table: &HashMap<u32, Stat>, pid: u32) -> impl Iterator<Item = u32> {
    let parent = |pid: &u32| table.get(pid).map(|stat| stat.parent).filter(|parent| *parent != 0);
    // The table was not read atomically, so it could contain a loop.
    std::iter::successors(parent(&pid), parent).take(table.len())
}

/// The topmost visible ancestor of a process, or the process itself.
fn topmost_ancestor(table: &HashMap<u32, Stat>, pid: u32) -> u32 {
    ancestors(table, pid).last().unwrap_or(pid)
}

/// The topmost visible ancestor of this process, which is not in the table.
fn own_topmost(table: &HashMap<u32, Stat>) -> u32 {
    let own = std::process::id();
    let parent = stat_of(own).map(|stat| stat.parent).filter(|parent| *parent != 0);
    parent.map_or(own, |parent| topmost_ancestor(table, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_signals_are_listed_unless_a_runtime_catches_them_all() {
        let masks = |caught| SignalMasks { caught, ignored: 0, blocked: 0 };
        assert_eq!(caught_signals(&masks((1 << 1) | (1 << 36))), ["SIGINT", "SIGRTMIN+3"]);
        // glibc catches 32 and 33 for its threads.
        assert_eq!(caught_signals(&masks((1 << 14) | (3 << 31))), ["SIGTERM"]);
        let all = caught_signals(&masks(u64::MAX));
        assert!(all.len() == 6 && all.iter().all(|name| !name.contains("RT")), "{all:?}");
    }
}
