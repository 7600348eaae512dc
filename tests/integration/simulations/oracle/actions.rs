//! Checks every action of the machine.

use std::time::Duration;

use lameduck_machine::io::{Action, PollRequest};
use lameduck_machine::policy::SigtermPolicy;
use lameduck_machine::result::{DrainResult, Outcome};
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::target::{Found, Incarnation, SearchResult};
use lameduck_machine::time::Time;

use super::{CLOCK_TICK, HOOK_WAIT, Oracle, start_of};

impl Oracle {
    pub(crate) fn on_action(&mut self, now: Time, action: &Action, saved: Option<&SavedDrain>) {
        match action {
            Action::FindTarget { requested_at, .. } => assert_eq!(*requested_at, now),
            Action::PollSources(PollRequest { requested_at, timeout, target, keep_connection }) => {
                let active = self.drain.as_ref().filter(|drain| drain.finished.is_none());
                let ends_in_time = active.is_none_or(|drain| *requested_at + *timeout <= drain.deadline);
                assert!(ends_in_time, "a poll can last beyond the deadline");
                assert!(!keep_connection || active.is_none(), "a connection is kept in a drain");
                self.connection_kept = *keep_connection;
                self.readings.request(*requested_at, *timeout, *target);
            }
            Action::WatchTarget(incarnation) => self.on_watch(*incarnation),
            Action::SaveState(saved) => self.on_save(saved),
            Action::ClearState => self.on_clear(now),
            Action::SendSignal(incarnation) => self.on_signal(now, *incarnation, saved),
            Action::KillTarget(incarnation) => self.on_kill(now, *incarnation),
            Action::SignalChild(signal) => self.on_child_signal(now, *signal),
            // The simulation checks replies, as it knows the callers.
            Action::StreamEnded(_) | Action::Reply(..) => {}
            Action::ReportOutcome(result) => self.on_report(now, result),
            Action::WriteRecord(record, reason) => self.on_record(now, record, *reason),
            Action::ClearRecord(_) => self.records.record = None,
            Action::CountStragglers(streams) => assert!(*streams > 0, "no stragglers are counted"),
            Action::TargetEnded(ended) => self.on_target_end(*ended),
            Action::Exit => self.on_sidecar_exit(now),
        }
    }

    /// An authorized caller is answered.
    pub(crate) fn on_reply(&self, result: &DrainResult) {
        let finished = self.drain.as_ref().and_then(|drain| drain.finished);
        assert_eq!(finished.map(|(_, finished)| finished), Some(*result), "the answer is not the result of the drain");
    }

    fn on_watch(&mut self, incarnation: Incarnation) {
        if self.target == Some(incarnation) {
            return;
        }
        let active = self.drain.as_ref().is_some_and(|drain| drain.finished.is_none());
        assert!(!active || self.target.is_none(), "a new incarnation inherits a drain");
        (self.target, self.exit_status, self.exiting_since) = (Some(incarnation), None, None);
        (self.signalled, self.sent) = (false, false);
        if !active {
            self.readings.reset();
            self.new_incarnation = true;
        }
    }

    fn on_save(&mut self, saved: &SavedDrain) {
        if saved.finished.is_none() {
            self.reopen_by_stop();
        }
        let drain = self.drain.as_ref().expect("only a drain is saved");
        assert_eq!((saved.started_at, saved.deadline), (drain.started_at, drain.deadline));
        self.records.on_save(saved);
        let finished = saved.finished.map(|finished| (finished.ended_at, finished.result));
        assert!(drain.finished.is_none() || finished == drain.finished, "a saved result is changed");
        assert_eq!(
            saved.finished.is_some_and(|finished| finished.reported),
            drain.reported,
            "saved as reported without a report"
        );
        assert_eq!(saved.incarnation, self.target);
        self.signalled = saved.signal.is_some();
    }

    fn on_clear(&mut self, now: Time) {
        let drain = self.drain.take().expect("a saved drain to clear");
        self.records.record = None;
        if drain.finished.is_none() {
            assert!(self.may_cancel, "a drain that cannot be cancelled is cleared");
            return;
        }
        assert!(drain.reported, "a result is never reported");
        let (at, _) = drain.finished.expect("only a finished drain is cleared");
        let unsignalled = !self.signalled || self.exit_status.is_some();
        let serves_again = now >= at + self.policy.times.grace_period && unsignalled && self.sigterm_at.is_none();
        assert!(self.new_incarnation || serves_again, "a drain is cleared early");
    }

    fn on_signal(&mut self, now: Time, incarnation: Incarnation, saved: Option<&SavedDrain>) {
        assert!(
            saved.is_some_and(|saved| saved.signal.is_some() && saved.incarnation == Some(incarnation)),
            "{saved:?}"
        );
        assert!(self.policy.signal.is_some());
        assert!(!self.connection_kept, "a connection is open when the signal is sent");
        if self.exit_status.is_some() {
            // The machine sent it before the exit was reported. It reaches no process.
            return;
        }
        let drain = self.drain.as_ref().expect("a signal without a drain");
        let Some((requested_at, SearchResult::Found(Found { incarnation: found, blocker: None, .. }))) =
            &self.last_search
        else {
            panic!("a signal without a clear search result: {:?}", self.last_search)
        };
        assert_eq!(*found, incarnation);
        assert!(start_of(incarnation) < drain.started_at + CLOCK_TICK * 2, "a new incarnation inherits a drain");
        self.signalled_early = now < drain.evaluated_from || *requested_at < drain.evaluated_from;
    }

    fn on_kill(&self, now: Time, incarnation: Incarnation) {
        let finished = self.drain.as_ref().and_then(|drain| drain.finished);
        let (at, result) = finished.expect("a kill without a finished drain");
        assert_eq!(result.outcome, Outcome::Idle);
        assert!(now >= at + self.policy.times.exit_margin, "killed within the exit margin");
        // If its exit was not yet reported, the kill reaches no process.
        assert_eq!(self.target, Some(incarnation));
    }

    fn on_sidecar_exit(&self, now: Time) {
        if self.policy.is_parent() {
            let drain_over = self.drain.as_ref().is_none_or(|drain| drain.finished.is_some());
            return assert!(self.child.ended && drain_over, "lameduck exits before its child");
        }
        let at = self.sigterm_at.expect("the sidecar exits without SIGTERM");
        let gone = self.target.is_none() || self.exit_status.is_some();
        match (self.policy.on_sigterm, &self.drain) {
            (SigtermPolicy::Exit | SigtermPolicy::StopChild, _) => {}
            (_, Some(drain)) => assert!(drain.finished.is_some() && gone, "the sidecar exits during a drain"),
            (SigtermPolicy::Drain, None) => assert!(self.drained_after_sigterm),
            (SigtermPolicy::Auto, None) => {
                let zero = self.readings.fresh_count(self.exiting_since.unwrap_or(now), Duration::MAX) == Some(0);
                let no_streams = zero && (gone || !self.policy.wait_for_exit);
                assert!(
                    self.drained_after_sigterm || gone || no_streams || now >= at + HOOK_WAIT,
                    "the sidecar exits while there may be streams"
                );
            }
        }
    }
}
