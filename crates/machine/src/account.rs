//! The facts from which the result of a drain is computed. Nothing else decides how many streams were cut, or that
//! there were none to cut.
//!
//! A count is used only while it is fresh, and a zero only if zero streams mean zero work. After the signal, neither a
//! zero nor an exit with code 0 counts unless a reading has shown the target still serving
//! ([`sent_signal`](crate::sent_signal)).

use crate::drain::Drain;
use crate::drain_record::HookState;
use crate::incarnation::IncarnationState;
use crate::policy::Policy;
use crate::reading::ReadErrorKind;
use crate::result::{DrainResult, ExitStatus, Outcome};
use crate::sent_signal::{AfterSignal, SentSignal};
use crate::target::SearchResult;
use crate::target_tracker::{Target, TargetTracker};
use crate::time::Time;
use crate::warnings::Warning;

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

    /// The result of a drain that ends now with this outcome; for [`Outcome::Interrupted`], its record so far.
    #[must_use]
    pub fn result(&self, drain: &Drain, outcome: Outcome) -> DrainResult {
        let ended_with_signal = self.ended_with_signal(drain, outcome);
        let stragglers = self.stragglers(drain, outcome);
        let has_leak = self.incarnation.sources.leaked().is_some();
        let warnings = drain.record.warnings.with_if(Warning::EndedWithSignal, ended_with_signal);
        DrainResult {
            id: drain.record.id,
            outcome,
            streams_at_start: drain.record.streams_at_start,
            streams_at_signal: self.sent_signal().and_then(|signal| signal.streams),
            stragglers: stragglers.filter(|streams| *streams > 0 || !self.zero_is_unproven(drain, outcome)),
            idle_streams: self.idle_streams(outcome),
            duration: self.now.since(drain.started_at),
            signalled: self.target.is_signalled(),
            warnings: warnings.with_if(Warning::GaugeLeak, has_leak),
        }
    }

    /// Whether there cannot be anything to cut: no source has ever been read, a fresh poll of each of them fails, and
    /// no earlier reading can have been missed.
    #[must_use]
    pub fn never_served(&self, drain: &Drain) -> bool {
        use ReadErrorKind::{ConnectionRefused, NoResponse};
        let sources = &self.incarnation.sources;
        let ended_before = drain.record.ended_before.is_some();
        let ever_read = sources.ever_answered() || (drain.record.streams_at_start.is_some() && !ended_before);
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

    fn stragglers(&self, drain: &Drain, outcome: Outcome) -> Option<u64> {
        match outcome {
            // Idle streams are counted separately.
            Outcome::Drained | Outcome::Idle | Outcome::NeverServed => Some(0),
            Outcome::Expired => self.last_count(),
            Outcome::Exited => self.stragglers_at_exit(drain),
            Outcome::Interrupted => self.last_count().or_else(|| self.conclusive(drain.record.last_known)),
        }
    }

    /// How many streams were cut when the target ended.
    ///
    /// A signalled target may have finished its last streams after the last reading, so a count above zero or a stale
    /// count is inconclusive. An exit with code 0 and a kill by another signal are conclusive. If the hook caller has
    /// disconnected, the kubelet has stopped the target, whatever its exit code is.
    fn stragglers_at_exit(&self, drain: &Drain) -> Option<u64> {
        let (signalled, last_count) = (self.target.is_signalled(), self.last_count());
        if let Some(end) = drain.record.ended_before.filter(|_| self.target.target().is_none()) {
            return end.streams;
        }
        match self.exit_status() {
            _ if matches!(drain.record.hook, HookState::Disconnected(_)) => last_count,
            ExitStatus::Code(0) if drain.record.hook == HookState::EndedByRestart => {
                last_count.filter(|streams| *streams == 0)
            }
            ExitStatus::Killed(signal) if signal != self.our_signal() => last_count,
            ExitStatus::Code(0) if signalled => Some(0),
            ExitStatus::Unknown | ExitStatus::Code(_) | ExitStatus::Killed(_) if signalled => {
                last_count.filter(|streams| *streams == 0)
            }
            ExitStatus::Unknown | ExitStatus::Code(_) | ExitStatus::Killed(_) => last_count,
        }
    }

    /// Whether the streams, or the target, ended with the signal rather than by themselves.
    fn ended_with_signal(&self, drain: &Drain, outcome: Outcome) -> bool {
        let Some(signal) = self.sent_signal() else { return false };
        let killed = matches!(self.exit_status(), ExitStatus::Killed(number) if number != self.our_signal());
        match outcome {
            Outcome::Exited => {
                signal.is_unproven() && !killed && !matches!(drain.record.hook, HookState::Disconnected(_))
            }
            Outcome::Drained => signal.is_unproven(),
            Outcome::Idle | Outcome::Expired | Outcome::Interrupted => signal.after == AfterSignal::StreamsLost,
            Outcome::NeverServed => false,
        }
    }

    /// Whether a count of zero does not show that the streams ended by themselves.
    fn zero_is_unproven(&self, drain: &Drain, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Drained | Outcome::Exited | Outcome::Expired | Outcome::Interrupted => {
                self.sent_signal().is_some_and(SentSignal::is_unproven) || self.was_stopped(drain)
            }
            // No connection had been active for a whole window before the last reading.
            Outcome::Idle => self.sent_signal().is_some_and(|signal| signal.after == AfterSignal::StreamsLost),
            Outcome::NeverServed => false,
        }
    }

    /// Whether something other than lameduck has stopped the target while it may have had streams.
    fn was_stopped(&self, drain: &Drain) -> bool {
        let record = &drain.record;
        let told = record.warnings.contains(Warning::ToldByOthers) && record.streams_at_start != Some(0);
        // Streams that a reading after the signal has seen are judged by the readings after it.
        let unseen_later = self.sent_signal().is_none_or(|signal| signal.streams == Some(0) || signal.is_unproven());
        let before_signal = told && unseen_later;
        let hook_gone = matches!(record.hook, HookState::Disconnected(streams) if streams != Some(0));
        before_signal || hook_gone
    }

    fn sent_signal(&self) -> Option<&SentSignal> {
        self.target.target()?.sent_signal()
    }

    fn our_signal(&self) -> i32 {
        self.policy.signal.as_ref().map_or(0, |(_, number)| *number)
    }

    fn exit_status(&self) -> ExitStatus {
        self.target.target().and_then(Target::exit_status).unwrap_or(ExitStatus::Unknown)
    }

    fn last_count(&self) -> Option<u64> {
        let before_exit = self.target.target().and_then(Target::last_count);
        before_exit.map_or_else(|| self.incarnation.fresh_streams(self.policy, self.now), |last| last.streams)
    }

    /// Zero streams do not mean zero work if only the exit ends a drain.
    fn conclusive(&self, streams: Option<u64>) -> Option<u64> {
        streams.filter(|streams| *streams > 0 || !self.policy.wait_for_exit)
    }

    fn idle_streams(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Idle | Outcome::Expired | Outcome::Interrupted => {
                self.incarnation.idle(self.policy).map_or(0, |idle| idle.streams)
            }
            Outcome::Drained | Outcome::Exited | Outcome::NeverServed => 0,
        }
    }
}
