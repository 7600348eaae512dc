//! The machine: it owns the parts, passes each input to them, and collects the resulting actions.
//!
//! [`Controller::handle`] takes an input. [`Controller::poll_action`] returns the actions, which must be performed in
//! order. [`Controller::poll_timeout`] returns when to call `handle` next if nothing else happens.

use std::collections::BTreeSet;
use std::time::Duration;

use lameduck_machine::time::Time;

use crate::history::{History, ReportSource};
use crate::io::{Action, Actions, DeadlineReply, Input, Notice, WriteResult};
use crate::leadership::Leadership;
use crate::pod::{Key, Pod, PodUid};
use crate::pods::{PodEntry, PodSet};
use crate::poll_queue::PollQueue;
use crate::report::Finding;
use crate::settings::Settings;
use crate::status::{SidecarPhase, SidecarStatus};
use crate::writer::Writer;

mod plan;

use plan::Plan;

/// How often a sidecar is polled while its pod drains.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How often the address of a pod is polled that the API server does not have any more, and for how long.
const GONE_POLL_INTERVAL: Duration = Duration::from_millis(500);
const GONE_POLL_TIME: Duration = Duration::from_secs(3);

/// How many workloads are remembered as named in a notice.
const MAX_NAMED: usize = 10_000;

/// Whether this process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    /// Protections that do not end by themselves are being removed.
    Stopping,
    Stopped,
}

/// The workloads and keys that were named in a notice, each once.
#[derive(Clone, Debug, Default)]
struct NamedWorkloads(BTreeSet<(String, Key)>);

/// The machine.
#[derive(Clone, Debug)]
pub struct Controller {
    settings: Settings,
    now: Time,
    pods: PodSet,
    polls: PollQueue,
    plan: Plan,
    writer: Writer,
    history: History,
    leadership: Leadership,
    life: Life,
    was_leader: bool,
    named: NamedWorkloads,
    actions: Actions,
}

impl NamedWorkloads {
    /// Adds the workload of this pod, and returns whether it is new.
    fn insert(&mut self, pod: &Pod, key: Key) -> bool {
        if self.0.len() >= MAX_NAMED {
            self.0.clear();
        }
        self.0.insert((format!("{}/{}", pod.pod.namespace, pod.owner.workload), key))
    }
}

impl Controller {
    /// Creates a machine. `identity` must be unique among all replicas.
    #[must_use]
    pub fn new(now: Time, settings: Settings, identity: String) -> Self {
        let mut controller = Self {
            settings,
            now,
            pods: PodSet::default(),
            polls: PollQueue::default(),
            plan: Plan::default(),
            writer: Writer::default(),
            history: History::new(now),
            leadership: Leadership::new(now, identity),
            life: Life::Running,
            was_leader: false,
            named: NamedWorkloads::default(),
            actions: Actions::default(),
        };
        controller.advance();
        controller
    }

