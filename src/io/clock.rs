//! The only clock of the program.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use lameduck_machine::time::Time;

/// Longer than any drain.
const FAR_FUTURE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The time since boot: the kernel's monotonic clock, read once at start, plus the time that the runtime's clock has
/// measured since then.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    at_start: Duration,
}

impl Clock {
    /// Reads the kernel's clock once.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the only clock")]
    pub fn start() -> Self {
        let (started, at_start) = read_together(Instant::now, || {
            let now = clock_gettime(ClockId::Monotonic);
            Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
        });
        Self { started, at_start }
    }

    /// A clock that starts now, at this time since boot.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the only clock")]
    pub fn starting_at(at_start: Duration) -> Self {
        Self { started: Instant::now(), at_start }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::since_boot(self.at_start + self.started.elapsed())
    }

    /// The time now, and a value that `read` returns at the same time.
    pub fn now_with<T>(&self, read: impl Fn() -> T) -> (Time, T) {
        let (elapsed, value) = read_together(|| self.started.elapsed(), read);
        (Time::since_boot(self.at_start + elapsed), value)
    }

    /// The wall clock's time at boot, by its current setting. It is only for showing times to users.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the only clock")]
    pub fn wall_clock_at_boot(&self) -> Duration {
        let wall_clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        wall_clock.saturating_sub(self.now().as_duration())
    }

    /// The runtime's instant for this time.
    #[must_use]
    pub fn instant(&self, time: Time) -> Instant {
        let since_start = time.as_duration().saturating_sub(self.at_start);
        self.started.checked_add(since_start).unwrap_or(self.started + FAR_FUTURE)
    }
}

/// Reads two values at nearly the same time. On a busy machine this process may be suspended between the reads, so they
/// are repeated until they are close together, or the closest pair is returned.
#[expect(clippy::disallowed_methods, reason = "this is the only clock")]
fn read_together<A, B>(first: impl Fn() -> A, second: impl Fn() -> B) -> (A, B) {
    const MAX_RETRIES: usize = 20;
    const MAX_SKEW: Duration = Duration::from_millis(1);
    let read = || {
        let before = Instant::now();
        let values = (first(), second());
        (before.elapsed(), values)
    };
    let mut closest = read();
    for _ in 0..MAX_RETRIES {
        if closest.0 <= MAX_SKEW {
            break;
        }
        let next = read();
        if next.0 < closest.0 {
            closest = next;
        }
    }
    closest.1
}
