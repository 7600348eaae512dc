//! SIGINT and SIGTERM, with or without a handler.

use std::env;
use std::fmt::{self, Display};
use std::future;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use tokio::signal::unix::{Signal as Handler, SignalKind, signal};

use crate::args::OnSignal;
use crate::child::own_name;

/// Set between the two steps of `ignore_in_kernel`: the name that this process was started by.
const NAME_BEFORE: &str = "ENGINE_SIM_NAME_BEFORE_IGNORE";
/// Set for good once both steps are done.
const IGNORED: &str = "ENGINE_SIM_SIGNALS_IGNORED";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

/// The handlers, if any: without them the dispositions stay as they were inherited.
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

    /// Waits for the next signal, for ever where none is caught.
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

/// Returns in a process that ignores both signals: this one, executed anew with the same pid.
///
/// Only unsafe code can ignore a signal from within, but a shell can, and what is ignored stays so across `exec`.
/// The shell cannot pass on a name that differs from the program's path, hence a second step, which can.
pub(crate) fn ignore_in_kernel() -> io::Result<()> {
    if env::var_os(IGNORED).is_some() {
        return Ok(());
    }
    let program = env::current_exe()?;
    let mut next = match env::var_os(NAME_BEFORE) {
        None => {
            let mut shell = Command::new("sh");
            shell.args(["-c", r#"trap "" INT TERM; exec "$0" "$@""#]).arg(program).env(NAME_BEFORE, own_name());
            shell
        }
        Some(name) => {
            let mut named = Command::new(program);
            named.arg0(name).env_remove(NAME_BEFORE).env(IGNORED, "1");
            named
        }
    };
    Err(next.args(env::args_os().skip(1)).exec())
}
