//! Whether a client watches the status and has not seen the outcome yet.
//!
//! The kubelet stops the sidecar a fraction of a second after the drain, and with it every process that `kubectl exec`
//! has started in its container, such as `lameduck status --watch`.

use std::time::Duration;

use lameduck_machine::time::Time;

/// The maximum time between two requests of a watcher, and so how long an unseen outcome is kept for it.
const MAX_INTERVAL: Duration = Duration::from_millis(1100);

/// The requests of the status.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    requested_at: Option<Time>,
    /// Whether there is an outcome that no status has shown.
    outcome_unseen: bool,
}

impl Watchers {
    /// Records a request of the status.
    pub(super) fn on_status(&mut self, now: Time) {
        self.requested_at = Some(now);
        self.outcome_unseen = false;
    }

    /// Records that the next status will be the first with this outcome.
    pub(super) fn on_outcome(&mut self) {
        self.outcome_unseen = true;
    }

    /// The time by which a watcher will request the status again; `None` if no watcher waits for the outcome.
    pub(super) fn wait_until(&self, now: Time) -> Option<Time> {
        let next = self.requested_at? + MAX_INTERVAL;
        (self.outcome_unseen && now < next).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::since_boot(Duration::from_millis(millis))
    }

    #[test]
    fn only_an_unseen_outcome_is_kept_for_a_watcher() {
        let mut watchers = Watchers::default();
        watchers.on_outcome();
        assert_eq!(watchers.wait_until(at(0)), None, "nobody watches");
        watchers.on_status(at(1000));
        assert_eq!(watchers.wait_until(at(1000)), None, "the outcome was seen");
        watchers.on_outcome();
        assert_eq!(watchers.wait_until(at(1500)), Some(at(2100)));
        assert_eq!(watchers.wait_until(at(2100)), None, "the watcher is gone");
    }
}
