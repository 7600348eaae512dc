//! Performs the machine's actions, and queues their results.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use lameduck_machine::io::{Action, Input, RecordReason};
use lameduck_machine::result::{DrainResult, Outcome};
use lameduck_machine::target::{Found, Incarnation, SearchResult, SignalBlocker};
use lameduck_machine::time::Time;
use nix::errno::Errno;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use crate::io::log::Nullable;
use crate::io::process::signalling::{Uncaught, status_of};
use crate::io::process::{Earlier, TargetFinder, common_parent};
use crate::io::report::OutcomeReport;
use crate::io::state::StateFile;
use crate::io::target_signal::TargetSignal;
use crate::io::termination::TerminationLog;
use crate::io::watch::Watch;
use crate::queue::Event;
use crate::reasons::Instead;
use crate::reasons::refusal::Refusal;
use crate::supervisor::ActionResult;
use crate::supervisor::record_log;
use crate::supervisor::source_poller::SourcePoller;

type Search = (Time, Option<Incarnation>);

/// The maximum number of searches that wait for a running one.
const MAX_PENDING_SEARCHES: usize = 16;

/// The I/O behind the actions.
pub struct Effects {
    queue: mpsc::Sender<Event>,
    searches: SyncSender<Search>,
    poller: SourcePoller,
    signal: Option<TargetSignal>,
    watch: Option<Watch>,
    /// The last refusal of the signal. It is logged once, although the machine tries again at each poll.
    refused: Option<(Incarnation, Errno)>,
    state: Option<StateFile>,
    termination: TerminationLog,
}

impl Effects {
    /// Connects the I/O modules to the queue.
    ///
    /// # Errors
    /// Fails if no thread can be started.
    pub fn new(
        queue: mpsc::Sender<Event>,
        finder: TargetFinder,
        poller: SourcePoller,
        state: Option<StateFile>,
        termination: TerminationLog,
    ) -> io::Result<Self> {
        let signal = finder.rules.signal;
        let searches = start_finder(finder, queue.clone())?;
        Ok(Self { queue, searches, poller, signal, watch: None, refused: None, state, termination })
    }

    /// Performs an action, and returns its result if it is known immediately.
    pub fn perform(&mut self, action: Action) -> Option<ActionResult> {
        match action {
            Action::FindTarget { requested_at, target } => {
                // With so many searches pending, nothing is found for now; the next poll requests another.
                let _ = self.searches.try_send((requested_at, target));
            }
            Action::PollSources(request) => self.poller.poll(request),
            Action::WatchTarget(incarnation) => self.start_watch(incarnation),
            Action::SaveState(saved) => self.save(|state| state.write(&saved)),
            Action::ClearState => self.save(StateFile::erase),
            Action::SendSignal(incarnation) => return Some(self.send_signal(incarnation)),
            Action::KillTarget(incarnation) => return Some(self.kill(incarnation)),
            Action::ReportOutcome(result) => self.report_outcome(&result),
            Action::WriteRecord(result, reason) => self.write_record(&result, reason),
            Action::ClearRecord(id) => {
                self.warn_if_unwritten(self.termination.clear());
                info!(%id, "drain cancelled: its record is removed");
            }
            // The event loop performs these itself.
            Action::StreamEnded(_)
            | Action::CountStragglers(_)
            | Action::TargetEnded(_)
            | Action::Reply(..)
            | Action::Exit
            // Only `lameduck run` has a child, and signals it itself.
            | Action::SignalChild(_) => {}
        }
        None
    }

    fn start_watch(&mut self, incarnation: Incarnation) {
        let queue = self.queue.clone();
        let (watch, exit) = Watch::start(incarnation);
        self.watch = Some(watch);
        tokio::spawn(async move {
            // Sending fails if the event loop has ended.
            let _ = queue.send(Event::Input(Input::Exited(incarnation, exit.await))).await;
        });
    }

    fn send_signal(&mut self, incarnation: Incarnation) -> ActionResult {
        let Incarnation { pid, .. } = incarnation;
        let sent = self.signal.ok_or(Errno::ESRCH).and_then(|signal| self.send(incarnation, signal).map(|()| signal));
        match sent {
            Ok(signal) => info!(pid, signal = signal.as_str(), "signal sent"),
            Err(errno) if self.refused.replace((incarnation, errno)) == Some((incarnation, errno)) => {
                debug!(pid, %errno, "cannot send the signal");
            }
            Err(Errno::ESRCH) => warn!(pid, "cannot send the signal: the target has ended, or is not watched yet"),
            Err(errno) => log_refusal(pid, errno, self.signal),
        }
        ActionResult::Signalled(incarnation, sent.is_ok())
    }

    fn kill(&self, incarnation: Incarnation) -> ActionResult {
        let sent = self.send(incarnation, TargetSignal::KILL);
        match sent {
            Ok(()) => debug!(pid = incarnation.pid, "killed the target, which only idle streams kept alive"),
            Err(error) => {
                warn!(pid = incarnation.pid, %error, "cannot kill the target, which only idle streams keep alive");
            }
        }
        ActionResult::OtherSignal(TargetSignal::KILL.as_str(), sent.is_ok())
    }

    fn send(&self, incarnation: Incarnation, signal: TargetSignal) -> Result<(), Errno> {
        let watch = self.watch.as_ref().filter(|watch| watch.incarnation() == incarnation);
        watch.ok_or(Errno::ESRCH)?.signal(signal)
    }

