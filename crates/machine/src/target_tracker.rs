//! The target process over its incarnations: which one it is, how it ends, and the one signal that it gets.

use crate::io::{Action, Actions};
use crate::policy::Policy;
use crate::result::ExitStatus;
use crate::searches::{Searches, SidecarStart};
use crate::target::{Found, Incarnation, SearchResult};
use crate::time::Time;

/// The target and the searches for it.
#[derive(Clone, Debug)]
pub struct TargetTracker {
    target: Option<Target>,
    /// The searches for it.
    pub searches: Searches,
    /// When the sidecar started.
    pub start: SidecarStart,
}

/// The target that is tracked.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which incarnation it is.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: String,
    signal: SignalState,
    killed: bool,
    exit: ExitState,
}

/// How far the signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalState {
    /// Not sent.
    Unsent,
    /// Saved as sent, and about to be sent.
    Saved,
    /// Sent. Where an earlier process had saved it: sent by that process, unless it crashed just before.
    Sent,
    /// The kernel refused it.
    Failed,
}

/// How far a target is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExitState {
    Alive,
    /// The kernel has begun to end it: its readings say nothing any more.
    Exiting {
        last_count: LastCount,
    },
    Exited {
        status: ExitStatus,
        last_count: LastCount,
    },
}

/// The count of streams when the target's end began, which may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastCount {
    /// The streams; `None` if unknown then.
    pub streams: Option<u64>,
}

/// How a process that was found relates to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is the target.
    Same,
    /// No target is alive: it is a new incarnation.
    New,
    /// The target is another process, which must have ended although the kernel has not reported it yet.
    Replaces(Incarnation),
}

impl TargetTracker {
    /// A tracker that has not searched yet.
    #[must_use]
    pub fn new(started_at: Time, policy: &Policy) -> Self {
        let start = SidecarStart { at: started_at, ticks: policy.own_start_ticks };
        Self { target: None, searches: Searches::default(), start }
    }

    /// The target; after its exit it stays as long as a drain of it is remembered.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// The target, if it has not ended.
    #[must_use]
    pub fn alive(&self) -> Option<&Target> {
        self.target.as_ref().filter(|target| target.is_alive())
    }

