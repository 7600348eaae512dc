//! Readiness: whether the pod may serve, and why not.

use crate::drain_state::DrainState;
use crate::incarnation::IncarnationState;
use crate::policy::Policy;
use crate::reading::{ReadError, Source};
use crate::source_state::SourceStatus;
use crate::target::{Found, SearchResult, SignalBlocker};
use crate::target_tracker::TargetTracker;
use crate::time::Time;

/// Why the pod is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// No search for the target has finished yet.
    Starting,
    /// No process matches.
    NotFound,
    /// Several processes match.
    Ambiguous(Vec<u32>),
    /// The target cannot be signalled.
    CannotSignal {
        /// The target.
        pid: u32,
        /// The name of the signal.
        signal: String,
        /// Why.
        blocker: SignalBlocker,
    },
    /// The first poll is in flight.
    FirstPoll,
    /// A source has nothing to count.
    SourceAbsent {
        /// The source.
        source: Source,
        /// Which of its selectors, ports or fields match nothing, by their position in its reading.
        missing: Vec<usize>,
    },
    /// A source cannot be read.
    SourceUnknown(ReadError),
    /// The limit of open streams is reached. Only load balancers see this.
    AtCapacity {
        /// The limit.
        limit: u64,
    },
    /// Not ready but still accepting.
    LameDuck,
    /// The target accepts no more streams.
    Draining,
    /// The drain is over.
    Done,
}

/// What readiness depends on.
#[derive(Clone, Copy, Debug)]
pub struct Readiness<'a> {
    /// The time.
    pub now: Time,
    /// The settings.
    pub policy: &'a Policy,
    /// The drain, if there is one.
    pub drain: &'a DrainState,
    /// The target.
    pub target: &'a TargetTracker,
    /// The readings of this incarnation.
    pub incarnation: &'a IncarnationState,
    /// Whether a poll is in flight.
    pub is_polling: bool,
}

impl Readiness<'_> {
    /// Why the pod is not ready; `None` if it is. Once the pod is ready, readings have no influence until the next
    /// incarnation.
    #[must_use]
    pub fn not_ready_reason(&self) -> Option<NotReady> {
        let drain = self.drain_reason().filter(|_| !self.ignores_drain());
        drain.or_else(|| self.not_serving_reason())
    }

    /// Why the pod should get no new streams; `None` if it may.
    #[must_use]
    pub fn not_accepting_reason(&self) -> Option<NotReady> {
        let limit = self.incarnation.limit(self.policy).unwrap_or(0);
        let at_capacity = || self.incarnation.at_capacity.then_some(NotReady::AtCapacity { limit });
        self.drain_reason().or_else(|| self.not_serving_reason()).or_else(at_capacity)
    }

    /// Whether everything that readiness requires is known.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        let may_be_ready = self.drain.is_serving() || self.ignores_drain();
        may_be_ready && !self.is_polling && self.blocker().is_none() && self.no_reading().is_none()
    }

    /// Why the signal could not be sent now; `None` if it could, or if no signal is configured.
    #[must_use]
    pub fn blocker(&self) -> Option<NotReady> {
        let (signal, _) = self.policy.signal.as_ref()?;
        match self.target.searches.last_result() {
            None => Some(NotReady::Starting),
            Some(SearchResult::NotFound) => Some(NotReady::NotFound),
            Some(SearchResult::Ambiguous(pids)) => Some(NotReady::Ambiguous(pids.clone())),
            Some(SearchResult::Found(Found { blocker: None, .. })) => None,
            Some(SearchResult::Found(Found { incarnation, blocker: Some(blocker), .. })) => {
                let (signal, blocker) = (signal.clone(), blocker.clone());
                Some(NotReady::CannotSignal { pid: incarnation.pid, signal, blocker })
            }
        }
    }

    const fn drain_reason(&self) -> Option<NotReady> {
        match self.drain {
            DrainState::Serving => None,
            DrainState::Active(drain) if drain.is_lame_duck() => Some(NotReady::LameDuck),
            DrainState::Active(_) => Some(NotReady::Draining),
            DrainState::Finished(_) => Some(NotReady::Done),
        }
    }

    /// Whether readiness does not show the drain yet.
    fn ignores_drain(&self) -> bool {
        let unready_at = self.drain.active().and_then(|drain| drain.unready_at(&self.policy.times));
        unready_at.is_some_and(|at| self.now < at)
    }

    fn not_serving_reason(&self) -> Option<NotReady> {
        if self.incarnation.ready_once {
            return self.ambiguous_for_long();
        }
        // If nothing else is missing, the first poll is still in flight.
        self.blocker().or_else(|| self.no_reading()).or(Some(NotReady::FirstPoll))
    }

    /// A permanent second match would prevent the signal; a temporary one, such as an exec probe, would not.
    fn ambiguous_for_long(&self) -> Option<NotReady> {
        self.policy.signal.as_ref()?;
        let (since, pids) = self.target.searches.ambiguous_since()?;
        let times = &self.policy.times;
        let long = self.now.since(since) > times.quiet_period.max(times.stale_after());
        long.then(|| NotReady::Ambiguous(pids.to_vec()))
    }

    fn no_reading(&self) -> Option<NotReady> {
        let sources = &self.incarnation.sources;
        if sources.answers() {
            return None;
        }
        let reason = sources.states().iter().find_map(|state| match &state.status {
            SourceStatus::Absent => {
                Some(NotReady::SourceAbsent { source: state.source, missing: state.missing.clone() })
            }
            SourceStatus::Unknown(error) => Some(NotReady::SourceUnknown(error.clone())),
            SourceStatus::NotPolled | SourceStatus::Counted(_) => None,
        });
        reason.or(Some(NotReady::FirstPoll))
    }
}
