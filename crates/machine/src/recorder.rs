//! Writes the provisional record of a drain, and adds the data that the record has besides the result.
//!
//! The kubelet may kill the sidecar at any time: when a grace period is shortened, or ends. So the record is written in
//! advance, and is true when it is written. The result of the drain replaces it.

use std::time::Duration;

use crate::account::Account;
use crate::drain::Drain;
use crate::drain_record::{DrainRecord, TargetEnd};
use crate::drain_state::DrainState;
use crate::history::History;
use crate::incarnation::{IncarnationState, StreamsSeen};
use crate::io::{Action, Actions, CallerId, RecordReason, Reply, TargetEnded};
use crate::policy::Policy;
use crate::result::{DrainResult, ExitStatus, Outcome, Trigger};
use crate::sent_signal::SentSignal;
use crate::target::Incarnation;
use crate::target_tracker::{Target, TargetTracker};
use crate::time::Time;
use crate::warnings::Warning;

/// The signals by which one process asks another to stop, by their numbers (signal(7)): SIGHUP, SIGINT, SIGQUIT and
/// SIGTERM. Others come from the kernel, or kill a process that does not react.
const STOP_SIGNALS: [i32; 4] = [1, 2, 3, 15];

/// How long before the end of the target a loss of its streams is taken for a part of that end.
const LOSS_WINDOW: Duration = Duration::from_secs(60);

/// The parts that a record depends on.
#[derive(Debug)]
pub struct Recorder<'a> {
    /// The time.
    pub now: Time,
    /// The settings.
    pub policy: &'a Policy,
    /// The target.
    pub target: &'a mut TargetTracker,
    /// The readings of this incarnation.
    pub incarnation: &'a IncarnationState,
    /// The drain, if there is one.
    pub drain: &'a mut DrainState,
    /// What is kept across drains.
    pub history: &'a mut History,
    /// Where actions are added.
    pub actions: &'a mut Actions,
}

