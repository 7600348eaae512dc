//! The facts from which the result of a drain is computed. Nothing else decides how many streams were cut, or that
//! there were none to cut.
//!
//! A count is used only while it is fresh, and a zero only if zero streams mean zero work. The target's exit status
//! takes precedence over any count.

use crate::drain::Drain;
use crate::incarnation::IncarnationState;
use crate::policy::Policy;
use crate::reading::ReadErrorKind;
use crate::result::{DrainResult, ExitStatus, Outcome};
use crate::target::SearchResult;
use crate::target_tracker::{Target, TargetTracker};
use crate::time::Time;

/// Everything that determines how many streams were cut.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// When the drain ended.
    pub now: Time,
    /// The settings.
    pub policy: &'a Policy,
    /// The target: whether it was signalled, how it ended, and what was counted before it began to exit.
    pub target: &'a TargetTracker,
    /// The readings of this incarnation.
    pub incarnation: &'a IncarnationState,
}

impl<'a> Account<'a> {
    /// The facts at this time.
    #[must_use]
    pub const fn new(
        now: Time,
        policy: &'a Policy,
        target: &'a TargetTracker,
        incarnation: &'a IncarnationState,
    ) -> Self {
        Self { now, policy, target, incarnation }
    }

    /// The result of a drain that ends now with this outcome.
    #[must_use]
    pub fn result(&self, drain: &Drain, outcome: Outcome) -> DrainResult {
        DrainResult {
            outcome,
            streams_at_start: drain.streams_at_start,
            stragglers: self.stragglers(outcome),
            idle_streams: self.idle_streams(outcome),
            duration: self.now.since(drain.started_at),
            signalled: self.target.is_signalled(),
        }
    }

    /// Whether there cannot be anything to cut: no source has ever been read, a fresh poll of each of them fails, and
    /// no earlier reading can have been missed.
    #[must_use]
    pub fn never_served(&self, drain: &Drain) -> bool {
        use ReadErrorKind::{ConnectionRefused, NoResponse};
        let sources = &self.incarnation.sources;
        let ever_read = sources.ever_answered() || drain.streams_at_start.is_some();
        // A process that started after the last search must still be found and signalled.
        if ever_read || !self.target.searches.searched_since(drain.started_at) {
            return false;
        }
        match self.target.target() {
            None => {
                let not_found = self.target.searches.last_result() == Some(&SearchResult::NotFound);
                not_found && sources.all_failed(drain.started_at, &[ConnectionRefused])
            }
            Some(target) => {
                let watched_from_its_start = self.target.observed_since.is_before(target.incarnation);
                watched_from_its_start && sources.all_failed(drain.started_at, &[ConnectionRefused, NoResponse])
            }
        }
    }

    fn stragglers(&self, outcome: Outcome) -> Option<u64> {
        match outcome {
            // Idle streams are counted separately.
            Outcome::Drained | Outcome::Idle | Outcome::NeverServed => Some(0),
            Outcome::Expired => self.last_count(),
            Outcome::Exited => self.stragglers_at_exit(),
        }
    }

    /// How many streams were cut when the target ended.
    ///
    /// A signalled target may have finished its last streams after the last reading, so a count above zero or a stale
    /// count is inconclusive. An exit with code 0 and a kill by another signal are conclusive.
    fn stragglers_at_exit(&self) -> Option<u64> {
        let our_signal = self.policy.signal.as_ref().map_or(0, |(_, number)| *number);
        let (signalled, last_count) = (self.target.is_signalled(), self.last_count());
        let status = self.target.target().and_then(Target::exit_status);
        match status.unwrap_or(ExitStatus::Unknown) {
            ExitStatus::Killed(signal) if signal != our_signal => last_count,
            ExitStatus::Code(0) if signalled => Some(0),
            ExitStatus::Unknown | ExitStatus::Code(_) | ExitStatus::Killed(_) if signalled => {
                last_count.filter(|streams| *streams == 0)
            }
            ExitStatus::Unknown | ExitStatus::Code(_) | ExitStatus::Killed(_) => last_count,
        }
    }

    fn last_count(&self) -> Option<u64> {
        let before_exit = self.target.target().and_then(Target::last_count);
        before_exit.map_or_else(|| self.incarnation.fresh_streams(self.policy, self.now), |last| last.streams)
    }

    fn idle_streams(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Idle | Outcome::Expired => self.incarnation.idle(self.policy).map_or(0, |idle| idle.streams),
            Outcome::Drained | Outcome::Exited | Outcome::NeverServed => 0,
        }
    }
}
