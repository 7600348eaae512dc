//! The command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use lameduck::commands::status::watch;
use lameduck::commands::{Exit, Failure, check, complain, drain, say, sidecar, status};
use lameduck::settings::args::{AddressArgs, LogArgs, SidecarArgs};

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
    /// Ask the sidecar on this host to drain, and wait for it
    Drain {
        /// This is the preStop hook of the target's container, not a person
        #[arg(long)]
        hook: bool,
        #[command(flatten)]
        address: AddressArgs,
        #[command(flatten)]
        log: LogArgs,
    },
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
}

fn main() -> ExitCode {
    let result = match parse() {
        Ok(cli) => run(&cli.command),
        Err(error) => return usage(&error),
    };
    let exit = result.unwrap_or_else(|Failure { exit, message }| {
        complain(&format!("error: {message}"));
        exit
    });
    ExitCode::from(exit.code())
}

fn parse() -> Result<Cli, clap::Error> {
    // The environment's values are not help, and may be secret.
    let command = Cli::command().mut_subcommands(|command| command.mut_args(|arg| arg.hide_env_values(true)));
    Cli::from_arg_matches(&command.try_get_matches()?)
}

fn run(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Sidecar(args) => sidecar::run(args),
        Command::Drain { hook, address, log } => drain::run(&address.resolve(), *hook, log),
        Command::Check { settings, json } => check::run(settings, *json),
        Command::Status { watch: true, json, address } => watch::run(&address.resolve(), *json),
        Command::Status { watch: false, json, address } => status::run(&address.resolve(), *json),
    }
}

/// Help and version go to stdout and are no errors; clap's own exit code for an error is not ours.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        complain(error.to_string().trim_end());
        return ExitCode::from(Exit::Usage.code());
    }
    say(error.to_string().trim_end());
    ExitCode::from(Exit::Done.code())
}
