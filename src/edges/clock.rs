//! The one clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::machine::time::Time;

/// Tells the time since boot: the kernel's monotonic clock, read once, plus what the runtime has counted since.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    at_start: Duration,
}

impl Clock {
    /// Reads the kernel's clock once.
    #[must_use]
    pub fn start() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
        Self::starting_at(Duration::new(seconds, nanos))
    }

    /// A clock that says now that `at_start` has passed since boot.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn starting_at(at_start: Duration) -> Self {
        Self { started: Instant::now(), at_start }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::since_boot(self.at_start + self.started.elapsed())
    }

    /// The wall clock's time at boot, as it is set now: to show instants to people, and for nothing else.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn epoch(&self) -> Duration {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        wall.saturating_sub(self.now().as_duration())
    }

    /// The runtime's instant at which it will be `time`.
    #[must_use]
    pub fn instant(&self, time: Time) -> Instant {
        let wait = time.as_duration().saturating_sub(self.at_start);
        self.started.checked_add(wait).unwrap_or(self.started + FAR)
    }
}

/// Longer than any drain.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
