//! `lameduck exec-child`, which users do not call: the last step of `lameduck run` before the command.
//!
//! It already has the command's process id, which the kernel and systemd need to know, and it can set what only a process
//! itself can set. Then the command takes its place.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, parent_id};
use std::process::Command;

use clap::Args;
use nix::errno::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::commands::{CommandError, Exit};

/// The exit code if the command is not found, as in shells.
const NOT_FOUND: u8 = 127;
/// The exit code if the command cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// The variables by which systemd talks to lameduck, and not to the command (`sd_notify(3)`, `sd_watchdog_enabled(3)`).
const NOTIFY_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// The arguments, which `lameduck run` writes.
#[derive(Args, Clone, Debug)]
pub struct ExecChildArgs {
    /// The process id of `lameduck run`
    parent: u32,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes the command.
///
/// # Errors
/// Returns only if that fails.
pub fn run(args: &ExecChildArgs) -> Result<Exit, CommandError> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(CommandError::new(Exit::Usage, "no command"));
    };
    let internal = |error: rustix::io::Errno| CommandError::new(Exit::Internal, format!("cannot start: {error}"));
    // The end of PID 1 is the end of all processes anyway.
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(internal)?;
    if parent_id() != args.parent {
        return Err(CommandError::new(Exit::Internal, "lameduck run has ended before its command was started"));
    }
    let mut command = Command::new(program);
    command.args(arguments);
    for variable in NOTIFY_VARIABLES {
        command.env_remove(variable);
    }
    if std::env::var("LISTEN_PID").is_ok_and(|pid| pid == args.parent.to_string()) {
        command.env("LISTEN_PID", std::process::id().to_string()).env_remove("LISTEN_PIDFDID");
    }
    Err(exec_error(program, &command.exec()))
}

fn exec_error(program: &OsString, error: &io::Error) -> CommandError {
    let not_found = error.raw_os_error() == Some(Errno::ENOENT as i32);
    let (code, fix) = if not_found {
        (NOT_FOUND, "check its name, PATH, and the interpreter that a script names in its first line")
    } else {
        (NOT_EXECUTABLE, "it must be an executable file for this machine, with the permission to execute it")
    };
    CommandError::new(Exit::Command(code), format!("cannot run {}: {error}; {fix}", program.display()))
}
