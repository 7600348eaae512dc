//! The commands.

pub mod check;
pub mod drain;
pub mod inject;
pub mod install;
pub mod sidecar;
mod startup;
pub mod status;

use std::future::Future;
use std::io::Write;
use std::time::Duration;

/// How a command ends, as the exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, known that nothing was cut.
    Success,
    /// Streams were cut.
    StreamsCut,
    /// Done, not known whether any stream was cut.
    Unknown,
    /// Usage or settings (sysexits, `EX_USAGE`).
    Usage,
    /// The sidecar could not be reached, or something that it needs (`EX_UNAVAILABLE`).
    Unreachable,
    /// A fault of ours (`EX_SOFTWARE`).
    Internal,
    /// Not permitted (`EX_NOPERM`).
    NotPermitted,
}

impl Exit {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::StreamsCut => 10,
            Self::Unknown => 11,
            Self::Usage => 64,
            Self::Unreachable => 69,
            Self::Internal => 70,
            Self::NotPermitted => 77,
        }
    }

    /// How a drain ends that left so many stragglers; `None` if nobody can know.
    #[must_use]
    pub const fn after(stragglers: Option<u64>) -> Self {
        match stragglers {
            Some(0) => Self::Success,
            Some(_) => Self::StreamsCut,
            None => Self::Unknown,
        }
    }
}

/// A command that failed: what to say and how to end.
#[derive(Debug)]
pub struct CommandError {
    /// How to end.
    pub exit: Exit,
    /// What to print_line, in one line.
    pub message: String,
}

impl CommandError {
    /// A failure that ends so and says that.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

/// How long a thread of the runtime that has read a socket table waits for another. They are woken in turn, so that of
/// many that a busy moment began none would end if they waited for longer than a few polls take.
const THREAD_KEEP_ALIVE: Duration = Duration::from_millis(100);

/// Runs a command to its end, on this thread.
///
/// # Errors
/// Fails as the command does, or where the kernel refuses what a runtime needs.
pub fn block_on(command: impl Future<Output = Result<Exit, CommandError>>) -> Result<Exit, CommandError> {
    // After each turn of a task it looks at clocks, sockets and the command itself: a long page is read by two tasks
    // that keep each other busy, and by default sixty turns of theirs would hold up a deadline.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.thread_keep_alive(THREAD_KEEP_ALIVE).event_interval(1).enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::new(Exit::Internal, format!("cannot start: {error}")))?;
    let result = runtime.block_on(command);
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    result
}

/// Prints a line to stdout. A reader that has gone away is no reason to fail.
pub fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line to stderr. A reader that has gone away is no reason to fail.
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
    fn tasks_that_keep_each_other_busy_do_not_hold_up_the_command() {
        let turns = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&turns);
        let ended = block_on(async move {
            let (there, mut arrivals) = mpsc::channel(1);
            let (back, mut returns) = mpsc::channel(1);
            let (told, tenth) = oneshot::channel();
            tokio::spawn(async move { while arrivals.recv().await.is_some() && back.send(()).await.is_ok() {} });
            tokio::spawn(async move {
                let mut told = Some(told);
                for turn in 1..=1000 {
                    counted.store(turn, Ordering::Relaxed);
                    if turn == 10 {
                        told.take().map(|told| told.send(()));
                    }
                    there.send(()).await.unwrap();
                    returns.recv().await;
                }
            });
            tenth.await.unwrap();
            assert!(turns.load(Ordering::Relaxed) < 15, "{turns:?}");
            Ok(Exit::Success)
        });
        assert!(ended.is_ok());
    }
}
