//! `lameduck inject`: manifests on stdin, the same manifests with the sidecar on stdout.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::commands::{CommandError, Exit, eprint_line};
use crate::settings::Settings;
use crate::settings::args::SidecarArgs;
use crate::settings::drain::unsupported_standalone;
use crate::settings::values::{self, OrNone};
use lameduck_manifests::select::ContainerSelector;
use lameduck_manifests::sidecar_spec::Mode;
use lameduck_manifests::{self, Done, Request, Setting, remove};

/// Why a token is not injected.
const NO_TOKEN: &str = "inject writes neither the volume of the Secret and its mount in the sidecar nor the hook's \
    httpHeaders, and without them no drain would begin; leave it out, and write these and LAMEDUCK_TOKEN_FILE by hand \
    (a later inject keeps them), or use an exec hook (`lameduck drain --hook`), which needs no token";

/// What is typed to `lameduck inject`.
#[derive(Args, Clone, Debug)]
pub struct InjectArgs {
    /// lameduck's image; no registry is assumed [required]
    #[arg(long, value_name = "IMAGE", conflicts_with = "remove")]
    image: Option<String>,

    /// Only this workload, e.g. Deployment/deepgram-engine; repeatable [default: all that are for the preset]
    #[arg(long, value_name = "KIND/NAME", value_parser = workload)]
    workload: Vec<String>,

    /// The main container [default: the one that runs the target or, with a vendor's preset, has its image]
    #[arg(long, value_name = "NAME", conflicts_with = "remove")]
    container: Option<String>,

    /// A further container whose SIGTERM waits for the drain; repeatable
    #[arg(long, value_name = "NAME", conflicts_with = "remove")]
    hold: Vec<String>,

    /// The main container's uid, where the manifest does not say it: only the same user may signal it
    #[arg(long, value_name = "UID", conflicts_with = "remove")]
    run_as_user: Option<u32>,

    /// As an ordinary container instead of a native sidecar, for Kubernetes before 1.29
    #[arg(long, conflicts_with_all = ["standalone", "remove"])]
    classic: bool,

    /// No sidecar: the hook does the whole drain inside the main container, without port and shared processes
    #[arg(long, conflicts_with = "remove")]
    standalone: bool,

    /// Take out what was injected
    #[arg(long)]
    remove: bool,

    /// The sidecar's settings
    #[command(flatten)]
    settings: TypedSettings,
}

/// The sidecar's settings as they were typed: the very flags of `lameduck sidecar`, but from the command line alone,
/// since this environment is not the sidecar's.
#[derive(Clone, Debug)]
struct TypedSettings {
    args: SidecarArgs,
    typed: Vec<Setting>,
}