    /// Whether there was a target, and it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.target.as_ref().is_some_and(|target| !target.is_alive())
    }

    /// Whether the target was signalled, dead or alive.
    #[must_use]
    pub fn is_signalled(&self) -> bool {
        self.target.as_ref().is_some_and(Target::is_signalled)
    }

    /// Whether the target was signalled and is still alive.
    #[must_use]
    pub fn is_awaiting_exit(&self) -> bool {
        self.alive().is_some_and(Target::is_signalled)
    }

    /// Whether the kernel has begun to end the target, and has not finished.
    #[must_use]
    pub fn is_exiting(&self) -> bool {
        self.target.as_ref().is_some_and(|target| matches!(target.exit, ExitState::Exiting { .. }))
    }

    /// Whether the signal is about to be sent.
    #[must_use]
    pub fn is_signal_pending(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.signal == SignalState::Saved)
    }

    /// Compares a process that was found with the target.
    #[must_use]
    pub fn compare(&self, found: &Found) -> Match {
        match &self.target {
            Some(target) if target.incarnation == found.incarnation => Match::Same,
            Some(target) if target.is_alive() => Match::Replaces(target.incarnation),
            Some(_) | None => Match::New,
        }
    }

    /// Takes the target's name as it was found now.
    pub fn rename(&mut self, found: &Found) {
        if let Some(target) = &mut self.target
            // A process whose first thread has ended has no name any more.
            && !found.name.is_empty()
        {
            target.name.clone_from(&found.name);
        }
    }

    /// Tracks a new incarnation, and has it watched.
    pub fn track(&mut self, found: &Found, actions: &mut Actions) {
        self.replace(found.incarnation, found.name.clone(), SignalState::Unsent, actions);
    }

    /// Tracks the target of a saved drain, and has it watched.
    pub fn resume(&mut self, incarnation: Incarnation, signalled: bool, actions: &mut Actions) {
        let signal = if signalled { SignalState::Sent } else { SignalState::Unsent };
        self.replace(incarnation, String::new(), signal, actions);
    }

    fn replace(&mut self, incarnation: Incarnation, name: String, signal: SignalState, actions: &mut Actions) {
        self.target = Some(Target { incarnation, name, signal, killed: false, exit: ExitState::Alive });
        actions.push(Action::WatchTarget(incarnation));
    }

    /// The kernel has begun to end the target; this was known of its streams.
    pub fn begin_exit(&mut self, incarnation: Incarnation, streams: Option<u64>) {
        if let Some(target) = self.target.as_mut().filter(|target| target.incarnation == incarnation)
            && target.exit == ExitState::Alive
        {
            target.exit = ExitState::Exiting { last_count: LastCount { streams } };
        }
    }

    /// The target has ended; this was known of its streams, unless more was known when its end began. False if it was
    /// not this target, or if it had ended before.
    pub fn exit(&mut self, incarnation: Incarnation, status: ExitStatus, streams: Option<u64>, now: Time) -> bool {
        self.begin_exit(incarnation, streams);
        let target = self.target.as_mut().filter(|target| target.incarnation == incarnation);
        let Some(target) = target else { return false };
        let ExitState::Exiting { last_count } = target.exit else { return false };
        target.exit = ExitState::Exited { status, last_count };
        if target.signal == SignalState::Saved {
            // A signal that is still to be sent reaches nobody.
            target.signal = SignalState::Failed;
        }
        self.searches.reset_at_exit(now);
        true
    }

    /// Forgets a target that has ended.
    pub fn forget_ended(&mut self) {
        self.target.take_if(|target| !target.is_alive());
    }

    /// Decides to send the signal, if one is wanted, the last search permits it and it has not been sent. It must be
    /// saved before it goes out.
    #[must_use]
    pub fn take_signal(&mut self, policy: &Policy) -> Option<Incarnation> {
        policy.signal.as_ref()?;
        let SearchResult::Found(Found { incarnation, blocker: None, .. }) = self.searches.last_result()? else {
            return None;
        };
        let target = self.target.as_mut().filter(|target| target.incarnation == *incarnation)?;
        if target.is_signalled() || target.exit != ExitState::Alive {
            return None;
        }
        target.signal = SignalState::Saved;
        Some(target.incarnation)
    }

    /// Takes the result of sending the signal; false if it was not for this target.
    pub fn on_signal_result(&mut self, incarnation: Incarnation, sent: bool) -> bool {
        let Some(target) = self.target.as_mut().filter(|target| target.incarnation == incarnation) else {
            return false;
        };
        target.signal = if sent { SignalState::Sent } else { SignalState::Failed };
        true
    }

    /// Decides to kill the target, if it is alive and has not been killed.
    #[must_use]
    pub fn take_kill(&mut self) -> Option<Incarnation> {
        let target = self.target.as_mut().filter(|target| target.can_be_killed())?;
        target.killed = true;
        Some(target.incarnation)
    }
}

