//! The simulated engine's own clock.

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "an engine keeps its own time; nothing here decides a drain")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
