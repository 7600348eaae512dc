//! `/proc/pid/stat`, `/proc/pid/status` and the socket links of a process (proc(5)).

/// `PF_EXITING` (Linux, `include/linux/sched.h`): the thread is exiting.
const PF_EXITING: u64 = 4;

/// The fields of `/proc/pid/stat` that identify a process and show whether it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The parent's pid; 0 for the first process of a container.
    pub parent: u32,
    /// Start time, in clock ticks since boot.
    pub started: u64,
    /// Whether the whole process has ended and waits to be reaped. `false` while any thread is left.
    pub ended: bool,
    /// Whether the first thread is exiting or has exited.
    pub exiting: bool,
    /// Wait status, as in wait(2); 0 without permission to read it (`PTRACE_MODE_READ_FSCREDS`).
    pub status: i32,
}

impl Stat {
    /// Parses the line of `/proc/pid/stat`; `None` if it is malformed.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        // The name in parentheses may contain anything, including parentheses and spaces.
        let (_, rest) = line.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        // The fields 3, 4, 9, 20, 22 and 52 of proc(5).
        let (state, parent) = (fields.next()?, fields.next()?);
        let flags: u64 = fields.nth(4)?.parse().ok()?;
        let threads: u32 = fields.nth(10)?.parse().ok()?;
        let started = fields.nth(1)?;
        Some(Self {
            parent: parent.parse().ok()?,
            started: started.parse().ok()?,
            ended: matches!(state, "Z" | "X" | "x") && threads <= 1,
            exiting: flags & PF_EXITING != 0,
            status: fields.nth(29).and_then(|status| status.parse().ok()).unwrap_or(0),
        })
    }
}

/// The fields of `/proc/pid/status` about the user of a process and its signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The real user id.
    pub uid: u32,
    /// How the process handles signals; `None` if the file does not show it, as in gVisor.
    pub signals: Option<SignalMasks>,
}

/// How a process handles signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalMasks {
    /// Mask of the caught signals: bit n − 1 is signal n.
    pub caught: u64,
    /// Mask of the ignored signals.
    pub ignored: u64,
    /// Mask of the signals that the first thread blocks.
    pub blocked: u64,
}

/// How a process handles a signal, as far as its masks show (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// A handler is installed.
    Caught,
    /// Ignored, perhaps inherited from the parent.
    Ignored,
    /// Blocked, without a handler: the process may receive it by `sigwait` or `signalfd`, which no mask shows.
    Blocked,
    /// The default action, which for most signals ends the process.
    Default,
}

impl Status {
    /// Parses `/proc/pid/status`. The user is `owner`, the owner of the file, if the text has no user, as in gVisor;
    /// `None` if that is unknown as well.
    #[must_use]
    pub fn parse(text: &str, owner: impl FnOnce() -> Option<u32>) -> Option<Self> {
        let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let uid = line("Uid:").and_then(|uids| uids.split_ascii_whitespace().next()?.parse().ok());
        let mask = |key: &str| u64::from_str_radix(line(key)?.trim(), 16).ok();
        let signals =
            || Some(SignalMasks { caught: mask("SigCgt:")?, ignored: mask("SigIgn:")?, blocked: mask("SigBlk:")? });
        Some(Self { uid: uid.or_else(owner)?, signals: signals() })
    }
}

impl SignalMasks {
    /// Returns whether the process has a handler for this signal.
    #[must_use]
    pub const fn catches(&self, signal: i32) -> bool {
        contains(self.caught, signal)
    }

    /// Returns how the process handles this signal.
    #[must_use]
    pub const fn disposition(&self, signal: i32) -> Disposition {
        if contains(self.caught, signal) {
            Disposition::Caught
        } else if contains(self.ignored, signal) {
            Disposition::Ignored
        } else if contains(self.blocked, signal) {
            Disposition::Blocked
        } else {
            Disposition::Default
        }
    }
}

const fn contains(mask: u64, signal: i32) -> bool {
    1 <= signal && signal <= 64 && mask & (1 << (signal - 1)) != 0
}

