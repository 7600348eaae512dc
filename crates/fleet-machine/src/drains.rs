//! What became of each drain of one pod.
//!
//! A drain is known from `/status` while it runs. Its record is in `/status` afterwards, and in the termination message
//! when the sidecar has ended. Each record is reported once, by its id. A drain whose record was never seen is lost.

use std::collections::VecDeque;
use std::time::Duration;

use lameduck_machine::drain_id::DrainId;
use lameduck_machine::result::Outcome;
use lameduck_machine::time::Time;

use crate::pod::{Pod, Sidecar, SidecarState};
use crate::record::OutcomeRecord;
use crate::report::{Finding, LostDrain};
use crate::status::{DrainStatus, SidecarPhase, SidecarStatus};

/// How many ids of one pod are remembered.
const MAX_IDS: usize = 16;

/// By how much the start of one drain may differ between two polls: the poll itself takes time.
const START_TOLERANCE: Duration = Duration::from_secs(3);

/// The drains of one pod.
#[derive(Clone, Debug, Default)]
pub struct PodDrains {
    current: Option<CurrentDrain>,
    /// A record that a later life of the sidecar may replace: it says `interrupted`.
    provisional: Option<OutcomeRecord>,
    reported: VecDeque<DrainId>,
    lost: u32,
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct CurrentDrain {
    started_at: Time,
    last_seen: Time,
    streams_at_start: Option<u64>,
    is_recorded: bool,
}

impl PodDrains {
    /// Whether nothing can be learned about this pod any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes a status that was requested at this time.
    pub fn on_status(&mut self, requested_at: Time, status: &SidecarStatus) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(record) = &status.outcome {
            findings.extend(self.report(record.clone()));
        }
        match (status.phase, status.drain) {
            (phase, Some(drain)) if phase.is_drain() => findings.extend(self.on_drain(requested_at, drain)),
            (SidecarPhase::Done, _) => {
                let seen = |record: &OutcomeRecord| CurrentDrain {
                    started_at: requested_at - record.duration,
                    last_seen: requested_at,
                    streams_at_start: record.streams_at_start,
                    is_recorded: true,
                };
                self.current = status.outcome.as_ref().map(seen).or(self.current);
            }
            // A drain without an outcome was cancelled.
            (SidecarPhase::Serving, _) => self.current = None,
            (SidecarPhase::LameDuck | SidecarPhase::Draining, _) => {}
        }
        findings
    }

    fn on_drain(&mut self, requested_at: Time, drain: DrainStatus) -> Option<Finding> {
        let started_at = requested_at - drain.elapsed;
        if let Some(current) = self.current.as_mut().filter(|current| current.is_same(started_at)) {
            current.last_seen = requested_at;
            return None;
        }
        let earlier = self.current.replace(CurrentDrain {
            started_at,
            last_seen: requested_at,
            streams_at_start: drain.streams_at_start,
            is_recorded: false,
        });
        let earlier = earlier.filter(|earlier| !earlier.is_recorded)?;
        match self.provisional.take() {
            Some(record) => self.report_id(record),
            None => Some(self.lose(earlier)),
        }
    }

    /// Takes the state of the sidecar's container, which may run again.
    pub fn on_container(&mut self, sidecar: &Sidecar) -> Vec<Finding> {
        let ended = match &sidecar.state {
            SidecarState::Terminated { record, .. } => record.as_ref(),
            SidecarState::Waiting | SidecarState::Running => None,
        };
        let records = [sidecar.earlier_record.as_ref(), ended].into_iter().flatten();
        records.filter_map(|record| self.on_message(record)).collect()
    }

    /// Takes the last state of a pod whose sidecar will not run again, or which is `gone`.
    pub fn finish(&mut self, pod: &Pod, gone: bool) -> Vec<Finding> {
        if std::mem::replace(&mut self.is_over, true) {
            return Vec::new();
        }
        let mut findings = self.on_container(&pod.sidecar);
        findings.extend(self.provisional.take().and_then(|record| self.report(record)));
        if let Some(drain) = self.missing(pod, gone).filter(|_| findings.is_empty()) {
            findings.push(self.lose(drain));
        }
        findings
    }

    /// Whether the outcome of a drain is missing that may still be seen in `/status`.
    #[must_use]
    pub fn awaits_record(&self, pod: &Pod) -> bool {
        let ended = matches!(pod.sidecar.state, SidecarState::Terminated { .. });
        !self.is_over && !ended && self.provisional.is_none() && self.missing(pod, true).is_some()
    }

    /// The drain that has no record, if the pod ends like this.
    fn missing(&self, pod: &Pod, gone: bool) -> Option<CurrentDrain> {
        if let Some(current) = self.current {
            return (!current.is_recorded).then_some(current);
        }
        // The deletion of a pod calls the hook. A sidecar that exits with 0 and without a record had nothing to drain.
        let is_unexplained = match &pod.sidecar.state {
            SidecarState::Running => true,
            SidecarState::Terminated { exit_code, record } => *exit_code != 0 && record.is_none(),
            SidecarState::Waiting => false,
        };
        let is_deleted = gone || pod.deletion.is_some();
        let unseen = CurrentDrain {
            started_at: Time::default(),
            last_seen: Time::default(),
            streams_at_start: None,
            is_recorded: false,
        };
        (is_deleted && is_unexplained).then_some(unseen)
    }

    fn on_message(&mut self, record: &OutcomeRecord) -> Option<Finding> {
        if record.outcome != Outcome::Interrupted {
            return self.report(record.clone());
        }
        if self.reported.contains(&record.id) {
            return None;
        }
        let earlier = self.provisional.replace(record.clone()).filter(|earlier| earlier.id != record.id);
        earlier.and_then(|earlier| self.report_id(earlier))
    }

    /// Reports the record of the current drain.
    fn report(&mut self, record: OutcomeRecord) -> Option<Finding> {
        if let Some(current) = &mut self.current {
            current.is_recorded = true;
        }
        self.report_id(record)
    }

    /// Reports a record unless that was done.
    fn report_id(&mut self, record: OutcomeRecord) -> Option<Finding> {
        self.provisional.take_if(|provisional| provisional.id == record.id);
        if self.reported.contains(&record.id) {
            return None;
        }
        if self.reported.len() == MAX_IDS {
            self.reported.pop_front();
        }
        self.reported.push_back(record.id);
        Some(Finding::Recorded(record))
    }

    fn lose(&mut self, drain: CurrentDrain) -> Finding {
        let earlier = self.lost;
        self.lost += 1;
        let duration = drain.last_seen.since(drain.started_at);
        Finding::Lost(LostDrain { earlier, streams_at_start: drain.streams_at_start, duration })
    }
}

impl CurrentDrain {
    fn is_same(&self, started_at: Time) -> bool {
        let difference = self.started_at.since(started_at).max(started_at.since(self.started_at));
        difference <= START_TOLERANCE
    }
}
