//! The child as the event loop sees it: its events become inputs, and actions become signals to it.

use std::ffi::OsString;
use std::sync::Arc;

use nix::sys::signal::Signal;
use rustix::io::Errno;
use rustix::process::{Pid, kill_process};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::commands::startup::startup_error;
use crate::commands::{CommandError, Exit};
use crate::io::child::{Child, ChildEvent};
use crate::io::clock::Clock;
use crate::io::liveness::stat_of;
use crate::io::log::Nullable;
use crate::io::process::descendants::descendants;
use crate::io::process::{own_age, own_start_ticks};
use crate::io::target_signal::TargetSignal;
use crate::queue::Event;
use crate::supervisor::ActionResult;
use lameduck_machine::io::{Action, ChildSignal, Input};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::target::{CLOCK_TICK, Incarnation, ObservationStart};

/// Starts the command, which may be the target itself, and reports what happens to it.
///
/// # Errors
/// Fails if no process or thread can be started.
pub(super) fn start(
    command: &[OsString],
    is_target: bool,
    queue: &mpsc::Sender<Event>,
) -> Result<Arc<Child>, CommandError> {
    let child = Child::spawn(command).map_err(|error| {
        CommandError::new(Exit::Internal, format!("cannot start a process for the command: {error}"))
    })?;
    let child = Arc::new(child);
    // Until it is reaped, it can be read.
    let started = stat_of(child.pid()).map_or(0, |stat| stat.started);
    let incarnation = Incarnation { pid: child.pid(), started };
    let queue = queue.clone();
    let on_event = move |event| match event {
        ChildEvent::Stopped(signal) => log_stopped(signal),
        ChildEvent::Ended(status) => {
            log_end(status);
            let _ = queue.blocking_send(Event::Input(Input::Exited(incarnation, status)));
        }
        ChildEvent::Reaped { leaves_others } => {
            let may_leave_target = leaves_others && !is_target;
            let _ = queue.blocking_send(Event::Input(Input::ChildEnded { may_leave_target }));
        }
    };
    child.start_reaper(on_event).map_err(|error| startup_error(&error))?;
    Ok(child)
}

/// The child is observed from its start: it is younger than this process, although perhaps by less than a clock tick. Its
/// start must not seem to be later than a stop that has come after it: the target would be too young for the drain.
pub(super) fn observation_start(clock: &Clock) -> ObservationStart {
    let (now, age) = clock.now_with(own_age);
    ObservationStart { at: now - age - CLOCK_TICK * 2, ticks: own_start_ticks().saturating_sub(1) }
}

/// Performs an action that signals the child; `None` for other actions.
pub(super) fn signal(child: &Child, action: Action) -> Option<ActionResult> {
    let Action::SignalChild(signal) = action else { return None };
    let has_ended = child.status().is_some();
    let (signal, result) = match signal {
        ChildSignal::Terminate if has_ended => (TargetSignal::TERM, signal_descendants(TargetSignal::TERM)),
        ChildSignal::Kill if has_ended => (TargetSignal::KILL, signal_descendants(TargetSignal::KILL)),
        ChildSignal::Terminate => (TargetSignal::TERM, terminate(child)),
        ChildSignal::Kill => (TargetSignal::KILL, kill(child)),
    };
    match result {
        Ok(()) => info!(signal = signal.as_str(), "signal sent to the command"),
        // It has ended just now.
        Err(Errno::SRCH) => debug!(signal = signal.as_str(), "the command has ended before this signal"),
        Err(error) => warn!(signal = signal.as_str(), %error, "cannot signal the command"),
    }
    Some(ActionResult::OtherSignal(signal.as_str(), result.is_ok()))
}

/// Sends SIGTERM, and SIGCONT after it: a stopped command could not act on it.
fn terminate(child: &Child) -> Result<(), Errno> {
    child.signal(TargetSignal::TERM)?;
    // If it has ended at once, there is nothing to continue.
    let _ = child.signal(TargetSignal::CONT);
    Ok(())
}

/// Kills the command, and what it has started: that would otherwise live on. The command may have left its process group.
fn kill(child: &Child) -> Result<(), Errno> {
    let killed = child.signal(TargetSignal::KILL);
    killed.or(child.signal_group(TargetSignal::KILL))
}

/// Sends a signal to what a command has left that has ended.
fn signal_descendants(signal: TargetSignal) -> Result<(), Errno> {
    let pids = descendants().into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let reached = pids.filter(|pid| kill_process(*pid, signal.raw()).is_ok()).count();
    if reached > 0 { Ok(()) } else { Err(Errno::SRCH) }
}

/// Without the terminal, a command that uses it is stopped again after each SIGCONT.
fn log_stopped(signal: i32) {
    let uses_terminal = [Signal::SIGTTIN as i32, Signal::SIGTTOU as i32].contains(&signal);
    let signal = Nullable(TargetSignal::from_number(signal).map(TargetSignal::as_str));
    if uses_terminal {
        warn!(
            ?signal,
            "the command is stopped, because it has used the terminal, which only lameduck may: redirect the command's \
             input and output, or start lameduck without a terminal"
        );
    } else {
        warn!(?signal, "the command is stopped; it continues with SIGCONT");
    }
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
