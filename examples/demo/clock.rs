//! The demo's clock.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "the demo keeps its own time; nothing here decides a drain")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
