//! The lock for standalone drains of the same target.

use std::path::Path;
use std::time::Duration;

use tracing::{info, warn};

use crate::io::clock::Clock;
use crate::io::drain_lock::{DrainLock, LockHolder};
use crate::io::log::Nullable;
use lameduck_machine::result::Trigger;
use lameduck_machine::time::Time;

/// How often a waiting process tries to acquire the lock.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The result of waiting for the lock.
pub(super) struct LockWait {
    /// The lock, held until this value is dropped; `None` if locking does not work.
    _lock: Option<DrainLock>,
    /// The holder for which this process has waited.
    previous: Option<LockHolder>,
}

impl LockWait {
    /// The result for a process that does not coordinate with others.
    pub(super) const fn without_lock() -> Self {
        Self { _lock: None, previous: None }
    }

    /// Returns the trigger with which this process joins a drain that exists already: a hook that was called while
    /// another was running does not move the deadline and does not reopen a finished drain.
    pub(super) fn effective_trigger(&self, trigger: Trigger) -> Trigger {
        match self.previous {
            Some(LockHolder { trigger: Trigger::Hook, .. }) => Trigger::Cli,
            Some(LockHolder { trigger: Trigger::Cli | Trigger::Sigterm, .. }) | None => trigger,
        }
    }
}

/// Waits for the lock next to a state file, but not beyond the deadline of this process.
pub(super) async fn acquire_lock(state: &Path, trigger: Trigger, clock: &Clock, deadline: Time) -> LockWait {
    let path = state.with_extension("lock");
    let without_lock = |error: &dyn std::fmt::Display| {
        warn!(path = %path.display(), %error, "cannot lock the drain: a second process would not join it");
        LockWait::without_lock()
    };
    let lock = match DrainLock::open(&path) {
        Ok(lock) => lock,
        Err(error) => return without_lock(&error),
    };
    let mut waited = false;
    loop {
        match lock.try_acquire() {
            Ok(true) => break,
            Ok(false) if clock.now() >= deadline => return without_lock(&"the process that holds it does not end"),
            Ok(false) if !waited => {
                let pid = Nullable(lock.holder().map(|holder| holder.pid));
                info!(?pid, "another process performs this drain; waiting for it");
                waited = true;
            }
            Ok(false) => tokio::time::sleep(LOCK_POLL_INTERVAL).await,
            Err(error) => return without_lock(&error),
        }
    }
    let previous = lock.holder().filter(|_| waited);
    if let Err(error) = lock.write_holder(LockHolder { trigger, pid: std::process::id() }) {
        warn!(
            path = %path.display(), %error,
            "cannot write the holder of the drain lock: a process that joins this drain may move its deadline"
        );
    }
    LockWait { _lock: Some(lock), previous }
}
