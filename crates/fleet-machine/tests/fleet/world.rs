//! A simulated cluster: an API server and sidecars that answer the machine at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use lameduck_fleet_machine::controller::Controller;
use lameduck_fleet_machine::io::{
    Action, DeadlineReply, Input, LeaseView, LeaseWrite, Notice, RecordResult, WriteResult,
};
use lameduck_fleet_machine::pod::{
    Annotations, ControllerRef, Deletion, Key, Keys, Owner, Pod, PodPhase, PodRef, PodUid, Sidecar, SidecarState,
};
use lameduck_fleet_machine::record::OutcomeRecord;
use lameduck_fleet_machine::report::{DrainKey, DrainReport};
use lameduck_fleet_machine::settings::Settings;
use lameduck_fleet_machine::status::{DrainStatus, SidecarPhase, SidecarStatus};
use lameduck_machine::drain_id::DrainId;
use lameduck_machine::result::Outcome;
use lameduck_machine::time::Time;

pub(super) const GRACE_PERIOD: Duration = Duration::from_secs(600);

/// The settings of one replica without an election.
pub(super) fn settings() -> Settings {
    Settings { leader_election: false, ..Settings::default() }
}

pub(super) fn uid(name: &str) -> PodUid {
    PodUid(name.to_owned())
}

pub(super) fn at(seconds: u64) -> Time {
    Time::since_boot(Duration::from_secs(1000 + seconds))
}

/// A Deployment with one ReplicaSet.
pub(super) fn owner(workload: &str) -> Owner {
    let name = format!("{workload}-1");
    let (api_version, kind, uid) = ("apps/v1".into(), "ReplicaSet".into(), format!("uid of {name}"));
    let controller = Some(ControllerRef { api_version, kind, name, uid });
    Owner { workload: workload.into(), controller, sorts_by_cost: true }
}

/// A ready pod of the Deployment `api`, started 100 seconds before the test.
pub(super) fn pod(name: &str) -> Pod {
    Pod {
        pod: PodRef { uid: uid(name), namespace: "default".into(), name: name.into() },
        owner: owner("api"),
        phase: PodPhase::Alive,
        ip: Some([10, 0, 0, u8::try_from(name.bytes().map(u32::from).sum::<u32>() % 256).unwrap_or(0)].into()),
        started_at: Some(at(0) - Duration::from_secs(100)),
        grace_period: GRACE_PERIOD,
        deletion: None,
        annotations: Annotations::default(),
        sidecar: Sidecar::in_state(SidecarState::Running),
        devices: BTreeMap::from([("nvidia.com/gpu".to_owned(), 2)]),
    }
}

pub(super) fn serving(streams: u64) -> SidecarStatus {
    SidecarStatus {
        phase: SidecarPhase::Serving,
        streams: Some(streams),
        idle_streams: Some(0),
        drain: None,
        outcome: None,
    }
}

/// A drain that began this long ago and has the rest of a budget of 595 seconds.
pub(super) fn draining(streams: u64, elapsed: Duration) -> SidecarStatus {
    let remaining = Duration::from_secs(595).saturating_sub(elapsed);
    let drain = DrainStatus { elapsed, remaining, streams_at_start: Some(streams) };
    SidecarStatus { phase: SidecarPhase::Draining, drain: Some(drain), ..serving(streams) }
}

pub(super) fn done(record: OutcomeRecord) -> SidecarStatus {
    SidecarStatus { phase: SidecarPhase::Done, outcome: Some(record), ..serving(0) }
}

pub(super) fn record(id: u64, outcome: Outcome) -> OutcomeRecord {
    OutcomeRecord {
        id: DrainId(id),
        outcome,
        streams_at_start: Some(3),
        stragglers: Some(u64::from(outcome == Outcome::Expired)),
        idle_streams: 0,
        duration: Duration::from_secs(10),
        warnings: Vec::new(),
    }
}

