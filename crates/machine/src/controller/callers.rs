//! Those who ask for a drain and wait for its end.

use crate::controller::{Controller, Stage};
use crate::result::{Outcome, Trigger};
use crate::time::Time;

impl Controller {
    pub(super) fn call(&mut self, trigger: Trigger, at: Time) {
        let first_hook = trigger == Trigger::Hook && self.hooks == 0;
        self.hooks += usize::from(trigger == Trigger::Hook);
        match &mut self.stage {
            Stage::Serving => self.begin(trigger, at),
            Stage::Under(drain) if first_hook => {
                drain.rebase(at, &self.policy.plan);
                self.write_note();
            }
            Stage::Under(_) => {}
            Stage::Done { result, .. } => {
                let result = *result;
                if trigger == Trigger::Hook && self.reopens(result.outcome) {
                    self.reopen(at);
                } else {
                    self.release(result);
                }
            }
        }
    }

    pub(super) fn hangup(&mut self, trigger: Trigger) {
        self.hooks = self.hooks.saturating_sub(usize::from(trigger == Trigger::Hook));
    }

    /// Whether a hook that comes after the drain has something left to wait for.
    pub(super) fn reopens(&self, outcome: Outcome) -> bool {
        let ended = self.target.as_ref().is_some_and(|target| !target.alive);
        match outcome {
            Outcome::Expired => !ended,
            // It has begun to serve since, in spite of the signal.
            Outcome::NeverServed => !ended && self.census.heard(),
            Outcome::Drained | Outcome::Idle | Outcome::Exited => false,
        }
    }

    fn reopen(&mut self, called: Time) {
        if let Stage::Done { drain, .. } = &self.stage {
            let mut drain = drain.clone();
            drain.reopen(self.now, called, &self.policy.plan);
            self.stage = Stage::Under(drain);
            self.write_note();
        }
    }
}
