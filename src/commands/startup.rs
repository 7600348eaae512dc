//! What the commands that drain have in common: from settings to the machine and its world.

use std::io;

use tokio::sync::mpsc;
use tracing::warn;

use crate::commands::{CommandError, Exit};
use crate::io::log::Log;
use crate::io::process::{TargetFinder, own_start_ticks};
use crate::io::state::StateFile;
use crate::io::termination::TerminationLog;
use crate::queue::Event;
use crate::settings::Settings;
use crate::settings::args::{LogArgs, SidecarArgs, WaitFor, unknown_variables};
use crate::supervisor::effects::Effects;
use crate::supervisor::source_poller::SourcePoller;
use lameduck_machine::policy::Policy;
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::time::Time;

/// How many events may wait for the loop before their senders do.
pub(super) const QUEUE: usize = 256;

/// What it means that a drain cannot be noted.
pub(super) const UNNOTED: &str = "a process that is to go on with a drain will not know of it, and would signal again";

/// What was typed, as it is meant.
pub(super) fn settings(args: &SidecarArgs) -> Result<Settings, CommandError> {
    Settings::new(args).map_err(|message| CommandError::new(Exit::Usage, message))
}

/// Opens the log, which is written for as long as it is kept.
pub(super) fn open_log(log: &LogArgs) -> Result<Log, CommandError> {
    let (format, level) = log.resolve();
    Log::open(format, level).map_err(|error| fault(&error))
}

/// Says which variables of the environment are no settings.
pub(super) fn tell_unknown_variables() {
    for variable in unknown_variables() {
        warn!(variable, "this version has no such setting, and ignores it");
    }
}

/// What the machine keeps to, by the settings.
pub(super) fn policy(settings: &Settings) -> Policy {
    Policy {
        plan: settings.plan.clone(),
        sources: settings.sources.list(),
        signal: settings.signal.map(|signal| (signal.as_str().to_owned(), signal as i32)),
        wait_for_exit: settings.wait_for == WaitFor::Exit,
        idleness: settings.sources.idleness.clone(),
        accept_below: settings.sources.accept_below,
        on_sigterm: settings.on_sigterm,
        own_start_ticks: own_start_ticks(),
    }
}

/// The world behind the machine's actions.
pub(super) fn world(
    settings: &Settings,
    queue: mpsc::Sender<Event>,
    seeker: TargetFinder,
    state: Option<StateFile>,
) -> Result<Effects, CommandError> {
    let (path, create) = settings.termination_log.clone();
    let readers = SourcePoller::new(&settings.sources, queue.clone());
    Effects::new(queue, seeker, readers, state, TerminationLog { path, create }).map_err(|error| fault(&error))
}

/// The drain that an earlier process left, if there is one that can be used.
pub(super) fn resume(state: &StateFile, now: Time) -> Option<SavedDrain> {
    state.load(now).unwrap_or_else(|error| {
        let path = state.path().display();
        warn!(%path, %error, "the note of an earlier drain is set aside");
        if let Err(error) = state.quarantine() {
            warn!(%path, %error, "what is there cannot be moved away: remove it, or name another --state-dir; {UNNOTED}");
        }
        None
    })
}

/// The failure of a command that could not start.
pub(super) fn fault(error: &io::Error) -> CommandError {
    CommandError::new(Exit::Internal, format!("cannot start: {error}"))
}