pub(super) fn terminated(exit_code: i32, record: Option<OutcomeRecord>) -> SidecarState {
    SidecarState::Terminated { exit_code, record }
}

/// The last state of a deleted pod whose sidecar has written this record.
pub(super) fn ended(name: &str, record: Option<OutcomeRecord>) -> Pod {
    let deletion = Some(Deletion { grace_period: GRACE_PERIOD, stamp: at(0) + GRACE_PERIOD });
    Pod { deletion, sidecar: Sidecar::in_state(terminated(0, record)), ..pod(name) }
}

/// What the API server answers to writes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Api {
    Works,
    Fails,
    Throttles(Duration),
}

/// A lease, and the Events that exist. Several replicas can share them.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) lease: Option<LeaseView>,
    pub(super) events: BTreeSet<DrainKey>,
}

/// A replica of the fleet and what it sees of the cluster.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) machine: Controller,
    /// The pods of the API server.
    pub(super) pods: BTreeMap<PodUid, Pod>,
    /// What each address answers; nothing where it is missing.
    pub(super) statuses: BTreeMap<PodUid, SidecarStatus>,
    /// The keys that another field manager owns.
    pub(super) foreign: BTreeMap<PodUid, Vec<Key>>,
    pub(super) api: Api,
    pub(super) deadline_reply: DeadlineReply,
    pub(super) shared: Rc<RefCell<Shared>>,
    // What the machine has done.
    pub(super) attempts: Vec<(Time, PodUid, Keys)>,
    pub(super) reports: Vec<DrainReport>,
    pub(super) record_attempts: usize,
    pub(super) logged: usize,
    pub(super) deadlines: Vec<(Time, Time)>,
    pub(super) notices: Vec<Notice>,
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        Self::replica(settings, "first", at(0), Rc::default())
    }

    pub(super) fn replica(settings: Settings, name: &str, now: Time, shared: Rc<RefCell<Shared>>) -> Self {
        Self {
            now,
            machine: Controller::new(now, settings, name.to_owned()),
            pods: BTreeMap::new(),
            statuses: BTreeMap::new(),
            foreign: BTreeMap::new(),
            api: Api::Works,
            deadline_reply: DeadlineReply::Accepted,
            shared,
            attempts: Vec::new(),
            reports: Vec::new(),
            record_attempts: 0,
            logged: 0,
            deadlines: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Three serving pods with this many streams; `None` for a pod that cannot be read.
    pub(super) fn with_streams<const N: usize>(settings: Settings, streams: [(&str, Option<u64>); N]) -> Self {
        let mut world = Self::new(settings);
        for (name, streams) in streams {
            world.statuses.extend(streams.map(|streams| (uid(name), serving(streams))));
            world.change(pod(name));
        }
        world
    }

    pub(super) fn input(&mut self, input: Input) {
        self.machine.handle(self.now, input);
        self.perform();
    }

    /// Changes a pod in the API server, which the watch shows.
    pub(super) fn change(&mut self, pod: Pod) {
        self.pods.insert(pod.pod.uid.clone(), pod.clone());
        self.input(Input::Changed(Box::new(pod)));
    }

    /// Deletes a pod from the API server, with this last state.
    pub(super) fn delete(&mut self, pod: Pod) {
        self.pods.remove(&pod.pod.uid);
        self.input(Input::Deleted(Box::new(pod)));
    }

    /// Lists all pods after a gap in the watch.
    pub(super) fn relist(&mut self) {
        self.input(Input::ListStarted);
        for pod in self.pods.values().cloned().collect::<Vec<_>>() {
            self.input(Input::Listed(Box::new(pod)));
        }
        self.input(Input::ListEnded);
    }

    pub(super) fn serve(&mut self, name: &str, streams: u64) {
        self.statuses.insert(uid(name), serving(streams));
    }

    /// Lets this much time pass.
    pub(super) fn run(&mut self, seconds: u64) {
        self.run_for(Duration::from_secs(seconds));
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.machine.poll_timeout();
            assert!(next > self.now, "the machine asks to be called again at once");
            if next > end {
                break;
            }
            self.now = next;
            self.input(Input::Tick);
        }
        self.now = end;
    }

    fn perform(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            if let Some(answer) = self.answer(action) {
                self.machine.handle(self.now, answer);
            }
        }
    }

    fn answer(&mut self, action: Action) -> Option<Input> {
        Some(match action {
            Action::Poll { pod, requested_at, .. } => {
                let status = self.statuses.get(&pod.uid).cloned();
                Input::Polled { uid: pod.uid, requested_at, status }
            }
            Action::Write { pod, keys } => {
                self.attempts.push((self.now, pod.uid.clone(), keys));
                let result = self.write(&pod.uid, keys);
                Input::Written(pod.uid, result)
            }
            Action::ShortenDeadline { pod, drain_end, .. } => {
                self.deadlines.push((self.now, drain_end));
                Input::DeadlineSent(pod.uid, self.deadline_reply)
            }
            Action::Record { report, is_first } => {
                self.logged += usize::from(is_first);
                let key = report.key.clone();
                Input::Recorded(key, self.record(*report))
            }
            Action::ReadLease => Input::LeaseRead(Ok(self.shared.borrow().lease.clone())),
            Action::WriteLease(write) => Input::LeaseWritten(self.write_lease(write)),
            Action::ReleaseLease => {
                if let Some(lease) = &mut self.shared.borrow_mut().lease {
                    (lease.holder, lease.version) = (String::new(), "free".into());
                }
                return None;
            }
            Action::Log(notice) => {
                self.notices.push(notice);
                return None;
            }
        })
    }

    fn record(&mut self, report: DrainReport) -> RecordResult {
        self.record_attempts += 1;
        if self.api != Api::Works {
            return RecordResult::Unavailable;
        }
        if !self.shared.borrow_mut().events.insert(report.key.clone()) {
            return RecordResult::Known;
        }
        self.reports.push(report);
        RecordResult::New
    }

    fn write_lease(&self, write: LeaseWrite) -> bool {
        let lease = &mut self.shared.borrow_mut().lease;
        let is_current = write.version == lease.as_ref().map(|lease| lease.version.clone());
        if is_current {
            let stamp = format!("{:?}", self.now);
            let (holder, transitions) = (write.holder, write.transitions);
            *lease = Some(LeaseView { holder, renewed: stamp.clone(), version: stamp, transitions });
        }
        is_current
    }

    fn write(&mut self, uid: &PodUid, keys: Keys) -> WriteResult {
        match self.api {
            Api::Fails => return WriteResult::Failed,
            Api::Throttles(wait) => return WriteResult::Throttled(Some(wait)),
            Api::Works => {}
        }
        let Some(pod) = self.pods.get_mut(uid) else { return WriteResult::Gone };
        let foreign = self.foreign.get(uid).map_or(&[][..], Vec::as_slice);
        let conflicts: Vec<Key> =
            keys.values().into_iter().map(|(key, _)| key).filter(|key| foreign.contains(key)).collect();
        if !conflicts.is_empty() {
            return WriteResult::Conflict(conflicts);
        }
        if keys.cost.is_some() || pod.annotations.own.cost.is_some() {
            pod.annotations.cost = keys.cost;
        }
        pod.annotations.own = keys;
        WriteResult::Written
    }

    /// The deletion cost of each pod in the API server.
    pub(super) fn costs(&self) -> Vec<Option<i32>> {
        self.pods.values().map(|pod| pod.annotations.cost).collect()
    }

    /// How many drains the counters have.
    pub(super) fn counted(&self) -> u64 {
        self.machine.history().workloads().flat_map(|(_, counters)| counters.drains).sum()
    }

    pub(super) fn outcomes(&self) -> Vec<&'static str> {
        self.reports.iter().map(|report| report.outcome().name()).collect()
    }
}
