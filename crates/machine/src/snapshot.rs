//! What can be seen of the machine from outside: readiness, and everything that `/status` tells.

use std::time::Duration;

use crate::controller::{Controller, Seen, Stage, Target};
use crate::readiness::NotReady;
use crate::reading::Source;
use crate::result::{DrainResult, Trigger};
use crate::source_state::{SourceState, State};
use crate::target::{Found, Incarnation, SearchResult};
use crate::time::Time;

/// How far the pod is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No drain is on.
    Serving,
    /// NotReady, still accepting.
    LameDuck,
    /// Told to take no more.
    Draining,
    /// The drain is over.
    Done,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Serving, Self::LameDuck, Self::Draining, Self::Done];

    /// The name users see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::LameDuck => "lame_duck",
            Self::Draining => "draining",
            Self::Done => "done",
        }
    }
}

/// The machine as it is at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// How far the pod is on its way out.
    pub phase: Phase,
    /// Why it is not ready; `None` if it is.
    pub unready: Option<NotReady>,
    /// The fused count; `None` while nobody can know.
    pub streams: Option<u64>,
    /// Of these, the idle ones; `None` where they are not told apart.
    pub idle_streams: Option<u64>,
    /// For how long the sources that answer have given different counts, once that is longer than the quiet period.
    pub disagreement: Option<Duration>,
    /// What each source says.
    pub sources: Vec<SourceState>,
    /// The instant for which this holds.
    pub now: Time,
    /// The target, if one was seen.
    pub target: Option<TargetView>,
    /// What stands against a signal, or `None`.
    pub obstacle: Option<NotReady>,
    /// The drain, if one is on or was the last thing that happened.
    pub drain: Option<DrainView>,
    /// Its verdict, once it is over.
    pub result: Option<DrainResult>,
    /// Hook callers that wait, those who may not ask for a drain among them.
    pub hooks: usize,
}

/// The target, from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetView {
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: String,
    /// Whether it is alive.
    pub alive: bool,
}

/// The drain, from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainView {
    /// Who asked for it.
    pub trigger: Trigger,
    /// How long it has been on, or was.
    pub elapsed: Duration,
    /// How much of the budget is left.
    pub remaining: Duration,
    /// When the budget is spent.
    pub deadline: Time,
    /// The streams when it began.
    pub streams_at_start: Option<u64>,
    /// Whether the signal has gone out.
    pub signalled: bool,
}

impl Controller {
    /// The machine as it is at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot {
            phase: self.phase(),
            unready: self.unready(),
            streams: self.census.tally().map(|tally| tally.streams),
            idle_streams: self.idle().map(|idle| idle.streams),
            disagreement: self.disagreement(now),
            sources: self.census.witnesses().to_vec(),
            now,
            target: self.target.as_ref().map(Target::view),
            obstacle: self.no_target(),
            drain: self.drain_view(now),
            result: match &self.stage {
                Stage::Serving | Stage::Under(_) => None,
                Stage::Done { result, .. } => Some(*result),
            },
            hooks: self.hooks + self.waiters.len(),
        }
    }

    fn disagreement(&self, now: Time) -> Option<Duration> {
        self.divided.map(|since| now.since(since)).filter(|time| *time > self.policy.plan.quiet_period)
    }

    /// The sources that there are.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.policy.sources
    }

    /// The name of the signal, if one is to be sent.
    #[must_use]
    pub fn signal_name(&self) -> Option<&str> {
        self.policy.signal.as_ref().map(|(name, _)| name.as_str())
    }

    fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Serving => Phase::Serving,
            Stage::Under(drain) if drain.is_lame_duck() => Phase::LameDuck,
            Stage::Under(_) => Phase::Draining,
            Stage::Done { .. } => Phase::Done,
        }
    }

    /// Why the pod is not ready now; `None` if it is.
    #[must_use]
    pub fn unready(&self) -> Option<NotReady> {
        match self.phase() {
            Phase::LameDuck => Some(NotReady::LameDuck),
            Phase::Draining => Some(NotReady::Draining),
            Phase::Done => Some(NotReady::Done),
            Phase::Serving if self.latched => self.several_for_long(),
            // Nothing is missing but the end of the round.
            Phase::Serving => self.no_target().or_else(|| self.no_reading()).or(Some(NotReady::NoReading(None))),
        }
    }

    pub(super) fn latch(&mut self) {
        let serving = matches!(self.stage, Stage::Serving) && !self.rounds.is_under_way();
        self.latched |= serving && self.no_target().is_none() && self.no_reading().is_none();
    }

    fn no_target(&self) -> Option<NotReady> {
        let (signal, _) = self.policy.signal.as_ref()?;
        let Some(Seen { sighting, .. }) = &self.seen else { return Some(NotReady::Starting) };
        match sighting {
            SearchResult::NotFound => Some(NotReady::NotFound),
            SearchResult::Ambiguous(pids) => Some(NotReady::Ambiguous(pids.clone())),
            SearchResult::Found(Found { obstacle: None, .. }) => None,
            SearchResult::Found(Found { incarnation, obstacle: Some(obstacle), .. }) => {
                let (signal, obstacle) = (signal.clone(), obstacle.clone());
                Some(NotReady::CannotSignal { pid: incarnation.pid, signal, obstacle })
            }
        }
    }

    /// A second match that stays would keep a drain from signalling; one that passes (an exec probe) would not.
    fn several_for_long(&self) -> Option<NotReady> {
        self.policy.signal.as_ref()?;
        let Seen { sighting: SearchResult::Ambiguous(pids), since, .. } = self.seen.as_ref()? else { return None };
        let long = self.now.since(*since) > self.policy.plan.quiet_period.max(self.policy.plan.stale_after());
        long.then(|| NotReady::Ambiguous(pids.clone()))
    }

    fn no_reading(&self) -> Option<NotReady> {
        if self.census.answers() {
            return None;
        }
        let why = self.census.witnesses().iter().find_map(|witness| match &witness.state {
            State::Absent => Some(witness.source.absence().to_owned()),
            State::Unknown(fault) => Some(fault.message.clone()),
            State::NotPolled | State::Counted(_) => None,
        });
        Some(NotReady::NoReading(why))
    }

    fn drain_view(&self, now: Time) -> Option<DrainView> {
        let (drain, until) = match &self.stage {
            Stage::Serving => return None,
            Stage::Under(drain) => (drain, now),
            Stage::Done { drain, at, .. } => (drain, *at),
        };
        Some(DrainView {
            trigger: drain.trigger,
            elapsed: until.since(drain.started_at),
            remaining: drain.deadline.since(until),
            deadline: drain.deadline,
            streams_at_start: drain.streams_at_start,
            signalled: self.target.as_ref().is_some_and(|target| target.signalled),
        })
    }
}

impl Target {
    fn view(&self) -> TargetView {
        TargetView { incarnation: self.incarnation, name: self.name.clone(), alive: self.alive }
    }
}
