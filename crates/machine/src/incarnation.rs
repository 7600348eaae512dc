//! Everything that was read of one incarnation of the target. When the target is replaced, this is replaced as a whole,
//! so that no reading carries over.

use std::time::Duration;

use crate::activity::{ActivityTracker, Sample};
use crate::drain::DrainInput;
use crate::io::{Poll, SocketReading};
use crate::page_identity::PageIdentity;
use crate::policy::{AcceptLimit, Policy};
use crate::reading::{ReadError, ReadErrorKind, Reading, Source};
use crate::socket_table::{Bytes, SocketTable};
use crate::source_set::SourceSet;
use crate::stop_signs::StopSigns;
use crate::stream_lifetimes::StreamLifetimes;
use crate::target_tracker::TargetTracker;
use crate::time::Time;

/// The readings of one incarnation.
#[derive(Clone, Debug)]
pub struct IncarnationState {
    /// What the sources answer.
    pub sources: SourceSet,
    /// Which processes serve the metrics page.
    page: PageIdentity,
    /// Which connections are active.
    pub activity: ActivityTracker,
    lifetimes: StreamLifetimes,
    /// Signs that something stops the target.
    pub stop_signs: StopSigns,
    /// Since when the answering sources have given different counts.
    pub disagreeing_since: Option<Time>,
    /// The target's own stream limit, as shown on its metrics page.
    capacity: Option<u64>,
    /// Whether load balancers should send no new streams.
    pub at_capacity: bool,
    /// When the last poll was answered.
    answered_at: Option<Time>,
    /// Whether the pod has been ready; it then stays ready.
    pub ready_once: bool,
}

/// What a poll shows about single streams and listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamsSeen {
    /// The durations of the streams that have ended.
    pub ended: Vec<Duration>,
    /// The greatest age of an active stream.
    pub oldest_active: Option<Duration>,
    /// Whether a listener has been closed.
    pub listener_closed: bool,
    /// Whether most of many streams have ended at once.
    pub lost_most: bool,
}

/// The streams that are idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleCount {
    /// How many there are.
    pub streams: u64,
    /// Whether there are streams, and all of them are idle.
    only: bool,
    /// As of when this is true.
    as_of: Time,
}

