//! The client's own clock.

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "the client has its own clock, no drain depends on it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
