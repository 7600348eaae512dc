//! What the controller does for the record of a drain, besides its result.

use super::Controller;
use crate::account::Account;
use crate::drain::Drain;
use crate::drain_record::{DrainRecord, TargetEnd};
use crate::drain_state::DrainState;
use crate::io::{Action, CallerId, NotCancelled, RecordReason, Reply, TargetEnded};
use crate::result::{ExitStatus, Outcome, Trigger};
use crate::shutdown::Shutdown;
use crate::target::Incarnation;
use crate::target_tracker::Target;
use crate::warnings::Warning;

/// The signals by which one process asks another to stop, by their numbers (signal(7)). Others are sent by the kernel, or
/// end what does not react.
const STOP_SIGNALS: [i32; 4] = [1, 2, 3, 15];

impl Controller {
    /// Writes the record of the drain in progress, in case this process is killed before the drain is over.
    pub(super) fn write_record(&mut self, reason: RecordReason) {
        let Some(drain) = self.drain.active() else { return };
        let account = Account::new(self.now, &self.policy, &self.target, &self.incarnation);
        self.history.write_provisional(account.result(drain, Outcome::Interrupted), reason, &mut self.actions);
    }

    /// Adds a warning to the drain in progress.
    pub(super) fn warn(&mut self, warning: Warning) {
        if self.drain.active_mut().is_some_and(|drain| drain.record.warnings.insert(warning)) {
            self.drain.save(&self.target, &mut self.actions);
        }
    }

    pub(super) fn on_hangup(&mut self, caller: CallerId) {
        let was_last_hook = self.callers.remove(caller);
        if let Some(drain) = self.drain.active_mut().filter(|_| was_last_hook) {
            drain.record.hook_disconnected = true;
            self.write_record(RecordReason::HookDisconnected);
        }
    }

    /// Takes back a drain that a user has started, as long as nothing has happened that cannot be taken back.
    pub(super) fn on_cancel(&mut self, caller: CallerId) {
        let stopping = self.callers.has_hook() || self.shutdown != Shutdown::Running;
        let refusal = match &self.drain {
            DrainState::Serving => Some(NotCancelled::NoDrain),
            DrainState::Finished(_) => Some(NotCancelled::Finished),
            DrainState::Active(Drain { trigger, record, .. })
                if *trigger != Trigger::Cli || record.hook_disconnected || stopping =>
            {
                Some(NotCancelled::PodIsStopping)
            }
            DrainState::Active(_) => self.target.is_signalled().then_some(NotCancelled::Signalled),
        };
        if let Some(refusal) = refusal {
            self.actions.push(Action::Reply(caller, Reply::NotCancelled(refusal)));
            return;
        }
        self.drain.clear(&mut self.actions);
        self.history.record = None;
        self.actions.push(Action::ClearRecord);
        self.callers.release(Reply::Cancelled, &mut self.actions);
        self.actions.push(Action::Reply(caller, Reply::Cancelled));
    }

    /// Records that the target has ended, before the drain in progress is finished.
    pub(super) fn record_target_end(&mut self, incarnation: Incarnation, status: ExitStatus) {
        let asked_to_stop = match status {
            ExitStatus::Killed(signal) => STOP_SIGNALS.contains(&signal),
            ExitStatus::Unknown | ExitStatus::Code(_) => true,
        };
        if self.drain.active().is_some_and(Drain::is_lame_duck) && !self.target.is_signalled() && asked_to_stop {
            self.warn(Warning::ToldByOthers);
        }
        if !self.drain.is_serving() {
            self.actions.push(Action::TargetEnded(TargetEnded::Drain));
            return;
        }
        let never_served =
            !self.incarnation.sources.ever_answered() && self.target.observed_since.is_before(incarnation);
        let last_count = self.target.target().and_then(Target::last_count).and_then(|last| last.streams);
        let streams = if never_served { Some(0) } else { last_count };
        self.history.target_end = Some(TargetEnd { at: self.now, streams });
        self.actions.push(Action::TargetEnded(TargetEnded::Serving(streams)));
        if let Some(streams @ 1..) = streams {
            self.actions.push(Action::CountStragglers(streams));
        }
    }

    /// Writes the record before this process exits, if its end leaves anything unsaid. Nobody has asked for a drain, so
    /// none is saved that a restarted sidecar would resume.
    pub(super) fn record_exit(&mut self, may_have_streams: bool) {
        if !self.drain.is_serving() {
            return self.write_record(RecordReason::Exit);
        }
        let (id, streams) = (self.history.new_id(), self.incarnation.sources.streams());
        let (record, outcome) = match self.history.target_end {
            Some(end) => (DrainRecord::of_ended_target(id, end).warned(Warning::NoHook), Outcome::Exited),
            None if may_have_streams => (DrainRecord::new(id, streams), Outcome::Interrupted),
            None => return,
        };
        let drain = Drain::begin(self.now, &self.policy.times, Trigger::Sigterm, record);
        let account = Account::new(self.now, &self.policy, &self.target, &self.incarnation);
        let result = account.result(&drain, outcome);
        if outcome == Outcome::Interrupted {
            self.history.write_provisional(result, RecordReason::Exit, &mut self.actions);
        } else {
            self.history.on_result(result);
            self.actions.push(Action::ReportOutcome(result));
        }
    }
}