impl IncarnationState {
    /// The state before the first reading.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            sources: SourceSet::new(&policy.sources, policy.streams_ports.gauge_leak_after),
            page: PageIdentity::default(),
            activity: ActivityTracker::new(policy.idle.rule),
            lifetimes: StreamLifetimes::default(),
            stop_signs: StopSigns::default(),
            disagreeing_since: None,
            capacity: None,
            at_capacity: false,
            answered_at: None,
            ready_once: false,
        }
    }

    /// Records the result of a poll. A source without a reading has not answered in time.
    pub fn observe(&mut self, poll: &Poll, policy: &Policy, now: Time) -> StreamsSeen {
        let mut seen = StreamsSeen::default();
        self.answered_at = Some(now);
        self.sources.record_new_connections(false);
        match &poll.sockets {
            Some(SocketReading { read_at, table: Ok(table) }) => {
                let sample = Sample { requested_at: poll.requested_at, read_at: *read_at };
                seen = self.sample(sample, table, policy);
                self.sources.record_new_connections(self.are_streams_new(table, policy));
            }
            Some(SocketReading { table: Err(_), .. }) => {
                self.activity.mark_unreadable();
                self.lifetimes.mark_unreadable();
            }
            None => self.lifetimes.mark_unreadable(),
        }
        seen.listener_closed = self.stop_signs.observe(poll, now);
        for process in &poll.page_processes {
            self.page.observe(process, poll.requested_at);
        }
        for source in &policy.sources {
            let reading = poll.readings.iter().find(|(answering, _)| answering == source);
            let reading = reading.map_or_else(no_answer, |(_, reading)| self.without_doubt(*source, reading));
            self.sources.record(*source, poll.requested_at, reading);
        }
        self.update_capacity(poll.capacity);
        self.update_at_capacity(policy);
        if let Some(count) = self.sources.shown_count() {
            seen.lost_most = self.stop_signs.observe_count(count.streams, now);
        }
        self.disagreeing_since = self.sources.sources_disagree().then(|| self.disagreeing_since.unwrap_or(now));
        seen
    }

    /// The reading of a source, or why it cannot be used.
    fn without_doubt(&self, source: Source, reading: &Reading) -> Reading {
        match (reading, self.page.doubt()) {
            (Reading::Counts(_), Some(doubt)) if source.is_on_page() => Reading::Unknown(doubt.clone()),
            (Reading::Counts(_) | Reading::Unknown(_), _) => reading.clone(),
        }
    }

    fn sample(&mut self, sample: Sample, table: &SocketTable, policy: &Policy) -> StreamsSeen {
        let cookies = table.connections.iter().filter_map(|connection| connection.cookie);
        let ended = self.lifetimes.observe(sample, cookies);
        let ports = &policy.idle.ports;
        let active = || table.connections.iter().filter(|connection| ports.contains(&connection.port()));
        let bytes: Option<Vec<(u64, Bytes)>> = active().map(|c| Some((c.cookie?, c.bytes?))).collect();
        let Some(bytes) = bytes else {
            self.activity.mark_unreadable();
            return StreamsSeen { ended, ..StreamsSeen::default() };
        };
        self.activity.observe(sample, &bytes);
        let ages = self.activity.active_at(sample).filter_map(|cookie| self.lifetimes.age(cookie, sample.read_at));
        StreamsSeen { ended, oldest_active: ages.max(), ..StreamsSeen::default() }
    }

    /// Whether there are connections that count as streams, and all of them are new. Without cookies, they are not known
    /// to be.
    fn are_streams_new(&self, table: &SocketTable, policy: &Policy) -> bool {
        let mut streams =
            table.connections.iter().filter(|it| policy.streams_ports.ports.contains(&it.port())).peekable();
        streams.peek().is_some() && streams.all(|it| it.cookie.is_some_and(|cookie| self.lifetimes.is_new(cookie)))
    }

    /// Ends all connections, because the target has ended, and returns how long they lasted.
    pub fn end_streams(&mut self, now: Time) -> Vec<Duration> {
        self.lifetimes.end_all(now)
    }

    // === streams ===

    /// The count, unless it is out of date, or it is zero and zero streams do not mean zero work.
    #[must_use]
    pub fn fresh_streams(&self, policy: &Policy, now: Time) -> Option<u64> {
        let streams = self.sources.streams()?;
        // Where one source does not answer, a poll lasts until its timeout: it is not old when it is answered.
        let fresh = self.answered_at? + policy.times.stale_after() >= now;
        let conclusive = streams > 0 || !policy.wait_for_exit;
        (fresh && conclusive).then_some(streams)
    }

    /// The idle streams; `None` where they are not distinguished.
    #[must_use]
    pub fn idle(&self, policy: &Policy) -> Option<IdleCount> {
        if policy.idle.ports.is_empty() {
            return None;
        }
        let count = self.sources.count()?;
        if count.streams == 0 {
            return Some(IdleCount { streams: 0, only: false, as_of: count.as_of });
        }
        let (never_idle, active) = (self.sources.never_idle()?, self.activity.active()?);
        let streams = count.streams.saturating_sub(never_idle).saturating_sub(active.connections);
        let only = never_idle == 0 && active.connections == 0;
        Some(IdleCount { streams, only, as_of: count.as_of.min(active.as_of) })
    }

    /// As of when only idle streams are left; `None` if there are others, or if that does not end a drain.
    #[must_use]
    pub fn only_idle_as_of(&self, policy: &Policy, now: Time) -> Option<Time> {
        let idle = self.idle(policy).filter(|idle| idle.only && policy.idle.ends_drain)?;
        // If the table or the page cannot be read, its last reading is kept.
        let fresh = idle.as_of + policy.times.stale_after() + policy.times.scrape_timeout >= now;
        fresh.then_some(idle.as_of)
    }

    /// The input of the drain rules.
    #[must_use]
    pub fn drain_input(&self, target: &TargetTracker, policy: &Policy, now: Time) -> DrainInput {
        DrainInput {
            count: self.sources.count(),
            only_new: self.sources.counts_only_new(),
            only_idle: self.only_idle_as_of(policy, now),
            awaiting_exit: target.is_awaiting_exit(),
            wait_for_exit: policy.wait_for_exit,
        }
    }

    /// The minimum ages of the open streams.
    pub fn ages(&self, now: Time) -> impl Iterator<Item = Duration> {
        self.lifetimes.ages(now)
    }

    // === capacity ===

    /// The limit of streams; `None` if there is none.
    #[must_use]
    pub fn limit(&self, policy: &Policy) -> Option<u64> {
        match policy.accept_below? {
            AcceptLimit::Streams(most) => Some(most),
            AcceptLimit::Capacity => self.capacity,
        }
    }

    /// Keeps the page's own limit if a poll does not show it. With several processes, a page shows the limit of one
    /// only.
    fn update_capacity(&mut self, shown: Option<u64>) {
        let limit = shown.map_or(self.capacity, |limit| Some(limit).filter(|most| *most > 0));
        self.capacity = limit.filter(|_| !self.page.is_shared());
    }

    /// The pod is at capacity from the limit on, until the count falls below 90 % of it. An unknown count changes
    /// nothing, unless it cannot become known again.
    ///
    /// This never affects readiness: a scale-down deletes unready pods first, which would then be the fullest ones.
    fn update_at_capacity(&mut self, policy: &Policy) {
        let Some(limit) = self.limit(policy) else {
            self.at_capacity = false;
            return;
        };
        if let Some(count) = self.sources.count() {
            let reached = count.streams >= limit;
            let below = u128::from(count.streams) * 10 < u128::from(limit) * 9;
            self.at_capacity = reached || (self.at_capacity && !below);
        } else if self.page.is_shared() {
            self.at_capacity = false;
        }
    }
}

