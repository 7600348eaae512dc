//! When each sidecar is polled.

use std::collections::{BTreeMap, BTreeSet};

use lameduck_machine::time::Time;

use crate::pod::PodUid;

/// How many polls may be in flight.
const MAX_IN_FLIGHT: usize = 64;

/// The times of the next polls. A pod has at most one poll in flight.
#[derive(Clone, Debug, Default)]
pub struct PollQueue {
    due: BTreeSet<(Time, PodUid)>,
    /// The next poll of each pod; `None` while one is in flight.
    pods: BTreeMap<PodUid, Option<Time>>,
    in_flight: usize,
}

impl PollQueue {
    /// Polls this pod at this time, or earlier if that is planned. A poll in flight is awaited first.
    pub fn schedule(&mut self, uid: &PodUid, at: Time) {
        match self.pods.get(uid) {
            None => {}
            Some(None) => return,
            Some(Some(planned)) if *planned <= at => return,
            Some(Some(planned)) => {
                self.due.remove(&(*planned, uid.clone()));
            }
        }
        self.pods.insert(uid.clone(), Some(at));
        self.due.insert((at, uid.clone()));
    }

    /// The next pod to poll now. Its poll is in flight until [`PollQueue::complete`] or [`PollQueue::remove`].
    pub fn take(&mut self, now: Time) -> Option<PodUid> {
        let (at, _) = self.due.first()?;
        if *at > now || self.in_flight >= MAX_IN_FLIGHT {
            return None;
        }
        let (_, uid) = self.due.pop_first()?;
        self.pods.insert(uid.clone(), None);
        self.in_flight += 1;
        Some(uid)
    }

    /// Notes that the poll of this pod has ended.
    pub fn complete(&mut self, uid: &PodUid) {
        if self.pods.get(uid) == Some(&None) {
            self.remove(uid);
        }
    }

    /// Forgets a pod.
    pub fn remove(&mut self, uid: &PodUid) {
        match self.pods.remove(uid) {
            None => {}
            Some(None) => self.in_flight -= 1,
            Some(Some(at)) => {
                self.due.remove(&(at, uid.clone()));
            }
        }
    }

    /// When [`PollQueue::take`] returns the next pod; `None` if it only does so after the end of another poll.
    #[must_use]
    pub fn timeout(&self) -> Option<Time> {
        let next = self.due.first().filter(|_| self.in_flight < MAX_IN_FLIGHT);
        next.map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::since_boot(Duration::from_secs(seconds))
    }

    fn uid(name: &str) -> PodUid {
        PodUid(name.to_owned())
    }

    #[test]
    fn pod_has_one_poll_in_flight() {
        let mut queue = PollQueue::default();
        queue.schedule(&uid("a"), at(5));
        queue.schedule(&uid("a"), at(9));
        assert_eq!((queue.take(at(4)), queue.timeout()), (None, Some(at(5))));
        queue.schedule(&uid("a"), at(2));
        assert_eq!(queue.take(at(4)), Some(uid("a")));
        queue.schedule(&uid("a"), at(4));
        assert_eq!((queue.take(at(9)), queue.timeout()), (None, None));
        queue.complete(&uid("a"));
        queue.schedule(&uid("a"), at(6));
        assert_eq!(queue.take(at(9)), Some(uid("a")));
    }

    #[test]
    fn polls_in_flight_are_bounded() {
        let mut queue = PollQueue::default();
        for pod in 0..=MAX_IN_FLIGHT {
            queue.schedule(&uid(&format!("{pod:03}")), at(1));
        }
        let taken = std::iter::from_fn(|| queue.take(at(1))).count();
        assert_eq!((taken, queue.timeout()), (MAX_IN_FLIGHT, None));
        queue.remove(&uid("000"));
        queue.remove(&uid("000"));
        assert_eq!(queue.take(at(1)), Some(uid("064")));
        assert_eq!(queue.take(at(1)), None);
    }
}
