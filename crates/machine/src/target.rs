//! The process that is drained.

use std::time::Duration;

use crate::time::Time;

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

/// When lameduck began to observe the pod, by its own clock and by that of process start times.
#[derive(Clone, Copy, Debug)]
pub struct ObservationStart {
    /// The time.
    pub at: Time,
    /// The same time in the unit of [`Incarnation::started`].
    pub ticks: u64,
}

impl ObservationStart {
    /// When an incarnation started.
    #[must_use]
    pub fn start_of(&self, incarnation: Incarnation) -> Time {
        let later = CLOCK_TICK * u32::try_from(incarnation.started.saturating_sub(self.ticks)).unwrap_or(u32::MAX);
        let earlier = CLOCK_TICK * u32::try_from(self.ticks.saturating_sub(incarnation.started)).unwrap_or(u32::MAX);
        self.at + later - earlier
    }

    /// Whether this incarnation started later, so that all of it was observed.
    #[must_use]
    pub const fn is_before(&self, incarnation: Incarnation) -> bool {
        incarnation.started > self.ticks
    }
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
    /// The kernel would refuse it.
    NotPermitted {
        /// The kernel's error number (errno(3)): `EPERM` if it is because of the users (kill(2)); a security module such
        /// as AppArmor answers `EACCES`.
        errno: i32,
        /// The target's user id.
        theirs: u32,
        /// lameduck's user id.
        ours: u32,
    },
    /// The target does not catch it: it would be killed by it, or ignore it.
    NotCaught,
    /// The kernel does not show which signals the target catches.
    CaughtUnknown,
}

/// What a poll reads of a target that is already known, from its own entry in `/proc`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TargetState {
    /// Nothing: no target is known, or its entry could not be read.
    #[default]
    Unknown,
    /// It was exiting or had ended. The readings of the poll are then meaningless.
    Exiting,
    /// It had all of its files. With it, why it could not be signalled; `None` if it could, or if no signal is
    /// configured.
    Intact(Option<SignalBlocker>),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_compared_in_ticks() {
        let at = |seconds| Time::since_boot(Duration::from_secs(seconds));
        let start = ObservationStart { at: at(100), ticks: 500 };
        let process = |started| Incarnation { pid: 7, started };
        assert_eq!([400, 500, 600].map(|ticks| start.start_of(process(ticks))), [at(99), at(100), at(101)]);
        assert_eq!([499, 500, 501].map(|ticks| start.is_before(process(ticks))), [false, false, true]);
    }
}
