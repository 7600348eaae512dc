//! The settings of `lameduck run`: those of a sidecar, and how to run the command.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, ValueEnum};

use crate::io::target_signal::TargetSignal;
use crate::settings::args::SidecarArgs;
use crate::settings::error::SettingError;
use crate::settings::values::{self, Signals};

/// The heading of the help.
const RUN: &str = "Running the command";

/// The settings without a meaning for a process that ends with its target.
const UNUSED: [&str; 2] = ["on_sigterm", "state_dir"];

/// The settings of `lameduck run`, as typed.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// A signal that begins a drain. Repeatable. If set, it replaces the default: SIGTERM or SIGINT is then forwarded to
    /// the command if it is not named [default: SIGTERM, SIGINT]
    #[arg(long, env = "LAMEDUCK_DRAIN_ON", help_heading = RUN, value_name = "SIGNAL", value_parser = values::signals)]
    pub drain_on: Vec<Signals>,

    /// Which exit code to end with
    #[arg(long, env = "LAMEDUCK_EXIT_CODE", help_heading = RUN, value_name = "CODE", default_value = "command")]
    pub exit_code: ExitCodeSource,

    /// The settings of a sidecar.
    #[command(flatten)]
    pub settings: SidecarArgs,

    /// The command to run, and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Which exit code `lameduck run` ends with. The comments are help texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExitCodeSource {
    /// The exit code of the command. If a signal kills the command, the same signal kills lameduck; as PID 1, lameduck exits
    /// with 128 + its number
    Command,
    /// The exit code of the drain: 0, 10 or 11. Without a drain, the exit code of the command
    Outcome,
}

impl RunArgs {
    /// The signals that begin a drain.
    #[must_use]
    pub fn drain_signals(&self) -> Vec<TargetSignal> {
        let typed: Vec<TargetSignal> = self.drain_on.iter().flat_map(|signals| signals.0.iter().copied()).collect();
        if typed.is_empty() { vec![TargetSignal::TERM, TargetSignal::INT] } else { typed }
    }
}

/// Removes the environment variables that `run` does not use: it may share them with a sidecar.
#[must_use]
pub fn scope_env_vars(run: Command) -> Command {
    run.mut_arg("grace_period", |arg| {
        arg.help(
            "The time between the stop signal and SIGKILL: stop_grace_period (Compose), --stop-timeout (Docker, Podman), \
             kill_timeout (Nomad), TimeoutStopSec (systemd; with Type=notify, lameduck extends it). A wrong value cuts \
             streams [required]",
        )
    })
    .mut_arg("listen", |arg| {
        arg.help("The address for probes, metrics, the hook and `lameduck drain`. An IPv6 address serves IPv4 too. none: do not listen")
    })
    .mut_arg("target", |arg| {
        arg.help("The name of the target process, if it is a descendant of the command [default: the command]")
    })
    .mut_args(|arg| {
        let unused = UNUSED.contains(&arg.get_id().as_str());
        if unused { arg.hide(true).env(None::<&'static str>) } else { arg }
    })
}

/// Refuses typed flags that `run` does not use.
///
/// # Errors
/// Names the first such flag, and why it is not used.
pub fn reject_unused_flags(matches: &ArgMatches) -> Result<(), SettingError> {
    let typed = UNUSED.into_iter().find(|id| matches.value_source(id) == Some(ValueSource::CommandLine));
    typed.map_or(Ok(()), |id| {
        let flag = format!("--{}", id.replace('_', "-"));
        let cause = match id {
            "on_sigterm" => "is not used here: the signals of --drain-on begin a drain",
            _ => "is not used here: a drain ends with the command, so there is nothing to resume",
        };
        Err(SettingError::without_value(flag, cause, "leave it out"))
    })
}
