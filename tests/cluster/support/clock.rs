//! The scenarios' own clock.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take that is not meant to take long: shared machines are slow now and then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

const STEP: Duration = Duration::from_millis(50);

#[expect(clippy::disallowed_methods, reason = "a scenario keeps its own time; nothing here decides a drain")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn since(start: Instant) -> Duration {
    now().duration_since(start)
}

/// Asks again and again until there is an answer; `None` when patience is at its end.
pub(crate) fn poll<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = now();
    loop {
        match ask() {
            Some(answer) => return Some(answer),
            None if since(start) > patience => return None,
            None => sleep(STEP),
        }
    }
}
