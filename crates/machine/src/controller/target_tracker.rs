//! The target over its incarnations: who it is, when it has ended, and the one signal.

use crate::controller::connections::Connections;
use crate::controller::{Controller, Stage};
use crate::drain::stragglers_of_exit;
use crate::io::Action;
use crate::result::ExitStatus;
use crate::source_set::{SourceSet, StreamCount};
use crate::target::{CLOCK_TICK, Found, Incarnation, SearchResult};
use crate::time::Time;

/// The target that is tracked.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) incarnation: Incarnation,
    pub(crate) name: String,
    pub(crate) alive: bool,
    pub(crate) signalled: bool,
    pub(crate) killed: bool,
    /// What was known last, once it is dying.
    pub(crate) dying: Option<LastCount>,
}

impl Target {
    pub(crate) const fn new(incarnation: Incarnation, name: String, signalled: bool) -> Self {
        Self { incarnation, name, alive: true, signalled, killed: false, dying: None }
    }
}

/// What was known of a target when it began to die: it may take long to have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastCount {
    pub(crate) streams: Option<u64>,
}

/// The last sighting, and since when it has been of the same kind.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) sighting: SearchResult,
    pub(crate) since: Time,
    /// When that search was ordered.
    pub(crate) requested_at: Time,
}

impl Controller {
    pub(super) fn sighted(&mut self, requested_at: Time, sighting: SearchResult) {
        if Some(requested_at) < self.bereft {
            return;
        }
        let since = match &self.seen {
            Some(seen) if same_kind(&seen.sighting, &sighting) => seen.since,
            Some(_) | None => requested_at,
        };
        if let SearchResult::Found(found) = &sighting {
            self.meet(found);
        }
        self.seen = Some(Seen { sighting, since, requested_at });
        let fresh = matches!(&self.stage, Stage::Under(drain) if drain.draining_since().is_some_and(|since| requested_at >= since));
        if fresh {
            self.signal();
        }
        if !self.rounds.is_under_way() {
            self.leave_unserved();
        }
    }

    fn meet(&mut self, found: &Found) {
        match &mut self.target {
            Some(target) if target.incarnation == found.incarnation => {
                // One that has ended its first thread has no name any more.
                if !found.name.is_empty() {
                    target.name.clone_from(&found.name);
                }
                return;
            }
            // It is another, and the kernel may not yet have said that the one before has ended.
            Some(target) => {
                let before = target.incarnation;
                self.exited(before, ExitStatus::Unknown);
            }
            None => {}
        }
        let started_at = if let Stage::Under(drain) = &self.stage { Some(drain.started_at) } else { None };
        let first_seen_in_drain = self.target.is_none() && started_at.is_some();
        if first_seen_in_drain && started_at < Some(self.born(found.incarnation)) {
            // A new life inherits no drain, and this one still has its callers: it is met when the drain is over.
            return;
        }
        let Found { incarnation, name, .. } = found.clone();
        self.target = Some(Target::new(incarnation, name, false));
        self.actions.push_back(Action::Watch(incarnation));
        if first_seen_in_drain {
            self.write_note();
        } else {
            self.start_over();
        }
    }

    /// When a life began, by our own beginning.
    fn born(&self, incarnation: Incarnation) -> Time {
        let ours = self.policy.own_start_ticks;
        let later = CLOCK_TICK * u32::try_from(incarnation.started.saturating_sub(ours)).unwrap_or(u32::MAX);
        let earlier = CLOCK_TICK * u32::try_from(ours.saturating_sub(incarnation.started)).unwrap_or(u32::MAX);
        self.started + later - earlier
    }

    /// Begins afresh with a new life: nothing of an earlier drain or reading is inherited.
    fn start_over(&mut self) {
        self.serve_again();
        self.forget_readings();
        // Whoever waits may have seen a zero of what was here before.
        self.doubt();
    }

