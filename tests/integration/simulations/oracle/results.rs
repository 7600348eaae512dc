//! What a result may say, by what was seen.

use std::time::Duration;

use lameduck_machine::result::{DrainResult, ExitStatus, Outcome};
use lameduck_machine::target::SearchResult;
use lameduck_machine::time::Time;

use super::{Drain, Oracle};

impl Oracle {
    pub(super) fn reports(&mut self, now: Time, result: &DrainResult) {
        let drain = self.drain.clone().expect("a verdict is of a drain");
        assert!(!drain.reported, "a second verdict");
        if let Some(drain) = &mut self.drain {
            drain.reported = true;
        }
        if let Some((_, noted)) = drain.finished {
            assert_eq!(*result, noted, "another verdict than was noted");
            return;
        }
        assert_eq!(result.duration, now.since(drain.started_at));
        assert!(!self.early || result.outcome == Outcome::NeverServed, "a signal in the lame duck");
        self.early = false;
        assert_eq!(result.signalled, self.sent, "nobody knows of that signal");
        self.must_be_true(now, &drain, result);
        if let Some(drain) = &mut self.drain {
            drain.finished = Some((now, *result));
        }
    }

    /// One is let go who may not ask for a drain, and came then: by the verdict of the drain, or by what was seen.
    pub(crate) fn on_unauthorized_reply(&self, now: Time, called: Time, result: &DrainResult) {
        let deadline = called + self.policy.times.budget();
        match &self.drain {
            Some(Drain { finished: Some((_, finished)), .. }) if finished == result => return,
            Some(Drain { finished: None, .. }) => assert!(now >= deadline, "let go within a drain"),
            Some(_) | None => {}
        }
        assert_eq!(result.duration, now.since(called));
        self.must_be_true(
            now,
            &Drain { started_at: called, deadline, since: called, finished: None, reported: false },
            result,
        );
    }

    fn must_be_true(&self, now: Time, drain: &Drain, result: &DrainResult) {
        match result.outcome {
            Outcome::Drained => self.drained(now, drain),
            Outcome::Expired => {
                assert!(now >= drain.deadline, "expired before the deadline");
                self.claims(now, result.stragglers, None);
            }
            Outcome::Exited => {
                let status = self.ended.expect("an exit that was reported");
                self.claims(now, result.stragglers, Some(status));
            }
            Outcome::NeverServed => self.never_served(now, drain),
            Outcome::Idle => {
                let idle = &self.policy.idle;
                assert!(idle.ends_drain && !idle.ports.is_empty() && !self.policy.wait_for_exit);
                assert!(now >= drain.since, "idle in the lame duck");
                assert!(self.readings.fresh(now, Duration::MAX) > Some(0), "nobody is idle");
                assert!(result.idle_streams > 0 && result.stragglers == Some(0));
            }
        }
    }

    fn drained(&self, now: Time, drain: &Drain) {
        let held = self
            .readings
            .zero_held(self.exiting.unwrap_or(now), drain.since)
            .expect("the last readings do not say that zero held");
        let waits = self.signalled && self.ended.is_none() && now < drain.deadline;
        assert!(!waits || held >= self.policy.times.exit_wait, "released within the exit wait");
        assert!(!self.policy.wait_for_exit, "released by zero");
    }

    /// Stragglers are never claimed against what is known.
    fn claims(&self, now: Time, stragglers: Option<u64>, status: Option<ExitStatus>) {
        let clean = status == Some(ExitStatus::Code(0)) && self.signalled;
        let killed = matches!(status, Some(ExitStatus::Killed(signal)) if signal != 2);
        // Nothing is read of a exiting target, however long it takes to have ended.
        let fresh = self.readings.fresh(self.exiting.unwrap_or(now), self.policy.times.poll_interval * 2);
        match stragglers {
            None => {}
            Some(0) => assert!(clean || (fresh == Some(0) && !self.policy.wait_for_exit), "none cut? {fresh:?}"),
            Some(_) => {
                assert_eq!(stragglers, fresh);
                assert!(status.is_none() || killed || !self.signalled, "a signalled target may have ended them");
            }
        }
    }

    fn never_served(&self, now: Time, drain: &Drain) {
        assert!(!self.readings.ever_answered && self.readings.failed_since(now, drain.started_at), "it may serve");
        match (&self.target, &self.found) {
            (Some(target), _) => assert!(target.started > self.policy.own_start_ticks, "it may have served"),
            (None, seen) => assert!(matches!(seen, Some((_, SearchResult::NotFound))), "it may be there: {seen:?}"),
        }
    }
}
