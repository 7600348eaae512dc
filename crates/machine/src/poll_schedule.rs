//! When the sources are polled. The machine requests every poll, so that it knows when each reading was requested.

use std::time::Duration;

use crate::io::{Action, Actions, Poll, PollRequest};
use crate::target::Incarnation;
use crate::time::Time;

/// How long after its timeout a poll is still accepted: the poller has the same timeout, and better error messages.
const SLACK: Duration = Duration::from_millis(100);

/// The poll in flight, and when the last one was requested.
#[derive(Clone, Debug)]
pub struct PollSchedule {
    interval: Duration,
    requested_at: Option<Time>,
    /// When the last regular poll was requested. A poll that is required in between does not postpone the next one.
    regular_at: Option<Time>,
    in_flight: Option<InFlight>,
}

/// A poll that has not been answered. Two polls that are requested at one instant differ in their target.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    target: Option<Incarnation>,
    /// When it is given up.
    expires_at: Time,
}

impl PollSchedule {
    /// A schedule of polls at this interval. The first poll is due at once.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self { interval, requested_at: None, regular_at: None, in_flight: None }
    }

    /// Requests a poll.
    pub fn request(&mut self, request: PollRequest, actions: &mut Actions) {
        let PollRequest { requested_at, timeout, target, .. } = request;
        self.begin(requested_at, timeout, target);
        actions.push(Action::PollSources(request));
    }

    fn begin(&mut self, now: Time, timeout: Duration, target: Option<Incarnation>) {
        self.requested_at = Some(now);
        if self.regular_at.is_none_or(|regular_at| now >= regular_at + self.interval) {
            self.regular_at = Some(now);
        }
        self.in_flight = Some(InFlight { target, expires_at: now + timeout + SLACK });
    }

    /// Cancels the poll in flight, whose result will be ignored, and makes the next one due.
    pub const fn cancel(&mut self) {
        *self = Self::new(self.interval);
    }

    /// Takes the answer to a poll; false if that is not in flight.
    pub fn complete(&mut self, requested_at: Time, target: Option<Incarnation>) -> bool {
        self.requested_at == Some(requested_at) && self.in_flight.take_if(|poll| poll.target == target).is_some()
    }

    /// The poll in flight without any reading, if its time is over; [`complete`](Self::complete) then ends it.
    #[must_use]
    pub fn expired(&self, now: Time) -> Option<Poll> {
        let InFlight { target, .. } = self.in_flight.filter(|poll| now >= poll.expires_at)?;
        Some(Poll { requested_at: self.requested_at?, target, ..Poll::default() })
    }

    /// When the next poll is due: one interval after the last regular one, or earlier at the first `required` time since
    /// the last poll. A poll in flight is awaited first, until it expires.
    #[must_use]
    pub fn due(&self, now: Time, required: impl Iterator<Item = Time>) -> Time {
        let (Some(requested_at), Some(regular_at)) = (self.requested_at, self.regular_at) else { return now };
        if let Some(poll) = self.in_flight {
            return poll.expires_at;
        }
        required.filter(|at| *at > requested_at).fold(regular_at + self.interval, Time::min)
    }

    /// Whether a poll is in flight.
    #[must_use]
    pub const fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
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
        schedule.due(at(now), required.iter().map(|millis| at(*millis)))
    }

    #[test]
    fn first_poll_is_due_at_once_and_the_next_an_interval_later() {
        let mut schedule = PollSchedule::new(INTERVAL);
        assert_eq!(due(&schedule, 500, &[]), at(500));
        schedule.begin(at(500), Duration::from_secs(2), None);
        assert!(schedule.complete(at(500), None));
        assert_eq!(due(&schedule, 600, &[]), at(1500));
        assert_eq!(due(&schedule, 600, &[500, 1200, 1300]), at(1200), "500 has been polled");
        schedule.begin(at(1200), Duration::from_secs(2), None);
        assert!(schedule.complete(at(1200), None));
        assert_eq!(due(&schedule, 1200, &[]), at(1500), "a required poll does not postpone the next one");
        schedule.begin(at(1600), Duration::from_secs(2), None);
        assert!(schedule.complete(at(1600), None));
        assert_eq!(due(&schedule, 1600, &[]), at(2600), "a late one does");
    }

    #[test]
    fn poll_in_flight_is_awaited_until_it_expires() {
        let mut schedule = PollSchedule::new(INTERVAL);
        schedule.begin(at(0), Duration::from_secs(2), None);
        assert_eq!(due(&schedule, 100, &[200]), at(2100));
        assert_eq!(
            [2099, 2100].map(|millis| schedule.expired(at(millis)).map(|poll| poll.requested_at)),
            [None, Some(at(0))]
        );
        assert!(schedule.complete(at(0), None) && schedule.expired(at(2100)).is_none());
    }

    #[test]
    fn poll_completes_once_and_only_if_current() {
        let mut schedule = PollSchedule::new(INTERVAL);
        schedule.begin(at(0), INTERVAL, None);
        assert!(!schedule.complete(at(1), None) && schedule.is_in_flight());
        assert!(schedule.complete(at(0), None) && !schedule.complete(at(0), None));
        schedule.begin(at(10), INTERVAL, None);
        schedule.cancel();
        assert!(!schedule.complete(at(10), None) && due(&schedule, 20, &[]) == at(20));
    }

    #[test]
    fn two_polls_of_one_instant_differ_in_their_target() {
        let target = Some(Incarnation { pid: 7, started: 1 });
        let mut schedule = PollSchedule::new(INTERVAL);
        schedule.begin(at(0), INTERVAL, target);
        schedule.cancel();
        schedule.begin(at(0), INTERVAL, None);
        assert!(!schedule.complete(at(0), target) && schedule.complete(at(0), None));
    }
}