impl Target {
    /// Whether it has not ended.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        !matches!(self.exit, ExitState::Exited { .. })
    }

    /// Whether it is alive and was not killed.
    #[must_use]
    pub const fn can_be_killed(&self) -> bool {
        self.is_alive() && !self.killed
    }

    /// Whether the signal was sent, or is about to be.
    #[must_use]
    pub const fn is_signalled(&self) -> bool {
        matches!(self.signal, SignalState::Saved | SignalState::Sent)
    }

    /// How it ended, if it has.
    #[must_use]
    pub const fn exit_status(&self) -> Option<ExitStatus> {
        match self.exit {
            ExitState::Exited { status, .. } => Some(status),
            ExitState::Alive | ExitState::Exiting { .. } => None,
        }
    }

    /// The count of streams when its end began; `None` while it is alive.
    #[must_use]
    pub const fn last_count(&self) -> Option<LastCount> {
        match self.exit {
            ExitState::Alive => None,
            ExitState::Exiting { last_count } | ExitState::Exited { last_count, .. } => Some(last_count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::policy;
    use crate::target::SignalBlocker;
    use std::time::Duration;

    const TARGET: Incarnation = Incarnation { pid: 7, started: 200 };

    fn at(seconds: u64) -> Time {
        Time::since_boot(Duration::from_secs(seconds))
    }

    fn found(blocker: Option<SignalBlocker>) -> Found {
        Found { incarnation: TARGET, name: "impeller".into(), blocker }
    }

    fn tracker(blocker: Option<SignalBlocker>) -> TargetTracker {
        let mut tracker = TargetTracker::new(at(1), &policy());
        tracker.track(&found(None), &mut Actions::default());
        tracker.searches.record(at(2), SearchResult::Found(found(blocker)));
        tracker
    }

    #[test]
    fn signal_is_taken_once_and_again_only_after_a_failure() {
        let mut tracker = tracker(None);
        assert_eq!(tracker.take_signal(&policy()), Some(TARGET));
        assert!(tracker.is_signalled() && tracker.take_signal(&policy()).is_none());
        assert!(tracker.on_signal_result(TARGET, false) && !tracker.is_signalled());
        assert_eq!(tracker.take_signal(&policy()), Some(TARGET));
        assert!(tracker.on_signal_result(TARGET, true) && tracker.is_awaiting_exit());
        assert_eq!(tracker.take_signal(&policy()), None);
    }

    #[test]
    fn signal_needs_permission_a_setting_and_a_living_target() {
        assert_eq!(tracker(Some(SignalBlocker::NotCaught)).take_signal(&policy()), None);
        let unsignalled = Policy { signal: None, ..policy() };
        assert_eq!(tracker(None).take_signal(&unsignalled), None);
        let mut exiting = tracker(None);
        exiting.begin_exit(TARGET, Some(3));
        assert_eq!(exiting.take_signal(&policy()), None);
        let mut ended = tracker(None);
        assert!(ended.exit(TARGET, ExitStatus::Code(0), None, at(3)));
        ended.searches.record(at(4), SearchResult::Found(found(None)));
        assert_eq!(ended.take_signal(&policy()), None);
    }

    #[test]
    fn count_at_the_beginning_of_the_end_is_kept() {
        let mut tracker = tracker(None);
        tracker.begin_exit(TARGET, Some(3));
        tracker.begin_exit(TARGET, Some(0));
        assert!(tracker.is_exiting());
        assert!(tracker.exit(TARGET, ExitStatus::Code(1), Some(0), at(3)) && !tracker.is_exiting());
        let target = tracker.target().unwrap();
        assert_eq!(target.last_count(), Some(LastCount { streams: Some(3) }));
        assert_eq!(target.exit_status(), Some(ExitStatus::Code(1)));
        assert!(!tracker.exit(TARGET, ExitStatus::Unknown, None, at(4)), "it ends once");
    }

    #[test]
    fn other_process_replaces_a_living_target_only() {
        let other = Found { incarnation: Incarnation { pid: 8, ..TARGET }, ..found(None) };
        let mut tracker = tracker(None);
        assert_eq!(tracker.compare(&found(None)), Match::Same);
        assert_eq!(tracker.compare(&other), Match::Replaces(TARGET));
        assert!(tracker.exit(TARGET, ExitStatus::Unknown, None, at(3)));
        assert_eq!(tracker.compare(&other), Match::New);
        tracker.forget_ended();
        assert!(tracker.target().is_none());
    }

    #[test]
    fn saved_signal_is_not_sent_again_after_resume() {
        let mut tracker = TargetTracker::new(at(1), &policy());
        tracker.resume(TARGET, true, &mut Actions::default());
        tracker.searches.record(at(2), SearchResult::Found(found(None)));
        assert_eq!(tracker.take_signal(&policy()), None);
        assert!(!tracker.is_signal_pending());
    }

    #[test]
    fn target_is_killed_once() {
        let mut tracker = tracker(None);
        assert_eq!([tracker.take_kill(), tracker.take_kill()], [Some(TARGET), None]);
    }
}
