//! Performs the actions of the machine.

use std::time::Duration;

use lameduck_machine::io::{Action, CallerId, ChildSignal, Input, Poll, Reply, SocketReading};
use lameduck_machine::policy::SigtermPolicy;
use lameduck_machine::reading::Source;
use lameduck_machine::result::{DrainResult, ExitStatus, Outcome};
use lameduck_machine::saved_drain::{SavedDrain, SavedResult};
use lameduck_machine::target::{Found, Incarnation, SearchResult, SignalBlocker};
use lameduck_machine::time::Time;

use super::behaviour::Behaviour;
use super::target::Process;
use super::{Crash, Simulation};

/// How much later each further source answers.
const STAGGER: Duration = Duration::from_millis(50);
/// How much later the second answer to a poll follows the first.
const REPEAT: Duration = Duration::from_millis(300);

impl Simulation {
    /// Performs an action and returns its immediate answer.
    pub(super) fn perform(&mut self, action: Action) -> Option<Input> {
        self.oracle.on_action(self.now, &action, self.saved.as_ref());
        match action {
            Action::FindTarget { requested_at, .. } => self.search(requested_at),
            Action::PollSources(request) => self.poll(request.requested_at, request.timeout, request.target),
            Action::WatchTarget(incarnation) => {
                self.watched = Some(incarnation);
                let exists = self.process.as_ref().is_some_and(|process| process.incarnation == incarnation);
                return (!exists).then_some(Input::Exited(incarnation, ExitStatus::Unknown));
            }
            Action::SaveState(saved) => self.save(Some(saved)),
            Action::ClearState => self.save(None),
            Action::SendSignal(incarnation) => {
                return Some(Input::SignalResult(incarnation, self.signal(incarnation)));
            }
            Action::KillTarget(incarnation) => self.kill(incarnation),
            Action::SignalChild(ChildSignal::Kill) => self.exit_process(ExitStatus::Killed(9)),
            Action::SignalChild(ChildSignal::Terminate) if self.behaviour.exits_when_empty => {
                self.exit_process(ExitStatus::Killed(15));
            }
            Action::ReportOutcome(result) => self.reported.push(result),
            Action::SignalChild(ChildSignal::Terminate)
            | Action::StreamEnded(_)
            | Action::WriteRecord(..)
            | Action::ClearRecord(_)
            | Action::CountStragglers(_)
            | Action::TargetEnded(_) => {}
            Action::Reply(caller, reply) => self.on_reply(caller, reply),
            Action::Exit => {
                // Nothing is left to wait for when a child has ended.
                let may_drop_callers = self.policy.on_sigterm == SigtermPolicy::Exit || self.policy.is_parent();
                assert!(self.unauthorized.is_empty() || may_drop_callers, "the sidecar exits while callers are held");
                let downtime = Duration::from_millis(10);
                self.crash_sidecar(Crash { after_actions: 0, downtime, new_incarnation: false });
            }
        }
        None
    }

    fn on_reply(&mut self, caller: CallerId, reply: Reply) {
        let result = match reply {
            Reply::Finished(result) => result,
            Reply::Cancelled | Reply::NotCancelled(_) if self.canceller == Some(caller) => {
                self.canceller = None;
                return;
            }
            Reply::Cancelled => return self.callers.retain(|(waiting, _)| *waiting != caller),
            Reply::NotCancelled(_) | Reply::TooManyUnauthorized => panic!("{caller:?} gets {reply:?}"),
        };
        if let Some(index) = self.unauthorized.iter().position(|(waiting, _)| *waiting == caller) {
            let (_, called_at) = self.unauthorized.remove(index);
            self.oracle.on_unauthorized_reply(self.now, called_at, &result);
        } else {
            let index = self.callers.iter().position(|(waiting, _)| *waiting == caller).expect("a caller that waits");
            self.callers.remove(index);
            self.oracle.on_reply(&result);
        }
    }

