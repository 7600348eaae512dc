//! The machine's only notion of time: an instant that is handed to it.

use std::ops::{Add, Sub};
use std::time::Duration;

/// An instant, as time since boot on the kernel's monotonic clock.
///
/// It is the same number in every process of one boot and one time namespace, so that it can be written
/// down by one process and read by the next; setting the wall clock does not move it (`clock_gettime(2)`, `CLOCK_MONOTONIC`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// Makes an instant from the time since boot.
    #[must_use]
    pub const fn since_boot(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The time since boot.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// The time that has passed since `earlier`; zero if that is still to come.
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
