//! The end of `lameduck run`: it stops what the command has left, and ends like the command.

use std::time::Duration;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use signal_hook::low_level::emulate_default_handler;
use tracing::warn;

use crate::commands::Exit;
use crate::io::child::{Child, is_init};
use crate::io::clock::Clock;
use crate::io::target_signal::TargetSignal;
use lameduck_machine::result::ExitStatus;
use lameduck_machine::time::Time;

/// How often it is checked whether processes have ended. There is no event for the end of a process group.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Sends SIGTERM to what is left of the command's process group, and waits at most until this time for its end. Then it is
/// killed if that is the end of a stop. Returns how the command ended.
pub(super) async fn end_group(child: &Child, clock: &Clock, until: Time, kills: bool) -> ExitStatus {
    let status = loop {
        if let Some(status) = child.status() {
            break status;
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    };
    if child.signal_group(TargetSignal::TERM).is_ok() {
        // A stopped process could not act on SIGTERM.
        let _ = child.signal_group(TargetSignal::CONT);
        while child.has_group() && clock.now() < until {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        if child.has_group() && kills {
            warn!("processes that the command has started do not end on SIGTERM; killing them");
            let _ = child.signal_group(TargetSignal::KILL);
        } else if child.has_group() {
            warn!("processes that the command has started do not end on SIGTERM; exiting without them");
        }
    }
    status
}

/// Ends this process like the command if a signal killed that, or returns its exit code. PID 1 cannot kill itself.
pub(super) fn end_like(status: ExitStatus) -> Exit {
    match status {
        ExitStatus::Code(code) => Exit::Command(u8::try_from(code).unwrap_or(u8::MAX)),
        ExitStatus::Killed(signal) => {
            if !is_init() {
                die_by(signal);
            }
            Exit::Command(u8::try_from(128 + signal).unwrap_or(u8::MAX))
        }
        ExitStatus::Unknown => Exit::Internal,
    }
}

/// Ends this process by a signal, without a core file: the command has left one. Returns only if that is impossible, as
/// with real-time signals.
fn die_by(signal: i32) {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = emulate_default_handler(signal);
}
