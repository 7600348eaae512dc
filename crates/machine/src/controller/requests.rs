//! What the controller does when a caller requests a drain.

use super::Controller;
use crate::drain::Drain;
use crate::drain_record::DrainRecord;
use crate::drain_state::{DrainState, FinishedDrain};
use crate::io::{Action, CallKind, CallerId, Reply};
use crate::result::Trigger;
use crate::time::Time;

impl Controller {
    pub(super) fn on_call(&mut self, caller: CallerId, kind: CallKind, at: Time) {
        let ended = self.target.target().is_some_and(|target| !target.is_alive());
        let ever_answered = self.incarnation.sources.ever_answered();
        let reopens = |finished: &FinishedDrain| finished.can_reopen(ended, ever_answered);
        let Some(trigger) = kind.trigger() else {
            if let Some(finished) = self.drain.finished().filter(|finished| !reopens(finished)) {
                self.actions.push(Action::Reply(caller, Reply::Finished(finished.result)));
            } else {
                let record = DrainRecord::new(self.history.new_id(), self.incarnation.sources.streams());
                let drain = Drain::begin_unauthorized_wait(self.now, &self.policy.times, record);
                self.callers.hold(caller, drain, &mut self.actions);
            }
            return;
        };
        let first_hook = self.callers.add(caller, trigger);
        match &mut self.drain {
            DrainState::Serving => self.start_drain(trigger, at),
            DrainState::Active(drain) if first_hook => {
                if drain.on_hook(at, &self.policy.times) {
                    self.drain.save(&self.target, &mut self.actions);
                }
            }
            DrainState::Active(_) => {}
            DrainState::Finished(finished) if trigger == Trigger::Hook && reopens(finished) => {
                self.recorder().reopen(at);
            }
            DrainState::Finished(finished) => {
                self.callers.release(Reply::Finished(finished.result), &mut self.actions);
            }
        }
    }
}
