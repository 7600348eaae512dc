//! How long a terminating pod really has.
//!
//! A deletion may give less than the pod's own grace period, and a later deletion or eviction may shorten it again. It
//! never becomes longer. The stamp of the API server is compared with our clock only after a list, where it is not known
//! when the deletion began.

use std::time::Duration;

use lameduck_machine::time::Time;

use crate::io::DeadlineReply;
use crate::pod::{Deletion, Pod};
use crate::status::DrainStatus;

/// By how much our clock may be behind that of the API server.
const CLOCK_SKEW: Duration = Duration::from_secs(2);

/// The exit margin of a sidecar with default settings.
const DEFAULT_MARGIN: Duration = Duration::from_secs(5);

/// A later end by less than this is not sent again.
const RESOLUTION: Duration = Duration::from_secs(1);

/// The longest time between two attempts.
const MAX_RETRY: Duration = Duration::from_secs(8);

/// The deadline of one pod.
#[derive(Clone, Copy, Debug, Default)]
pub struct PodDeadline {
    termination: Option<Termination>,
    exit_margin: Option<Duration>,
    sent: Sent,
}

#[derive(Clone, Copy, Debug)]
struct Termination {
    first_seen: Time,
    end: Time,
}

#[derive(Clone, Copy, Debug, Default)]
enum Sent {
    #[default]
    Never,
    Pending {
        drain_end: Time,
        accepted: Option<Time>,
        failures: u32,
    },
    Accepted {
        drain_end: Time,
    },
    Failed {
        accepted: Option<Time>,
        retry_at: Time,
        failures: u32,
    },
    Refused,
}

impl PodDeadline {
    /// Takes the deletion of a pod. `listed` says that it is the first state after a gap in the watch.
    pub fn on_deletion(&mut self, now: Time, deletion: Deletion, listed: bool) {
        let first_seen = self.termination.map_or(now, |termination| termination.first_seen);
        let by_own_clock = first_seen + deletion.grace_period;
        let by_stamp = deletion.stamp - CLOCK_SKEW;
        let end = if listed { by_own_clock.min(by_stamp) } else { by_own_clock };
        let end = self.termination.map_or(end, |termination| termination.end.min(end));
        self.termination = Some(Termination { first_seen, end });
    }

    /// Takes the drain in a status: it shows the sidecar's exit margin until its deadline has been changed.
    pub fn on_drain(&mut self, pod: &Pod, drain: DrainStatus) {
        if matches!(self.sent, Sent::Never) {
            let margin = pod.grace_period.checked_sub(drain.elapsed + drain.remaining);
            self.exit_margin = margin.or(self.exit_margin);
        }
    }

    /// When the pod will be killed; `None` if it is not terminating.
    #[must_use]
    pub fn kill_at(&self) -> Option<Time> {
        self.termination.map(|termination| termination.end)
    }

    /// When the drain must end, if the sidecar must be told that now.
    pub fn take_due(&mut self, now: Time, pod: &Pod) -> Option<Time> {
        let drain_end = self.drain_end(pod)?;
        let (accepted, failures) = match self.sent {
            Sent::Never => (None, 0),
            Sent::Accepted { drain_end: accepted } => (Some(accepted), 0),
            Sent::Failed { accepted, retry_at, failures } if now >= retry_at => (accepted, failures),
            Sent::Failed { .. } | Sent::Pending { .. } | Sent::Refused => return None,
        };
        let is_earlier = accepted.is_none_or(|accepted| drain_end + RESOLUTION <= accepted);
        if !is_earlier || now >= self.kill_at()? {
            return None;
        }
        self.sent = Sent::Pending { drain_end, accepted, failures };
        Some(drain_end)
    }

    /// When [`PodDeadline::take_due`] may return something although nothing happens.
    #[must_use]
    pub const fn timeout(&self) -> Option<Time> {
        match self.sent {
            Sent::Failed { retry_at, .. } => Some(retry_at),
            Sent::Never | Sent::Pending { .. } | Sent::Accepted { .. } | Sent::Refused => None,
        }
    }

    /// Takes the sidecar's answer. Returns whether it has refused.
    pub fn on_reply(&mut self, now: Time, reply: DeadlineReply) -> bool {
        let Sent::Pending { drain_end, accepted, failures } = self.sent else { return false };
        self.sent = match reply {
            DeadlineReply::Accepted => Sent::Accepted { drain_end },
            DeadlineReply::Refused => Sent::Refused,
            DeadlineReply::NoDrain | DeadlineReply::Failed => {
                let wait = Duration::from_secs(1 << failures.min(3)).min(MAX_RETRY);
                Sent::Failed { accepted, retry_at: now + wait, failures: failures + 1 }
            }
        };
        matches!(self.sent, Sent::Refused)
    }

    /// When the drain must end; `None` if the pod has its whole grace period.
    fn drain_end(&self, pod: &Pod) -> Option<Time> {
        let grace_period = pod.deletion?.grace_period;
        let end = self.kill_at().filter(|_| grace_period < pod.grace_period)?;
        // A sidecar with a short grace period reserves a tenth of it.
        let margin = self.exit_margin.unwrap_or(DEFAULT_MARGIN).min(grace_period / 10);
        Some(end - margin)
    }
}
