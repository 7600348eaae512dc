//! What a sidecar's `/status` shows.

use std::time::Duration;

use crate::record::OutcomeRecord;

/// The phase of a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SidecarPhase {
    /// No drain.
    Serving,
    /// Out of rotation, before the signal.
    LameDuck,
    /// The target accepts no more streams.
    Draining,
    /// The drain is over.
    Done,
}

impl SidecarPhase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Serving, Self::LameDuck, Self::Draining, Self::Done];

    /// The name in `/status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::LameDuck => "lame_duck",
            Self::Draining => "draining",
            Self::Done => "done",
        }
    }

    /// The phase with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// Whether a drain is in progress.
    #[must_use]
    pub const fn is_drain(self) -> bool {
        matches!(self, Self::LameDuck | Self::Draining)
    }
}

/// The status of a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarStatus {
    /// Its phase.
    pub phase: SidecarPhase,
    /// The open streams; `None` if unknown.
    pub streams: Option<u64>,
    /// Of these, the idle ones; `None` if unknown.
    pub idle_streams: Option<u64>,
    /// The drain in progress.
    pub drain: Option<DrainStatus>,
    /// The last outcome.
    pub outcome: Option<OutcomeRecord>,
}

/// The drain in a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainStatus {
    /// How long it has been running.
    pub elapsed: Duration,
    /// The rest of its budget.
    pub remaining: Duration,
    /// The streams at its start; `None` if unknown.
    pub streams_at_start: Option<u64>,
}

/// The open streams of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The streams that are not known to be idle.
    pub active: u64,
    /// The idle ones.
    pub idle: u64,
}

impl SidecarStatus {
    /// The open streams; `None` if unknown. A stream that is not known to be idle is active.
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        let streams = self.streams?;
        let idle = self.idle_streams.unwrap_or(0).min(streams);
        Some(Load { active: streams - idle, idle })
    }
}
