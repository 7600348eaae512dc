//! When the sources are polled. The machine requests every poll, so that it knows when each reading was requested.

use std::time::Duration;

use crate::io::{Action, Actions};
use crate::target::Incarnation;
use crate::time::Time;

/// How much later than its timeout a poll may still be answered: the poller has the same timeout, and better messages.
const SLACK: Duration = Duration::from_millis(100);

/// The poll in flight, and when the last one was requested.
#[derive(Clone, Debug, Default)]
pub struct PollSchedule {
    requested_at: Option<Time>,
    /// When the poll in flight is given up.
    expires_at: Option<Time>,
}

impl PollSchedule {
    /// Requests a poll, and a search for the target that goes with it.
    pub fn request(&mut self, now: Time, timeout: Duration, target: Option<Incarnation>, actions: &mut Actions) {
        self.begin(now, timeout);
        actions.push(Action::FindTarget { requested_at: now, target });
        actions.push(Action::PollSources { requested_at: now, timeout, target });
    }

    fn begin(&mut self, now: Time, timeout: Duration) {
        (self.requested_at, self.expires_at) = (Some(now), Some(now + timeout + SLACK));
    }

    /// Forgets the poll in flight, and makes another one due: an answer that still comes is ignored.
    pub fn cancel(&mut self) {
        *self = Self::default();
    }

    /// Takes the answer to the poll requested then; false if that is not in flight.
    pub fn complete(&mut self, requested_at: Time) -> bool {
        self.requested_at == Some(requested_at) && self.expires_at.take().is_some()
    }

    /// When the poll in flight was requested, if its time is over; [`complete`](Self::complete) then ends it.
    #[must_use]
    pub fn expired(&self, now: Time) -> Option<Time> {
        self.requested_at.filter(|_| self.expires_at.is_some_and(|expires_at| now >= expires_at))
    }

    /// When the next poll is due: an interval after the last, or at the first of `required` that none was requested
    /// since. A poll in flight is awaited first, until it expires.
    #[must_use]
    pub fn due(&self, now: Time, interval: Duration, required: impl Iterator<Item = Time>) -> Time {
        let Some(requested_at) = self.requested_at else { return now };
        if let Some(expires_at) = self.expires_at {
            return expires_at;
        }
        required.filter(|at| *at > requested_at).fold(requested_at + interval, Time::min)
    }

    /// Whether a poll is in flight.
    #[must_use]
    pub const fn is_in_flight(&self) -> bool {
        self.expires_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Time {
        Time::since_boot(Duration::from_millis(millis))
    }

    fn due(schedule: &PollSchedule, now: u64, required: &[u64]) -> Time {
        schedule.due(at(now), INTERVAL, required.iter().map(|millis| at(*millis)))
    }

    #[test]
    fn first_poll_is_due_at_once_and_the_next_an_interval_later() {
        let mut schedule = PollSchedule::default();
        assert_eq!(due(&schedule, 500, &[]), at(500));
        schedule.begin(at(500), Duration::from_secs(2));
        assert!(schedule.complete(at(500)));
        assert_eq!(due(&schedule, 600, &[]), at(1500));
        assert_eq!(due(&schedule, 600, &[500, 1200, 1300]), at(1200), "500 has been polled");
    }

    #[test]
    fn poll_in_flight_is_awaited_until_it_expires() {
        let mut schedule = PollSchedule::default();
        schedule.begin(at(0), Duration::from_secs(2));
        assert_eq!(due(&schedule, 100, &[200]), at(2100));
        assert_eq!([2099, 2100].map(|millis| schedule.expired(at(millis))), [None, Some(at(0))]);
        assert!(schedule.complete(at(0)) && schedule.expired(at(2100)).is_none());
    }

    #[test]
    fn answer_is_taken_once_and_only_of_the_current_poll() {
        let mut schedule = PollSchedule::default();
        schedule.begin(at(0), INTERVAL);
        assert!(!schedule.complete(at(1)) && schedule.is_in_flight());
        assert!(schedule.complete(at(0)) && !schedule.complete(at(0)));
        schedule.begin(at(10), INTERVAL);
        schedule.cancel();
        assert!(!schedule.complete(at(10)) && due(&schedule, 20, &[]) == at(20));
    }
}
