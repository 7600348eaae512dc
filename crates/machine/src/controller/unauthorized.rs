//! Those who may not ask for a drain, and wait all the same: a hook that is refused releases the kubelet's SIGTERM.
//!
//! Each has a drain of its own that nobody is told of: it makes nothing unready, signals nobody and is noted nowhere.
//! While a true drain is under way they wait for its end, each to its own deadline: that of the drain is not theirs.

use crate::controller::{Controller, Stage};
use crate::drain::Drain;
use crate::io::{Action, UnauthorizedCaller};
use crate::result::{DrainResult, Outcome};

/// One who waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    waiter: UnauthorizedCaller,
    pub(super) drain: Drain,
}

impl Controller {
    pub(super) fn wait(&mut self, waiter: UnauthorizedCaller) {
        match &self.stage {
            Stage::Done { result, .. } if !self.reopens(result.outcome) => self.dismiss(waiter, *result),
            Stage::Serving | Stage::Under(_) | Stage::Done { .. } => {
                let streams = self.census.tally().map(|tally| tally.streams);
                let drain = Drain::begin_untold(self.now, &self.policy.plan, streams);
                self.waiters.push(Waiting { waiter, drain });
            }
        }
    }

    pub(super) fn forsake(&mut self, waiter: UnauthorizedCaller) {
        self.waiters.retain(|waiting| waiting.waiter != waiter);
    }

    /// Lets time pass: whose deadline has come is let go.
    pub(super) fn advance_waiters(&mut self) {
        self.let_go(|keeper, drain| Some((drain.advance(keeper.now, keeper.view())?, keeper.fresh_streams())));
    }

    /// Takes the sources' word: whose streams have all ended is let go, unless a true drain is still to end.
    pub(super) fn judge_waiters(&mut self) {
        self.let_go(|keeper, drain| {
            let judged = drain.judge(&keeper.policy.plan, keeper.view());
            let over = judged.or_else(|| keeper.never_served(drain).then_some(Outcome::NeverServed));
            let drains = matches!(keeper.stage, Stage::Under(_));
            over.filter(|_| !drains).map(|outcome| (outcome, Some(0)))
        });
    }

    /// The target has ended, and so many streams with it.
    pub(super) fn release_waiters_at_exit(&mut self, cut: Option<u64>) {
        self.let_go(|keeper, drain| Some((drain.exited(keeper.policy.wait_for_exit), cut)));
    }

    /// Lets those go whose wait is over, by what it came to and how many streams were cut.
    fn let_go(&mut self, mut over: impl FnMut(&Self, &mut Drain) -> Option<(Outcome, Option<u64>)>) {
        for mut waiting in std::mem::take(&mut self.waiters) {
            match over(self, &mut waiting.drain) {
                None => self.waiters.push(waiting),
                Some((outcome, cut)) => self.dismiss(waiting.waiter, self.account(&waiting.drain, outcome, cut)),
            }
        }
    }

    /// A true drain is over, and with it everybody's wait.
    pub(super) fn dismiss_all(&mut self, result: DrainResult) {
        for waiting in std::mem::take(&mut self.waiters) {
            self.dismiss(waiting.waiter, result);
        }
    }

    fn dismiss(&mut self, waiter: UnauthorizedCaller, result: DrainResult) {
        self.actions.push_back(Action::Dismiss(waiter, result));
    }
}
