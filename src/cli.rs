//! The command line: the subcommands and their flags. The comments are the help texts that users see.
#![expect(missing_docs, reason = "the comments are read in a terminal")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::commands::check;
use crate::commands::check::manifests::ManifestArgs;
use crate::commands::exec_child::ExecChildArgs;
use crate::commands::inject::InjectArgs;
use crate::io::child::EXEC_SUBCOMMAND;
use crate::settings::args::{AddressArgs, SidecarArgs};
use crate::settings::drain::DrainArgs;
use crate::settings::run::RunArgs;

/// Shuts down a pod with long-lived streams without cutting them off.
#[derive(Parser)]
#[command(name = "lameduck", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the supervisor next to the target: count streams, answer probes, hold the preStop hook
    ///
    /// Every setting is a flag and an environment variable. The flag wins. A repeatable setting takes one value per line
    /// in its variable. A default shown as [preset: ...] is that of the preset deepgram-engine.
    Sidecar(Box<SidecarArgs>),
    /// Drain this pod's target, through the sidecar or without one, and wait for the end
    ///
    /// Without --standalone, this is a client of the sidecar and takes only the flags under "Options" and "Logging".
    /// With --standalone, it takes the settings of a sidecar.
    Drain(Box<DrainArgs>),
    /// Run a command, and drain it before it is stopped: for Docker, Compose, Podman, Nomad and systemd
    ///
    /// SIGTERM or SIGINT begins a drain: /readyz answers 503, the target gets one signal, and lameduck waits until the
    /// streams have ended. Then lameduck stops the command, and ends with the exit code of the command. SIGHUP, SIGUSR1 and
    /// most other signals that users send are forwarded to the command.
    ///
    /// The target is the command itself, unless --target or --target-port names one of its descendants.
    Run(Box<RunArgs>),
    /// Become the command of `lameduck run`
    #[command(name = EXEC_SUBCOMMAND, hide = true)]
    ExecChild(ExecChildArgs),
    /// Show the current state of the sidecar
    Status(StatusArgs),
    /// Add the sidecar to manifests: reads a file or stdin, writes to stdout and keeps every other byte
    ///
    /// Use it as a Helm post-renderer, or in a pipe before `kubectl apply -f -`. It reports on stderr what it changed and
    /// what it left unchanged.
    Inject(Box<InjectArgs>),
    /// Check that a drain would work here, and suggest fixes
    ///
    /// Run it where the sidecar runs, with the settings of the sidecar. It sends no signal, and writes nothing but a test
    /// file in the state directory, which it removes again.
    ///
    /// With --file, it checks manifests instead, and can run anywhere: it checks the hook, the probes, the grace period
    /// and everything else that cannot be seen from inside the pod.
    ///
    /// Each line is one check: ✓ passed, ✗ failed (with a fix), ! warning (with a fix), – skipped.
    ///
    /// Exit codes: 0 if no check failed; 64 if the sidecar refuses or ignores a setting; 77 if a permission is missing; 69
    /// if something does not exist, does not answer or does not fit. If several apply, the first in this order is used.
    Check {
        #[command(flatten)]
        manifests: ManifestArgs,
        #[command(flatten)]
        settings: Box<SidecarArgs>,
        /// Also read the metrics page for this long, and show how often its counts change: the quiet period must be longer
        /// than the interval at which the target refreshes them. At most 1h
        #[arg(long, value_name = "DURATION", value_parser = check::measure_time)]
        measure: Option<Duration>,
        /// Print the results as JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy this binary to a directory where another container of the pod can run it
    Install {
        /// The directory, such as that of a volume which both containers mount
        dir: PathBuf,
    },
}

#[derive(Args)]
pub struct StatusArgs {
    /// Keep showing it: on a terminal as a live view until Ctrl-C, otherwise as one line per change
    #[arg(long)]
    pub watch: bool,
    /// Print JSON; with --watch, one line per second
    #[arg(long)]
    pub json: bool,
    /// Only print whether the pod is ready, and why not, as /readyz answers; exit code 0 if ready, 1 if not
    #[arg(long, conflicts_with_all = ["watch", "json"])]
    pub ready: bool,
    #[command(flatten)]
    pub address: AddressArgs,
}

/// The command line as clap describes it, for parsing and for generated documents.
#[must_use]
pub fn command() -> clap::Command {
    // The help must not show values from the environment: they may be secret.
    Cli::command().mut_subcommands(|command| command.mut_args(|arg| arg.hide_env_values(true)))
}