    /// Handles one input at the time `now`.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => {}
            Input::ListStarted => self.pods.start_list(),
            Input::Listed(pod) => self.on_pod(*pod, true),
            Input::ListEnded => {
                for uid in self.pods.end_list() {
                    self.end_pod(&uid);
                }
            }
            Input::Changed(pod) => self.on_pod(*pod, false),
            Input::Deleted(pod) => self.on_deleted(*pod),
            Input::Polled { uid, requested_at, status } => self.on_polled(&uid, requested_at, status),
            Input::Written(uid, result) => self.on_written(&uid, &result),
            Input::DeadlineSent(uid, reply) => self.on_deadline_sent(&uid, reply),
            Input::Recorded(key, result) => self.history.on_recorded(self.now, &key, result),
            Input::LeaseRead(lease) => {
                let write = self.leadership.on_read(self.now, lease);
                self.actions.extend(write);
            }
            Input::LeaseWritten(is_written) => self.leadership.on_written(self.now, is_written),
            Input::Shutdown => self.life = Life::Stopping,
        }
        self.advance();
    }

    /// The next action. After each input, call this until it returns `None`.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop()
    }

    /// When to call [`Controller::handle`] with [`Input::Tick`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Time {
        let pods = self.pods.iter().filter(|(_, entry)| !entry.pod.stays() || entry.gone_until.is_some());
        let pods = pods.flat_map(|(_, entry)| [entry.gone_until, entry.deadline.timeout()]);
        let leadership = self.settings.leader_election.then(|| self.leadership.timeout(self.now)).flatten();
        let others = [self.polls.timeout(), leadership, Some(self.writer.next_at()), Some(self.plan.next_at())];
        let is_ahead = |at: &Time| *at > self.now;
        pods.chain(others).flatten().filter(is_ahead).min().unwrap_or(self.now + DRAIN_POLL_INTERVAL)
    }

    /// Whether this process may exit: it was asked to stop, and leaves nothing behind.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.life == Life::Stopped
    }

    /// Whether this replica may write.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        !self.settings.leader_election || self.leadership.is_leader(self.now)
    }

    /// What is known of every pod.
    pub fn pods(&self) -> impl Iterator<Item = &PodEntry> {
        self.pods.iter().map(|(_, entry)| entry)
    }

    /// What is kept of drains.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    // === pods ===

    fn on_pod(&mut self, pod: Pod, listed: bool) {
        let (now, uid) = (self.now, pod.pod.uid.clone());
        self.history.on_workload(now, &pod.pod.namespace, &pod.owner.workload);
        let entry = self.pods.update(pod);
        entry.gone_until = None;
        let findings = if entry.pod.sidecar_is_over() {
            entry.drains.finish(&entry.pod, false)
        } else {
            entry.drains.on_container(&entry.pod.sidecar)
        };
        if let Some(deletion) = entry.pod.deletion {
            entry.deadline.on_deletion(now, deletion, listed);
        }
        if entry.pod.ip.is_some() && !entry.drains.is_over() {
            // The pod may have begun to drain, or its sidecar to answer.
            let is_urgent = entry.pod.deletion.is_some() || entry.status.phase.is_none();
            self.polls.schedule(&uid, if is_urgent { now } else { now + self.settings.poll_interval });
        }
        self.add_findings(&uid, findings);
    }

    fn on_deleted(&mut self, pod: Pod) {
        let (now, uid) = (self.now, pod.pod.uid.clone());
        let entry = self.pods.update(pod);
        if entry.pod.ip.is_none() || !entry.drains.awaits_record(&entry.pod) {
            return self.end_pod(&uid);
        }
        // A forced deletion does not wait for the kubelet: the sidecar may still run.
        entry.gone_until = Some(now + GONE_POLL_TIME);
        self.polls.schedule(&uid, now);
    }

    /// Ends a pod that the API server does not have any more.
    fn end_pod(&mut self, uid: &PodUid) {
        let findings = self.pods.get_mut(uid).map(|entry| entry.drains.finish(&entry.pod, true));
        self.add_findings(uid, findings.unwrap_or_default());
        self.polls.remove(uid);
        self.pods.remove(uid);
    }

    fn add_findings(&mut self, uid: &PodUid, findings: Vec<Finding>) {
        let Some(entry) = self.pods.get(uid) else { return };
        let Pod { pod, owner, devices, .. } = &entry.pod;
        for finding in findings {
            let source = ReportSource { pod, owner, devices };
            self.history.add(self.now, &source, finding);
        }
    }

    // === answers ===

    fn on_polled(&mut self, uid: &PodUid, requested_at: Time, status: Option<SidecarStatus>) {
        self.polls.complete(uid);
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let is_gone = entry.gone_until.is_some();
        entry.status.phase = status.as_ref().map(|status| status.phase);
        entry.status.current_load = status.as_ref().and_then(SidecarStatus::load);
        entry.status.load = entry.status.current_load.or(entry.status.load);
        let active = entry.status.current_load.map(|load| load.active);
        if entry.protection.on_reading(self.now, active, self.settings.protection.max_age) {
            self.actions.log(Notice::ProtectionExpired(entry.pod.pod.clone()));
        }
        let mut findings = Vec::new();
        if let Some(status) = status.filter(|_| !entry.drains.is_over()) {
            findings = entry.drains.on_status(requested_at, &status);
            if let Some(drain) = status.drain {
                entry.deadline.on_drain(&entry.pod, drain);
            }
        }
        let interval = match entry.status.phase {
            _ if is_gone => GONE_POLL_INTERVAL,
            Some(SidecarPhase::LameDuck | SidecarPhase::Draining) => DRAIN_POLL_INTERVAL,
            _ if entry.pod.deletion.is_some() => DRAIN_POLL_INTERVAL,
            Some(SidecarPhase::Serving | SidecarPhase::Done) | None => self.settings.poll_interval,
        };
        let is_over = entry.drains.is_over() || entry.pod.ip.is_none();
        let is_answered = is_gone && !findings.is_empty();
        self.add_findings(uid, findings);
        if is_answered {
            self.end_pod(uid);
        } else if !is_over {
            self.polls.schedule(uid, self.now + interval);
        }
    }

    fn on_written(&mut self, uid: &PodUid, result: &WriteResult) {
        let written = self.writer.end(self.now, uid, result);
        let Some(entry) = self.pods.get_mut(uid) else { return };
        if let Some(keys) = written {
            entry.pod.annotations.cost = keys.cost.or(entry.pod.annotations.cost);
            entry.pod.annotations.own = keys;
        }
        let WriteResult::Conflict(keys) = result else { return };
        for key in keys.iter().copied().filter(|key| entry.writes.stand_back(*key)) {
            let (pod, workload) = (entry.pod.pod.clone(), entry.pod.owner.workload.clone());
            if self.named.insert(&entry.pod, key) {
                self.actions.log(Notice::KeyOwnedByOther { pod, workload, key });
            }
        }
    }

    fn on_deadline_sent(&mut self, uid: &PodUid, reply: DeadlineReply) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        if entry.deadline.on_reply(self.now, reply) {
            self.actions.log(Notice::DeadlineRefused(entry.pod.pod.clone()));
        }
    }

    // === time ===

    fn advance(&mut self) {
        if self.settings.leader_election && self.life != Life::Stopped {
            self.actions.extend(self.leadership.advance(self.now));
        }
        let is_leader = self.is_leader();
        if is_leader != self.was_leader {
            self.was_leader = is_leader;
            self.actions.log(if is_leader { Notice::Leading } else { Notice::NotLeading });
        }
        self.end_gone_pods();
        self.history.advance(self.now, is_leader, &mut self.actions);
        self.poll_due();
        if is_leader {
            self.send_deadlines();
            self.write_due();
        } else {
            self.plan.postpone(self.now);
        }
        let leaves_nothing = !is_leader || (self.plan.leaves_nothing() && self.history.is_recorded());
        if self.life == Life::Stopping && leaves_nothing && !self.leadership.is_writing() {
            self.life = Life::Stopped;
            self.actions.extend(self.leadership.release(self.now));
        }
    }

    fn end_gone_pods(&mut self) {
        let is_due = |entry: &PodEntry| entry.gone_until.is_some_and(|until| self.now >= until);
        let due: Vec<PodUid> =
            self.pods.iter().filter(|(_, entry)| is_due(entry)).map(|(uid, _)| uid.clone()).collect();
        for uid in due {
            self.end_pod(&uid);
        }
    }

    fn poll_due(&mut self) {
        while let Some(uid) = self.polls.take(self.now) {
            let is_valid = |entry: &&PodEntry| entry.gone_until.is_none() || !self.pods.is_address_reused(entry);
            let entry = self.pods.get(&uid).filter(is_valid);
            match entry.and_then(|entry| Some((entry.pod.pod.clone(), entry.pod.ip?))) {
                Some((pod, ip)) => self.actions.push(Action::Poll { pod, ip, requested_at: self.now }),
                None => self.polls.remove(&uid),
            }
        }
    }

    fn send_deadlines(&mut self) {
        for (_, entry) in self.pods.iter_mut().filter(|(_, entry)| entry.gone_until.is_none()) {
            let Some(ip) = entry.pod.ip.filter(|_| !entry.drains.is_over()) else { continue };
            if let Some(drain_end) = entry.deadline.take_due(self.now, &entry.pod) {
                let pod = entry.pod.pod.clone();
                self.actions.push(Action::ShortenDeadline { pod, ip, drain_end });
            }
        }
    }
}
