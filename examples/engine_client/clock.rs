//! The client's own clock.

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a client keeps its own time; nothing here decides a drain")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
