//! What the commands that drain have in common: they build the machine and its effects from the settings.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;

use tokio::sync::mpsc;
use tracing::warn;

use crate::commands::{CommandError, Exit};
use crate::io::clock::Clock;
use crate::io::log::{Log, Nullable};
use crate::io::process::signalling::SignalRules;
use crate::io::process::{SearchScope, TargetFinder};
use crate::io::state::StateFile;
use crate::io::termination::TerminationLog;
use crate::queue::Event;
use crate::reasons::Wanted;
use crate::settings::Settings;
use crate::settings::args::LogArgs;
use crate::settings::environment::{intended_variable, unknown_variables};
use crate::settings::values::WaitFor;
use crate::supervisor::effects::Effects;
use crate::supervisor::source_poller::SourcePoller;
use crate::supervisor::{ActionResult, Supervisor};
use lameduck_machine::io::Action;
use lameduck_machine::policy::Policy;
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::snapshot::Snapshot;
use lameduck_machine::target::ObservationStart;
use lameduck_machine::time::Time;
use lameduck_parsers::selector::Selector;

/// How many events the queue holds before their senders have to wait.
pub(super) const QUEUE: usize = 256;

/// The consequence of drain state that cannot be saved.
pub(super) const NO_STATE_WARNING: &str =
    "a restarted process would not resume a drain, and would send the signal again";

/// Opens the log. Lines are written until the returned value is dropped.
pub(super) fn open_log(log: &LogArgs) -> Result<Log, CommandError> {
    let (format, level) = log.resolve();
    Log::open(format, level).map_err(|error| startup_error(&error))
}

/// Logs each `LAMEDUCK_` variable that is not a setting.
pub(super) fn warn_of_unknown_variables() {
    for variable in unknown_variables() {
        let intended = Nullable(intended_variable(&variable));
        warn!(variable, ?intended, "ignoring this variable: this version has no such setting");
    }
}

/// Converts the settings to the policy of the machine.
pub(super) fn policy(settings: &Settings, observed_since: ObservationStart) -> Policy {
    Policy {
        times: settings.times.clone(),
        sources: settings.sources.list(),
        streams_ports: settings.sources.streams_ports.clone(),
        signal: settings.signal.map(|signal| (signal.as_str().to_owned(), signal.number())),
        wait_for_exit: settings.wait_for == WaitFor::Exit,
        idle: settings.sources.idle.clone(),
        accept_below: settings.sources.accept_below,
        on_sigterm: settings.on_sigterm,
        observed_since,
        id_seed: random_number(),
    }
}

/// Finds the target of these settings.
pub(super) fn target_finder(settings: &Settings, scope: SearchScope) -> TargetFinder {
    TargetFinder {
        matcher: settings.matcher.clone(),
        rules: SignalRules { signal: settings.signal, assume_caught: settings.assume_signal_caught },
        scope,
    }
}

/// Collects the names from the settings that messages use.
pub(super) fn wanted(settings: &Settings) -> Wanted {
    let text = |selectors: &[Selector]| selectors.iter().map(ToString::to_string).collect();
    let sources = &settings.sources;
    let page = sources.page.as_ref();
    Wanted {
        target: settings.matcher.clone(),
        metrics_url: page.map(|(url, _)| url.to_string()).unwrap_or_default(),
        streams: page.map(|(_, selectors)| text(&selectors.eager)).unwrap_or_default(),
        lazy_streams: page.map(|(_, selectors)| text(&selectors.lazy)).unwrap_or_default(),
        streams_ports: sources.streams_ports.ports.clone(),
        status_url: sources.status.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// A random number. The keys of a hash map are random (`std::collections::hash_map::RandomState`), and no other random
/// numbers are needed.
fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Builds what performs the actions of the machine.
pub(super) fn effects(
    settings: &Settings,
    clock: Clock,
    queue: mpsc::Sender<Event>,
    finder: TargetFinder,
    state: Option<StateFile>,
) -> Result<Effects, CommandError> {
    let (path, create) = settings.termination_log.clone();
    let poller = SourcePoller::new(&settings.sources, finder.rules, clock, queue.clone());
    Effects::new(queue, finder, poller, state, TerminationLog { path, create }).map_err(|error| startup_error(&error))
}

/// Runs the event loop to its end, and returns the last state of the machine. It runs as a task, because each wake-up of
/// the runtime's main future costs two more system calls.
pub(super) async fn run_as_task<P>(
    supervisor: Supervisor<P>,
    events: mpsc::Receiver<Event>,
) -> Result<Snapshot, CommandError>
where
    P: FnMut(Action) -> Option<ActionResult> + Send + Sync + 'static,
{
    let failed = |error| CommandError::new(Exit::Internal, format!("the event loop has failed: {error}"));
    tokio::spawn(supervisor.run(events)).await.map_err(failed)
}

/// Loads the drain that an earlier process saved; `None` if there is none or it cannot be used.
pub(super) fn load_saved_drain(state: &StateFile, now: Time) -> Option<SavedDrain> {
    state.load(now).unwrap_or_else(|error| {
        let path = state.path().display();
        warn!(%path, %error, "cannot use the saved state of an earlier drain: that drain is not resumed, and the file is set aside");
        if let Err(error) = state.quarantine() {
            warn!(
                %path, %error,
                "the unusable state file cannot be moved away; remove it, or set another --state-dir: {NO_STATE_WARNING}"
            );
        }
        None
    })
}

/// The error of a command that could not start.
pub(super) fn startup_error(error: &io::Error) -> CommandError {
    CommandError::new(Exit::Internal, format!("cannot start: {error}"))
}
