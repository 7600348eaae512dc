//! `lameduck check -f`: a preflight check of manifests and live objects, without a cluster.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};

use super::report::{Cause, Check};
use super::wants_colours;
use crate::commands::inject::{self, STDIN};
use crate::commands::{CommandError, Exit, print_line};
use crate::settings::error::SettingError;
use lameduck_manifests::preflight::{self, Evaluation, Finding, Options, Preflight, Rule};
use lameduck_manifests::yaml::YamlError;
use report::{ManifestReport, ObjectReport};

mod report;
pub(in crate::commands) mod settings;

/// How many objects an error lists.
const MAX_LISTED: usize = 20;

/// The heading of the help.
const MANIFESTS: &str = "Manifests";

/// The flags that can be used with manifests, by their ids.
const OWN_FLAGS: [&str; 4] = ["file", "container", "also_hook", "json"];

/// The flags of `lameduck check` for manifests.
#[derive(Args, Clone, Debug)]
pub struct ManifestArgs {
    /// Check manifests or live objects instead, without a cluster: YAML or JSON; - reads stdin. Repeatable
    #[arg(long, short, help_heading = MANIFESTS, value_name = "FILE")]
    file: Vec<PathBuf>,

    /// The main container [default: the container that runs the target, or the only one, or those with the hook]
    #[arg(long, help_heading = MANIFESTS, value_name = "NAME", requires = "file")]
    container: Option<String>,

    /// Another container that streams pass through: it must have the hook too. Repeatable
    #[arg(long, help_heading = MANIFESTS, value_name = "NAME", requires = "file")]
    also_hook: Vec<String>,
}

impl ManifestArgs {
    /// Whether manifests are to be checked.
    #[must_use]
    pub fn is_given(&self) -> bool {
        !self.file.is_empty()
    }
}