impl Recorder<'_> {
    /// Writes the record of the drain in progress.
    pub fn write(&mut self, reason: RecordReason) {
        let Some(drain) = self.drain.active() else { return };
        let account = Account::new(self.now, self.policy, self.target, self.incarnation);
        self.history.write_provisional(account.result(drain, Outcome::Interrupted), reason, self.actions);
    }

    /// Adds a warning to the drain in progress.
    pub fn warn(&mut self, warning: Warning) {
        if self.drain.active_mut().is_some_and(|drain| drain.record.warnings.insert(warning)) {
            self.drain.save(self.target, self.actions);
        }
    }

    /// Sends the signal after a search in the draining stage that permits it. The first poll of an incarnation is awaited:
    /// without it, the count before the signal would be unknown.
    pub fn send_due_signal(&mut self, is_polling: bool) {
        let awaits_first_poll = is_polling && !self.incarnation.sources.is_polled();
        let draining_since = self.drain.active().and_then(Drain::draining_since);
        if draining_since.is_some_and(|since| self.target.searches.searched_since(since)) && !awaits_first_poll {
            self.send_signal();
        }
    }

    /// Sends the signal if that is permitted. Before that, the record is written and the drain saved.
    pub fn send_signal(&mut self) {
        let signal = SentSignal::new(self.now, self.incarnation.sources.streams());
        if let Some(incarnation) = self.target.take_signal(self.policy, signal) {
            // A crash after the save means that the signal is never sent, so nothing comes in between.
            self.write(RecordReason::CountChanged);
            self.drain.save(self.target, self.actions);
            self.actions.push(Action::SendSignal(incarnation));
        }
    }

    /// Records what a poll shows about streams and listeners, and what its count shows after the signal.
    pub fn observe(&mut self, seen: &StreamsSeen) {
        self.history.observe(seen, self.actions);
        let count = self.incarnation.sources.shown_count();
        if count.is_some_and(|count| self.target.observe_after_signal(count.streams, count.as_of)) {
            self.drain.save(self.target, self.actions);
        }
        let quiet_period = self.policy.times.quiet_period;
        if self.incarnation.disagreeing_since.is_some_and(|since| self.now.since(since) > quiet_period) {
            self.warn(Warning::SourcesDisagreed);
        }
        if self.incarnation.sources.leaked().is_some() {
            self.warn(Warning::GaugeLeak);
        }
        // Without a signal, whole groups of streams may end at once because their clients do.
        let is_stopped = seen.listener_closed || (seen.lost_most && self.policy.signal.is_some());
        if is_stopped && self.is_before_signal() {
            self.warn(Warning::ToldByOthers);
        }
    }

    /// Records that the last hook caller has disconnected.
    pub fn on_hook_disconnected(&mut self) {
        if let Some(drain) = self.drain.active_mut() {
            drain.record.on_hook_disconnected();
            self.write(RecordReason::HookDisconnected);
        }
    }

    /// Cancels a drain that a user has started, if that is still possible. Answers this caller, and returns whether the
    /// other callers must be answered. `is_stopping` says whether a hook waits, or SIGTERM has arrived.
    pub fn cancel(&mut self, caller: CallerId, is_stopping: bool) -> bool {
        if let Some(refusal) = self.drain.not_cancelled(self.target, is_stopping) {
            self.actions.push(Action::Reply(caller, Reply::NotCancelled(refusal)));
            return false;
        }
        let id = self.drain.active().map(|drain| drain.record.id);
        self.clear();
        self.actions.extend(id.map(Action::ClearRecord));
        self.actions.push(Action::Reply(caller, Reply::Cancelled));
        true
    }

    /// Records a request to stop, and returns whether it is the first for a child.
    pub fn request_stop(&mut self, is_interrupt: bool) -> bool {
        let is_first = self.policy.is_parent() && !self.target.child.is_stopping();
        self.target.child.request_stop(self.now, is_interrupt);
        self.write(RecordReason::Sigterm);
        is_first
    }

    /// The first stop of a child has come during a user's drain, or after it: the drain gets the whole grace period of the
    /// stop. A finished drain continues if there may be streams.
    pub fn join_stop(&mut self) {
        let may_have_streams = self.target.alive().is_some() && self.incarnation.sources.streams() != Some(0);
        match &mut self.drain {
            DrainState::Active(drain) => {
                if drain.restart_budget(self.now, &self.policy.times) {
                    self.drain.save(self.target, self.actions);
                }
            }
            DrainState::Finished(_) if may_have_streams => self.reopen(self.now),
            DrainState::Finished(_) | DrainState::Serving => {}
        }
    }

    /// Continues a finished drain until a new deadline.
    pub fn reopen(&mut self, called_at: Time) {
        self.drain.reopen(self.now, called_at, &self.policy.times);
        self.drain.save(self.target, self.actions);
        self.history.last_result = None;
        self.write(RecordReason::Started);
    }

    /// Shortens the deadline of the drain in progress, if it is later than that.
    pub fn shorten_deadline(&mut self, remaining: Duration) {
        if self.drain.active_mut().is_some_and(|drain| drain.shorten(self.now, remaining)) {
            self.write(RecordReason::CountChanged);
            self.drain.save(self.target, self.actions);
        }
    }

    /// Discards the drain: the pod serves again. A record without a drain stays.
    pub fn clear(&mut self) {
        if !self.drain.is_serving() {
            self.drain.clear(self.actions);
            self.history.record = None;
        }
    }

    /// The outcome of a drain that the child of `lameduck run` ends early: see `Child::early_outcome`.
    #[must_use]
    pub fn child_outcome(&self) -> Option<Outcome> {
        let outcome = self.target.child.early_outcome(self.target.alive().is_some(), self.now, &self.policy.times);
        outcome.filter(|_| self.policy.is_parent())
    }

    /// Does what is due after a drain: stops the child, kills a target that only idle streams keep alive, or serves again.
    pub fn follow_up(&mut self, is_stopping: bool) {
        let finished = self.drain.finished();
        if self.policy.is_parent() {
            let signal = self.target.child.take_signal(self.now, finished.is_some(), &self.policy.times);
            self.actions.extend(signal.map(Action::SignalChild));
        }
        let Some(finished) = finished else { return };
        let is_due = |at: Option<Time>| at.is_some_and(|at| self.now >= at);
        let kills = is_due(finished.kill_at(self.target, self.incarnation, self.policy));
        let resumes_at = finished.resume_serving_at(self.target, self.incarnation, self.policy);
        if let Some(incarnation) = kills.then(|| self.target.take_kill()).flatten() {
            self.actions.push(Action::KillTarget(incarnation));
        }
        if !is_stopping && is_due(resumes_at) {
            self.clear();
            self.target.forget_ended();
        }
    }

    /// Records that the target has ended, before the drain in progress is finished.
    pub fn on_target_end(&mut self, incarnation: Incarnation, status: ExitStatus) {
        let asked_to_stop = match status {
            ExitStatus::Killed(signal) => STOP_SIGNALS.contains(&signal),
            ExitStatus::Unknown | ExitStatus::Code(_) => true,
        };
        if self.is_before_signal() && asked_to_stop {
            self.warn(Warning::ToldByOthers);
        }
        let last_count = self.target.target().and_then(Target::last_count).and_then(|last| last.streams);
        if !self.drain.is_serving() {
            return self.on_target_end_in_drain(last_count);
        }
        let never_served =
            !self.incarnation.sources.ever_answered() && self.target.observed_since.is_before(incarnation);
        // Something may have stopped the target, which then cut its streams before it ended.
        let lost_before = self.incarnation.stop_signs.lost_since(self.now - LOSS_WINDOW);
        let streams = if never_served { Some(0) } else { last_count.filter(|streams| *streams > 0 || !lost_before) };
        self.history.target_end = Some(TargetEnd { at: self.now, streams });
        self.actions.push(Action::TargetEnded(TargetEnded::Serving(streams)));
        if let Some(streams @ 1..) = streams {
            self.actions.push(Action::CountStragglers(streams));
        }
    }

    /// After a drain that has released its callers, new streams may have been opened. They are cut outside of that drain.
    fn on_target_end_in_drain(&mut self, last_count: Option<u64>) {
        let new = self.drain.count_later_stragglers(last_count.unwrap_or(0));
        let ended = if new > 0 { TargetEnded::Serving(Some(new)) } else { TargetEnded::Drain };
        self.actions.push(Action::TargetEnded(ended));
        if new > 0 {
            self.actions.push(Action::CountStragglers(new));
        }
        // The exit code of `lameduck run` stands for the whole stop, and not only for its drain. A hook has been answered
        // with the result of the drain, which does not change any more.
        let is_corrected = new > 0 && self.policy.is_parent();
        if let Some(result) = is_corrected.then(|| self.drain.add_stragglers(new)).flatten() {
            self.history.on_result(result);
            self.history.write_provisional(result, RecordReason::LaterStreams, self.actions);
        }
    }

    /// Writes the last record before this process exits. Without a drain, writes one only if the target has ended or
    /// may still have streams. No drain is saved then: nobody requested one, so a restarted sidecar must not resume it.
    pub fn on_exit(&mut self, may_have_streams: bool) {
        if !self.drain.is_serving() {
            self.write(RecordReason::Exit);
        } else if let Some(end) = self.history.target_end {
            let mut record = DrainRecord::of_ended_target(self.history.drain_id(), end);
            // A parent needs no hook.
            if !self.policy.is_parent() {
                record.warnings.insert(Warning::NoHook);
            }
            let result = self.result_without_drain(record, Outcome::Exited);
            self.history.on_result(result);
            self.actions.push(Action::ReportOutcome(result));
        } else if may_have_streams {
            self.write_without_drain(RecordReason::Exit);
        } else if let Some(record) = self.history.record {
            // The streams have ended while a hook was awaited. SIGTERM may have reached the target too.
            let record = DrainResult { stragglers: None, ..record };
            self.history.write_provisional(record, RecordReason::Exit, self.actions);
        }
    }

    /// Writes the record of streams that may be cut although there is no drain: SIGTERM has arrived, and no hook call.
    /// Nobody has asked for a drain, so none is saved that a restarted sidecar would resume.
    pub fn write_without_drain(&mut self, reason: RecordReason) {
        let streams = self.incarnation.sources.streams();
        let streams_at_start = self.history.record.map_or(streams, |last| last.streams_at_start);
        let mut record = DrainRecord::new(self.history.drain_id(), streams_at_start);
        if let Some(streams) = streams {
            record.observe(streams);
        }
        let result = self.result_without_drain(record, Outcome::Interrupted);
        self.history.write_provisional(result, reason, self.actions);
    }

    fn result_without_drain(&self, record: DrainRecord, outcome: Outcome) -> DrainResult {
        let drain = Drain::begin(self.now, &self.policy.times, Trigger::Sigterm, record);
        Account::new(self.now, self.policy, self.target, self.incarnation).result(&drain, outcome)
    }

    /// Whether a drain is in its lame duck and has sent no signal.
    fn is_before_signal(&self) -> bool {
        self.drain.active().is_some_and(Drain::is_lame_duck) && !self.target.is_signalled()
    }
}