    fn save(&self, write: impl FnOnce(&StateFile) -> io::Result<()>) {
        let Some(state) = &self.state else { return };
        if let Err(error) = write(state) {
            let path = state.path().display();
            warn!(%path, %error, "cannot save drain state; a restarted sidecar will not resume this drain");
        }
    }

    fn report_outcome(&self, result: &DrainResult) {
        let report = OutcomeReport::new(result, self.signal.map(TargetSignal::as_str));
        self.warn_if_unwritten(self.termination.write(&report.to_json()));
        if result.outcome == Outcome::Idle {
            info!("if idle streams keep the target alive, it will be killed one exit margin from now");
        }
        record_log::log_outcome(result, &report);
    }

    fn write_record(&self, result: &DrainResult, reason: RecordReason) {
        let report = OutcomeReport::new(result, self.signal.map(TargetSignal::as_str));
        let written = self.termination.write(&report.to_json());
        // Log it once: writing the outcome later fails in the same way.
        if reason == RecordReason::Started {
            self.warn_if_unwritten(written);
        }
        record_log::log_provisional(&report, reason);
    }

    fn warn_if_unwritten<T>(&self, written: io::Result<T>) {
        if let Err(error) = written {
            warn!(path = %self.termination.path.display(), %error, "cannot write the termination message");
        }
    }
}

/// The kernel allowed signal 0, or it was not tried in between, but it refuses the signal itself.
fn log_refusal(pid: u32, errno: Errno, signal: Option<TargetSignal>) {
    let ours = rustix::process::geteuid().as_raw();
    let theirs = status_of(pid).map_or(ours, |status| status.uid);
    let Refusal { error, cause, fix } = Refusal::new(errno as i32, theirs, ours);
    error!(
        pid,
        signal = ?Nullable(signal.map(TargetSignal::as_str)),
        error,
        cause,
        fix,
        "the kernel refuses the signal: this drain relies on the stream count alone; retrying at every poll"
    );
}

/// Searches run on a separate thread: reading `/proc/pid/cmdline` waits for a lock on that process's memory, and the
/// event loop must not block.
fn start_finder(finder: TargetFinder, queue: mpsc::Sender<Event>) -> io::Result<SyncSender<Search>> {
    let (searches, requests): (_, Receiver<Search>) = sync_channel(MAX_PENDING_SEARCHES);
    thread::Builder::new().name("find-target".into()).spawn(move || {
        let mut earlier = Earlier::default();
        while let Ok(request) = requests.recv() {
            // The newest request supersedes the earlier ones. The signal of a drain may depend on exactly that one.
            let (requested_at, target) = requests.try_iter().last().unwrap_or(request);
            let result = finder.find(target, &mut earlier);
            if let Some(instead) = instead(&finder, &result) {
                let _ = queue.blocking_send(Event::Instead(instead));
            }
            if queue.blocking_send(Event::Input(Input::SearchResult { requested_at, result })).is_err() {
                return;
            }
        }
    })?;
    Ok(searches)
}

/// What was found instead, if the search did not find a target that can be signalled.
fn instead(finder: &TargetFinder, result: &SearchResult) -> Option<Instead> {
    match result {
        SearchResult::NotFound => finder.matcher.is_some().then(|| Instead::Processes(finder.visible())),
        SearchResult::Found(Found { incarnation, blocker: Some(SignalBlocker::NotCaught), .. }) => {
            Some(Instead::Uncaught(Uncaught::new(incarnation.pid, &status_of(incarnation.pid)?.signals?)))
        }
        SearchResult::Ambiguous(pids) => Some(Instead::Parent(common_parent(pids))),
        SearchResult::Found(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use lameduck_machine::activity::{IdleRule, WorkDirection};
    use lameduck_machine::policy::{IdlePolicy, StreamsPorts};

    use super::*;
    use crate::io::clock::Clock;
    use crate::io::liveness::stat_of;
    use crate::io::process::SearchScope;
    use crate::io::process::signalling::SignalRules;
    use crate::settings::sources::Sources;

    fn effects() -> Effects {
        let (queue, _) = mpsc::channel(16);
        let finder = TargetFinder {
            matcher: None,
            rules: SignalRules { signal: Some(TargetSignal::INT), assume_caught: false },
            scope: SearchScope::All,
        };
        let rule = IdleRule { window: Duration::from_secs(60), rate: 256, direction: WorkDirection::Received };
        let idle = IdlePolicy { ports: Vec::new(), rule, ends_drain: false };
        let sources =
            Sources { page: None, status: None, streams_ports: StreamsPorts::default(), idle, accept_below: None };
        let poller = SourcePoller::new(&sources, finder.rules, Clock::start(), queue.clone());
        let termination = TerminationLog { path: "/nonexistent".into(), create: false };
        Effects::new(queue, finder, poller, None, termination).unwrap()
    }

    /// Sends the signal, and says whether it is reported as sent.
    fn sends_signal(effects: &mut Effects, target: Incarnation) -> bool {
        match effects.perform(Action::SendSignal(target)) {
            Some(ActionResult::Signalled(signalled, sent)) if signalled == target => sent,
            result => panic!("{result:?}"),
        }
    }

    #[tokio::test]
    async fn signal_is_reported_as_sent_only_if_it_was() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let target = Incarnation { pid: child.id(), started: stat_of(child.id()).unwrap().started };
        let mut effects = effects();
        assert!(!sends_signal(&mut effects, target), "the target is not watched");
        assert!(effects.perform(Action::WatchTarget(target)).is_none());
        assert!(sends_signal(&mut effects, target));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!sends_signal(&mut effects, target), "the target has ended");
    }
}
