//! `lameduck sidecar`: the supervisor beside the target.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::commands::startup::{self, UNNOTED, fault};
use crate::commands::{CommandError, Exit, block_on};
use crate::io::clock::Clock;
use crate::io::descriptors::{FdBudget, raise_fd_limit};
use crate::io::hook::connection_slots::ConnectionSlots;
use crate::io::hook::token::{TokenFile, is_loopback};
use crate::io::hook::{self, ServerState};
use crate::io::log::Nullable;
use crate::io::process::TargetFinder;
use crate::io::signals;
use crate::io::state::StateFile;
use crate::queue::Event;
use crate::settings::Settings;
use crate::settings::args::SidecarArgs;
use crate::supervisor::Supervisor;
use lameduck_machine::controller::Controller;
use lameduck_machine::snapshot::{Phase, Snapshot};

/// How long answers that are on their way may take to get out before the sidecar leaves.
const FAREWELL: Duration = Duration::from_millis(500);

/// Runs the sidecar until it leaves.
///
/// # Errors
/// Fails at start, where something cannot work; the message names the cause and the mend.
pub fn run(args: &SidecarArgs) -> Result<Exit, CommandError> {
    let settings = startup::settings(args)?;
    let _log = startup::open_log(&args.log)?;
    block_on(supervise(&settings))
}

async fn supervise(settings: &Settings) -> Result<Exit, CommandError> {
    let token = token(settings)?;
    let listener = bind(settings)?;
    tell_start(settings, &listener);
    let clock = Clock::start();
    let (queue, events) = mpsc::channel(startup::QUEUE);
    let on_sigterm = queue.clone();
    signals::watch_sigterm(move |sender| drop(on_sigterm.blocking_send(Event::Sigterm(sender))))
        .map_err(|error| fault(&error))?;
    let state = state_file(settings, &listener);
    let note = state.as_ref().and_then(|state| startup::resume(state, clock.now()));
    let keeper = Controller::new(clock.now(), startup::policy(settings), note);
    let seeker =
        TargetFinder { matcher: settings.matcher.clone(), signal: settings.signal, ignore_exec_sessions: false };
    let mut world = startup::world(settings, queue.clone(), seeker, state)?;
    let places = places();
    let server = tokio::spawn(hook::serve(listener, ServerState { queue, token }, places.clone()));
    let left = Supervisor::new(keeper, clock, move |action| world.perform(action)).run(events).await;
    server.abort();
    places.wait_until_free(FAREWELL).await;
    Ok(exit(&left))
}

/// How the sidecar ends that left so: a drain that it left in the middle has no known end.
fn exit(left: &Snapshot) -> Exit {
    match (left.phase, left.result) {
        (Phase::Done, Some(result)) => Exit::after(result.stragglers),
        (Phase::LameDuck | Phase::Draining, _) => Exit::Unknown,
        (Phase::Serving | Phase::Done, _) => Exit::Success,
    }
}

fn tell_start(settings: &Settings, listener: &TcpListener) {
    let listen = listener.local_addr().unwrap_or(settings.listen);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        %listen,
        grace_period_seconds = settings.plan.grace_period.as_secs_f64(),
        budget_seconds = settings.plan.budget().as_secs_f64(),
        target = ?Nullable(settings.matcher.as_ref()),
        signal = ?Nullable(settings.signal_name()),
        metrics_url = ?Nullable(settings.sources.page.as_ref().map(|(url, _)| url)),
        streams_ports = ?settings.sources.streams_ports,
        activity_ports = ?settings.sources.idleness.ports,
        "started"
    );
    if settings.token_file.is_some() && !(listen.ip().is_unspecified() || is_loopback(listen.ip())) {
        warn!(
            %listen,
            "--token-file spares callers by loopback, and nothing here is reached by loopback: `lameduck drain` of this \
             pod will be taken for a stranger's; listen on [::] or 127.0.0.1"
        );
    }
    startup::tell_unknown_variables();
}

/// As many places for callers as there are descriptors for.
fn places() -> ConnectionSlots {
    let FdBudget { connections: callers, low_limit } = raise_fd_limit();
    if let Some(limit) = low_limit {
        warn!(
            limit,
            callers, "the limit of descriptors (`ulimit -n`) is low: so many callers can be served or held at once"
        );
    }
    ConnectionSlots::new(callers)
}

/// Reads the token, where one is wanted.
///
/// # Errors
/// Says why that cannot be, and the mend.
pub(super) fn token(settings: &Settings) -> Result<Option<TokenFile>, CommandError> {
    let Some(path) = &settings.token_file else { return Ok(None) };
    TokenFile::open(path).map(Some).map_err(|error| {
        let mend = "mount the Secret there, with one key that holds the token alone";
        CommandError::new(Exit::Usage, format!("--token-file {}: {error}; {mend}", path.display()))
    })
}

/// Binds the listener.
///
/// # Errors
/// Says why that cannot be, and the mend.
pub(super) fn bind(settings: &Settings) -> Result<TcpListener, CommandError> {
    let address = settings.listen;
    hook::bind(address).map_err(|error| {
        let (exit, mend) = if error.kind() == io::ErrorKind::PermissionDenied {
            (Exit::NotPermitted, "choose a port from 1024 up")
        } else if error.kind() == io::ErrorKind::AddrInUse {
            (Exit::Usage, "another process of this pod listens there; choose another port")
        } else {
            (Exit::Usage, "choose an address of this pod, e.g. [::]:8089")
        };
        CommandError::new(exit, format!("--listen {address}: {error}; {mend}"))
    })
}

fn state_file(settings: &Settings, listener: &TcpListener) -> Option<StateFile> {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let Some(dir) = settings.state_dir.as_deref() else {
        warn!("no state dir: a sidecar that restarts in a drain will not know of it");
        return None;
    };
    let state = StateFile::for_port(dir, port, &settings.identity());
    if let Err(error) = state.probe() {
        warn!(path = %dir.display(), %error, "no drain can be noted in the state dir: {UNNOTED}");
    }
    Some(state)
}
