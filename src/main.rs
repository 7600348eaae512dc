//! Parses the command line and runs the command.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use lameduck::cli::{self, Cli, Command, StatusArgs};
use lameduck::commands::{
    CommandError, Exit, check, drain, eprint_line, exec_child, inject, install, print_line, run, sidecar, status,
};
use lameduck::settings::drain::{reject_unused_flags, scope_env_vars};
use lameduck::settings::run as run_settings;

fn main() -> ExitCode {
    let result = match parse() {
        Ok(cli) => perform(&cli.command),
        Err(error) => return print_clap_error(&error),
    };
    let exit = result.unwrap_or_else(|CommandError { exit, message }| {
        eprint_line(&format!("error: {message}"));
        exit
    });
    ExitCode::from(exit.code())
}

fn parse() -> Result<Cli, clap::Error> {
    let mut command = cli::command();
    let typed: Vec<OsString> = std::env::args_os().collect();
    command = command.mut_subcommand("drain", |drain| scope_env_vars(drain, &typed));
    command = command.mut_subcommand("run", run_settings::scope_env_vars);
    command = command.mut_subcommand("check", |check| check::manifests::scope_env_vars(check, &typed));
    let matches = command.try_get_matches_from_mut(typed)?;
    if let (Some(drain), Some(matches)) = (command.find_subcommand("drain"), matches.subcommand_matches("drain")) {
        reject_unused_flags(drain, matches)
            .map_err(|error| Cli::command().error(ErrorKind::ArgumentConflict, error))?;
    }
    if let Some(matches) = matches.subcommand_matches("run") {
        run_settings::reject_unused_flags(matches)
            .map_err(|error| Cli::command().error(ErrorKind::ArgumentConflict, error))?;
    }
    if let (Some(check), Some(matches)) = (command.find_subcommand("check"), matches.subcommand_matches("check")) {
        check::manifests::reject_settings(check, matches)
            .map_err(|error| Cli::command().error(ErrorKind::ArgumentConflict, error))?;
    }
    Cli::from_arg_matches(&matches)
}

fn perform(command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Sidecar(args) => sidecar::run(args),
        Command::Drain(args) => drain::run(args),
        Command::Check { manifests, json, .. } if manifests.is_given() => check::manifests::run(manifests, *json),
        Command::Check { settings, measure, json, .. } => check::run(settings, *measure, *json),
        Command::Run(args) => run::run(args),
        Command::ExecChild(args) => exec_child::run(args),
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
