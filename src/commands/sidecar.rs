//! `lameduck sidecar`: the supervisor next to the target.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::commands::startup::{self, NO_STATE_WARNING, startup_error};
use crate::commands::{CommandError, Exit, block_on};
use crate::io::clock::Clock;
use crate::io::descriptors::{FdBudget, raise_fd_limit};
use crate::io::hook::connection_slots::ConnectionSlots;
use crate::io::hook::token::{TokenFile, is_loopback};
use crate::io::hook::{self, ServerState};
use crate::io::log::Nullable;
use crate::io::process::{SearchScope, own_age, own_start_ticks};
use crate::io::signals::{Arrival, Arrivals, SIGTERM};
use crate::io::state::StateFile;
use crate::io::target_signal::TargetSignal;
use crate::queue::{Event, Stop};
use crate::settings::Settings;
use crate::settings::args::SidecarArgs;
use crate::settings::error::SettingError;
use crate::supervisor::Supervisor;
use lameduck_machine::result::{DrainResult, Outcome};
use lameduck_machine::snapshot::Snapshot;
use lameduck_machine::target::ObservationStart;

/// How long the sidecar waits before it exits for responses that are being sent.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs the sidecar until it exits.
///
/// # Errors
/// Fails at start if a setting cannot work.
pub fn run(args: &SidecarArgs) -> Result<Exit, CommandError> {
    let settings = Settings::new(args)?;
    let listen = args.required_listen()?;
    let _log = startup::open_log(&args.log)?;
    block_on(supervise(&settings, listen))
}

async fn supervise(settings: &Settings, listen: SocketAddr) -> Result<Exit, CommandError> {
    let token = open_token_file(settings)?;
    let listener = bind(listen)?;
    log_start(settings, listener.local_addr().unwrap_or(listen));
    let clock = Clock::start();
    let (queue, events) = mpsc::channel(startup::QUEUE);
    let sigterm = Arrivals::install(&[SIGTERM], &[]).map_err(|error| startup_error(&error))?;
    tokio::spawn(queue_stops(sigterm, queue.clone()));
    let state = state_file(settings, &listener);
    let saved = state.as_ref().and_then(|state| startup::load_saved_drain(state, clock.now()));
    let finder = startup::target_finder(settings, SearchScope::All);
    let mut effects = startup::effects(settings, clock, queue.clone(), finder, state)?;
    let slots = connection_slots();
    let server = tokio::spawn(hook::serve(listener, ServerState { queue, token }, slots.clone()));
    let policy = startup::policy(settings, observation_start(&clock));
    let supervisor = Supervisor::new(clock, policy, saved, move |action| effects.perform(action));
    let last = startup::run_as_task(supervisor.with_names(startup::wanted(settings)), events).await?;
    server.abort();
    slots.wait_until_free(FLUSH_TIMEOUT).await;
    Ok(exit(&last))
}

/// Queues every SIGTERM.
async fn queue_stops(mut sigterm: Arrivals, queue: mpsc::Sender<Event>) {
    while let Ok(arrivals) = sigterm.receive().await {
        for Arrival { sender, .. } in arrivals {
            let stop = Stop { signal: TargetSignal::TERM.as_str(), sender, from_terminal: false };
            // Sending fails if the event loop has ended.
            let _ = queue.send(Event::Stop(stop)).await;
        }
    }
}

/// The pod is observed since this process started.
fn observation_start(clock: &Clock) -> ObservationStart {
    let (now, age) = clock.now_with(own_age);
    ObservationStart { at: now - age, ticks: own_start_ticks() }
}

/// Returns the exit code for the sidecar's last record.
pub(super) fn exit(last: &Snapshot) -> Exit {
    match last.record {
        None => Exit::Success,
        Some(DrainResult { outcome: Outcome::Interrupted, .. }) => Exit::Unknown,
        Some(result) => Exit::after(result.stragglers),
    }
}

fn log_start(settings: &Settings, listen: SocketAddr) {
    info!(
        version = env!("CARGO_PKG_VERSION"),
        %listen,
        grace_period_seconds = settings.times.grace_period.as_secs_f64(),
        budget_seconds = settings.times.budget().as_secs_f64(),
        target = ?Nullable(settings.matcher.as_ref()),
        signal = ?Nullable(settings.signal_name()),
        metrics_url = ?Nullable(settings.sources.page.as_ref().map(|(url, _)| url)),
        streams_ports = ?settings.sources.streams_ports.ports,
        activity_ports = ?settings.sources.idle.ports,
        "started"
    );
    if settings.token_file.is_some() && !(listen.ip().is_unspecified() || is_loopback(listen.ip())) {
        warn!(
            %listen,
            "with --token-file, only callers on loopback need no token, and this address is not reachable on loopback: \
             `lameduck drain` in this pod counts as unauthorized; listen on [::] or 127.0.0.1"
        );
    }
    startup::warn_of_unknown_variables();
}

/// Reserves as many connections as file descriptors allow.
pub(super) fn connection_slots() -> ConnectionSlots {
    let FdBudget { connections, low_limit } = raise_fd_limit();
    if let Some(limit) = low_limit {
        warn!(
            limit,
            connections, "the limit of file descriptors (`ulimit -n`) is low and limits the number of connections"
        );
    }
    ConnectionSlots::new(connections)
}

/// Opens the token file, if one is set.
///
/// # Errors
/// Fails if the file cannot be read or does not contain a token.
pub(super) fn open_token_file(settings: &Settings) -> Result<Option<TokenFile>, SettingError> {
    let Some(path) = &settings.token_file else { return Ok(None) };
    TokenFile::open(path).map(Some).map_err(|error| {
        let fix = "mount the Secret there, with one key that contains the token alone";
        SettingError::new("--token-file", path.display(), error.to_string(), fix)
    })
}

/// Binds the listener.
///
/// # Errors
/// Fails if the address is in use, is not an address of this pod, or needs a permission.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, SettingError> {
    hook::bind(address).map_err(|error| {
        let refused = |fix| SettingError::new("--listen", address, error.to_string(), fix);
        if error.kind() == io::ErrorKind::PermissionDenied {
            refused("choose port 1024 or higher").not_permitted()
        } else if error.kind() == io::ErrorKind::AddrInUse {
            refused("another process listens there: choose another port")
        } else {
            refused("choose an address of this pod, e.g. [::]:8089")
        }
    })
}

fn state_file(settings: &Settings, listener: &TcpListener) -> Option<StateFile> {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let Some(dir) = settings.state_dir.as_deref() else {
        warn!("no state directory: a sidecar that restarts during a drain will not resume it");
        return None;
    };
    let state = StateFile::for_port(dir, port, &settings.identity());
    if let Err(error) = state.probe() {
        warn!(path = %dir.display(), %error, "cannot save drain state in the state directory: {NO_STATE_WARNING}");
    }
    Some(state)
}
