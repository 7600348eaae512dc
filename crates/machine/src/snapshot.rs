//! The state that `/status`, the metrics and the log show.

use std::time::Duration;

use crate::drain_state::DrainState;
use crate::drain_times::DrainTimes;
use crate::readiness::NotReady;
use crate::result::{DrainResult, Trigger};
use crate::source_state::SourceState;
use crate::target::Incarnation;
use crate::target_tracker::{Target, TargetTracker};
use crate::time::Time;

/// The phase of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// There is no drain.
    Serving,
    /// Not ready but still accepting.
    LameDuck,
    /// The target accepts no more streams.
    Draining,
    /// The drain is over.
    Done,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Serving, Self::LameDuck, Self::Draining, Self::Done];

    /// The name that users see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::LameDuck => "lame_duck",
            Self::Draining => "draining",
            Self::Done => "done",
        }
    }

    /// The phase of this drain.
    #[must_use]
    pub const fn of(drain: &DrainState) -> Self {
        match drain {
            DrainState::Serving => Self::Serving,
            DrainState::Active(drain) if drain.is_lame_duck() => Self::LameDuck,
            DrainState::Active(_) => Self::Draining,
            DrainState::Finished(_) => Self::Done,
        }
    }
}

/// The state of the machine at one time.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The time of this snapshot.
    pub now: Time,
    /// Why the pod is not ready; `None` if it is.
    pub not_ready: Option<NotReady>,
    /// Why the signal could not be sent now; `None` if it could, or if no signal is configured.
    pub signal_blocker: Option<NotReady>,
    /// The streams and their sources.
    pub streams: StreamsView,
    /// The target, if one was found.
    pub target: Option<TargetView>,
    /// The phase of the pod.
    pub phase: Phase,
    /// The drain in progress, or the finished one.
    pub drain: Option<DrainView>,
    /// The result of the last drain, until the next one starts.
    pub result: Option<DrainResult>,
    /// The last record of the current drain, provisional or not; `None` while the pod serves.
    pub record: Option<DrainResult>,
    /// How many hook callers wait, authorized or not.
    pub hook_callers: usize,
}

/// The streams in a snapshot.
#[derive(Clone, Debug)]
pub struct StreamsView {
    /// The count of all sources together; `None` if unknown.
    pub count: Option<u64>,
    /// Number of idle streams. `None` if unknown.
    pub idle: Option<u64>,
    /// The streams that a page counts although they have no connection, so that its count is overruled.
    pub leaked: Option<u64>,
    /// For how long the answering sources have given different counts, if longer than the quiet period.
    pub disagreement: Option<Duration>,
    /// The state of each source.
    pub sources: Vec<SourceState>,
}

/// The target in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetView {
    /// Which incarnation it is.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: String,
    /// Whether it is alive.
    pub alive: bool,
}

/// The drain in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainView {
    /// What started it.
    pub trigger: Trigger,
    /// How long it has taken so far, or took.
    pub elapsed: Duration,
    /// How much of the budget is left.
    pub remaining: Duration,
    /// Its deadline.
    pub deadline: Time,
    /// The streams when it started.
    pub streams_at_start: Option<u64>,
    /// Whether the signal was sent.
    pub signalled: bool,
    /// When the grace period of a stop of `lameduck run` ends; `None` without a stop.
    pub stop_until: Option<Time>,
}

impl TargetView {
    pub(crate) fn of(target: &Target) -> Self {
        Self { incarnation: target.incarnation, name: target.name.clone(), alive: target.is_alive() }
    }
}

impl DrainView {
    pub(crate) fn of(drain: &DrainState, target: &TargetTracker, times: &DrainTimes, now: Time) -> Option<Self> {
        let (drain, until) = match drain {
            DrainState::Serving => return None,
            DrainState::Active(drain) => (drain, now),
            DrainState::Finished(finished) => (&finished.drain, finished.ended_at),
        };
        Some(Self {
            trigger: drain.trigger,
            elapsed: until.since(drain.started_at),
            remaining: drain.deadline.since(until),
            deadline: drain.deadline,
            streams_at_start: drain.record.streams_at_start,
            signalled: target.is_signalled(),
            stop_until: target.child.stop_until(times),
        })
    }
}
