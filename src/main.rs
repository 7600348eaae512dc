//! The command line.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use lameduck::commands::check::manifests::ManifestArgs;
use lameduck::commands::inject::InjectArgs;
use lameduck::commands::{CommandError, Exit, check, drain, eprint_line, inject, install, print_line, sidecar, status};
use lameduck::settings::args::{AddressArgs, SidecarArgs};
use lameduck::settings::drain::{DrainArgs, reject_unused_flags, scope_env_vars};

/// Shuts down a pod with long-lived streams without cutting them off.
#[derive(Parser)]
#[command(name = "lameduck", version, disable_help_subcommand = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
struct StatusArgs {
    /// Keep showing it: on a terminal as a live view until Ctrl-C, otherwise as one line per change
    #[arg(long)]
    watch: bool,
    /// Print JSON; with --watch, one line per second
    #[arg(long)]
    json: bool,
    /// Only print whether the pod is ready, and why not, as /readyz answers; exit code 0 if ready, 1 if not
    #[arg(long, conflicts_with_all = ["watch", "json"])]
    ready: bool,
    #[command(flatten)]
    address: AddressArgs,
}

fn main() -> ExitCode {
    let result = match parse() {
        Ok(cli) => run(&cli.command),
        Err(error) => return print_clap_error(&error),
    };
    let exit = result.unwrap_or_else(|CommandError { exit, message }| {
        eprint_line(&format!("error: {message}"));
        exit
    });
    ExitCode::from(exit.code())
}

fn parse() -> Result<Cli, clap::Error> {
    // The help must not show values from the environment: they may be secret.
    let mut command = Cli::command().mut_subcommands(|command| command.mut_args(|arg| arg.hide_env_values(true)));
    let typed: Vec<OsString> = std::env::args_os().collect();
    command = command.mut_subcommand("drain", |drain| scope_env_vars(drain, &typed));
    command = command.mut_subcommand("check", |check| check::manifests::scope_env_vars(check, &typed));
    let matches = command.try_get_matches_from_mut(typed)?;
    if let (Some(drain), Some(matches)) = (command.find_subcommand("drain"), matches.subcommand_matches("drain")) {
        reject_unused_flags(drain, matches)
            .map_err(|error| Cli::command().error(ErrorKind::ArgumentConflict, error))?;
    }
    if let (Some(check), Some(matches)) = (command.find_subcommand("check"), matches.subcommand_matches("check")) {
        check::manifests::reject_settings(check, matches)
            .map_err(|error| Cli::command().error(ErrorKind::ArgumentConflict, error))?;
    }
    Cli::from_arg_matches(&matches)
}

fn run(command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Sidecar(args) => sidecar::run(args),
        Command::Drain(args) => drain::run(args),
        Command::Check { manifests, json, .. } if manifests.is_given() => check::manifests::run(manifests, *json),
        Command::Check { settings, measure, json, .. } => check::run(settings, *measure, *json),
        Command::Inject(args) => inject::run(args),
        Command::Status(args) => show_status(args),
        Command::Install { dir } => install::run(dir),
    }
}

fn show_status(args: &StatusArgs) -> Result<Exit, CommandError> {
    let address = args.address.resolve();
    if args.ready {
        status::ready(&address)
    } else if args.watch {
        status::watch::run(&address, args.json)
    } else {
        status::run(&address, args.json)
    }
}

/// Prints help and version to stdout, and usage errors to stderr, with lameduck's exit codes instead of clap's.
fn print_clap_error(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    if error.use_stderr() {
        eprint_line(text.trim_end());
        return ExitCode::from(Exit::Usage.code());
    }
    print_line(text.trim_end());
    ExitCode::from(Exit::Success.code())
}
