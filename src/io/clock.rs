//! The one clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use lameduck_machine::time::Time;

/// Tells the time since boot: the kernel's monotonic clock, read once, plus what the runtime has counted since.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    at_start: Duration,
}

impl Clock {
    /// Reads the kernel's clock once.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn start() -> Self {
        let (started, at_start) = read_together(Instant::now, || {
            let now = clock_gettime(ClockId::Monotonic);
            Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
        });
        Self { started, at_start }
    }

    /// The time now, and what else is read at the same instant.
    pub fn now_with<T>(&self, read: impl Fn() -> T) -> (Time, T) {
        let (instant, read) = read_together(|| self.started.elapsed(), read);
        (Time::since_boot(self.at_start + instant), read)
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
    pub fn wall_clock_at_boot(&self) -> Duration {
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

/// Two readings of one instant: on a busy machine a process may be stopped between them, and then it reads again.
#[expect(clippy::disallowed_methods, reason = "this is the one clock")]
fn read_together<A, B>(one: impl Fn() -> A, other: impl Fn() -> B) -> (A, B) {
    const TRIES: usize = 20;
    const INSTANT: Duration = Duration::from_millis(1);
    let read = || {
        let before = Instant::now();
        let both = (one(), other());
        (before.elapsed(), both)
    };
    let mut tries = std::iter::repeat_with(read).take(TRIES);
    let mut best = read();
    while best.0 > INSTANT
        && let Some(next) = tries.next()
    {
        best = if next.0 < best.0 { next } else { best };
    }
    best.1
}

/// Longer than any drain.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
