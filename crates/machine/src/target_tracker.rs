//! The target process: its current incarnation, its exit, and the one signal that it gets.

use crate::child::Child;
use crate::io::{Action, Actions};
use crate::policy::Policy;
use crate::result::ExitStatus;
use crate::searches::Searches;
use crate::sent_signal::SentSignal;
use crate::target::{Found, Incarnation, ObservationStart, SearchResult};
use crate::time::Time;

use self::tracked::ExitState;
pub use self::tracked::{LastCount, SignalState, Target};

mod tracked;

/// The target and the searches for it.
#[derive(Clone, Debug)]
pub struct TargetTracker {
    target: Option<Target>,
    /// The searches for it.
    pub searches: Searches,
    /// The child of `lameduck run`: the target, or an ancestor of it.
    pub child: Child,
    /// Since when the pod is observed.
    pub observed_since: ObservationStart,
}

/// How a found process relates to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is the target.
    Same,
    /// No target is alive: it is a new incarnation.
    New,
    /// The target is another process, which must have ended, although that has not been reported yet.
    Replaces(Incarnation),
}

impl TargetTracker {
    /// A tracker before the first search.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            target: None,
            searches: Searches::default(),
            child: Child::default(),
            observed_since: policy.observed_since,
        }
    }

    /// The target. After its exit it is kept as long as its drain is.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// The target, if it has not ended.
    #[must_use]
    pub fn alive(&self) -> Option<&Target> {
        self.target.as_ref().filter(|target| target.is_alive())
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

    /// Whether the target has begun to exit but has not ended.
    #[must_use]
    pub fn is_exiting(&self) -> bool {
        self.target.as_ref().is_some_and(|target| matches!(target.exit, ExitState::Exiting { .. }))
    }

    /// Whether the signal is about to be sent.
    #[must_use]
    pub fn is_signal_pending(&self) -> bool {
        self.target.as_ref().is_some_and(|target| matches!(target.signal, SignalState::Saved(_)))
    }

    /// Requests a search with the poll that is requested at `now`, if one is due: see [`Searches::is_due`].
    pub fn search_if_due(&mut self, now: Time, required_since: Option<Time>, actions: &mut Actions) {
        let target = self.alive().map(|target| target.incarnation);
        if self.searches.is_due(now, required_since, target.filter(|_| !self.is_exiting())) {
            actions.push(Action::FindTarget { requested_at: now, target });
        }
    }

    /// Compares a found process with the target.
    #[must_use]
    pub fn compare(&self, found: &Found) -> Match {
        match &self.target {
            Some(target) if target.incarnation == found.incarnation => Match::Same,
            Some(target) if target.is_alive() => Match::Replaces(target.incarnation),
            Some(_) | None => Match::New,
        }
    }

    /// Updates the target's name.
    pub fn rename(&mut self, found: &Found) {
        if let Some(target) = &mut self.target
            // A process without its first thread has no name.
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
    pub fn resume(&mut self, incarnation: Incarnation, signal: Option<SentSignal>, actions: &mut Actions) {
        let signal = signal.map_or(SignalState::Unsent, SignalState::Sent);
        self.replace(incarnation, String::new(), signal, actions);
    }

    fn replace(&mut self, incarnation: Incarnation, name: String, signal: SignalState, actions: &mut Actions) {
        self.target = Some(Target { incarnation, name, signal, killed: false, exit: ExitState::Alive });
        actions.push(Action::WatchTarget(incarnation));
    }

    /// Records that the target has begun to exit, with the last known count of streams.
    pub fn begin_exit(&mut self, incarnation: Incarnation, streams: Option<u64>) {
        if let Some(target) = self.target.as_mut().filter(|target| target.incarnation == incarnation)
            && target.exit == ExitState::Alive
        {
            target.exit = ExitState::Exiting { last_count: LastCount { streams } };
        }
    }

    /// Records that the target has ended, and what was known of its streams, unless more was known when its end began.
    /// Returns false if that was known, or if it is another process.
    pub fn exit(&mut self, incarnation: Incarnation, status: ExitStatus, streams: Option<u64>, now: Time) -> bool {
        self.begin_exit(incarnation, streams);
        let target = self.target.as_mut().filter(|target| target.incarnation == incarnation);
        let Some(target) = target else { return false };
        let ExitState::Exiting { last_count } = target.exit else { return false };
        target.exit = ExitState::Exited { status, last_count };
        if matches!(target.signal, SignalState::Saved(_)) {
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

    /// Decides to send this signal now, if one is configured, the last search permits it and it has not been sent. The
    /// caller must save the drain before sending it.
    #[must_use]
    pub fn take_signal(&mut self, policy: &Policy, signal: SentSignal) -> Option<Incarnation> {
        policy.signal.as_ref()?;
        let SearchResult::Found(Found { incarnation, blocker: None, .. }) = self.searches.last_result()? else {
            return None;
        };
        let target = self.target.as_mut().filter(|target| target.incarnation == *incarnation)?;
        if target.is_signalled() || target.exit != ExitState::Alive {
            return None;
        }
        target.signal = SignalState::Saved(signal);
        Some(target.incarnation)
    }

    /// Records the result of sending the signal. Returns false if it was for another process, or if the target has
    /// ended meanwhile and the signal already counts as failed.
    pub fn on_signal_result(&mut self, incarnation: Incarnation, sent: bool, now: Time) -> bool {
        let target = self.target.as_mut().filter(|target| target.incarnation == incarnation);
        let Some(Target { signal: state @ SignalState::Saved(_), .. }) = target else { return false };
        if let (SignalState::Saved(signal), true) = (*state, sent) {
            *state = SignalState::Sent(SentSignal { sent_at: now, ..signal });
        } else {
            *state = SignalState::Failed;
        }
        true
    }

    /// Records a count that was requested at `as_of`, and returns whether it decides what the readings after the signal show.
    pub fn observe_after_signal(&mut self, streams: u64, as_of: Time) -> bool {
        match self.target.as_mut().map(|target| &mut target.signal) {
            Some(SignalState::Sent(signal)) => signal.observe(streams, as_of),
            Some(SignalState::Unsent | SignalState::Saved(_) | SignalState::Failed) | None => false,
        }
    }

    /// Decides to kill the target, if it is alive and has not been killed.
    #[must_use]
    pub fn take_kill(&mut self) -> Option<Incarnation> {
        let target = self.target.as_mut().filter(|target| target.can_be_killed())?;
        target.killed = true;
        Some(target.incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::policy;
    use crate::target::SignalBlocker;
    use std::time::Duration;

    const TARGET: Incarnation = Incarnation { pid: 7, started: 200 };

    const AT: Time = Time::since_boot(Duration::from_secs(3));

    const SIGNAL: SentSignal = SentSignal::new(AT, Some(3));

    fn found(blocker: Option<SignalBlocker>) -> Found {
        Found { incarnation: TARGET, name: "impeller".into(), blocker }
    }

    fn tracker(blocker: Option<SignalBlocker>) -> TargetTracker {
        let mut tracker = TargetTracker::new(&policy());
        tracker.track(&found(None), &mut Actions::default());
        tracker.searches.record(AT, SearchResult::Found(found(blocker)));
        tracker
    }

    #[test]
    fn signal_is_sent_once_and_retried_only_after_failure() {
        let mut tracker = tracker(None);
        assert_eq!(tracker.take_signal(&policy(), SIGNAL), Some(TARGET));
        assert!(tracker.is_signalled() && tracker.take_signal(&policy(), SIGNAL).is_none());
        assert!(tracker.on_signal_result(TARGET, false, AT) && !tracker.is_signalled());
        assert_eq!(tracker.take_signal(&policy(), SIGNAL), Some(TARGET));
        assert!(tracker.on_signal_result(TARGET, true, AT) && tracker.is_awaiting_exit());
        assert_eq!(tracker.take_signal(&policy(), SIGNAL), None);
    }

    #[test]
    fn signal_needs_permission_a_setting_and_a_living_target() {
        assert_eq!(tracker(Some(SignalBlocker::NotCaught)).take_signal(&policy(), SIGNAL), None);
        let unsignalled = Policy { signal: None, ..policy() };
        assert_eq!(tracker(None).take_signal(&unsignalled, SIGNAL), None);
        let mut exiting = tracker(None);
        exiting.begin_exit(TARGET, Some(3));
        assert_eq!(exiting.take_signal(&policy(), SIGNAL), None);
        let mut ended = tracker(None);
        assert!(ended.exit(TARGET, ExitStatus::Code(0), None, AT));
        ended.searches.record(AT, SearchResult::Found(found(None)));
        assert_eq!(ended.take_signal(&policy(), SIGNAL), None);
    }

    #[test]
    fn count_at_start_of_exit_is_kept() {
        let mut tracker = tracker(None);
        tracker.begin_exit(TARGET, Some(3));
        tracker.begin_exit(TARGET, Some(0));
        assert!(tracker.is_exiting());
        assert!(tracker.exit(TARGET, ExitStatus::Code(1), Some(0), AT) && !tracker.is_exiting());
        let target = tracker.target().unwrap();
        assert_eq!(target.last_count(), Some(LastCount { streams: Some(3) }));
        assert_eq!(target.exit_status(), Some(ExitStatus::Code(1)));
        assert!(!tracker.exit(TARGET, ExitStatus::Unknown, None, AT), "it ends once");
    }

    #[test]
    fn other_process_replaces_a_living_target_only() {
        let other = Found { incarnation: Incarnation { pid: 8, ..TARGET }, ..found(None) };
        let mut tracker = tracker(None);
        assert_eq!(tracker.compare(&found(None)), Match::Same);
        assert_eq!(tracker.compare(&other), Match::Replaces(TARGET));
        assert!(tracker.exit(TARGET, ExitStatus::Unknown, None, AT));
        assert_eq!(tracker.compare(&other), Match::New);
        tracker.forget_ended();
        assert!(tracker.target().is_none());
    }

    #[test]
    fn saved_signal_is_not_sent_again_after_resume() {
        let mut tracker = TargetTracker::new(&policy());
        tracker.resume(TARGET, Some(SIGNAL), &mut Actions::default());
        tracker.searches.record(AT, SearchResult::Found(found(None)));
        assert_eq!(tracker.take_signal(&policy(), SIGNAL), None);
        assert!(!tracker.is_signal_pending());
    }

    #[test]
    fn readings_are_compared_from_when_the_signal_was_sent() {
        let mut tracker = tracker(None);
        assert_eq!(tracker.take_signal(&policy(), SIGNAL), Some(TARGET));
        let sent_at = AT + Duration::from_secs(1);
        assert!(tracker.on_signal_result(TARGET, true, sent_at));
        assert_eq!(tracker.target().and_then(Target::sent_signal).map(|signal| signal.sent_at), Some(sent_at));
        assert!(!tracker.observe_after_signal(0, sent_at), "requested before the signal was sent");
        assert!(tracker.observe_after_signal(0, sent_at + Duration::from_millis(150)));
    }

    #[test]
    fn target_is_killed_once() {
        let mut tracker = tracker(None);
        assert_eq!([tracker.take_kill(), tracker.take_kill()], [Some(TARGET), None]);
    }
}
