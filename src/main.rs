//! The command line.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use lameduck::commands::inject::InjectArgs;
use lameduck::commands::status::watch;
use lameduck::commands::{CommandError, Exit, check, drain, eprint_line, inject, install, print_line, sidecar, status};
use lameduck::settings::args::{AddressArgs, SidecarArgs};
use lameduck::settings::drain::{DrainArgs, reject_unused_flags, scope_env_vars};

/// Lets a pod with long-lived streams leave without cutting anybody off.
#[derive(Parser)]
#[command(name = "lameduck", version, disable_help_subcommand = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Supervise the target beside this process: count, answer probes, hold the preStop hook
    ///
    /// Every setting is a flag and an environment variable; the flag wins; repeatable ones take one value a line.
    /// A default shown as [preset: ...] is that of the preset deepgram-engine.
    Sidecar(Box<SidecarArgs>),
    /// Ask the sidecar on this host to drain, or drain without one, and wait for the end
    ///
    /// Without --standalone this is a client of the sidecar, which has the settings.
    Drain(Box<DrainArgs>),
    /// Show what the sidecar sees now
    Status {
        /// Keep showing it: as a live view on a terminal, which Ctrl-C ends, else as one line a change
        #[arg(long)]
        watch: bool,
        /// As JSON; with --watch, one line each second
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        address: AddressArgs,
    },
    /// Put the sidecar into manifests: from stdin to stdout, every other byte as it was
    ///
    /// A Helm post-renderer, or a pipe before `kubectl apply -f -`. Says on stderr what it changed and what it left.
    Inject(Box<InjectArgs>),
    /// Rehearse a drain where the sidecar runs, with its settings: what would stand in its way, and the mend
    ///
    /// It takes the settings of `lameduck sidecar`. Nothing is signalled, and nothing written but a probe in the state
    /// dir, which is removed again.
    ///
    /// A line beginning with ✓ is well, one with ✗ needs its mend, and one with – could not be checked, or need not.
    ///
    /// Exit codes: 0 all is well; 64 a setting that the sidecar refuses or ignores; 77 a permission is missing; 69
    /// something is not there, does not answer, or does not fit. Of several the first in this order holds.
    Check {
        #[command(flatten)]
        settings: Box<SidecarArgs>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy this binary to where another container of the pod can run it
    Install {
        /// The directory, such as that of a volume which both containers mount
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match parse() {
        Ok(cli) => run(&cli.command),
        Err(error) => return usage(&error),
    };
    let exit = result.unwrap_or_else(|CommandError { exit, message }| {
        eprint_line(&format!("error: {message}"));
        exit
    });
    ExitCode::from(exit.code())
}

fn parse() -> Result<Cli, clap::Error> {
    // The environment's values are not help, and may be secret.
    let mut command = Cli::command().mut_subcommands(|command| command.mut_args(|arg| arg.hide_env_values(true)));
    let words: Vec<OsString> = std::env::args_os().collect();
    command = command.mut_subcommand("drain", |drain| scope_env_vars(drain, &words));
    let matches = command.try_get_matches_from_mut(words)?;
    if let (Some(drain), Some(typed)) = (command.find_subcommand("drain"), matches.subcommand_matches("drain")) {
        reject_unused_flags(drain, typed)
            .map_err(|message| Cli::command().error(ErrorKind::ArgumentConflict, message))?;
    }
    Cli::from_arg_matches(&matches)
}

fn run(command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Sidecar(args) => sidecar::run(args),
        Command::Drain(args) => drain::run(args),
        Command::Check { settings, json } => check::run(settings, *json),
        Command::Inject(args) => inject::run(args),
        Command::Status { watch: true, json, address } => watch::run(&address.resolve(), *json),
        Command::Status { watch: false, json, address } => status::run(&address.resolve(), *json),
        Command::Install { dir } => install::run(dir),
    }
}

/// Help and version go to stdout and are no errors; clap's own exit code for an error is not ours.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        eprint_line(error.to_string().trim_end());
        return ExitCode::from(Exit::Usage.code());
    }
    print_line(error.to_string().trim_end());
    ExitCode::from(Exit::Success.code())
}
