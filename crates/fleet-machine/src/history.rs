//! What is kept of drains after their pods are gone: the last outcomes, and counters of every workload.
//!
//! Several replicas see the same drain, and a restarted one sees it again. A drain is counted by the replica that has
//! recorded it first; [`Action::Record`] finds out which one that is.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lameduck_machine::time::Time;

use crate::io::{Action, Actions, RecordResult};
use crate::pod::{Owner, PodRef};
use crate::report::{DrainKey, DrainReport, Finding, FleetOutcome};

/// How many outcomes are kept.
pub const MAX_OUTCOMES: usize = 1000;

/// How many workloads have counters.
const MAX_WORKLOADS: usize = 5000;

/// How long to wait after the API server did not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// How long a standby keeps a drain that the leader should record. The API server forgets Events after an hour, and then
/// does not know any more that the leader has done so.
const MAX_STANDBY_AGE: Duration = Duration::from_secs(50 * 60);

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The counters of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Drains by outcome, in the order of [`FleetOutcome::ALL`].
    pub drains: [u64; FleetOutcome::ALL.len()],
    /// The streams that were cut, as far as known.
    pub stragglers: u64,
    /// The duration of all drains.
    pub drain_time: Duration,
    /// The duration of all drains, times the requested devices.
    pub device_time: BTreeMap<String, Duration>,
}

/// What is kept of drains.
#[derive(Clone, Debug)]
pub struct History {
    since: Time,
    outcomes: VecDeque<DrainReport>,
    /// Not recorded yet.
    pending: VecDeque<PendingReport>,
    /// When the next drain may be recorded.
    record_at: Time,
    /// Being recorded.
    recording: BTreeMap<DrainKey, DrainReport>,
    workloads: BTreeMap<Workload, (Time, Counters)>,
}

/// A drain that is not recorded yet.
#[derive(Clone, Debug)]
struct PendingReport {
    report: DrainReport,
    is_first: bool,
}

impl History {
    /// A history that begins at `now`.
    #[must_use]
    pub const fn new(now: Time) -> Self {
        Self {
            since: now,
            outcomes: VecDeque::new(),
            pending: VecDeque::new(),
            record_at: now,
            recording: BTreeMap::new(),
            workloads: BTreeMap::new(),
        }
    }

    /// Since when every outcome is in [`History::outcomes`].
    #[must_use]
    pub const fn since(&self) -> Time {
        self.since
    }

    /// The last outcomes, the oldest first.
    pub fn outcomes(&self) -> impl Iterator<Item = &DrainReport> {
        self.outcomes.iter()
    }

    /// The counters of every workload.
    pub fn workloads(&self) -> impl Iterator<Item = (&Workload, &Counters)> {
        self.workloads.iter().map(|(workload, (_, counters))| (workload, counters))
    }

    /// Whether every drain is recorded.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.pending.is_empty() && self.recording.is_empty()
    }

    /// Notes that a workload has a pod. Its counters are then visible as zero, so that the first drain is an increase.
    pub fn on_workload(&mut self, now: Time, namespace: &str, name: &str) {
        let workload = Workload { namespace: namespace.to_owned(), name: name.to_owned() };
        if let Some((last_seen, _)) = self.workloads.get_mut(&workload) {
            *last_seen = now;
            return;
        }
        if self.workloads.len() >= MAX_WORKLOADS {
            let oldest = self.workloads.iter().min_by_key(|(_, (last_seen, _))| *last_seen);
            if let Some(oldest) = oldest.map(|(workload, _)| workload.clone()) {
                self.workloads.remove(&oldest);
            }
        }
        self.workloads.insert(workload, (now, Counters::default()));
    }

    /// Adds what became of a drain.
    pub fn add(&mut self, now: Time, of: &ReportSource<'_>, finding: Finding) {
        let report = DrainReport {
            key: finding.key(of.pod),
            pod: of.pod.clone(),
            owner: of.owner.clone(),
            devices: of.devices.clone(),
            seen_at: now,
            finding,
        };
        if self.outcomes.len() == MAX_OUTCOMES {
            self.outcomes.pop_front();
            self.since = self.outcomes.front().map_or(now, |oldest| oldest.seen_at);
        }
        self.outcomes.push_back(report.clone());
        self.add_pending(PendingReport { report, is_first: true });
    }

    fn add_pending(&mut self, pending: PendingReport) {
        if self.pending.len() == MAX_OUTCOMES {
            self.pending.pop_front();
        }
        self.pending.push_back(pending);
    }

    /// Records what is not recorded, if this replica is the leader.
    pub fn advance(&mut self, now: Time, is_leader: bool, actions: &mut Actions) {
        if !is_leader {
            self.pending.retain(|pending| now.since(pending.report.seen_at) < MAX_STANDBY_AGE);
            return;
        }
        if now < self.record_at {
            return;
        }
        for PendingReport { report, is_first } in self.pending.drain(..) {
            actions.push(Action::Record { report: Box::new(report.clone()), is_first });
            self.recording.insert(report.key.clone(), report);
        }
    }

    /// Takes the result of recording a drain: counts it if no replica had recorded it. If that is unknown, it is recorded
    /// later, perhaps by another replica.
    pub fn on_recorded(&mut self, now: Time, key: &DrainKey, result: RecordResult) {
        let Some(report) = self.recording.remove(key) else { return };
        match result {
            RecordResult::New => self.count(now, &report),
            RecordResult::Known => {}
            RecordResult::Unavailable => {
                self.record_at = now + RETRY_INTERVAL;
                self.add_pending(PendingReport { report, is_first: false });
            }
        }
    }

    fn count(&mut self, now: Time, report: &DrainReport) {
        self.on_workload(now, &report.pod.namespace, &report.owner.workload);
        let workload = Workload { namespace: report.pod.namespace.clone(), name: report.owner.workload.clone() };
        if let Some((_, counters)) = self.workloads.get_mut(&workload) {
            counters.count(report);
        }
    }
}

