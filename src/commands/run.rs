//! `lameduck run`: starts a command, drains it before it is stopped, and ends with its exit code.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::commands::sidecar::{bind, connection_slots, exit, open_token_file};
use crate::commands::startup::{self, startup_error};
use crate::commands::{CommandError, Exit, block_on};
use crate::io::child::Child;
use crate::io::clock::Clock;
use crate::io::hook::{self, ServerState};
use crate::io::log::Nullable;
use crate::io::process::SearchScope;
use crate::io::sd_notify::ServiceManager;
use crate::queue::Event;
use crate::settings::Settings;
use crate::settings::run::{ExitCodeSource, RunArgs};
use crate::supervisor::Supervisor;
use lameduck_machine::drain_times::DrainTimes;
use lameduck_machine::policy::{Policy, SigtermPolicy};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::snapshot::{Phase, Snapshot};

use self::end::{end_group, end_like};
use self::signals::SignalPlan;

mod child;
mod end;
mod notices;
mod signals;

/// How long to wait for responses that are being sent.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// What `lameduck run` ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunEnd {
    /// The same as the command.
    Command(ExitStatus),
    /// The outcome of the drain.
    Outcome(Exit),
}

/// Runs the command to its end.
///
/// # Errors
/// Fails if a setting cannot work, or if no process can be started.
pub fn run(args: &RunArgs) -> Result<Exit, CommandError> {
    let settings = Settings::new_run(&args.settings)?;
    let log = startup::open_log(&args.settings.log)?;
    let end = block_on(supervise(args, settings))?;
    drop(log);
    Ok(match end {
        RunEnd::Command(status) => end_like(status),
        RunEnd::Outcome(exit) => exit,
    })
}

async fn supervise(args: &RunArgs, settings: Settings) -> Result<RunEnd, CommandError> {
    // A signal that arrives while the command starts must not be lost.
    let signals = SignalPlan::new(&args.drain_signals(), settings.signal);
    let arrivals = signals.install().map_err(|error| startup_error(&error))?;
    let (queue, events) = mpsc::channel(startup::QUEUE);
    let signal_queue = queue.clone();
    let token = open_token_file(&settings)?;
    let listen = args.settings.listen.0.map(|listen| listen.0);
    let listener = listen.map(bind).transpose()?;
    let clock = Clock::start();
    let is_target = settings.matcher.is_none();
    let child = child::start(&args.command, is_target, &queue)?;
    log_start(args, &settings, &child);
    let scope = if is_target { SearchScope::Child(child.pid()) } else { SearchScope::Descendants };
    let finder = startup::target_finder(&settings, scope);
    let mut effects = startup::effects(&settings, clock, queue.clone(), finder, None)?;
    inform_service_manager(clock, &queue);
    // The command inherits the limit of file descriptors, so it is raised only now.
    let slots = connection_slots();
    let server =
        listener.map(|listener| tokio::spawn(hook::serve(listener, ServerState { queue, token }, slots.clone())));
    let policy = startup::policy(&settings, child::observation_start(&clock));
    let policy = Policy { on_sigterm: SigtermPolicy::StopChild, ..policy };
    let signalled = Arc::clone(&child);
    let supervisor = Supervisor::new(clock, policy, None, move |action| {
        child::signal(&signalled, action).or_else(|| effects.perform(action))
    });
    tokio::spawn(signals.handle(arrivals, signal_queue, Arc::clone(&child)));
    let last = startup::run_as_task(supervisor.with_names(startup::wanted(&settings)), events).await?;
    if let Some(server) = server {
        server.abort();
        slots.wait_until_free(FLUSH_TIMEOUT).await;
    }
    let status = end_what_is_left(&child, &clock, &settings.times, &last).await;
    // Without a drain, there is no outcome.
    let has_outcome = args.exit_code == ExitCodeSource::Outcome && last.phase != Phase::Serving;
    Ok(if has_outcome { RunEnd::Outcome(exit(&last)) } else { RunEnd::Command(status) })
}

/// Ends what the command has left, within the exit margin and before the supervisor of this process would kill it.
async fn end_what_is_left(child: &Child, clock: &Clock, times: &DrainTimes, last: &Snapshot) -> ExitStatus {
    let until = clock.now() + times.exit_margin;
    let kill_at = last.drain.and_then(|drain| drain.stop_until).map(|end| end - times.kill_lead());
    end_group(child, clock, kill_at.map_or(until, |at| at.min(until)), kill_at.is_some()).await
}

/// Informs the service manager that has started this process, if there is one.
fn inform_service_manager(clock: Clock, queue: &mpsc::Sender<Event>) {
    match ServiceManager::from_environment() {
        Ok(Some(manager)) => drop(tokio::spawn(notices::inform(manager, clock, queue.clone()))),
        Ok(None) => {}
        Err(error) => warn!(%error, "cannot send messages to the service manager (NOTIFY_SOCKET)"),
    }
}

fn log_start(args: &RunArgs, settings: &Settings, child: &Child) {
    let drain_on: Vec<&str> = args.drain_signals().iter().map(|signal| signal.as_str()).collect();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = child.pid(),
        listen = ?Nullable(args.settings.listen.0),
        grace_period_seconds = settings.times.grace_period.as_secs_f64(),
        budget_seconds = settings.times.budget().as_secs_f64(),
        drain_on = ?drain_on,
        target = ?Nullable(settings.matcher.as_ref()),
        signal = ?Nullable(settings.signal_name()),
        metrics_url = ?Nullable(settings.sources.page.as_ref().map(|(url, _)| url)),
        streams_ports = ?settings.sources.streams_ports.ports,
        activity_ports = ?settings.sources.idle.ports,
        "command started"
    );
    startup::warn_of_unknown_variables();
}
