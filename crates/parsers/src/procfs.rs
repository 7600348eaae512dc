//! The lines of `/proc` that tell who a process is and how it takes a signal (proc(5)).

/// The flag of a thread that is on its way out.
const EXITING: u64 = 4;

/// What `/proc/pid/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The parent; 0 for the first process of a container.
    pub parent: u32,
    /// When the process started, in clock ticks since boot.
    pub started: u64,
    /// Whether it has ended and only waits to be reaped. One whose first thread alone has ended lives on.
    pub ended: bool,
    /// Whether its first thread is on its way out, or gone (`PF_EXITING` of Linux, `include/linux/sched.h`).
    pub exiting: bool,
    /// How it ended, in the form of wait(2): 0 unless the kernel lets us see it (`PTRACE_MODE_READ_FSCREDS`).
    pub status: i32,
}

impl Stat {
    /// Reads the one line of `/proc/pid/stat`; `None` if it is not of that form.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        // The name in parentheses may hold anything, parentheses and blanks too.
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let (flags, threads): (u64, u32) = (field(9)?.parse().ok()?, field(20)?.parse().ok()?);
        Some(Self {
            parent: field(4)?.parse().ok()?,
            started: field(22)?.parse().ok()?,
            ended: matches!(field(3)?, "Z" | "X" | "x") && threads <= 1,
            exiting: flags & EXITING != 0,
            status: field(52).and_then(|status| status.parse().ok()).unwrap_or(0),
        })
    }
}

/// What `/proc/pid/status` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The real user id.
    pub uid: u32,
    /// The signals that it catches, as a mask: bit n − 1 is signal n.
    pub caught: u64,
    /// Those that it ignores.
    pub ignored: u64,
    /// Those that its first thread holds back.
    pub blocked: u64,
}

/// What a process does with a signal, as far as its masks show (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It has a handler for it.
    Caught,
    /// It ignores it, as whoever started it may have chosen: that is inherited.
    Ignored,
    /// It holds it back, and has no handler: it may wait for it by `sigwait` or `signalfd`, which no mask shows.
    Blocked,
    /// Nothing, so the kernel does, and mostly ends it.
    Default,
}

impl Status {
    /// Reads `/proc/pid/status`; `None` if a line that is needed is missing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let uid = line("Uid:")?.split_ascii_whitespace().next()?.parse().ok()?;
        let mask = |key: &str| u64::from_str_radix(line(key)?.trim(), 16).ok();
        Some(Self { uid, caught: mask("SigCgt:")?, ignored: mask("SigIgn:")?, blocked: mask("SigBlk:")? })
    }

    /// Whether the process has a handler for the signal of this number.
    #[must_use]
    pub const fn catches(&self, signal: i32) -> bool {
        contains(self.caught, signal)
    }

    /// What the process does with the signal of this number.
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

/// The last part of a path, as a process is known by.
#[must_use]
pub fn basename(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The inodes of the sockets that listen on `port`, by the lines of `/proc/net/tcp` or `/proc/net/tcp6`.
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

/// The inode of a link such as `socket:[4711]` in `/proc/pid/fd`.
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
    fn a_stat_line_is_read_whatever_the_name_is() {
        let stat = Stat::parse(STAT).unwrap();
        assert_eq!(stat, Stat { parent: 1, started: 12345, ended: false, exiting: false, status: 9 });
        assert!(Stat::parse(&STAT.replace(" S ", " Z ")).unwrap().ended);
    }

    #[test]
    fn a_process_on_its_way_out_is_told_by_its_flags() {
        let stat = Stat::parse(&STAT.replace("4194560", "4194564")).unwrap();
        assert!(stat.exiting && !stat.ended);
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_lives_on_in_the_others() {
        let line = STAT.replace(" S ", " Z ").replace("20 0 1 0 12345", "20 0 4 0 12345");
        assert!(!Stat::parse(&line).unwrap().ended);
    }

    #[test]
    fn a_line_that_is_cut_short_is_refused() {
        assert_eq!(Stat::parse("17 (a) S 1 17"), None);
        assert_eq!(Stat::parse(""), None);
    }

    const STATUS: &str = "Name:\tx\nUid:\t1000\t1001\t1000\t1000\nSigBlk:\t0000000000014000\n\
        SigIgn:\t0000000000000005\nSigCgt:\t0000000000004002\n";

    #[test]
    fn the_mask_of_caught_signals_is_read_by_number() {
        let status = Status::parse(STATUS).unwrap();
        assert_eq!(status.uid, 1000);
        assert!(status.catches(2) && status.catches(15));
        assert!(!status.catches(1) && !status.catches(0) && !status.catches(65));
    }

    #[test]
    fn what_is_done_with_a_signal_is_told_by_its_masks() {
        let status = Status::parse(STATUS).unwrap();
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
            assert_eq!(status.disposition(signal), disposition, "{signal}");
        }
    }

    #[test]
    fn a_status_without_its_masks_is_refused() {
        assert_eq!(Status::parse("Uid:\t0\t0\t0\t0\n"), None);
    }

    #[test]
    fn names_are_the_last_part_of_a_path() {
        assert_eq!(basename("/usr/bin/impeller"), "impeller");
        assert_eq!(basename("impeller"), "impeller");
    }

    #[test]
    fn listeners_are_told_from_connections_to_the_same_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \u{20}  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n\
            \u{20}  1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0 0 10 0\n";
        assert_eq!(listeners(table, 8080).collect::<Vec<_>>(), [4711]);
        assert_eq!(listeners(table, 8081).count(), 0);
        assert_eq!(socket_inode("socket:[4711]"), Some(4711));
        assert_eq!(socket_inode("/dev/null"), None);
    }
}
