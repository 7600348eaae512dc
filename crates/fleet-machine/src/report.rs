//! What the fleet reports of a drain.

use std::collections::BTreeMap;
use std::time::Duration;

use lameduck_machine::result::Outcome;
use lameduck_machine::time::Time;

use crate::pod::{Owner, PodRef};
use crate::record::OutcomeRecord;

/// How a drain ended, as far as the fleet knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FleetOutcome {
    /// The sidecar has recorded this outcome.
    Known(Outcome),
    /// There was a drain, and its outcome was never seen.
    Lost,
}

impl FleetOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Known(Outcome::Drained),
        Self::Known(Outcome::Exited),
        Self::Known(Outcome::Idle),
        Self::Known(Outcome::Expired),
        Self::Known(Outcome::NeverServed),
        Self::Known(Outcome::Interrupted),
        Self::Lost,
    ];

    /// The name that users see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Known(outcome) => outcome.name(),
            Self::Lost => "lost",
        }
    }
}

/// What became of a drain of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Its sidecar has recorded this.
    Recorded(OutcomeRecord),
    /// Its outcome was never seen.
    Lost(LostDrain),
}

/// A drain whose outcome was never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostDrain {
    /// How many drains of this pod were lost before.
    pub earlier: u32,
    /// The streams at its start; `None` if unknown.
    pub streams_at_start: Option<u64>,
    /// How long it was seen.
    pub duration: Duration,
}

/// The name of a drain. It is the same in every replica and after every restart of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrainKey(pub String);

/// The report of a drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// The name of the drain.
    pub key: DrainKey,
    /// The pod.
    pub pod: PodRef,
    /// What the pod belongs to.
    pub owner: Owner,
    /// The extended resources that the pod requests.
    pub devices: BTreeMap<String, u64>,
    /// When the fleet learned of it.
    pub seen_at: Time,
    /// What became of the drain.
    pub finding: Finding,
}

impl DrainReport {
    /// How the drain ended.
    #[must_use]
    pub const fn outcome(&self) -> FleetOutcome {
        match &self.finding {
            Finding::Recorded(record) => FleetOutcome::Known(record.outcome),
            Finding::Lost(_) => FleetOutcome::Lost,
        }
    }

    /// The record of the sidecar, if it was seen.
    #[must_use]
    pub const fn record(&self) -> Option<&OutcomeRecord> {
        match &self.finding {
            Finding::Recorded(record) => Some(record),
            Finding::Lost(_) => None,
        }
    }

    /// How long the drain took, or for a lost one, how long it was seen.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        match &self.finding {
            Finding::Recorded(record) => record.duration,
            Finding::Lost(lost) => lost.duration,
        }
    }
}

impl Finding {
    /// The name of the drain.
    #[must_use]
    pub fn key(&self, pod: &PodRef) -> DrainKey {
        match self {
            // Ids are unique, but a pod could show the id of another one.
            Self::Recorded(record) => DrainKey(format!("{}.{}", pod.uid.0, record.id)),
            Self::Lost(lost) => DrainKey(format!("{}.lost-{}", pod.uid.0, lost.earlier)),
        }
    }
}
