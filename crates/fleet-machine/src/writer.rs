//! When an annotation may be written.
//!
//! Every write is work for the API server and for everyone who watches the pod. So a pod is written at most once in 30
//! seconds, and all pods together at most ten times a second. Errors slow all writes down.

use std::collections::BTreeMap;
use std::time::Duration;

use lameduck_machine::time::Time;

use crate::io::WriteResult;
use crate::pod::{Key, Keys, PodUid};

/// The time between two writes of one pod.
pub const POD_INTERVAL: Duration = Duration::from_secs(30);

/// The time between two writes of any pods.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// How many writes may be in flight.
const MAX_IN_FLIGHT: usize = 4;

/// The longest wait after an error without a time to wait.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// The writes of all pods.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    next_at: Time,
    failures: u32,
    in_flight: BTreeMap<PodUid, Keys>,
}

/// The writes of one pod.
#[derive(Clone, Copy, Debug, Default)]
pub struct PodWrites {
    written_at: Option<Time>,
    stands_back: [bool; Key::ALL.len()],
}

impl PodWrites {
    /// Never writes this key again. Returns whether that is new.
    pub fn stand_back(&mut self, key: Key) -> bool {
        !std::mem::replace(&mut self.stands_back[key as usize], true)
    }

    /// Whether the key may be written.
    #[must_use]
    pub const fn may_write(&self, key: Key) -> bool {
        !self.stands_back[key as usize]
    }

    /// The keys of the set that may be written.
    #[must_use]
    pub fn permitted(&self, keys: Keys) -> Keys {
        let forbidden = Key::ALL.into_iter().filter(|key| !self.may_write(*key));
        forbidden.fold(keys, Keys::without)
    }

    /// Whether the pod may be written now.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        self.written_at.is_none_or(|written_at| now.since(written_at) >= POD_INTERVAL)
    }

    /// When it was last written.
    #[must_use]
    pub const fn written_at(&self) -> Option<Time> {
        self.written_at
    }
}

impl Writer {
    /// Whether any pod may be written now. After an error, one write must succeed before there are several at a time.
    #[must_use]
    pub fn is_ready(&self, now: Time) -> bool {
        let max_in_flight = if self.failures == 0 { MAX_IN_FLIGHT } else { 1 };
        now >= self.next_at && self.in_flight.len() < max_in_flight
    }

    /// When the next write is possible, unless that needs the end of another one.
    #[must_use]
    pub const fn next_at(&self) -> Time {
        self.next_at
    }

    /// Whether this pod is being written.
    #[must_use]
    pub fn is_in_flight(&self, uid: &PodUid) -> bool {
        self.in_flight.contains_key(uid)
    }

    /// Notes that a write begins.
    pub fn begin(&mut self, now: Time, uid: &PodUid, keys: Keys, pod: &mut PodWrites) {
        pod.written_at = Some(now);
        self.next_at = now + INTERVAL;
        self.in_flight.insert(uid.clone(), keys);
    }

    /// Notes that a write has ended. Returns the annotations if they are written.
    pub fn end(&mut self, now: Time, uid: &PodUid, result: &WriteResult) -> Option<Keys> {
        let keys = self.in_flight.remove(uid)?;
        let wait = match result {
            WriteResult::Written => {
                self.failures = 0;
                return Some(keys);
            }
            // The API server works: it has answered about this pod.
            WriteResult::Conflict(_) | WriteResult::Gone => {
                self.failures = 0;
                return None;
            }
            WriteResult::Throttled(Some(wait)) => *wait,
            WriteResult::Throttled(None) | WriteResult::Failed => {
                Duration::from_secs(1 << self.failures.min(6)).min(MAX_BACKOFF)
            }
        };
        self.failures = self.failures.saturating_add(1);
        self.next_at = self.next_at.max(now + wait);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::since_boot(Duration::from_millis(millis))
    }

    fn begin(writer: &mut Writer, now: Time, name: &str) -> PodUid {
        let uid = PodUid(name.to_owned());
        writer.begin(now, &uid, Keys::default(), &mut PodWrites::default());
        uid
    }

    #[test]
    fn writes_are_a_tenth_of_a_second_apart() {
        let mut writer = Writer::default();
        assert!(writer.is_ready(at(0)));
        begin(&mut writer, at(0), "a");
        assert!(!writer.is_ready(at(99)) && writer.is_ready(at(100)));
    }

    #[test]
    fn throttled_writer_tries_once_after_the_time_that_the_server_says() {
        let mut writer = Writer::default();
        let first = begin(&mut writer, at(0), "a");
        assert_eq!(writer.end(at(50), &first, &WriteResult::Throttled(Some(Duration::from_secs(30)))), None);
        assert!(!writer.is_ready(at(30_049)) && writer.is_ready(at(30_050)));
        let second = begin(&mut writer, at(30_050), "b");
        assert!(!writer.is_ready(at(90_000)), "one write must succeed first");
        assert_eq!(writer.end(at(90_000), &second, &WriteResult::Written), Some(Keys::default()));
        assert!(writer.is_ready(at(90_000)));
    }

    #[test]
    fn errors_double_the_wait_up_to_a_minute() {
        let (mut writer, mut now, mut waits) = (Writer::default(), at(0), Vec::new());
        for _ in 0..8 {
            let uid = begin(&mut writer, now, "a");
            assert_eq!(writer.end(now, &uid, &WriteResult::Failed), None);
            waits.push(writer.next_at().since(now).as_secs());
            now = writer.next_at();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn pod_is_written_twice_a_minute_at_most() {
        let (mut writer, mut pod) = (Writer::default(), PodWrites::default());
        assert!(pod.is_due(at(0)));
        writer.begin(at(0), &PodUid("a".into()), Keys::default(), &mut pod);
        assert!(!pod.is_due(at(29_999)) && pod.is_due(at(30_000)));
    }
}
