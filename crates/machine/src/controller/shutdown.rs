//! SIGTERM to the sidecar itself: when it may leave.

use std::time::Duration;

use crate::controller::{Controller, Stage};
use crate::policy::SigtermPolicy;
use crate::reading::ReadErrorKind;
use crate::result::Trigger;
use crate::time::Time;

/// How long `auto` waits for a hook: a kubelet that ends the pod calls it within a few seconds.
const HOOK_WAIT: Duration = Duration::from_secs(30);

/// How far the sidecar is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Nobody has asked it to leave.
    No,
    /// It waits for a hook until then, while there is work that the hook could drain.
    AwaitsHook(Time),
    /// It leaves when the drain is over and the target gone.
    AfterDrain,
    /// It has been told to go.
    Now,
}

impl Controller {
    pub(super) fn terminate(&mut self) {
        self.leaving = match (self.leaving, &self.stage, self.policy.on_sigterm) {
            (Leaving::Now, _, _) | (_, _, SigtermPolicy::Exit) => Leaving::Now,
            (_, Stage::Under(_) | Stage::Done { .. }, _) => Leaving::AfterDrain,
            (_, Stage::Serving, SigtermPolicy::Drain) => {
                self.begin(Trigger::Sigterm, self.now);
                Leaving::AfterDrain
            }
            (Leaving::AwaitsHook(until), Stage::Serving, SigtermPolicy::Auto) => Leaving::AwaitsHook(until),
            (_, Stage::Serving, SigtermPolicy::Auto) => Leaving::AwaitsHook(self.now + HOOK_WAIT),
        };
    }

    /// Whether something lives here whose streams are not known to be zero.
    fn may_have_work(&self) -> bool {
        let alive = self.target.as_ref().is_some_and(|target| target.alive);
        match self.census.tally() {
            Some(tally) if tally.streams > 0 => true,
            // Where only the exit ends a drain, zero is no sign of rest.
            Some(_) => alive && self.policy.wait_for_exit,
            None => {
                alive
                    || (self.census.heard()
                        && !self.census.all_failed(self.started, &[ReadErrorKind::ConnectionRefused]))
            }
        }
    }

    pub(super) fn leaves(&self) -> bool {
        match (self.leaving, &self.stage) {
            (Leaving::No, _) | (Leaving::AfterDrain, Stage::Under(_)) => false,
            (Leaving::Now, _) => true,
            // Its end would end their calls, and a kubelet among them would go on to its SIGTERM.
            (Leaving::AfterDrain, Stage::Serving) => self.waiters.is_empty(),
            (Leaving::AwaitsHook(until), _) => self.waiters.is_empty() && (self.now >= until || !self.may_have_work()),
            (Leaving::AfterDrain, Stage::Done { .. }) => match &self.target {
                Some(target) => !target.alive,
                // Every caller had the verdict when it fell.
                None => self.waiters.is_empty(),
            },
        }
    }
}
