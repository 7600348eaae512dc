//! The process that is drained.

use std::time::Duration;

/// The unit of [`Incarnation::started`]: user space sees 100 ticks per second (`USER_HZ`, time(7)).
pub const CLOCK_TICK: Duration = Duration::from_millis(10);

/// One incarnation of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot (proc(5), `/proc/pid/stat` field 22). This distinguishes processes
    /// that had the same pid.
    pub started: u64,
}

/// The one process that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which incarnation it is.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: String,
    /// Why it cannot be signalled; `None` if it can.
    pub blocker: Option<SignalBlocker>,
}

/// Why a signal must not, or cannot, be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalBlocker {
    /// The kernel would refuse it (kill(2), EPERM).
    NotPermitted {
        /// The target's user id.
        theirs: u32,
        /// lameduck's user id.
        ours: u32,
    },
    /// The target does not catch it: it would be killed by it, or ignore it.
    NotCaught,
}

/// What a search for the target found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchResult {
    /// No process matches.
    NotFound,
    /// Several processes match, none of them an ancestor of the others.
    Ambiguous(Vec<u32>),
    /// Exactly one.
    Found(Found),
}

impl SearchResult {
    /// Whether both are of the same variant.
    #[must_use]
    pub fn is_same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
