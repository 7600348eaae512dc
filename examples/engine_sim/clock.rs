//! The simulated engine's own clock.

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "the simulated engine has its own clock, no drain depends on it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
