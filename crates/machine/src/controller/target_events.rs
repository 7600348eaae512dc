//! What the controller does when the target is found, and when it ends.

use super::{Controller, SignalAttempt};
use crate::incarnation::IncarnationState;
use crate::io::Action;
use crate::result::ExitStatus;
use crate::target::{Found, Incarnation, SearchResult};
use crate::target_tracker::Match;
use crate::time::Time;

impl Controller {
    pub(super) fn on_search_result(&mut self, requested_at: Time, result: SearchResult) {
        if self.target.searches.is_outdated(requested_at) {
            return;
        }
        if let SearchResult::Found(found) = &result {
            self.on_found(found);
        }
        self.target.searches.record(requested_at, result);
        let is_polling = self.polls.is_in_flight();
        self.recorder().send_due_signal(is_polling);
        if !self.polls.is_in_flight() {
            self.finish_if_never_served(SignalAttempt::NotMade);
        }
    }

    fn on_found(&mut self, found: &Found) {
        match self.target.compare(found) {
            Match::Same => return self.target.rename(found),
            Match::Replaces(previous) => self.on_exit(previous, ExitStatus::Unknown),
            Match::New => {}
        }
        self.history.target_end = None;
        if let Some(drain) = self.drain.active_mut() {
            // A process that started after the drain began is not part of that drain, whose callers still wait. It is
            // tracked once the drain is over.
            if drain.started_at >= self.target.observed_since.start_of(found.incarnation) {
                drain.record.forget_earlier_end();
                self.target.track(found, &mut self.actions);
                self.drain.save(&self.target, &mut self.actions);
            }
        } else {
            self.target.track(found, &mut self.actions);
            // A stop of the child is not taken back, even if the child is found only after its drain.
            if !(self.policy.is_parent() && self.target.child.is_stopping()) {
                self.recorder().clear();
            }
            self.reset_incarnation();
            self.callers.invalidate_zeros();
        }
    }

    pub(super) fn on_exit(&mut self, incarnation: Incarnation, status: ExitStatus) {
        let streams = self.incarnation.fresh_streams(&self.policy, self.now);
        if !self.target.exit(incarnation, status, streams, self.now) {
            return;
        }
        self.recorder().on_target_end(incarnation, status);
        let wait_for_exit = self.policy.wait_for_exit;
        if let Some(drain) = self.drain.active() {
            self.finish(drain.at_exit(wait_for_exit));
        }
        self.release_unauthorized(|drain, _| Some(drain.at_exit(wait_for_exit)));
        self.reset_incarnation();
        if self.drain.is_serving() {
            self.target.forget_ended();
        }
    }

    /// Discards everything that was read of the last incarnation.
    fn reset_incarnation(&mut self) {
        for duration in self.incarnation.end_streams(self.now) {
            self.history.durations.observe(duration);
            self.actions.push(Action::StreamEnded(duration));
        }
        self.incarnation = IncarnationState::new(&self.policy);
        self.polls.cancel();
    }
}