/// Returns whether two processes belong to different containers, from the text of their `/proc/pid/cgroup` (cgroups(7)):
/// a container has a cgroup, and what runs in it is in that cgroup or below it. `None` if the texts do not show it.
///
/// Paths are relative to the cgroup namespace of the reading process: there, a process of another container is in a
/// path that leads upwards, such as `/../other`.
#[must_use]
pub fn are_in_different_containers(one: &str, other: &str) -> Option<bool> {
    let path_in = |hierarchy: &str| other.lines().filter_map(cgroup).find(|(other, _)| *other == hierarchy);
    let pairs = one.lines().filter_map(cgroup).filter_map(|(hierarchy, path)| Some((path, path_in(hierarchy)?.1)));
    pairs.map(|(one, other)| are_unrelated(one, other)).reduce(|some, other| some || other)
}

/// The hierarchy and the path in a line such as `0::/kubepods/pod1` or `4:memory:/`.
fn cgroup(line: &str) -> Option<(&str, &str)> {
    let (hierarchy, path) = line.split_once(":/")?;
    Some((hierarchy, path))
}

/// Whether the cgroups differ and neither is above the other.
fn are_unrelated(one: &str, other: &str) -> bool {
    let mut one = one.split('/').filter(|part| !part.is_empty()).peekable();
    let mut other = other.split('/').filter(|part| !part.is_empty()).peekable();
    while one.peek().is_some() && one.peek() == other.peek() {
        one.next();
        other.next();
    }
    let is_above_or_same = matches!((one.peek(), other.peek()), (None, rest) | (rest, None) if rest != Some(&".."));
    !is_above_or_same
}

/// Returns the last component of a path.
#[must_use]
pub fn basename(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Returns the inodes of the sockets that listen on `port`, from the text of `/proc/net/tcp` or `/proc/net/tcp6`.
pub fn listeners(table: &str, port: u16) -> impl Iterator<Item = u64> {
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let (_, local_port) = fields.nth(1)?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        let listens = state == "0A" && u16::from_str_radix(local_port, 16).ok()? == port;
        listens.then(|| inode.parse().ok())?
    })
}

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// The user that created it.
    pub uid: u32,
}

/// Returns the sockets that listen, from the text of `/proc/net/tcp` or `/proc/net/tcp6`.
pub fn all_listeners(table: &str) -> impl Iterator<Item = Listener> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        let is_listening = fields.nth(1)? == "0A";
        let uid = fields.nth(3)?.parse().ok()?;
        is_listening.then(|| Some(Listener { port: u16::from_str_radix(port, 16).ok()?, uid }))?
    })
}

