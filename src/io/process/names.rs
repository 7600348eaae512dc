//! The names of processes, and which processes match.

use std::collections::HashSet;
use std::fs;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use super::visible_pids;
use lameduck_parsers::procfs::basename;

/// The names of shells.
const SHELLS: [&str; 7] = ["ash", "bash", "busybox", "dash", "ksh", "sh", "zsh"];

/// The processes that did not match when they were read, in ascending order of their pids. With each, the CPU time that
/// it had used before.
///
/// A process can change its name only while it runs, by exec or by writing to its own arguments. It can get a socket only
/// while it runs, from another process or by its own start. A process that has used no CPU time since it was read
/// therefore still does not match, and it is not read again. So a search among thousands of idle processes costs one
/// system call for each, and it misses no process that matches. A process that has the pid of an ended one has used
/// another amount of CPU time.
#[derive(Debug, Default)]
pub(super) struct Unmatched(Vec<(u32, TimeSpec)>);

impl Unmatched {
    /// The visible processes with this name.
    pub(super) fn find_named(&mut self, name: &str) -> HashSet<u32> {
        self.find(|pid| is_named(pid, name))
    }

    /// The visible processes that match. What matches must be the same as for the earlier searches.
    pub(super) fn find(&mut self, matches: impl Fn(u32) -> bool) -> HashSet<u32> {
        let own = std::process::id();
        let before = cpu_time(own);
        let pids = visible_pids();
        // A kernel whose clocks advance in long steps, such as gVisor's, does not show that a process has run.
        if cpu_time(own) == before {
            self.0.clear();
        }
        let mut matching = HashSet::new();
        let mut unmatched = Vec::with_capacity(pids.len());
        for pid in pids {
            // This must be read before the process.
            let used = cpu_time(pid);
            if used.is_some() && self.used(pid) == used {
                unmatched.extend(used.map(|used| (pid, used)));
            } else if matches(pid) {
                matching.insert(pid);
            } else {
                unmatched.extend(used.map(|used| (pid, used)));
            }
        }
        self.0 = unmatched;
        matching
    }

    fn used(&self, pid: u32) -> Option<TimeSpec> {
        let index = self.0.binary_search_by_key(&pid, |(pid, _)| *pid).ok()?;
        self.0.get(index).map(|(_, used)| *used)
    }
}

/// The CPU time that a process has used; `None` if unknown.
fn cpu_time(pid: u32) -> Option<TimeSpec> {
    clock_gettime(cpu_clock(pid)?).ok()
}

/// The CPU clock of a process, as `clock_getcpuclockid(3)` returns it. The C library's function would make a system call
/// to check that the process exists, which reading the clock checks anyway.
fn cpu_clock(pid: u32) -> Option<ClockId> {
    /// `CPUCLOCK_SCHED` (Linux, `include/linux/posix-timers_types.h`): the time in which the scheduler ran the process.
    const SCHED: i32 = 2;
    let pid = i32::try_from(pid).ok()?;
    Some(ClockId::from_raw((!pid << 3) | SCHED))
}

fn is_named(pid: u32, name: &str) -> bool {
    argv0(pid).as_deref().map(basename) == Some(name) || exe(pid).as_deref().map(basename) == Some(name)
}

/// The basename of a process's argv\[0\] or of its executable; `None` for a kernel thread and for a process that has ended.
pub(super) fn name_of(pid: u32) -> Option<String> {
    argv0(pid).or_else(|| exe(pid)).map(|path| basename(&path).to_owned())
}

/// The name of a process's executable, if that is a shell. Unlike the arguments, it can be read without waiting for a lock.
pub(super) fn shell_name(pid: u32) -> Option<String> {
    let path = exe(pid)?;
    Some(basename(&path)).filter(|name| SHELLS.contains(name)).map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use nix::time::clock_getcpuclockid;
    use nix::unistd::Pid;

    use super::*;

    /// A name that no other process has.
    fn unique_name(purpose: &str) -> String {
        format!("{purpose}-{}", std::process::id())
    }

    /// Whether this process is the program `sleep`, and waits.
    fn sleeps(pid: u32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.split_once(") ").is_some_and(|(_, fields)| fields.starts_with('S')) && stat.contains("(sleep)")
    }

    #[test]
    fn cpu_clock_is_that_of_the_c_library() {
        let own = Pid::this();
        assert_eq!(cpu_clock(std::process::id()), Some(clock_getcpuclockid(own).unwrap()));
        let parent = std::os::unix::process::parent_id();
        assert_eq!(cpu_clock(parent), clock_getcpuclockid(Pid::from_raw(parent.cast_signed())).ok());
    }

    #[test]
    fn idle_process_is_not_read_again() {
        let name = unique_name("idle");
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id();
        let mut unmatched = Unmatched::default();
        // The process must have started, and must run no more.
        while !sleeps(pid) || unmatched.used(pid).is_none() || unmatched.used(pid) != cpu_time(pid) {
            assert!(unmatched.find_named(&name).is_empty());
        }
        // Had its name been read again, it would match.
        assert!(!unmatched.find_named("sleep").contains(&pid));
        assert!(Unmatched::default().find_named("sleep").contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn process_that_takes_another_name_is_found() {
        let name = unique_name("renamed");
        let mut command = Command::new("bash");
        command.args(["-c", r#"read -r _; exec -a "$0" sleep 600"#, &name]).arg0("before").stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let pid = child.id();
        while name_of(pid).as_deref() != Some("before") {
            std::thread::yield_now();
        }
        let mut unmatched = Unmatched::default();
        assert!(unmatched.find_named(&name).is_empty());
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        while name_of(pid).as_ref() != Some(&name) {
            std::thread::yield_now();
        }
        assert_eq!(unmatched.find_named(&name), HashSet::from([pid]));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
