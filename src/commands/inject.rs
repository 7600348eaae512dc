//! `lameduck inject`: reads manifests from a file or stdin, and writes them with the sidecar to stdout.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::commands::check::manifests::settings;
use crate::commands::{CommandError, Exit, eprint_line};
use crate::settings::args::SidecarArgs;
use crate::settings::drain::unsupported_standalone;
use crate::settings::values::{self, OrNone};
use lameduck_manifests::preflight::{Invocation, Listen, Problem};
use lameduck_manifests::{self, ContainerSelector, Edited, MAX_UID, Message, Mode, Request, RunAsUser, Setting};

/// Why a token is not injected.
const NO_TOKEN: &str = "inject cannot write the Secret's volume, its mount in the sidecar and the hook's httpHeaders, \
    and without them no drain would begin; leave the flag out and add these and LAMEDUCK_TOKEN_FILE by hand (a later \
    inject keeps them), or use an exec hook (`lameduck drain --hook`), which needs no token";

/// Kustomize 5.0 to 5.6 refuses a file with no patch in it, even if it has a comment; kustomize 5.8 accepts it.
const NOTHING_TO_PATCH: &str = "nothing to patch, so the output is empty: take the patch out of the kustomization, because \
    many versions of kustomize refuse an empty file";

/// The FILE argument that means stdin.
pub(super) const STDIN: &str = "-";

/// The arguments of `lameduck inject`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Args, Clone, Debug)]
pub struct InjectArgs {
    /// The manifests; - or nothing reads them from stdin
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// lameduck's image; there is no default registry [required]
    #[arg(long, value_name = "IMAGE", conflicts_with = "remove")]
    image: Option<String>,

    /// Change only this workload of any kind, e.g. Deployment/deepgram-engine or speech/Rollout/api; repeatable [default: all that match the preset]
    #[arg(long, value_name = "[NAMESPACE/]KIND/NAME", value_parser = workload)]
    workload: Vec<String>,

    /// The main container [default: the container that runs the target or, with a vendor's preset, has its image]
    #[arg(long, value_name = "NAME", conflicts_with = "remove")]
    container: Option<String>,

    /// Another container that gets the hook, so that its SIGTERM waits for the drain too; repeatable
    #[arg(long, value_name = "NAME", conflicts_with = "remove")]
    also_hook: Vec<String>,

    /// Replace a preStop hook that does something else; --remove restores it
    #[arg(long, conflicts_with = "remove")]
    replace_hook: bool,

    /// The main container's uid if the manifest does not set it: only the same user may signal it. none: write no uid, because the cluster assigns one to the whole pod
    #[arg(long, value_name = "UID", value_parser = run_as_user, conflicts_with = "remove")]
    run_as_user: Option<RunAsUser>,

    /// Add an ordinary container instead of a native sidecar, for Kubernetes before 1.29
    #[arg(long, conflicts_with_all = ["standalone", "remove"])]
    classic: bool,

    /// Add no sidecar: the hook runs the whole drain inside the main container, without a port or shared processes
    #[arg(long, conflicts_with = "remove")]
    standalone: bool,

    /// Remove everything that was injected
    #[arg(long)]
    remove: bool,

    /// Fail if there is a warning: pods without lameduck, no grace period, and others. Helm hides warnings
    #[arg(long)]
    strict: bool,

    /// What to write: the manifests, or only the change, as strategic-merge patches for a component of kustomize
    #[arg(long, value_name = "FORM", default_value = "manifests")]
    output: OutputForm,

    /// The sidecar's settings
    #[command(flatten)]
    settings: SidecarSettings,
}

/// What is written to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OutputForm {
    /// The manifests.
    Manifests,
    /// One strategic-merge patch for each workload that changes.
    Patch,
}

/// The sidecar's settings: the flags of `lameduck sidecar`, but from the command line only, because the sidecar will not
/// run in this environment.
#[derive(Clone, Debug)]
struct SidecarSettings {
    args: SidecarArgs,
    /// Those that were given.
    given: Vec<Setting>,
}

