//! What is known of the process that is drained.

use std::time::Duration;

/// The unit of [`Incarnation::started`]: the kernel shows user space 100 ticks a second (`USER_HZ`, time(7)).
pub const CLOCK_TICK: Duration = Duration::from_millis(10);

/// One incarnation of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot (proc(5), `/proc/pid/stat` field 22). It differs where a pid is used
    /// again.
    pub started: u64,
}

/// The one process that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which incarnation it is.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: String,
    /// Why it cannot be signalled, if so.
    pub blocker: Option<SignalBlocker>,
}

/// Why a signal must not, or cannot, be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalBlocker {
    /// The kernel would refuse it (kill(2), EPERM).
    NotPermitted {
        /// The target's user id.
        theirs: u32,
        /// Our own.
        ours: u32,
    },
    /// The target does not catch it, so it would be killed by it, or ignores it.
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
