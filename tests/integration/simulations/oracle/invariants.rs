//! Checks the state of the machine between inputs.

use lameduck_machine::controller::Controller;
use lameduck_machine::io::CallerId;
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::{Found, SearchResult};
use lameduck_machine::time::Time;

use super::{CLOCK_TICK, Drain, HOOK_WAIT, Oracle, start_of};

impl Oracle {
    /// Checks the state of the machine when all actions are performed.
    pub(crate) fn check(
        &mut self,
        now: Time,
        controller: &Controller,
        callers: usize,
        unauthorized: &[(CallerId, Time)],
    ) {
        assert!(controller.poll_timeout() > now, "the wake-up time is in the past");
        self.check_child(now);
        let snapshot = controller.snapshot(now);
        let deadline = self.drain.as_ref().map(|drain| drain.deadline);
        assert_eq!(snapshot.drain.map(|drain| drain.deadline), deadline);
        match &mut self.drain {
            None => assert_eq!((snapshot.phase, callers), (Phase::Serving, 0)),
            Some(Drain { finished: Some(_), reported, .. }) => {
                assert!(*reported, "a result is not reported");
                assert_eq!((snapshot.phase, callers), (Phase::Done, 0));
            }
            Some(drain @ Drain { finished: None, .. }) => {
                assert!(now < drain.deadline, "a drain lasts beyond its deadline");
                assert!(self.exit_status.is_none(), "a drain lasts beyond the target's exit");
                assert_eq!(snapshot.phase == Phase::LameDuck, now < drain.evaluated_from, "{:?}", snapshot.phase);
            }
        }
        let may_be_ready = self.drain.as_ref().is_none_or(|drain| now < drain.unready_from);
        assert!(may_be_ready || snapshot.not_ready.is_some(), "ready during a drain");
        let accepting = controller.readiness(now).not_accepting_reason().is_none();
        assert!(self.drain.is_none() || !accepting, "accepting during a drain");
        assert!(!self.signalled_early, "a signal in the lame duck");
        if std::mem::take(&mut self.new_incarnation) {
            assert!(
                snapshot.streams.count.is_none() && snapshot.not_ready.is_some(),
                "a new incarnation inherits state"
            );
        }
        self.readings.discard_outdated();
        if self.drain.is_none() && self.exit_status.is_some() {
            (self.target, self.exit_status, self.exiting_since) = (None, None, None);
            (self.signalled, self.sent) = (false, false);
        }
        self.assert_signal_not_forgotten(now);
        self.check_record();
        if unauthorized.is_empty() {
            self.assert_exits_in_time(now);
        }
        let budget = self.policy.times.budget();
        assert!(
            unauthorized.iter().all(|(_, called_at)| now < *called_at + budget),
            "an unauthorized caller is held beyond its deadline"
        );
    }

    fn assert_signal_not_forgotten(&self, now: Time) {
        let Some(Drain { started_at, evaluated_from, finished: None, .. }) = self.drain else { return };
        if let Some((requested_at, SearchResult::Found(Found { incarnation, blocker: None, .. }))) = self.last_search {
            let belongs_to_drain = self.target.is_some() || start_of(incarnation) + CLOCK_TICK * 2 < started_at;
            let signal_settled =
                requested_at <= evaluated_from || self.policy.signal.is_none() || self.signal_attempted();
            // Without any reading, the count before the signal would be unknown.
            let signal_settled = signal_settled || !self.readings.any_finished(now);
            assert!(signal_settled || !belongs_to_drain || self.exiting_since.is_some(), "the signal is forgotten");
        }
    }

    fn signal_attempted(&self) -> bool {
        self.signalled || self.signal_failed
    }

    fn assert_exits_in_time(&self, now: Time) {
        if self.policy.is_parent() {
            return assert!(!self.child.ended, "lameduck outlives its child");
        }
        let Some(at) = self.sigterm_at else { return };
        let gone = self.target.is_none() || self.exit_status.is_some();
        match &self.drain {
            Some(Drain { finished: Some(_), .. }) => assert!(!gone, "the sidecar stays although the target is gone"),
            Some(Drain { finished: None, .. }) => {}
            None => assert!(now < at + HOOK_WAIT && !self.drained_after_sigterm, "the sidecar stays without a hook"),
        }
    }
}
