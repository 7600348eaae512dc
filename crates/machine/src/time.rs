//! The machine's only notion of time: a value that is passed to it.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, as the time since boot on the kernel's monotonic clock.
///
/// It is the same in every process of one boot and time namespace, so one process can save it and another can load it.
/// Setting the wall clock does not affect it (`clock_gettime(2)`, `CLOCK_MONOTONIC`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The point in time this long after boot.
    #[must_use]
    pub const fn since_boot(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The time since boot.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// The time since `earlier`; zero if that is in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, back: Duration) -> Self {
        Self(self.0.saturating_sub(back))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// This second after boot.
    pub(crate) fn at(seconds: u64) -> Time {
        Time::since_boot(Duration::from_secs(seconds))
    }
}