    /// Takes the drain back. Who lives on has served before, so its readings are kept.
    pub(super) fn serve_again(&mut self) {
        if !matches!(self.stage, Stage::Serving) {
            self.actions.push_back(Action::Erase);
        }
        self.stage = Stage::Serving;
        self.target.take_if(|target| !target.alive);
    }

    fn forget_readings(&mut self) {
        self.census = SourceSet::new(&self.policy.sources);
        self.end_lives();
        self.connections = Connections::new(&self.policy.idleness);
        (self.divided, self.full, self.capacity) = (None, false, None);
        self.latched = false;
        self.rounds.abandon();
    }

    pub(super) fn dying(&mut self, incarnation: Incarnation) {
        let streams = self.fresh_streams();
        if let Some(target) = &mut self.target
            && target.incarnation == incarnation
        {
            target.dying.get_or_insert(LastCount { streams });
        }
    }

    pub(super) fn is_dying(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.dying.is_some())
    }

    pub(super) fn exited(&mut self, incarnation: Incarnation, ending: ExitStatus) {
        let Some(target) = &mut self.target else { return };
        if target.incarnation != incarnation || !target.alive {
            return;
        }
        target.alive = false;
        let (signalled, dying) = (target.signalled, target.dying.take());
        self.seen = None;
        self.bereft = Some(self.now);
        let ours = self.policy.signal.as_ref().map_or(0, |(_, number)| *number);
        let last = dying.map_or_else(|| self.fresh_streams(), |word| word.streams);
        let cut = stragglers_of_exit(signalled, ending, ours, last);
        if let Stage::Under(drain) = &self.stage {
            self.finish(drain.exited(self.policy.wait_for_exit), cut);
        }
        self.release_waiters_at_exit(cut);
        self.forget_readings();
        if matches!(self.stage, Stage::Serving) {
            self.target = None;
        }
    }

    /// The fused count, unless it is too old to say how things stand, or a zero where work may hold no stream.
    pub(super) fn fresh_streams(&self) -> Option<u64> {
        let StreamCount { streams, as_of } = self.census.tally()?;
        let fresh = as_of + self.policy.plan.stale_after() >= self.now;
        let proves = streams > 0 || !self.policy.wait_for_exit;
        (fresh && proves).then_some(streams)
    }

    /// Sends the signal, if one is wanted, nothing stands against it and it has not gone out.
    pub(super) fn signal(&mut self) {
        let Some(Seen { sighting: SearchResult::Found(Found { incarnation, obstacle: None, .. }), .. }) = &self.seen
        else {
            return;
        };
        let Some(target) = &mut self.target else { return };
        let hears = target.alive && target.dying.is_none();
        if self.policy.signal.is_none() || target.signalled || !hears || target.incarnation != *incarnation {
            return;
        }
        target.signalled = true;
        let incarnation = target.incarnation;
        self.write_note();
        self.actions.push_back(Action::Signal(incarnation));
    }

    pub(super) fn signal_went(&mut self, incarnation: Incarnation, sent: bool) {
        if let Some(target) = &mut self.target
            && target.incarnation == incarnation
            && !sent
        {
            target.signalled = false;
            self.unsay_signal();
            self.write_note();
        }
    }

    /// A verdict that fell in the same breath as a signal that then failed has not been told yet.
    fn unsay_signal(&mut self) {
        if let Stage::Done { result, .. } = &mut self.stage {
            result.signalled = false;
        }
        for action in &mut self.actions {
            match action {
                Action::Conclude(result) | Action::Release(result) | Action::Dismiss(_, result) => {
                    result.signalled = false;
                }
                Action::Write(note) => {
                    note.signalled = false;
                    note.over.iter_mut().for_each(|over| over.result.signalled = false);
                }
                Action::Seek { .. }
                | Action::Read { .. }
                | Action::Watch(_)
                | Action::Erase
                | Action::Signal(_)
                | Action::Kill(_)
                | Action::Lived(_)
                | Action::Leave => {}
            }
        }
    }
}

fn same_kind(one: &SearchResult, other: &SearchResult) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}
