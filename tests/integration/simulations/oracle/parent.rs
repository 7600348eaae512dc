//! Checks how `lameduck run` stops its child, and when it exits.

use lameduck_machine::io::ChildSignal;
use lameduck_machine::time::Time;

use super::Oracle;

/// What happened to the child.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Child {
    stop_requested_at: Option<Time>,
    /// How often Ctrl-C was pressed.
    pub(super) interrupts: u32,
    sent: Option<ChildSignal>,
    pub(super) ended: bool,
    /// When the first stop came after a finished drain, which may continue then.
    pub(super) may_reopen_at: Option<Time>,
}

impl Oracle {
    /// A stop is requested, perhaps by Ctrl-C.
    pub(crate) fn stop(&mut self, now: Time, interrupt: bool) {
        let is_first = self.child.stop_requested_at.is_none();
        if is_first && self.policy.is_parent() {
            self.join_drain(now);
        }
        self.sigterm(now);
        self.child.stop_requested_at.get_or_insert(now);
        self.child.interrupts += u32::from(interrupt);
    }

    /// The drain of a user gets the whole grace period of the stop.
    fn join_drain(&mut self, now: Time) {
        let deadline = now + self.policy.times.budget();
        match &mut self.drain {
            Some(drain @ super::Drain { finished: None, .. }) => {
                drain.deadline = if drain.shortened { deadline.min(drain.deadline) } else { deadline };
            }
            Some(_) => self.child.may_reopen_at = Some(now),
            None => {}
        }
    }

    pub(super) fn on_child_signal(&mut self, now: Time, signal: ChildSignal) {
        assert!(self.policy.is_parent(), "a sidecar has no child");
        assert!(Some(signal) > self.child.sent, "the child is signalled again");
        let is_over = self.drain.as_ref().is_some_and(|drain| drain.finished.is_some());
        match signal {
            ChildSignal::Terminate => assert!(is_over || self.child.interrupts >= 2, "the child is stopped in a drain"),
            ChildSignal::Kill => {
                let due = self.child.interrupts >= 3 || self.kill_at().is_some_and(|at| now >= at);
                assert!(due, "the child is killed early");
            }
        }
        assert!(self.child.stop_requested_at.is_some(), "nobody has requested a stop");
        self.child.sent = Some(signal);
    }

    /// Whether the child was signalled as soon as that was due.
    pub(super) fn check_child(&self, now: Time) {
        let stop = self.policy.is_parent() && self.child.stop_requested_at.is_some() && !self.child.ended;
        if !stop {
            return;
        }
        let is_over = self.drain.as_ref().is_some_and(|drain| drain.finished.is_some());
        assert!(!is_over || self.child.sent.is_some(), "the child is not stopped after the drain");
        assert!(self.child.interrupts < 2 || is_over, "a drain lasts beyond the second interrupt");
        let kills = self.child.interrupts >= 3 || self.kill_at().is_some_and(|at| now >= at);
        assert!(!kills || self.child.sent == Some(ChildSignal::Kill), "the child outlives the grace period");
    }

    fn kill_at(&self) -> Option<Time> {
        let times = &self.policy.times;
        Some(self.child.stop_requested_at? + times.grace_period - times.kill_lead())
    }
}
