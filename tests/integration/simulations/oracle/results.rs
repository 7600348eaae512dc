//! Checks every result against the readings and the exit of the target.

use std::time::Duration;

use lameduck_machine::result::{DrainResult, ExitStatus, Outcome};
use lameduck_machine::target::SearchResult;
use lameduck_machine::time::Time;
use lameduck_machine::warnings::Warning;

use super::{Drain, Oracle};

/// The signal of every policy.
const SIGINT: i32 = 2;

impl Oracle {
    pub(super) fn on_report(&mut self, now: Time, result: &DrainResult) {
        let Some(drain) = self.drain.clone() else { return self.on_exit_report(result) };
        self.records.on_result(result);
        assert!(!drain.reported, "a second result");
        if let Some(drain) = &mut self.drain {
            drain.reported = true;
        }
        if let Some((_, saved)) = drain.finished {
            assert_eq!(*result, saved, "the result is not the saved one");
            return;
        }
        assert_eq!(result.duration, now.since(drain.started_at));
        assert!(!self.signalled_early || result.outcome == Outcome::NeverServed, "a signal in the lame duck");
        self.signalled_early = false;
        assert_eq!(result.signalled, self.sent, "the result is wrong about the signal");
        self.assert_true(now, &drain, result);
        if let Some(drain) = &mut self.drain {
            drain.finished = Some((now, *result));
        }
    }

    /// An unauthorized caller is answered: with the result of the drain, or with one of its own.
    pub(crate) fn on_unauthorized_reply(&self, now: Time, called_at: Time, result: &DrainResult) {
        let deadline = called_at + self.policy.times.budget();
        match &self.drain {
            Some(Drain { finished: Some((_, finished)), .. }) if finished == result => return,
            Some(Drain { finished: None, .. }) => assert!(now >= deadline, "released during a drain"),
            Some(_) | None => {}
        }
        assert_eq!(result.duration, now.since(called_at));
        let (evaluated_from, unready_from) = (called_at, called_at);
        let drain = Drain {
            started_at: called_at,
            deadline,
            shortened: false,
            evaluated_from,
            unready_from,
            finished: None,
            reported: false,
        };
        self.assert_true(now, &drain, result);
    }

    /// A result without a drain: the target had ended, and no hook was called.
    fn on_exit_report(&self, result: &DrainResult) {
        let is_parent = self.policy.is_parent();
        let is_exit = (self.sigterm_at.is_some() || is_parent) && result.outcome == Outcome::Exited;
        assert!(is_exit && !result.signalled, "a result without a drain");
        assert_eq!(result.warnings.contains(Warning::NoHook), !is_parent, "only a sidecar needs a hook");
    }

    fn assert_true(&self, now: Time, drain: &Drain, result: &DrainResult) {
        self.assert_proven(result);
        match result.outcome {
            Outcome::Drained => self.assert_drained(now, drain),
            Outcome::Expired => {
                assert!(now >= drain.deadline, "expired before the deadline");
                self.assert_stragglers(now, result.stragglers, None);
            }
            Outcome::Exited => {
                if let Some(status) = self.exit_status {
                    self.assert_stragglers(now, result.stragglers, Some(status));
                } else {
                    assert!(self.target.is_none(), "exited without an exit");
                    let is_told =
                        result.warnings.iter().any(|it| [Warning::NoHook, Warning::ToldByOthers].contains(&it));
                    assert!(is_told || self.child.ended);
                }
            }
            Outcome::NeverServed => self.assert_never_served(now, drain),
            Outcome::Idle => {
                let idle = &self.policy.idle;
                assert!(idle.ends_drain && !idle.ports.is_empty() && !self.policy.wait_for_exit);
                assert!(now >= drain.evaluated_from, "idle in the lame duck");
                assert!(self.readings.fresh_count(now, Duration::MAX) > Some(0), "idle without streams");
                assert!(result.idle_streams > 0 && result.stragglers.is_none_or(|streams| streams == 0));
            }
            Outcome::Interrupted => assert!(self.child.interrupts >= 2, "a drain is finished as interrupted"),
        }
    }

    fn assert_drained(&self, now: Time, drain: &Drain) {
        let held = self
            .readings
            .zero_beyond_quiet_period(self.exiting_since.unwrap_or(now), drain.evaluated_from)
            .expect("the last readings do not confirm zero");
        let exit_wait_applies = self.signalled && self.exit_status.is_none() && now < drain.deadline;
        assert!(!exit_wait_applies || held >= self.policy.times.exit_wait, "released within the exit wait");
        assert!(!self.policy.wait_for_exit, "zero ends a drain that waits for the exit");
    }

    /// The number of stragglers must agree with the last readings and the exit status.
    fn assert_stragglers(&self, now: Time, stragglers: Option<u64>, status: Option<ExitStatus>) {
        let clean = status == Some(ExitStatus::Code(0)) && self.signalled;
        let killed = matches!(status, Some(ExitStatus::Killed(signal)) if signal != SIGINT);
        // Readings of an exiting target are discarded, so freshness is measured from when it began to exit.
        let fresh = self.readings.fresh_count(self.exiting_since.unwrap_or(now), self.policy.times.poll_interval * 2);
        match stragglers {
            None => {}
            Some(0) => assert!(
                clean || (fresh == Some(0) && !self.policy.wait_for_exit),
                "no stragglers, but the last count is {fresh:?}"
            ),
            Some(_) => {
                assert_eq!(stragglers, fresh);
                assert!(
                    status.is_none() || killed || !self.signalled || self.records.hook_disconnected,
                    "the target may have ended its streams after the signal"
                );
            }
        }
    }

    fn assert_never_served(&self, now: Time, drain: &Drain) {
        assert!(
            !self.readings.ever_answered && self.readings.failed_since(now, drain.started_at),
            "the target may serve"
        );
        match (&self.target, &self.last_search) {
            (Some(target), _) => {
                assert!(target.started > self.policy.observed_since.ticks, "the target may have served");
            }
            (None, last_search) => assert!(
                matches!(last_search, Some((_, SearchResult::NotFound))),
                "the target may exist: {last_search:?}"
            ),
        }
    }
}
