//! The child of `lameduck run`: when it is stopped, and whether it has ended.
//!
//! A stop begins a drain. When the drain is over, the child gets SIGTERM, and SIGKILL shortly before the end of the grace
//! period. A user at a terminal can shorten this: the second Ctrl-C sends SIGTERM now, and the third SIGKILL.

use crate::drain_times::DrainTimes;
use crate::io::ChildSignal;
use crate::result::Outcome;
use crate::time::Time;

/// How many interrupts from the terminal send SIGTERM, without waiting for the end of the drain.
const TERMINATING_INTERRUPT: u32 = 2;
/// How many interrupts from the terminal send SIGKILL.
const KILLING_INTERRUPT: u32 = 3;

/// The child.
#[derive(Clone, Copy, Debug, Default)]
pub struct Child {
    stop_requested_at: Option<Time>,
    interrupts: u32,
    sent: Option<ChildSignal>,
    ended: Option<Ended>,
}

/// The end of the child.
#[derive(Clone, Copy, Debug)]
struct Ended {
    at: Time,
    may_leave_target: bool,
}

impl Child {
    /// Records a request to stop, perhaps by an interrupt from the terminal. The grace period has been running since the
    /// first.
    pub fn request_stop(&mut self, now: Time, interrupt: bool) {
        self.stop_requested_at.get_or_insert(now);
        self.interrupts = self.interrupts.saturating_add(u32::from(interrupt));
    }

    /// Whether the user does not want to wait for the end of the drain.
    const fn is_forced(&self) -> bool {
        self.interrupts >= TERMINATING_INTERRUPT
    }

    /// Records that it has ended.
    pub const fn end(&mut self, now: Time, may_leave_target: bool) {
        self.ended = Some(Ended { at: now, may_leave_target });
    }

    /// Whether it has ended, and no target that it may have left will be found. A process that is just being started may
    /// not have its name or its port yet.
    #[must_use]
    pub fn is_over(&self, now: Time, times: &DrainTimes) -> bool {
        self.over_at(times).is_some_and(|at| now >= at)
    }

    /// The outcome of a drain that the user of a terminal does not want to wait for, or whose child has ended without a
    /// target that lives on.
    #[must_use]
    pub fn early_outcome(&self, has_target: bool, now: Time, times: &DrainTimes) -> Option<Outcome> {
        if self.is_forced() {
            return Some(Outcome::Interrupted);
        }
        (self.is_over(now, times) && !has_target).then_some(Outcome::Exited)
    }

    /// Whether a stop was requested, which cannot be taken back.
    #[must_use]
    pub const fn is_stopping(&self) -> bool {
        self.stop_requested_at.is_some()
    }

    /// When the grace period ends that has been running since the first request to stop.
    #[must_use]
    pub fn stop_until(&self, times: &DrainTimes) -> Option<Time> {
        Some(self.stop_requested_at? + times.grace_period)
    }

    /// Decides to send a signal that is due and was not sent. SIGKILL includes SIGTERM.
    #[must_use]
    pub fn take_signal(&mut self, now: Time, drain_over: bool, times: &DrainTimes) -> Option<ChildSignal> {
        let kills = self.interrupts >= KILLING_INTERRUPT || self.kill_at(times).is_some_and(|at| now >= at);
        let terminates = self.is_stopping() && (drain_over || self.is_forced());
        let due = if kills { Some(ChildSignal::Kill) } else { terminates.then_some(ChildSignal::Terminate) };
        if due <= self.sent {
            return None;
        }
        self.sent = due;
        due
    }

    /// When something is due next: SIGKILL, or the end of the wait for a target that the child may have left.
    #[must_use]
    pub fn timeout(&self, now: Time, times: &DrainTimes) -> Option<Time> {
        let kill_at = self.kill_at(times).filter(|_| self.sent != Some(ChildSignal::Kill));
        let over_at = self.over_at(times).filter(|at| *at > now);
        kill_at.into_iter().chain(over_at).min()
    }

    fn over_at(&self, times: &DrainTimes) -> Option<Time> {
        let Ended { at, may_leave_target } = self.ended?;
        Some(if may_leave_target { at + times.exit_margin } else { at })
    }

    fn kill_at(&self, times: &DrainTimes) -> Option<Time> {
        Some(self.stop_until(times)? - times.kill_lead())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain_times::tests::times;
    use crate::time::tests::at;

    /// The signal that is due at this second.
    fn due(child: &mut Child, second: u64, drain_over: bool) -> Option<ChildSignal> {
        child.take_signal(at(second), drain_over, &times(60))
    }

    #[test]
    fn child_is_left_alone_until_a_stop_is_requested() {
        let mut child = Child::default();
        assert_eq!((due(&mut child, 1000, true), child.timeout(at(1000), &times(60))), (None, None));
        assert!(!child.is_stopping());
    }

    #[test]
    fn end_of_drain_terminates_once_and_end_of_grace_period_kills_once() {
        let mut child = Child::default();
        child.request_stop(at(100), false);
        child.request_stop(at(130), false);
        assert_eq!(child.timeout(at(130), &times(60)), Some(at(159)));
        let signals = [(101, false), (155, true), (156, true), (159, true), (160, true)];
        let signals = signals.map(|(second, drain_over)| due(&mut child, second, drain_over));
        assert_eq!(signals, [None, Some(ChildSignal::Terminate), None, Some(ChildSignal::Kill), None]);
        assert_eq!(child.timeout(at(160), &times(60)), None);
    }

    #[test]
    fn second_interrupt_terminates_and_third_kills() {
        let mut child = Child::default();
        let mut signals = Vec::new();
        for second in 101..=104 {
            child.request_stop(at(second), true);
            signals.push((child.is_forced(), due(&mut child, second, false)));
        }
        let expected =
            [(false, None), (true, Some(ChildSignal::Terminate)), (true, Some(ChildSignal::Kill)), (true, None)];
        assert_eq!(signals, expected);
    }

    #[test]
    fn repeated_requests_are_no_interrupts() {
        let mut child = Child::default();
        for second in 101..=109 {
            child.request_stop(at(second), false);
            assert_eq!(due(&mut child, second, false), None);
        }
        child.request_stop(at(110), true);
        assert!(!child.is_forced(), "it joins the drain");
    }

    #[test]
    fn target_that_the_child_may_have_left_is_awaited_for_the_exit_margin() {
        for (may_leave_target, over_at) in [(false, at(100)), (true, at(105))] {
            let mut child = Child::default();
            assert!(!child.is_over(at(1000), &times(60)));
            child.end(at(100), may_leave_target);
            assert_eq!(child.is_over(at(104), &times(60)), !may_leave_target);
            assert!(child.is_over(over_at, &times(60)));
            assert_eq!(child.timeout(at(100), &times(60)), may_leave_target.then_some(over_at));
            assert_eq!(child.early_outcome(false, over_at, &times(60)), Some(Outcome::Exited));
            assert_eq!(child.early_outcome(true, over_at, &times(60)), None);
        }
    }
}
