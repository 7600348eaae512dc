//! The real world behind the machine's actions: it wires the edges to the queue.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::io::liveness::is_alive;
use crate::io::log::Nullable;
use crate::io::process::TargetFinder;
use crate::io::report::OutcomeReport;
use crate::io::state::StateFile;
use crate::io::termination::TerminationLog;
use crate::io::watch::Watch;
use crate::queue::Event;
use crate::supervisor::source_poller::{PollRequest, SourcePoller};
use lameduck_machine::io::{Action, Input};
use lameduck_machine::result::{DrainResult, ExitStatus, Outcome};
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;

type Search = (Time, Option<Incarnation>);

/// How many searches may be ordered while one is under way.
const SEARCHES: usize = 16;

/// The edges.
pub struct Effects {
    /// Where everything that happens is told.
    queue: mpsc::Sender<Event>,
    searches: SyncSender<Search>,
    readers: SourcePoller,
    signal: Option<Signal>,
    watch: Option<Watch>,
    /// A target that could not be watched: it is tried again with every search.
    unwatched: Option<Incarnation>,
    state: Option<StateFile>,
    termination: TerminationLog,
}

impl Effects {
    /// Wires the edges to the queue.
    ///
    /// # Errors
    /// Fails if no thread can be started.
    pub fn new(
        queue: mpsc::Sender<Event>,
        seeker: TargetFinder,
        readers: SourcePoller,
        state: Option<StateFile>,
        termination: TerminationLog,
    ) -> io::Result<Self> {
        let signal = seeker.signal;
        let searches = start_seeker(seeker, queue.clone())?;
        Ok(Self { queue, searches, readers, signal, watch: None, unwatched: None, state, termination })
    }

    /// Does what an action wants done, and tells what came of it where that is known at once.
    pub fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Seek { requested_at, tracked } => {
                // With so many waiting, nothing is found for now, and this one is ordered again at the next poll.
                let _ = self.searches.try_send((requested_at, tracked));
                return self.unwatched.take().and_then(|incarnation| self.start_watch(incarnation));
            }
            Action::Read { requested_at, bound, tracked } => {
                self.readers.ask(PollRequest { requested_at, bound, tracked })
            }
            Action::Watch(incarnation) => return self.start_watch(incarnation),
            Action::Write(note) => self.note(|state| state.write(&note)),
            Action::Erase => self.note(StateFile::erase),
            Action::Signal(incarnation) => return Some(self.send_signal(incarnation)),
            Action::Kill(incarnation) => return Some(self.kill(incarnation)),
            Action::Conclude(result) => self.conclude(&result),
            Action::Lived(_) | Action::Release(_) | Action::Dismiss(..) | Action::Leave => {}
        }
        None
    }

    fn start_watch(&mut self, incarnation: Incarnation) -> Option<Input> {
        let queue = self.queue.clone();
        let tell = move |incarnation, ending| {
            let _ = queue.blocking_send(Event::Input(Input::Exited(incarnation, ending)));
        };
        match Watch::start(incarnation, tell) {
            Ok(watch) => self.watch = Some(watch),
            Err(_) if !is_alive(incarnation).unwrap_or(true) => {
                return Some(Input::Exited(incarnation, ExitStatus::Unknown));
            }
            Err(error) => {
                warn!(pid = incarnation.pid, %error, "cannot watch the target; trying again with every poll");
                self.unwatched = Some(incarnation);
            }
        }
        None
    }

    fn send_signal(&self, incarnation: Incarnation) -> Input {
        let sent = self.signal.ok_or(Errno::ESRCH).and_then(|signal| self.send(incarnation, signal).map(|()| signal));
        match sent {
            Ok(signal) => info!(pid = incarnation.pid, signal = signal.as_str(), "signal sent"),
            Err(error) => warn!(pid = incarnation.pid, %error, "signal not sent"),
        }
        Input::Signalled(incarnation, sent.is_ok())
    }

    fn kill(&self, incarnation: Incarnation) -> Input {
        let sent = self.send(incarnation, Signal::SIGKILL);
        match sent {
            Ok(()) => debug!(pid = incarnation.pid, "killed the target: it stayed for idle streams only"),
            Err(error) => {
                warn!(pid = incarnation.pid, %error, "cannot kill the target, which stays for idle streams only");
            }
        }
        Input::Killed(incarnation, sent.is_ok())
    }

    fn send(&self, incarnation: Incarnation, signal: Signal) -> Result<(), Errno> {
        let watch = self.watch.as_ref().filter(|watch| watch.incarnation() == incarnation);
        watch.ok_or(Errno::ESRCH)?.signal(signal)
    }

    fn note(&self, write: impl FnOnce(&StateFile) -> io::Result<()>) {
        let Some(state) = &self.state else { return };
        if let Err(error) = write(state) {
            let path = state.path().display();
            warn!(%path, %error, "cannot note the drain; a process that is to go on with it will not know of it");
        }
    }

    fn conclude(&self, result: &DrainResult) {
        let report = OutcomeReport::new(result, self.signal.map(Signal::as_str));
        if let Err(error) = self.termination.write(&report.to_json()) {
            warn!(path = %self.termination.path.display(), %error, "cannot leave the outcome for the kubelet");
        }
        if result.outcome == Outcome::Idle {
            info!("a target that stays for its idle streams will be killed an exit margin from now");
        }
        info!(
            outcome = report.outcome,
            streams_at_start = ?Nullable(report.streams_at_start),
            stragglers = ?Nullable(report.stragglers),
            idle_streams = report.idle_streams,
            seconds = report.seconds,
            signal = ?Nullable(report.signal),
            "drain over"
        );
    }
}

/// Searches run on a thread of their own: reading `/proc/pid/cmdline` waits for that process's memory lock, and the
/// loop must not.
fn start_seeker(seeker: TargetFinder, queue: mpsc::Sender<Event>) -> io::Result<SyncSender<Search>> {
    let (searches, orders): (_, Receiver<Search>) = sync_channel(SEARCHES);
    thread::Builder::new().name("seek".into()).spawn(move || {
        while let Ok(order) = orders.recv() {
            // The newest speaks for those before it, and a drain's signal may wait for just that one.
            let (requested_at, tracked) = orders.try_iter().last().unwrap_or(order);
            let sighting = seeker.find(tracked);
            if queue.blocking_send(Event::Input(Input::Sighted { requested_at, sighting })).is_err() {
                return;
            }
        }
    })?;
    Ok(searches)
}
