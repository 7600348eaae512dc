//! The commands.

pub mod check;
pub mod drain;
pub mod exec_child;
pub mod inject;
pub mod install;
pub mod run;
pub mod sidecar;
mod startup;
pub mod status;

use std::future::Future;
use std::io::Write;
use std::time::Duration;

use crate::settings::error::{SettingError, SettingErrorKind};

/// The result of a command, as its exit code reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; no stream was cut.
    Success,
    /// The sidecar is not ready.
    NotReady,
    /// Streams were cut.
    StreamsCut,
    /// Done; whether streams were cut is unknown.
    Unknown,
    /// Invalid usage or settings (sysexits, `EX_USAGE`).
    Usage,
    /// The sidecar, or something that it needs, cannot be reached (`EX_UNAVAILABLE`).
    Unreachable,
    /// Internal error (`EX_SOFTWARE`).
    Internal,
    /// A permission is missing (`EX_NOPERM`).
    NotPermitted,
    /// The exit code of the command that lameduck has run, or why it could not run it.
    Command(u8),
}

impl Exit {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::NotReady => 1,
            Self::StreamsCut => 10,
            Self::Unknown => 11,
            Self::Usage => 64,
            Self::Unreachable => 69,
            Self::Internal => 70,
            Self::NotPermitted => 77,
            Self::Command(code) => code,
        }
    }

    /// Returns the result of a drain with this number of stragglers; `None` if the number is unknown.
    #[must_use]
    pub const fn after(stragglers: Option<u64>) -> Self {
        match stragglers {
            Some(0) => Self::Success,
            Some(_) => Self::StreamsCut,
            None => Self::Unknown,
        }
    }
}

/// The error of a command.
#[derive(Debug)]
pub struct CommandError {
    /// The result of the command.
    pub exit: Exit,
    /// The message, in one line.
    pub message: String,
}

impl CommandError {
    /// An error with this result and message.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl From<SettingError> for CommandError {
    fn from(error: SettingError) -> Self {
        let exit = match error.kind {
            SettingErrorKind::Invalid => Exit::Usage,
            SettingErrorKind::NotPermitted => Exit::NotPermitted,
        };
        Self::new(exit, error.to_string())
    }
}

/// How long an idle thread of the runtime, which has read a socket table, stays alive. The runtime wakes its idle
/// threads in turn, so with a longer time than a few polls, none of the threads of one busy moment would ever end.
const THREAD_KEEP_ALIVE: Duration = Duration::from_millis(100);

/// Runs a command to completion on this thread.
///
/// # Errors
/// Returns the error of the command, or an internal error if the runtime cannot start.
pub fn block_on<T>(command: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    // Check clocks, sockets and the command itself after each task. A long page is read by two tasks that keep each
    // other busy, and with the default of sixty task runs in between they would delay a deadline.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.thread_keep_alive(THREAD_KEEP_ALIVE).event_interval(1).enable_all().build();
    let runtime = runtime.map_err(|error| startup::startup_error(&error))?;
    let result = runtime.block_on(command);
    // Do not wait for a thread that still resolves a name.
    runtime.shutdown_background();
    result
}

/// Prints a line to stdout. A closed pipe is not an error.
pub fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line to stderr. A closed pipe is not an error.
pub fn eprint_line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[test]
    fn busy_tasks_do_not_delay_the_command() {
        let rounds = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&rounds);
        let result = block_on(async move {
            let (ping, mut on_ping) = mpsc::channel(1);
            let (reply, mut on_reply) = mpsc::channel(1);
            let (sender, tenth_round) = oneshot::channel();
            tokio::spawn(async move { while on_ping.recv().await.is_some() && reply.send(()).await.is_ok() {} });
            tokio::spawn(async move {
                let mut sender = Some(sender);
                for round in 1..=1000 {
                    counter.store(round, Ordering::Relaxed);
                    if round == 10 {
                        sender.take().map(|sender| sender.send(()));
                    }
                    ping.send(()).await.unwrap();
                    on_reply.recv().await;
                }
            });
            tenth_round.await.unwrap();
            assert!(rounds.load(Ordering::Relaxed) < 15, "{rounds:?}");
            Ok(Exit::Success)
        });
        assert!(result.is_ok());
    }
}