/// The pod of a drain.
#[derive(Clone, Copy, Debug)]
pub struct ReportSource<'a> {
    /// The pod.
    pub pod: &'a PodRef,
    /// What it belongs to.
    pub owner: &'a Owner,
    /// The devices that it requests.
    pub devices: &'a BTreeMap<String, u64>,
}

impl Counters {
    /// The number of drains with this outcome.
    #[must_use]
    pub fn drains(&self, outcome: FleetOutcome) -> u64 {
        FleetOutcome::ALL.iter().position(|other| *other == outcome).map_or(0, |at| self.drains[at])
    }

    fn count(&mut self, report: &DrainReport) {
        if let Some(at) = FleetOutcome::ALL.iter().position(|outcome| *outcome == report.outcome()) {
            self.drains[at] += 1;
        }
        self.stragglers =
            self.stragglers.saturating_add(report.record().and_then(|record| record.stragglers).unwrap_or(0));
        let duration = report.duration();
        self.drain_time = self.drain_time.saturating_add(duration);
        for (resource, count) in &report.devices {
            let total = self.device_time.entry(resource.clone()).or_default();
            *total = total.saturating_add(duration.saturating_mul(u32::try_from(*count).unwrap_or(u32::MAX)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::PodUid;
    use crate::report::LostDrain;

    fn at(seconds: u64) -> Time {
        Time::since_boot(Duration::from_secs(seconds))
    }

    fn counted(history: &History) -> u64 {
        history.workloads().flat_map(|(_, counters)| counters.drains).sum()
    }

    /// The key of the drain that is recorded at this time, and whether it is logged.
    fn recorded(history: &mut History, now: Time) -> Option<(DrainKey, bool)> {
        let mut actions = Actions::default();
        history.advance(now, true, &mut actions);
        let Action::Record { report, is_first } = actions.pop()? else { panic!("it only records") };
        Some((report.key, is_first))
    }

    #[test]
    fn drain_is_counted_when_the_api_server_has_answered() {
        let mut history = History::new(at(0));
        let pod = PodRef { uid: PodUid("u".into()), namespace: "n".into(), name: "p".into() };
        let (owner, devices) = (Owner::default(), BTreeMap::new());
        let lost = LostDrain { earlier: 0, streams_at_start: None, duration: Duration::ZERO };
        history.add(at(0), &ReportSource { pod: &pod, owner: &owner, devices: &devices }, Finding::Lost(lost));
        let (key, is_first) = recorded(&mut history, at(1)).unwrap();
        assert!(is_first);
        history.on_recorded(at(2), &key, RecordResult::Unavailable);
        assert_eq!((counted(&history), recorded(&mut history, at(6))), (0, None));
        let (key, is_first) = recorded(&mut history, at(7)).unwrap();
        assert!(!is_first && !history.is_recorded());
        history.on_recorded(at(7), &key, RecordResult::New);
        assert!(counted(&history) == 1 && history.is_recorded());
    }
}