impl Args for SidecarSettings {
    fn augment_args(command: Command) -> Command {
        let known: Vec<_> = command.get_arguments().map(|arg| arg.get_id().clone()).collect();
        let command = SidecarArgs::augment_args(command).next_help_heading("Settings of the sidecar");
        let grace_period = "The grace period of pod and sidecar [default: the pod's terminationGracePeriodSeconds]";
        let command = command.mut_arg("grace_period", |arg| arg.help(grace_period));
        // These paths are inside the pod and cannot be checked here.
        let command = command
            .mut_arg("state_dir", |arg| arg.value_parser(values::path_or_none))
            .mut_arg("termination_log", |arg| arg.value_parser(termination_log));
        command.mut_args(|arg| if known.contains(arg.get_id()) { arg } else { without_env(arg) })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn without_env(arg: Arg) -> Arg {
    arg.env(None).help_heading("Settings of the sidecar")
}

impl FromArgMatches for SidecarSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let command = SidecarArgs::augment_args(Command::new("sidecar"));
        let given = command.get_arguments().filter_map(|arg| given_setting(arg, matches)).collect();
        Ok(Self { args: SidecarArgs::from_arg_matches(matches)?, given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The values given for a flag of the sidecar; the grace period is handled separately.
fn given_setting(arg: &Arg, matches: &ArgMatches) -> Option<Setting> {
    let id = arg.get_id().as_str();
    if id == "grace_period" || matches.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    let values = matches.get_raw(id)?.map(|value| value.to_string_lossy().into_owned()).collect();
    let variable = arg.get_env()?.to_str()?.to_owned();
    Some(Setting { flag: arg.get_long()?.to_owned(), variable, values })
}

/// Reads manifests, edits them and writes them to stdout.
///
/// # Errors
/// Fails, with nothing on stdout, if the manifests cannot be read, nothing in them is selected, or a selected pod cannot
/// be changed safely.
pub fn run(args: &InjectArgs) -> Result<Exit, CommandError> {
    let usage = |message: String| CommandError::new(Exit::Usage, message);
    let request = if args.remove { reject_settings(args).map(|()| None) } else { request(args).map(Some) };
    let request = request.map_err(usage)?;
    let before = read_manifests(args.file.as_deref()).map_err(usage)?;
    let Edited { text, messages } = match request {
        Some(request) => lameduck_manifests::inject(&before, &request, &|invocation| check(invocation, request.port)),
        None => lameduck_manifests::remove(
            &before,
            &ContainerSelector { workloads: args.workload.clone(), ..ContainerSelector::default() },
        ),
    }
    .map_err(usage)?;
    for message in &messages {
        eprint_line(&message.to_string());
    }
    if args.strict {
        refuse_warnings(&messages).map_err(usage)?;
    }
    let text = match args.output {
        OutputForm::Manifests => text,
        OutputForm::Patch => lameduck_manifests::strategic_merge(&before, &text).map_err(usage)?,
    };
    if text.is_empty() && args.output == OutputForm::Patch {
        eprint_line(NOTHING_TO_PATCH);
    }
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written
        .map_err(|error| CommandError::new(Exit::Internal, format!("the manifests could not be written: {error}")))?;
    Ok(Exit::Success)
}

/// Rejects messages with warnings.
fn refuse_warnings(messages: &[Message]) -> Result<(), String> {
    match messages.iter().filter(|message| message.is_warning()).count() {
        0 => Ok(()),
        1 => Err("--strict: there is a warning, so nothing is written".to_owned()),
        count => Err(format!("--strict: there are {count} warnings, so nothing is written")),
    }
}

/// Rejects settings with `--remove`.
fn reject_settings(args: &InjectArgs) -> Result<(), String> {
    let given = args.settings.given.first().map(|setting| setting.flag.as_str());
    match given.or(args.settings.args.grace_period.map(|_| "grace-period")) {
        Some(flag) => Err(format!("--{flag}: --remove has no settings; leave it out")),
        None => Ok(()),
    }
}

/// Reads the manifests from a file, or from stdin if there is none.
///
/// # Errors
/// Names the file and the cause.
pub(super) fn read_manifests(file: Option<&Path>) -> Result<String, String> {
    let file = file.filter(|file| *file != Path::new(STDIN));
    let bytes = match file {
        Some(file) => std::fs::read(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?,
        None => read_stdin().map_err(|error| format!("the manifests cannot be read from stdin: {error}"))?,
    };
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let file = file.map_or_else(String::new, |file| format!("{}: ", file.display()));
        format!("{file}the manifests are not UTF-8 (at byte {at}); write them in UTF-8")
    })
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    if std::io::stdin().is_terminal() {
        eprint_line("reading manifests from the terminal; end them with Ctrl-D");
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn request(args: &InjectArgs) -> Result<Request, String> {
    let settings = &args.settings.args;
    let mode = match (args.classic, args.standalone) {
        (true, _) => Mode::Classic,
        (false, true) => Mode::Standalone,
        (false, false) => Mode::Native,
    };
    if let Some(OrNone(Some(path))) = &settings.token_file
        && !args.standalone
    {
        return Err(format!("--token-file {}: {NO_TOKEN}", path.display()));
    }
    if args.standalone {
        for Setting { flag, .. } in &args.settings.given {
            unsupported_standalone(flag).map_or(Ok(()), |error| Err(error.to_string()))?;
        }
    }
    let signal = settings.signal.clone().map_or(settings.preset.signal(), |OrNone(signal)| signal);
    Ok(Request {
        selector: selector(args),
        mode,
        image: image(args)?,
        settings: args.settings.given.clone(),
        grace_period: settings.grace_period.map(whole_seconds).transpose()?,
        run_as_user: args.run_as_user,
        port: port(args)?,
        signal: signal.map(|signal| signal.to_string()),
        replace_hook: args.replace_hook,
    })
}

fn image(args: &InjectArgs) -> Result<String, String> {
    let image =
        args.image.as_deref().map(str::trim).filter(|image| !image.is_empty() && !image.contains(char::is_whitespace));
    let missing = "--image is required: give an image of lameduck that your cluster can pull, \
                   e.g. --image registry.example.com/lameduck:0.1.0";
    image.map(str::to_owned).ok_or_else(|| missing.to_owned())
}

fn port(args: &InjectArgs) -> Result<u16, String> {
    let listen = args.settings.args.required_listen().map_err(|error| error.to_string())?;
    if listen.ip().is_loopback() {
        return Err(format!(
            "--listen {listen}: the kubelet cannot reach a loopback address; use e.g. [::]:{}",
            listen.port()
        ));
    }
    if listen.port() == 0 {
        return Err(format!("--listen {listen}: the hook needs a fixed port; use e.g. [::]:8089"));
    }
    Ok(listen.port())
}

fn selector(args: &InjectArgs) -> ContainerSelector {
    let settings = &args.settings.args;
    ContainerSelector {
        workloads: args.workload.clone(),
        container: args.container.clone(),
        also_hook: args.also_hook.clone(),
        program: settings.target.clone().or(settings.preset.target().map(str::to_owned)),
        image: settings.preset.image().filter(|_| settings.target.is_none()),
    }
}

/// Converts a grace period to whole seconds, which is all that Kubernetes has.
fn whole_seconds(grace_period: Duration) -> Result<u64, String> {
    if grace_period.subsec_nanos() != 0 {
        return Err("--grace-period: terminationGracePeriodSeconds is in whole seconds; round it".into());
    }
    Ok(grace_period.as_secs())
}

/// Checks that lameduck accepts its settings, as far as the manifest says them, and that the sidecar listens on the port
/// of the hook.
fn check(invocation: &Invocation, port: u16) -> Result<(), String> {
    let settings = settings::read(invocation);
    if let Some(Problem { cause, fix }) = settings.refused.first() {
        return Err(format!("{cause}; {fix}"));
    }
    match settings.listen.filter(|listen| listen.port != port && !invocation.standalone) {
        Some(Listen { port: kept, .. }) => Err(format!(
            "--listen: the sidecar would listen on port {kept}, but its hook and its probes would call port {port}; \
             give the port again, e.g. --listen [::]:{kept}"
        )),
        None => Ok(()),
    }
}

fn workload(text: &str) -> Result<String, String> {
    let parts: Vec<_> = text.split('/').collect();
    if matches!(parts.len(), 2 | 3) && !parts.contains(&"") {
        return Ok(text.to_owned());
    }
    Err("write KIND/NAME or NAMESPACE/KIND/NAME, e.g. Deployment/deepgram-engine".into())
}

fn run_as_user(text: &str) -> Result<RunAsUser, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(RunAsUser::Assigned);
    }
    let uid = text.parse().ok().filter(|uid| *uid <= MAX_UID);
    uid.map(RunAsUser::Uid).ok_or_else(|| {
        format!("Kubernetes accepts uids up to {MAX_UID}; write one, e.g. 1000, or none if the cluster assigns it")
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a value parser")]
fn termination_log(text: &str) -> Result<PathBuf, String> {
    Ok(text.into())
}
