//! The child as the event loop sees it: its events become inputs, and actions become signals to it.

use std::ffi::OsString;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::commands::startup::startup_error;
use crate::commands::{CommandError, Exit};
use crate::io::child::{Child, ChildEvent};
use crate::io::clock::Clock;
use crate::io::liveness::stat_of;
use crate::io::log::Nullable;
use crate::io::process::{own_age, own_start_ticks};
use crate::io::target_signal::TargetSignal;
use crate::queue::Event;
use crate::supervisor::ActionResult;
use lameduck_machine::io::{Action, ChildSignal, Input};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::target::{Incarnation, ObservationStart};

/// Starts the command, and reports what happens to it.
///
/// # Errors
/// Fails if no process or thread can be started.
pub(super) fn start(command: &[OsString], queue: &mpsc::Sender<Event>) -> Result<Arc<Child>, CommandError> {
    let child = Child::spawn(command).map_err(|error| {
        CommandError::new(Exit::Internal, format!("cannot start a process for the command: {error}"))
    })?;
    let child = Arc::new(child);
    // Until it is reaped, it can be read.
    let started = stat_of(child.pid()).map_or(0, |stat| stat.started);
    let incarnation = Incarnation { pid: child.pid(), started };
    let queue = queue.clone();
    let on_event = move |event| match event {
        ChildEvent::Stopped(signal) => {
            let signal = Nullable(TargetSignal::from_number(signal).map(TargetSignal::as_str));
            warn!(?signal, "the command is stopped; it continues with SIGCONT");
        }
        ChildEvent::Ended(status) => {
            log_end(status);
            let inputs = [Input::Exited(incarnation, status), Input::ChildEnded];
            for input in inputs {
                let _ = queue.blocking_send(Event::Input(input));
            }
        }
    };
    child.start_reaper(on_event).map_err(|error| startup_error(&error))?;
    Ok(child)
}

/// The child is observed from its start: it is younger than this process, although perhaps by less than a clock tick.
pub(super) fn observation_start(clock: &Clock) -> ObservationStart {
    let (now, age) = clock.now_with(own_age);
    ObservationStart { at: now - age, ticks: own_start_ticks().saturating_sub(1) }
}

/// Performs an action that signals the child; `None` for other actions.
pub(super) fn signal(child: &Child, action: Action) -> Option<ActionResult> {
    let Action::SignalChild(signal) = action else { return None };
    let (signal, result) = match signal {
        ChildSignal::Terminate => (TargetSignal::TERM, child.signal(TargetSignal::TERM)),
        // What the command has started would otherwise live on.
        ChildSignal::Kill => (TargetSignal::KILL, child.signal_group(TargetSignal::KILL)),
    };
    match result {
        Ok(()) => info!(signal = signal.as_str(), "signal sent to the command"),
        Err(error) => warn!(signal = signal.as_str(), %error, "cannot signal the command"),
    }
    Some(ActionResult::OtherSignal(signal.as_str(), result.is_ok()))
}

fn log_end(status: ExitStatus) {
    match status {
        ExitStatus::Code(code) => info!(code, "the command has exited"),
        ExitStatus::Killed(signal) => {
            let name = TargetSignal::from_number(signal).map(TargetSignal::as_str);
            info!(signal = ?Nullable(name), "a signal has killed the command");
        }
        ExitStatus::Unknown => info!("the command has ended"),
    }
}