    pub(super) fn save(&mut self, saved: Option<SavedDrain>) {
        // Check an idle result when it is first saved: the next sidecar may report it when streams are active again.
        if let Some(SavedResult { ended_at, result, reported: false }) = saved.and_then(|saved| saved.finished)
            && ended_at == self.now
        {
            self.assert_truly_idle(&result);
        }
        self.saved = saved;
        if let Some(state) = &self.state {
            saved.map_or_else(|| state.erase(), |saved| state.write(&saved)).expect("a writable state file");
        }
    }

    fn search(&mut self, requested_at: Time) {
        let Behaviour { second_match, not_caught, search, .. } = self.behaviour;
        let result = match &self.process {
            None => SearchResult::NotFound,
            Some(process) if second_match => SearchResult::Ambiguous(vec![process.incarnation.pid, 9999]),
            Some(Process { incarnation, .. }) => {
                let blocker = not_caught.then_some(SignalBlocker::NotCaught);
                SearchResult::Found(Found { incarnation: *incarnation, name: "impeller".into(), blocker })
            }
        };
        // One thread searches, so searches are answered in the order of their requests.
        self.last_search = self.last_search.max(self.now + search);
        self.pending.push((self.last_search, Input::SearchResult { requested_at, result }));
    }

    /// Reads everything now. Each source answers a little later than the one before it; a source that would answer
    /// after the timeout is left out.
    fn poll(&mut self, requested_at: Time, timeout: Duration, target: Option<Incarnation>) {
        let Some(time) = self.behaviour.poll else { return };
        self.last_poll = time;
        let needs_table = !self.policy.idle.ports.is_empty() || self.policy.sources.contains(&Source::Sockets);
        let in_time = |time: &Duration| *time <= timeout;
        let sockets = Some(time).filter(in_time).filter(|_| needs_table);
        let sockets = sockets.map(|time| SocketReading { read_at: self.now + time, table: self.table() });
        let mut readings = Vec::new();
        let mut duration = time;
        for (source, nth) in self.policy.sources.clone().into_iter().zip(0_u32..) {
            duration = time + STAGGER * nth;
            if in_time(&duration) {
                readings.push((source, self.read(source)));
            }
        }
        // An answer exactly at the timeout comes before the machine expires the poll.
        let due = self.now + duration.min(timeout);
        let poll = Poll { requested_at, readings, sockets, target, ..Poll::default() };
        if self.behaviour.answers_twice {
            self.pending.push((due + REPEAT, Input::Polled(poll.clone())));
        }
        self.pending.push((due, Input::Polled(poll)));
    }

    fn signal(&mut self, incarnation: Incarnation) -> bool {
        let process = self.process.as_mut().filter(|process| process.incarnation == incarnation);
        let Some(process) = process.filter(|_| !self.behaviour.signals_fail) else { return false };
        assert!(!process.signalled, "{incarnation:?} is signalled twice");
        process.signalled = true;
        process.traffic.listening = false;
        self.signals += 1;
        true
    }

    fn kill(&mut self, incarnation: Incarnation) {
        if self.process.as_ref().is_some_and(|process| process.incarnation == incarnation) {
            self.kills += 1;
            self.exit_process(ExitStatus::Killed(9));
        }
    }

    /// An idle result requires that every stream has been idle for a whole window.
    fn assert_truly_idle(&mut self, result: &DrainResult) {
        if result.outcome != Outcome::Idle {
            return;
        }
        let now = self.now;
        let window = self.policy.idle.rule.window;
        // The target may have exited after the readings if it is not watched.
        let Some(process) = self.process.as_mut() else { return };
        process.traffic.advance(now);
        // Changes after the last reading are not known to the machine.
        let unread = self.last_poll + Duration::from_millis(200);
        let active = process.traffic.last_active().filter(|active| *active + window > now + unread);
        let idle = active.is_none() && process.batch == 0;
        assert!(self.load_changed_at + unread >= now || idle, "active streams were cut: {process:?}");
    }
}
