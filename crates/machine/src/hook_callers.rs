//! The callers that wait for the end of a drain.
//!
//! An unauthorized caller is held like the others, because the kubelet sends SIGTERM as soon as a hook is refused. Its
//! wait follows the rules of a drain, but the pod stays ready, nothing is signalled and nothing is saved. During a real
//! drain, unauthorized callers wait for its end, each up to its own deadline.

use crate::account::Account;
use crate::drain::Drain;
use crate::io::{Action, Actions, CallerId, Reply};
use crate::result::{DrainResult, Outcome, Trigger};
use crate::time::Time;

/// The maximum number of unauthorized callers held at once: they must not use up all connections.
pub const MAX_UNAUTHORIZED: usize = 64;

/// All callers, each from its call until it is answered or has disconnected.
#[derive(Clone, Debug, Default)]
pub struct HookCallers {
    callers: Vec<(CallerId, Trigger)>,
    unauthorized: Vec<UnauthorizedCaller>,
}

/// An unauthorized caller, and the drain whose rules its wait follows.
#[derive(Clone, Debug)]
struct UnauthorizedCaller {
    id: CallerId,
    drain: Drain,
}

impl HookCallers {
    /// Adds a caller, and returns whether it is a hook while no other hook is connected.
    pub fn add(&mut self, id: CallerId, trigger: Trigger) -> bool {
        let first_hook = trigger == Trigger::Hook && !self.has_hook();
        self.callers.push((id, trigger));
        first_hook
    }

    /// Holds an unauthorized caller for as long as this drain would last; refuses it if too many are held.
    pub fn hold(&mut self, id: CallerId, drain: Drain, actions: &mut Actions) {
        if self.unauthorized.len() < MAX_UNAUTHORIZED {
            self.unauthorized.push(UnauthorizedCaller { id, drain });
        } else {
            actions.push(Action::Reply(id, Reply::TooManyUnauthorized));
        }
    }

    /// Removes a caller that has disconnected, and returns whether it was the last hook.
    pub fn remove(&mut self, id: CallerId) -> bool {
        let had_hook = self.has_hook();
        self.callers.retain(|(caller, _)| *caller != id);
        self.unauthorized.retain(|caller| caller.id != id);
        had_hook && !self.has_hook()
    }

    /// Whether an authorized hook waits.
    #[must_use]
    pub fn has_hook(&self) -> bool {
        self.callers.iter().any(|(_, trigger)| *trigger == Trigger::Hook)
    }

    /// How many hook callers wait, authorized or not.
    #[must_use]
    pub fn hooks(&self) -> usize {
        self.callers.iter().filter(|(_, trigger)| *trigger == Trigger::Hook).count() + self.unauthorized.len()
    }

    /// Whether an unauthorized caller waits.
    #[must_use]
    pub const fn has_unauthorized(&self) -> bool {
        !self.unauthorized.is_empty()
    }

    /// When the last wait of an unauthorized caller began.
    #[must_use]
    pub fn unauthorized_since(&self) -> Option<Time> {
        self.unauthorized.iter().map(|caller| caller.drain.started_at).max()
    }

    /// Answers every authorized caller.
    pub fn release(&mut self, reply: Reply, actions: &mut Actions) {
        for (id, _) in self.callers.drain(..) {
            actions.push(Action::Reply(id, reply));
        }
    }

    /// Answers every unauthorized caller with the result of a real drain.
    pub fn release_unauthorized(&mut self, result: DrainResult, actions: &mut Actions) {
        for caller in self.unauthorized.drain(..) {
            actions.push(Action::Reply(caller.id, Reply::Finished(result)));
        }
    }

    /// Answers the unauthorized callers whose own wait is over.
    pub fn release_finished(
        &mut self,
        account: &Account<'_>,
        actions: &mut Actions,
        mut outcome: impl FnMut(&mut Drain) -> Option<Outcome>,
    ) {
        self.unauthorized.retain_mut(|caller| {
            let Some(outcome) = outcome(&mut caller.drain) else { return true };
            let result = account.result(&caller.drain, outcome);
            actions.push(Action::Reply(caller.id, Reply::Finished(result)));
            false
        });
    }