impl Args for TypedSettings {
    fn augment_args(command: Command) -> Command {
        let known: Vec<_> = command.get_arguments().map(|arg| arg.get_id().clone()).collect();
        let command = SidecarArgs::augment_args(command).next_help_heading("Settings of the sidecar");
        let grace_period = "The grace period of pod and sidecar [default: the pod's terminationGracePeriodSeconds]";
        let command = command.mut_arg("grace_period", |arg| arg.help(grace_period));
        // Paths are the pod's, and cannot be looked at from here.
        let command = command
            .mut_arg("state_dir", |arg| arg.value_parser(values::path_or_none))
            .mut_arg("termination_log", |arg| arg.value_parser(termination_log));
        command.mut_args(|arg| if known.contains(arg.get_id()) { arg } else { here(arg) })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn here(arg: Arg) -> Arg {
    arg.env(None).help_heading("Settings of the sidecar")
}

impl FromArgMatches for TypedSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let command = SidecarArgs::augment_args(Command::new("sidecar"));
        let typed = command.get_arguments().filter_map(|arg| setting(arg, matches)).collect();
        Ok(Self { args: SidecarArgs::from_arg_matches(matches)?, typed })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A flag of the sidecar and what was typed behind it; the grace period goes its own way.
fn setting(arg: &Arg, matches: &ArgMatches) -> Option<Setting> {
    let id = arg.get_id().as_str();
    if id == "grace_period" || matches.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    let values = matches.get_raw(id)?.map(|value| value.to_string_lossy().into_owned()).collect();
    let variable = arg.get_env()?.to_str()?.to_owned();
    Some(Setting { flag: arg.get_long()?.to_owned(), variable, values })
}

/// Reads manifests from stdin, and writes them to stdout.
///
/// # Errors
/// Fails, with nothing on stdout, where the manifests cannot be read, nothing in them is meant, or what is meant cannot
/// be changed without harm.
pub fn run(args: &InjectArgs) -> Result<Exit, CommandError> {
    let usage = |message: String| CommandError::new(Exit::Usage, message);
    let request = if args.remove { nothing_else(args).map(|()| None) } else { request(args).map(Some) };
    let request = request.map_err(usage)?;
    let text = manifests().map_err(usage)?;
    let Done { text, told } = match request {
        Some(request) => lameduck_manifests::inject(&text, &request, &|seconds| check(&args.settings.args, seconds)),
        None => remove::remove(
            &text,
            &ContainerSelector { workloads: args.workload.clone(), ..ContainerSelector::default() },
        ),
    }
    .map_err(usage)?;
    for line in &told {
        eprint_line(line);
    }
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written
        .map_err(|error| CommandError::new(Exit::Internal, format!("the manifests could not be written: {error}")))?;
    Ok(Exit::Success)
}

/// What is taken out has no settings.
fn nothing_else(args: &InjectArgs) -> Result<(), String> {
    let typed = args.settings.typed.first().map(|setting| setting.flag.as_str());
    match typed.or(args.settings.args.grace_period.map(|_| "grace-period")) {
        Some(flag) => Err(format!("--{flag}: --remove takes no settings; leave it out")),
        None => Ok(()),
    }
}

fn manifests() -> Result<String, String> {
    if std::io::stdin().is_terminal() {
        eprint_line("reading manifests from the terminal; end them with Ctrl-D");
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| format!("the manifests cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("the manifests are not UTF-8 (at byte {at}); write them in UTF-8")
    })
}

fn request(args: &InjectArgs) -> Result<Request, String> {
    let settings = &args.settings.args;
    let shape = match (args.classic, args.standalone) {
        (true, _) => Mode::Classic,
        (false, true) => Mode::Standalone,
        (false, false) => Mode::Native,
    };
    if let Some(uid) = args.run_as_user.filter(|uid| *uid > lameduck_manifests::LARGEST_ID) {
        return Err(format!("--run-as-user {uid}: Kubernetes takes uids up to {}", lameduck_manifests::LARGEST_ID));
    }
    if let Some(OrNone(Some(path))) = &settings.token_file
        && !args.standalone
    {
        return Err(format!("--token-file {}: {NO_TOKEN}", path.display()));
    }
    if args.standalone {
        for Setting { flag, .. } in &args.settings.typed {
            unsupported_standalone(flag).map_or(Ok(()), |error| Err(error.to_string()))?;
        }
    }
    Ok(Request {
        wanted: wanted(args),
        shape,
        image: image(args)?,
        settings: args.settings.typed.clone(),
        grace_period: settings.grace_period.map(whole_seconds).transpose()?,
        run_as_user: args.run_as_user,
        port: port(args)?,
    })
}

fn image(args: &InjectArgs) -> Result<String, String> {
    let image =
        args.image.as_deref().map(str::trim).filter(|image| !image.is_empty() && !image.contains(char::is_whitespace));
    let missing = "--image is required: name lameduck's image where your cluster can pull it, \
                   e.g. --image registry.example.com/lameduck:0.1.0";
    image.map(str::to_owned).ok_or_else(|| missing.to_owned())
}

fn port(args: &InjectArgs) -> Result<u16, String> {
    let listen = args.settings.args.listen.0;
    if listen.ip().is_loopback() {
        return Err(format!("--listen {listen}: the kubelet cannot reach loopback; write e.g. [::]:{}", listen.port()));
    }
    if listen.port() == 0 {
        return Err(format!("--listen {listen}: the hook needs a port that is known; write e.g. [::]:8089"));
    }
    Ok(listen.port())
}

fn wanted(args: &InjectArgs) -> ContainerSelector {
    let settings = &args.settings.args;
    ContainerSelector {
        workloads: args.workload.clone(),
        container: args.container.clone(),
        hold: args.hold.clone(),
        program: settings.target.clone().or(settings.preset.target().map(str::to_owned)),
        image: settings.preset.image().filter(|_| settings.target.is_none()),
    }
}

/// Kubernetes counts grace periods in whole seconds.
fn whole_seconds(grace_period: Duration) -> Result<u64, String> {
    if grace_period.subsec_nanos() != 0 {
        return Err("--grace-period: terminationGracePeriodSeconds counts whole seconds; round it".into());
    }
    Ok(grace_period.as_secs())
}

/// Whether the sidecar would start with these settings.
fn check(args: &SidecarArgs, grace_period: u64) -> Result<(), String> {
    let grace_period = Some(Duration::from_secs(grace_period));
    Settings::new(&SidecarArgs { grace_period, ..args.clone() }).map(drop).map_err(|error| error.to_string())
}

fn workload(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(text.to_owned()),
        _ => Err("write KIND/NAME, e.g. Deployment/deepgram-engine".into()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what a value parser returns")]
fn termination_log(text: &str) -> Result<PathBuf, String> {
    Ok(text.into())
}
