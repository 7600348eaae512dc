//! The demonstration's own clock.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a demonstration keeps its own time; nothing here decides a drain")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
