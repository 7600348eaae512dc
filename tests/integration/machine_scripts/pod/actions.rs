//! Performs the actions of the machine.

use std::time::Duration;

use lameduck_machine::io::{Action, CallerId, Input, Poll, Reply, SocketReading};
use lameduck_machine::reading::{ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::result::{DrainResult, ExitStatus};
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::{Incarnation, SearchResult, TargetState};
use lameduck_machine::time::Time;

use super::{Effect, FIRST_UNAUTHORIZED, PORT, Page, Pod};

impl Pod {
    /// Performs all actions, then answers searches and polls, until nothing is left to do.
    pub(super) fn run_actions(&mut self) {
        loop {
            while let Some(action) = self.controller.poll_action() {
                if let Some(input) = self.perform(action) {
                    self.controller.handle(self.now, input);
                }
            }
            let Some(answer) = self.answers.pop_front() else { break };
            self.controller.handle(self.now, answer);
        }
        if self.snapshot().phase == Phase::Done {
            assert_eq!(self.callers, [], "callers without an answer after the drain");
        }
    }

    /// Performs an action and returns its immediate answer.
    fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::FindTarget { requested_at, .. } => {
                self.searches.push(requested_at);
                match self.search.clone() {
                    Some(result) => self.answers.push_back(Input::SearchResult { requested_at, result }),
                    None => self.unanswered_searches.push(requested_at),
                }
            }
            Action::PollSources(request) => {
                self.poll_requests.push(request);
                self.on_poll_request(request.requested_at, request.timeout);
            }
            Action::WatchTarget(incarnation) => {
                let ended = self.ended.contains(&incarnation);
                return ended.then_some(Input::Exited(incarnation, ExitStatus::Unknown));
            }
            Action::SaveState(saved) => {
                assert_ne!(self.saved, Some(saved), "the same state was saved twice");
                self.saved = Some(saved);
            }
            Action::ClearState => self.saved = None,
            Action::SendSignal(incarnation) => return Some(self.send_signal(incarnation)),
            Action::KillTarget(incarnation) => self.record(Effect::Kill(incarnation.pid)),
            Action::SignalChild(signal) => self.record(Effect::SignalChild(signal)),
            Action::StreamEnded(duration) => self.stream_durations.push(duration),
            Action::ReportOutcome(result) => {
                self.result = Some(result);
                self.record(Effect::Release(result.outcome, result.stragglers));
            }
            Action::WriteRecord(record, reason) => self.records.push((record, reason)),
            Action::ClearRecord(_) => self.records.clear(),
            Action::CountStragglers(streams) => self.stragglers += streams,
            Action::TargetEnded(ended) => self.target_ends.push(ended),
            Action::Reply(caller, reply @ (Reply::Cancelled | Reply::NotCancelled(_))) => {
                self.callers.retain(|(waiting, _)| *waiting != caller);
                self.cancellations.push(reply);
            }
            Action::Reply(caller, Reply::Finished(result)) => self.on_reply(caller, result),
            Action::Reply(_, Reply::TooManyUnauthorized) => panic!("scripts have few callers"),
            Action::Exit => self.record(Effect::Exit),
        }
        None
    }

    fn on_poll_request(&mut self, requested_at: Time, timeout: Duration) {
        let (page_processes, readings) = match &mut self.page {
            Page::Answers(readings) => (Vec::new(), readings.clone()),
            Page::Workers(workers) => {
                workers.rotate_left(1);
                let (process, readings) = workers.last().cloned().expect("a worker");
                (vec![process], readings)
            }
            Page::Hangs => return self.unanswered_polls.push((requested_at, timeout)),
        };
        let poll = Poll { page_processes, ..self.poll(requested_at, readings) };
        let poll = if self.table_hangs { Poll { sockets: None, ..poll } } else { self.with_socket_count(poll) };
        let answers = |source: &Source| poll.readings.iter().any(|(answering, _)| answering == source);
        if self.table_hangs || !self.policy.sources.iter().all(answers) {
            // A source that does not answer delays the whole poll.
            self.delayed.push((requested_at + timeout, Input::Polled(poll)));
        } else {
            self.answers.push_back(Input::Polled(poll));
        }
    }

    /// The answer to a poll, with these readings and the current socket table.
    pub(in crate::machine_scripts) fn poll(&mut self, requested_at: Time, readings: Vec<(Source, Reading)>) -> Poll {
        let table = self.traffic.table(self.now);
        let table =
            if self.table_readable { Ok(table) } else { Err(ReadError::new(ReadErrorKind::Invalid, "no table")) };
        let sockets = Some(SocketReading { read_at: self.now, table });
        let target = self.poll_target(requested_at);
        Poll {
            requested_at,
            target,
            readings,
            sockets,
            capacity: self.capacity,
            page_processes: Vec::new(),
            target_state: self.target_state(target),
        }
    }

    /// What a poll reads of this target. If a search would find another process, it has ended.
    fn target_state(&self, target: Option<Incarnation>) -> TargetState {
        match (&self.search, target) {
            (_, Some(_)) if self.exiting == target => TargetState::Exiting,
            (Some(SearchResult::Found(found)), Some(target)) if found.incarnation == target => {
                TargetState::Intact(found.blocker.clone())
            }
            (Some(SearchResult::Found(_)), Some(_)) => TargetState::Exiting,
            (Some(SearchResult::NotFound | SearchResult::Ambiguous(_)) | None, _) | (_, None) => TargetState::Unknown,
        }
    }

    /// The target of the last poll that was requested at this instant.
    pub(in crate::machine_scripts) fn poll_target(&self, requested_at: Time) -> Option<Incarnation> {
        self.poll_requests.iter().rev().find(|request| request.requested_at == requested_at)?.target
    }

    fn with_socket_count(&self, mut poll: Poll) -> Poll {
        let table = poll.sockets.as_ref().map(|sockets| &sockets.table);
        if let Some(table) = table.filter(|_| self.policy.sources.contains(&Source::Sockets)) {
            let reading = match table {
                Ok(table) => Reading::Counts(vec![table.count(PORT)]),
                Err(error) => Reading::Unknown(error.clone()),
            };
            poll.readings.push((Source::Sockets, reading));
        }
        poll
    }

    /// A caller is answered. All authorized callers of one instant are one effect.
    fn on_reply(&mut self, caller: CallerId, result: DrainResult) {
        if caller.0 >= FIRST_UNAUTHORIZED {
            self.unauthorized_result = Some(result);
            let number = caller.0 - FIRST_UNAUTHORIZED;
            return self.record(Effect::ReleaseUnauthorized(number, result.outcome, result.stragglers));
        }
        let index = self.callers.iter().position(|(waiting, _)| *waiting == caller).expect("a caller that waits");
        self.callers.remove(index);
        assert_eq!(Some(result), self.result, "the answer is not the reported result");
        let release = (self.now, Effect::Release(result.outcome, result.stragglers));
        if !self.effects.contains(&release) {
            self.effects.push(release);
        }
    }

    fn send_signal(&mut self, incarnation: Incarnation) -> Input {
        let saved = self.saved.is_some_and(|saved| saved.signal.is_some() && saved.incarnation == Some(incarnation));
        assert!(saved, "the signal is sent before it is saved: {:?}", self.saved);
        if !self.signals_fail {
            self.record(Effect::Signal(incarnation.pid));
        }
        Input::SignalResult(incarnation, !self.signals_fail)
    }

    fn record(&mut self, effect: Effect) {
        self.effects.push((self.now, effect));
    }
}
