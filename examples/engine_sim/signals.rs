//! SIGINT and SIGTERM, with or without a handler.

use std::env;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::future;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::signal::unix::{Signal as Handler, SignalKind, signal};

use crate::args::OnSignal;
use crate::child::own_name;

/// Set between the two steps of `ignore_in_kernel`: the process name before the first.
const ORIGINAL_NAME: &str = "ENGINE_SIM_ORIGINAL_NAME";
/// Set once the signals are ignored or reset.
const DONE: &str = "ENGINE_SIM_SIGNALS_DONE";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

/// The handlers, if any.
pub(crate) enum Signals {
    Caught { interrupt: Handler, terminate: Handler },
    Uncaught,
}

impl Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

impl Signals {
    pub(crate) fn install(mode: OnSignal) -> io::Result<Self> {
        match mode {
            OnSignal::Drain | OnSignal::Quit => Ok(Self::Caught {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            }),
            OnSignal::Ignore | OnSignal::Default => Ok(Self::Uncaught),
        }
    }

    /// Waits for the next signal; forever if none is caught.
    pub(crate) async fn next(&mut self) -> Signal {
        match self {
            Self::Caught { interrupt, terminate } => tokio::select! {
                Some(()) = interrupt.recv() => Signal::Interrupt,
                Some(()) = terminate.recv() => Signal::Terminate,
                else => future::pending().await,
            },
            Self::Uncaught => future::pending().await,
        }
    }
}

/// Lets the kernel discard SIGINT and SIGTERM: executes this program again, with the same pid, and returns there.
///
/// Only unsafe code can ignore a signal from within, but a shell can, and an ignored signal stays ignored across `exec`.
/// A shell cannot pass on a process name that differs from the program's path, hence the second step, which can.
pub(crate) fn ignore_in_kernel() -> io::Result<()> {
    if is_done() {
        return Ok(());
    }
    match env::var_os(ORIGINAL_NAME) {
        None => {
            let mut shell = Command::new("sh");
            shell.args(["-c", r#"trap "" INT TERM; exec "$0" "$@""#]).arg(env::current_exe()?);
            execute(shell.env(ORIGINAL_NAME, own_name()))
        }
        Some(name) => execute_again(name),
    }
}

/// Gives SIGINT and SIGTERM their default action, which the parent may have changed: executes this program again, with
/// the same pid, and returns there.
///
/// Only unsafe code can reset a signal from within, but `exec` resets those that have a handler.
pub(crate) fn reset_to_default() -> io::Result<()> {
    if is_done() {
        return Ok(());
    }
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    execute_again(own_name())
}

fn is_done() -> bool {
    env::var_os(DONE).is_some()
}

/// Executes this program under this process name, as the last step.
fn execute_again(name: OsString) -> io::Result<()> {
    let mut program = Command::new(env::current_exe()?);
    execute(program.arg0(name).env_remove(ORIGINAL_NAME).env(DONE, "1"))
}

/// Replaces this process; returns only an error.
fn execute(command: &mut Command) -> io::Result<()> {
    Err(command.args(env::args_os().skip(1)).exec())
}
