//! Whether this replica may write, by a Lease.
//!
//! The times of the lease come from another clock, so they are compared only with one another: a holder is alive as long
//! as its lease changes.

use std::time::Duration;

use lameduck_machine::time::Time;

use crate::io::{Action, LeaseView, LeaseWrite};

/// After this time without a change, the lease of another holder may be taken.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);

/// After this time without a renewal, the leader stops to write. It is shorter than the lease, so that two replicas never
/// write at the same time.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// The time between two attempts.
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// The part of this replica in the election.
#[derive(Clone, Debug)]
pub struct Leadership {
    identity: String,
    /// The last lease, and since when it has been unchanged.
    observed: Option<(LeaseView, Time)>,
    renewed_at: Option<Time>,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Idle { next_at: Time },
    Reading,
    Writing { requested_at: Time },
    Released,
}

impl Leadership {
    /// A replica with this name, which must be unique among all replicas.
    #[must_use]
    pub const fn new(now: Time, identity: String) -> Self {
        Self { identity, observed: None, renewed_at: None, step: Step::Idle { next_at: now } }
    }

    /// Whether this replica may write.
    #[must_use]
    pub fn is_leader(&self, now: Time) -> bool {
        self.renewed_at.is_some_and(|renewed_at| now.since(renewed_at) < RENEW_DEADLINE)
    }

    /// What is due now.
    pub fn advance(&mut self, now: Time) -> Option<Action> {
        match self.step {
            Step::Idle { next_at } if now >= next_at => {
                self.step = Step::Reading;
                Some(Action::ReadLease)
            }
            Step::Idle { .. } | Step::Reading | Step::Writing { .. } | Step::Released => None,
        }
    }

    /// When [`Leadership::advance`] or [`Leadership::is_leader`] changes although nothing happens.
    #[must_use]
    pub fn timeout(&self, now: Time) -> Option<Time> {
        let next_at = match self.step {
            Step::Idle { next_at } => Some(next_at),
            Step::Reading | Step::Writing { .. } | Step::Released => None,
        };
        let ends_at = self.renewed_at.map(|renewed_at| renewed_at + RENEW_DEADLINE).filter(|ends_at| *ends_at > now);
        [next_at, ends_at].into_iter().flatten().min()
    }

    /// Takes the lease that was read.
    pub fn on_read(&mut self, now: Time, lease: Result<Option<LeaseView>, ()>) -> Option<Action> {
        if !matches!(self.step, Step::Reading) {
            return None;
        }
        self.step = Step::Idle { next_at: now + RETRY_PERIOD };
        let Ok(lease) = lease else { return None };
        let write = match &lease {
            None => LeaseWrite { version: None, holder: self.identity.clone(), transitions: 0, is_new_holder: true },
            Some(lease) => self.renewal(now, lease)?,
        };
        self.step = Step::Writing { requested_at: now };
        Some(Action::WriteLease(write))
    }

    /// How the lease is renewed or taken; `None` if its holder is alive.
    fn renewal(&mut self, now: Time, lease: &LeaseView) -> Option<LeaseWrite> {
        let unchanged_since = match &self.observed {
            Some((observed, since)) if observed == lease => *since,
            Some(_) | None => now,
        };
        self.observed = Some((lease.clone(), unchanged_since));
        let is_own = lease.holder == self.identity;
        let is_free = lease.holder.is_empty() || now.since(unchanged_since) >= LEASE_DURATION;
        if !is_own {
            self.renewed_at = None;
        }
        (is_own || is_free).then(|| LeaseWrite {
            version: Some(lease.version.clone()),
            holder: self.identity.clone(),
            transitions: lease.transitions.saturating_add(i32::from(!is_own)),
            is_new_holder: !is_own,
        })
    }

    /// Takes the result of writing the lease.
    pub fn on_written(&mut self, now: Time, is_written: bool) {
        let Step::Writing { requested_at } = self.step else { return };
        if is_written {
            self.renewed_at = Some(requested_at);
        }
        self.step = Step::Idle { next_at: now + RETRY_PERIOD };
    }

    /// Whether the lease is being written. Until that has ended, it cannot be given up.
    #[must_use]
    pub const fn is_writing(&self) -> bool {
        matches!(self.step, Step::Writing { .. })
    }

    /// Gives the lease up, so that another replica need not wait. Nothing more is due after that.
    pub fn release(&mut self, now: Time) -> Option<Action> {
        let is_leader = self.is_leader(now);
        self.renewed_at = None;
        self.step = Step::Released;
        is_leader.then_some(Action::ReleaseLease)
    }
}
