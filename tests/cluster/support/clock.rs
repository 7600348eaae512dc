//! The scenarios' own clock.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Timeout for anything that should be quick: shared machines are slow at times.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(90);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

#[expect(clippy::disallowed_methods, reason = "a scenario keeps its own time; nothing here decides a drain")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn since(start: Instant) -> Duration {
    now().duration_since(start)
}

/// Calls `check` repeatedly until it returns a value; `None` after the timeout.
pub(crate) fn poll<T>(timeout: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let start = now();
    loop {
        match check() {
            Some(value) => return Some(value),
            None if since(start) > timeout => return None,
            None => sleep(POLL_INTERVAL),
        }
    }
}