fn no_answer() -> Reading {
    Reading::Unknown(ReadError::new(ReadErrorKind::NoResponse, "no answer in time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::policy;
    use crate::reading::{Count, Source};
    use crate::source_state::SourceStatus;
    use crate::time::tests::at;

    fn poll(second: u64, streams: Option<u64>) -> Poll {
        let reading = |streams| (Source::Metrics, Reading::Counts(vec![Some(Count::of(streams))]));
        Poll { requested_at: at(second), readings: streams.map(reading).into_iter().collect(), ..Poll::default() }
    }

    #[test]
    fn source_without_a_reading_has_not_answered() {
        let mut incarnation = IncarnationState::new(&policy());
        incarnation.observe(&poll(1, None), &policy(), at(1));
        let status = &incarnation.sources.states()[0].status;
        assert!(matches!(status, SourceStatus::Unknown(error) if error.kind == ReadErrorKind::NoResponse));
    }

    #[test]
    fn count_is_fresh_for_two_polls() {
        let mut incarnation = IncarnationState::new(&policy());
        incarnation.observe(&poll(1, Some(3)), &policy(), at(1));
        assert_eq!([3, 4].map(|second| incarnation.fresh_streams(&policy(), at(second))), [Some(3), None]);
    }

    #[test]
    fn zero_is_inconclusive_if_only_exit_ends_drain() {
        let policy = Policy { wait_for_exit: true, ..policy() };
        let mut incarnation = IncarnationState::new(&policy);
        incarnation.observe(&poll(1, Some(0)), &policy, at(1));
        assert_eq!(incarnation.fresh_streams(&policy, at(1)), None);
        incarnation.observe(&poll(2, Some(1)), &policy, at(2));
        assert_eq!(incarnation.fresh_streams(&policy, at(2)), Some(1));
    }

    #[test]
    fn capacity_is_left_below_ninety_percent() {
        let policy = Policy { accept_below: Some(AcceptLimit::Streams(10)), ..policy() };
        let mut incarnation = IncarnationState::new(&policy);
        let mut at_capacity = |streams| {
            incarnation.observe(&poll(1, streams), &policy, at(1));
            incarnation.at_capacity
        };
        assert_eq!([Some(9), Some(10), None, Some(9), Some(8)].map(&mut at_capacity), [false, true, true, true, false]);
    }

    #[test]
    fn page_without_a_limit_of_its_own_has_none() {
        let policy = Policy { accept_below: Some(AcceptLimit::Capacity), ..policy() };
        let mut incarnation = IncarnationState::new(&policy);
        incarnation.observe(&Poll { capacity: Some(5), ..poll(1, Some(5)) }, &policy, at(1));
        assert_eq!((incarnation.limit(&policy), incarnation.at_capacity), (Some(5), true));
        incarnation.observe(&Poll { capacity: None, ..poll(2, Some(5)) }, &policy, at(1));
        assert_eq!(incarnation.limit(&policy), Some(5), "a poll without it changes nothing");
        incarnation.observe(&Poll { capacity: Some(0), ..poll(3, Some(5)) }, &policy, at(1));
        assert_eq!((incarnation.limit(&policy), incarnation.at_capacity), (None, false));
    }
}