/// Ignores the `LAMEDUCK_` variables of this process if manifests are checked: the sidecar will not run in this
/// environment.
#[must_use]
pub fn scope_env_vars(check: Command, typed: &[impl AsRef<std::ffi::OsStr>]) -> Command {
    let is_file = |word: &str| word.starts_with("-f") || word.starts_with("--file");
    if typed.iter().any(|word| word.as_ref().to_str().is_some_and(is_file)) {
        check.mut_args(|arg| arg.env(None::<&'static str>))
    } else {
        check
    }
}

/// Refuses flags of the sidecar together with `--file`: the manifests have their own settings.
///
/// # Errors
/// Names the first such flag.
pub fn reject_settings(check: &Command, matches: &ArgMatches) -> Result<(), SettingError> {
    let is_typed = |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let is_setting = |arg: &&Arg| !OWN_FLAGS.contains(&arg.get_id().as_str());
    let mut typed = check.get_arguments().filter(is_typed);
    if !matches.contains_id("file") {
        return Ok(());
    }
    let fix = "leave it out: the manifests have the sidecar's settings";
    let error = |arg: &Arg| {
        let flag = format!("--{}", arg.get_long().unwrap_or_default());
        Err(SettingError::without_value(flag, "is not used with --file", fix))
    };
    typed.find(is_setting).map_or(Ok(()), error)
}

/// Checks the manifests and prints the results.
///
/// # Errors
/// Fails if a file cannot be read, or no object in it has a pod with lameduck. Failed checks are in the report and in
/// the exit code.
pub fn run(args: &ManifestArgs, json: bool) -> Result<Exit, CommandError> {
    let options = Options { container: args.container.clone(), also_hook: args.also_hook.clone() };
    let files = args.file.iter().map(|file| Ok((name_of(file), check(file, &options)?)));
    let files = files.collect::<Result<Vec<(String, Preflight)>, CommandError>>()?;
    reject_unknown_names(&options, &files)?;
    let objects: Vec<_> = files.iter().flat_map(|(file, preflight)| reports(file, preflight)).collect();
    if objects.is_empty() {
        return Err(nothing_found(&files));
    }
    let without_lameduck = files.iter().flat_map(|(_, preflight)| preflight.without_lameduck.iter().cloned()).collect();
    let report = ManifestReport { objects, without_lameduck, has_files: files.len() > 1 };
    if json {
        print_line(&report.to_json());
    } else {
        print_line(report.to_text(wants_colours()).trim_end());
    }
    Ok(report.exit())
}

/// Checks manifests, with the settings that they give to lameduck.
///
/// # Errors
/// Returns the place and the cause if a document cannot be read.
pub fn check_text(text: &str, options: &Options) -> Result<Preflight, YamlError> {
    preflight::check(text, options, &settings::read)
}

fn name_of(file: &Path) -> String {
    if file == Path::new(STDIN) { "stdin".to_owned() } else { file.display().to_string() }
}

fn check(file: &Path, options: &Options) -> Result<Preflight, CommandError> {
    let usage = |message| CommandError::new(Exit::Usage, message);
    let text = inject::read_manifests(Some(file)).map_err(usage)?;
    preflight::check(&text, options, &settings::read)
        .map_err(|error| usage(format!("{}: {error}; fix that line, or render the manifests again", name_of(file))))
}

fn reports<'a>(file: &'a str, preflight: &'a Preflight) -> impl Iterator<Item = ObjectReport> + use<'a> {
    preflight.objects.iter().map(move |object| ObjectReport {
        file: file.to_owned(),
        document: object.document,
        line: object.line,
        title: object.title(),
        checks: object.findings.iter().map(to_check).collect(),
    })
}

fn to_check(finding: &Finding) -> Check {
    let name = finding.rule.name();
    match &finding.evaluation {
        Evaluation::Pass => Check::pass(name, &finding.detail),
        Evaluation::Skip => Check::skip(name, &finding.detail),
        Evaluation::Warn { fix } => Check::warn(name, &finding.detail, fix),
        Evaluation::Fail { fix } => Check::fail(name, cause(finding.rule), &finding.detail, fix),
    }
}

/// What a failed rule means for the exit code.
fn cause(rule: Rule) -> Cause {
    if matches!(rule, Rule::Settings | Rule::Variables) {
        Cause::Settings
    } else if matches!(rule, Rule::Uid | Rule::Gid) {
        Cause::NotPermitted
    } else {
        Cause::Environment
    }
}

/// Refuses names of containers that no checked pod has.
fn reject_unknown_names(options: &Options, files: &[(String, Preflight)]) -> Result<(), CommandError> {
    let objects = files.iter().flat_map(|(_, preflight)| &preflight.objects);
    let names: BTreeSet<_> = objects.flat_map(|object| &object.containers).collect();
    let container = options.container.iter().map(|name| ("--container", name));
    let mut given = container.chain(options.also_hook.iter().map(|name| ("--also-hook", name)));
    match given.find(|(_, name)| !names.is_empty() && !names.contains(name)) {
        None => Ok(()),
        Some((flag, name)) => {
            let names = names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("{flag} {name}: no pod with lameduck has such a container; they have {names}");
            Err(CommandError::new(Exit::Usage, message))
        }
    }
}

/// The error for manifests without lameduck, which names what they have.
fn nothing_found(files: &[(String, Preflight)]) -> CommandError {
    let names = files.iter().map(|(file, _)| file.as_str()).collect::<Vec<_>>().join(", ");
    let pods: Vec<_> = files.iter().flat_map(|(_, preflight)| &preflight.without_lameduck).collect();
    let others = files.iter().flat_map(|(_, preflight)| &preflight.without_pod).count();
    let found = match (&pods[..], others) {
        ([], 0) => "they contain no objects".to_owned(),
        ([], _) => format!("no object has a pod ({others} without one)"),
        (pods, _) => {
            let more = pods.len().saturating_sub(MAX_LISTED);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            let shown = pods.iter().take(MAX_LISTED).map(|title| title.as_str()).collect::<Vec<_>>().join(", ");
            format!("objects with pods: {shown}{rest}")
        }
    };
    let message = format!(
        "{names}: no pod has lameduck; {found}. Add it with lameduck inject, or give the manifests that have it"
    );
    CommandError::new(Exit::Unreachable, message)
}
