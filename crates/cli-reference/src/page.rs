//! The reference page of the command line.

use std::fmt::Write;

use clap::{Arg, Command};
use lameduck::settings::drain::scope_env_vars;
use lameduck::settings::run as run_settings;

/// The command whose settings the other commands share.
const SIDECAR: &str = "sidecar";

const INTRODUCTION: &str = "\
# Command line

Every command, flag and variable. This page is generated from the program: \
`cargo run -p lameduck-cli-reference -- --write-docs`.
See also [commands](commands.md), with examples and exit codes, and [settings](settings.md), by subject.

`cargo run -p lameduck-cli-reference -- DIR` writes man pages to `DIR/man`, and completions for bash, fish and zsh to
`DIR/completions`.
";

/// The command line without the flags that a command hides.
pub(crate) fn documented() -> Command {
    let command = lameduck::cli::command().mut_subcommand("drain", |drain| scope_env_vars(drain, &["--help"]));
    let mut command = command.mut_subcommand("run", run_settings::scope_env_vars);
    command.build();
    command
}

/// The page, as Markdown.
pub(crate) fn render(mut command: Command) -> String {
    let shared = command.find_subcommand(SIDECAR).map(settings).unwrap_or_default();
    let mut page = INTRODUCTION.to_owned();
    for subcommand in command.get_subcommands_mut().filter(|subcommand| !subcommand.is_hide_set()) {
        section(&mut page, subcommand, &shared);
    }
    page
}

/// The flags and arguments that a section lists.
fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
}

fn settings(command: &Command) -> Vec<Arg> {
    arguments(command).cloned().collect()
}

fn section(page: &mut String, command: &mut Command, shared: &[Arg]) {
    let name = command.get_name().to_owned();
    let usage = command.render_usage().to_string();
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "\n## lameduck {name}\n\n{}\n\n```text\n{usage}\n```\n", sentences(&about));
    let is_shared = |arg: &&Arg| name != SIDECAR && shared.iter().any(|other| row(other) == row(arg));
    let (same, own): (Vec<&Arg>, Vec<&Arg>) = arguments(command).partition(is_shared);
    let mut heading = None;
    for (index, arg) in own.into_iter().enumerate() {
        let group = arg.get_help_heading().unwrap_or("Options");
        if index == 0 || heading != Some(group) {
            let _ = write!(page, "\n**{group}**\n\n| flag | variable | meaning |\n|---|---|---|\n");
            heading = Some(group);
        }
        let _ = writeln!(page, "{}", row(arg));
    }
    if !same.is_empty() {
        let names: Vec<String> = same.into_iter().map(|arg| format!("`{}`", flag(arg))).collect();
        let _ = write!(page, "\nThe same as for [`lameduck {SIDECAR}`](#lameduck-{SIDECAR}): {}.\n", names.join(", "));
    }
}

/// A help text with a period at the end of each paragraph.
fn sentences(about: &str) -> String {
    let paragraphs =
        about.split("\n\n").map(|text| if text.ends_with('.') { text.to_owned() } else { format!("{text}.") });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The flag without its value, or the name of a positional argument.
fn flag(arg: &Arg) -> String {
    arg.get_long().map_or_else(|| value_name(arg), |long| format!("--{long}"))
}

fn value_name(arg: &Arg) -> String {
    arg.get_value_names().into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn row(arg: &Arg) -> String {
    let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
    format!("| `{}` | {variable} | {} |", usage(arg), meaning(arg))
}

fn usage(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let value = if arg.get_long().is_some() && arg.get_action().takes_values() {
        format!(" {}", value_name(arg))
    } else {
        String::new()
    };
    format!("{short}{}{value}", flag(arg))
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut meaning = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "\\<");
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if arg.get_action().takes_values() && !arg.is_hide_default_value_set() && !defaults.is_empty() {
        let _ = write!(meaning, " [default: {}]", defaults.join(", "));
    }
    let values = arg.get_possible_values();
    let values: Vec<_> =
        values.iter().filter(|value| !value.is_hide_set()).map(clap::builder::PossibleValue::get_name).collect();
    if arg.get_action().takes_values() && !values.is_empty() {
        let _ = write!(meaning, " [possible values: {}]", values.join(", "));
    }
    meaning
}