/// Parses the inode in a link of `/proc/pid/fd` such as `socket:[4711]`.
#[must_use]
pub fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "17 (a) b (c) S 1 17 17 0 -1 4194560 99 0 0 0 1 2 0 0 20 0 1 0 12345 1000000 250 \
        18446744073709551615 1 1 0 0 0 0 0 4096 17474 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 9";

    #[test]
    fn stat_is_parsed_for_any_process_name() {
        let stat = Stat::parse(STAT).unwrap();
        assert_eq!(stat, Stat { parent: 1, started: 12345, ended: false, exiting: false, status: 9 });
        assert!(Stat::parse(&STAT.replace(" S ", " Z ")).unwrap().ended);
    }

    #[test]
    fn exiting_flag_is_recognized() {
        let stat = Stat::parse(&STAT.replace("4194560", "4194564")).unwrap();
        assert!(stat.exiting && !stat.ended);
    }

    #[test]
    fn process_with_live_threads_has_not_ended() {
        let line = STAT.replace(" S ", " Z ").replace("20 0 1 0 12345", "20 0 4 0 12345");
        assert!(!Stat::parse(&line).unwrap().ended);
    }

    #[test]
    fn truncated_stat_is_rejected() {
        assert_eq!(Stat::parse("17 (a) S 1 17"), None);
        assert_eq!(Stat::parse(""), None);
    }

    const STATUS: &str = "Name:\tx\nUid:\t1000\t1001\t1000\t1000\nSigBlk:\t0000000000014000\n\
        SigIgn:\t0000000000000005\nSigCgt:\t0000000000004002\n";

    fn parse(text: &str) -> Status {
        Status::parse(text, || Some(7)).unwrap()
    }

    fn masks() -> SignalMasks {
        parse(STATUS).signals.unwrap()
    }

    #[test]
    fn caught_signals_are_read_from_mask() {
        assert_eq!(parse(STATUS).uid, 1000);
        let masks = masks();
        assert!(masks.catches(2) && masks.catches(15));
        assert!(!masks.catches(1) && !masks.catches(0) && !masks.catches(65));
    }

    #[test]
    fn disposition_follows_masks() {
        let expected = [
            (1, Disposition::Ignored),
            (2, Disposition::Caught),
            (3, Disposition::Ignored),
            (15, Disposition::Caught),
            (17, Disposition::Blocked),
            (9, Disposition::Default),
            (65, Disposition::Default),
        ];
        for (signal, disposition) in expected {
            assert_eq!(masks().disposition(signal), disposition, "{signal}");
        }
    }

    #[test]
    fn status_without_user_and_masks_has_its_owner_and_no_signals() {
        // What gVisor shows.
        let text = "Name:\timpeller\nState:\tS (sleeping)\nTgid:\t4\nPid:\t4\nPPid:\t0\nTracerPid:\t0\nFDSize:\t64\n\
            VmSize:\t900 kB\nThreads:\t3\nCapInh:\t0000000000000000\nSeccomp:\t0\nMems_allowed:\t1\n";
        assert_eq!(Status::parse(text, || Some(1000)).unwrap(), Status { uid: 1000, signals: None });
        for line in ["SigBlk:", "SigIgn:", "SigCgt:"] {
            let partial = STATUS.replace(line, "X:");
            assert_eq!(parse(&partial), Status { uid: 1000, signals: None }, "without {line}");
        }
    }

    #[test]
    fn containers_are_told_apart_by_their_cgroups() {
        let different = |one: &str, other: &str| {
            let forth = are_in_different_containers(one, other);
            assert_eq!(forth, are_in_different_containers(other, one), "{one} {other}");
            forth
        };
        // In a cgroup namespace of its own (cgroup v2).
        assert_eq!(different("0::/\n", "0::/\n"), Some(false));
        assert_eq!(different("0::/\n", "0::/init.scope\n"), Some(false), "systemd in the container");
        assert_eq!(different("0::/\n", "0::/../cri-containerd-1a.scope\n"), Some(true));
        assert_eq!(different("0::/\n", "0::/../../pod2/crio-1a.scope\n"), Some(true));
        // In the host's cgroup namespace.
        let [one, other] = ["a", "b"].map(|id| format!("0::/kubepods.slice/pod1.slice/crio-{id}.scope\n"));
        assert_eq!([different(&one, &one), different(&one, &other)], [Some(false), Some(true)]);
        assert_eq!(different("0::/pod1/a\n", "0::/pod1/ab\n"), Some(true), "a name is not a folder");
        // Version 1: in some hierarchies, all containers may share a cgroup.
        let of = |memory: &str| format!("5:cpu,cpuacct:/\n4:memory:{memory}\n0::/\n");
        assert_eq!(different(&of("/docker/a"), &of("/docker/b")), Some(true));
        assert_eq!(different(&of("/docker/a"), &of("/")), Some(false));
    }

    #[test]
    fn containers_without_common_hierarchy_are_not_told_apart() {
        for other in ["", "\n", "4:memory:/a\n", "garbage", "::"] {
            assert_eq!(are_in_different_containers("0::/\n", other), None, "{other}");
        }
    }

    #[test]
    fn basename_is_last_path_component() {
        assert_eq!(basename("/usr/bin/impeller"), "impeller");
        assert_eq!(basename("impeller"), "impeller");
    }

    #[test]
    fn listeners_exclude_connections_to_same_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \u{20}  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n\
            \u{20}  1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0 0 10 0\n";
        assert_eq!(listeners(table, 8080).collect::<Vec<_>>(), [4711]);
        assert_eq!(listeners(table, 8081).count(), 0);
        assert_eq!(all_listeners(table).collect::<Vec<_>>(), [Listener { port: 8080, uid: 1000 }]);
        assert_eq!(socket_inode("socket:[4711]"), Some(4711));
        assert_eq!(socket_inode("/dev/null"), None);
    }
}