    /// Discards the zeros of the waits: another incarnation has had them.
    pub fn invalidate_zeros(&mut self) {
        for caller in &mut self.unauthorized {
            caller.drain.invalidate_zero();
        }
    }

    /// When an unauthorized caller's wait must be evaluated next even if nothing happens.
    #[must_use]
    pub fn timeout(&self) -> Option<Time> {
        self.unauthorized.iter().map(|caller| caller.drain.timeout()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain_id::DrainId;
    use crate::drain_record::DrainRecord;
    use crate::drain_times::tests::times;
    use crate::incarnation::IncarnationState;
    use crate::policy::tests::policy;
    use crate::target_tracker::TargetTracker;
    use crate::time::tests::at;
    use crate::warnings::Warnings;
    use std::time::Duration;

    fn result(outcome: Outcome) -> DrainResult {
        DrainResult {
            id: DrainId(1),
            outcome,
            streams_at_start: None,
            streams_at_signal: None,
            stragglers: Some(0),
            idle_streams: 0,
            duration: Duration::ZERO,
            signalled: false,
            warnings: Warnings::default(),
        }
    }

    fn silent(started_at: u64) -> Drain {
        Drain::begin_unauthorized_wait(at(started_at), &times(60), DrainRecord::new(DrainId(1), None))
    }

    fn replies(mut actions: Actions) -> Vec<(u64, Reply)> {
        let reply = |action| {
            let Action::Reply(id, reply) = action else { panic!("no reply: {action:?}") };
            (id.0, reply)
        };
        std::iter::from_fn(|| actions.pop()).map(reply).collect()
    }

    #[test]
    fn hook_is_first_if_no_other_is_connected() {
        let mut callers = HookCallers::default();
        assert!(!callers.add(CallerId(1), Trigger::Cli));
        assert!(callers.add(CallerId(2), Trigger::Hook));
        assert!(!callers.add(CallerId(3), Trigger::Hook));
        callers.remove(CallerId(2));
        assert!(!callers.add(CallerId(4), Trigger::Hook), "another is still connected");
        callers.remove(CallerId(3));
        callers.remove(CallerId(4));
        assert!(callers.add(CallerId(5), Trigger::Hook));
    }

    #[test]
    fn every_caller_is_answered_once() {
        let (mut callers, mut actions) = (HookCallers::default(), Actions::default());
        callers.add(CallerId(1), Trigger::Hook);
        callers.add(CallerId(2), Trigger::Cli);
        callers.hold(CallerId(3), silent(0), &mut actions);
        callers.release(Reply::Finished(result(Outcome::Drained)), &mut actions);
        callers.release(Reply::Finished(result(Outcome::Idle)), &mut actions);
        assert_eq!(callers.hooks(), 1);
        callers.release_unauthorized(result(Outcome::Drained), &mut actions);
        let drained = Reply::Finished(result(Outcome::Drained));
        assert_eq!(replies(actions), [(1, drained), (2, drained), (3, drained)]);
        assert_eq!(callers.hooks(), 0);
    }

    #[test]
    fn unauthorized_callers_over_the_limit_are_refused() {
        let (mut callers, mut actions) = (HookCallers::default(), Actions::default());
        for id in 0..=64 {
            callers.hold(CallerId(id), silent(0), &mut actions);
        }
        assert_eq!(replies(actions), [(64, Reply::TooManyUnauthorized)]);
        assert_eq!(callers.hooks(), MAX_UNAUTHORIZED);
    }

    #[test]
    fn unauthorized_callers_are_released_one_by_one() {
        let policy = policy();
        let (target, incarnation) = (TargetTracker::new(&policy), IncarnationState::new(&policy));
        let account = Account::new(at(60), &policy, &target, &incarnation);
        let (mut callers, mut actions) = (HookCallers::default(), Actions::default());
        callers.hold(CallerId(1), silent(0), &mut actions);
        callers.hold(CallerId(2), silent(10), &mut actions);
        assert_eq!(callers.timeout(), Some(at(55)));
        callers.release_finished(&account, &mut actions, |drain| drain.at_deadline(at(60), false));
        let expired = DrainResult { stragglers: None, duration: Duration::from_secs(60), ..result(Outcome::Expired) };
        assert_eq!(replies(actions), [(1, Reply::Finished(expired))]);
        assert_eq!(callers.timeout(), Some(at(65)));
    }
}
