//! The settings of `lameduck drain`: hardly any for a client, and those of a sidecar with `--standalone`.

use std::ffi::OsStr;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};

use crate::settings::args::{AddressArgs, SidecarArgs};
use crate::settings::error::SettingError;
use crate::settings::values;

/// The settings that have no meaning without a sidecar.
const SIDECAR_ONLY: [&str; 5] = ["listen", "token_file", "on_sigterm", "accept_below", "unready_after"];
/// The setting that needs a process which outlives the hook.
const IDLE_AFTER: &str = "idle_after";
/// The settings of a client.
const CLIENT: [&str; 6] = ["hook", "standalone", "cancel", "address", "log_format", "log_level"];
/// The directory for the state of a drain.
const STATE_DIR: &str = "state_dir";
/// The address of the sidecar.
const ADDRESS: &str = "address";

/// The settings of `lameduck drain`, as typed.
#[derive(Args, Clone, Debug)]
pub struct DrainArgs {
    /// Run as the preStop hook of the target's container, not for a user
    #[arg(long)]
    pub hook: bool,

    /// Perform the whole drain in this process, without a sidecar: for an exec hook in the target's own container
    #[arg(long)]
    pub standalone: bool,

    /// Cancel a drain that a user has started, until the signal has been sent: the pod is then ready again
    #[arg(long, conflicts_with_all = ["hook", "standalone"])]
    pub cancel: bool,

    /// The address of the sidecar.
    #[command(flatten)]
    pub address: AddressArgs,

    /// The settings of a standalone drain.
    #[command(flatten)]
    pub settings: SidecarArgs,
}

/// Removes the environment variables that this invocation of `drain` does not use.
///
/// The containers of a pod may share one list of variables, and a hook that fails because of a variable that it does
/// not use would cut every stream.
#[must_use]
pub fn scope_env_vars(drain: Command, typed: &[impl AsRef<OsStr>]) -> Command {
    let has = |flag: &str| typed.iter().any(|word| word.as_ref() == flag);
    let (standalone, help) = (has("--standalone"), has("--help") || has("-h"));
    drain.mut_arg(STATE_DIR, |arg| arg.value_parser(values::path_or_none)).mut_args(|arg| {
        let id = arg.get_id().as_str();
        let needs_sidecar = SIDECAR_ONLY.contains(&id) || id == IDLE_AFTER;
        let for_client = CLIENT.contains(&id);
        let arg = arg.hide(needs_sidecar);
        let used = if standalone { !needs_sidecar } else { for_client || help };
        if used { arg } else { arg.env(None::<&'static str>) }
    })
}

/// Refuses typed flags that this invocation of `drain` does not use.
///
/// # Errors
/// Names the first such flag, and why it is not used.
pub fn reject_unused_flags(drain: &Command, matches: &ArgMatches) -> Result<(), SettingError> {
    let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let mut typed = drain.get_arguments().map(|arg| arg.get_id().as_str()).filter(|id| is_typed(id));
    let standalone = matches.get_flag("standalone");
    typed.find_map(|id| unsupported(id, standalone)).map_or(Ok(()), Err)
}

fn unsupported(id: &str, standalone: bool) -> Option<SettingError> {
    if !standalone {
        let error = || {
            let fix = "set it there, or drain without a sidecar with --standalone";
            SettingError::without_value(flag(id), "is not used here: the sidecar has its own settings", fix)
        };
        return (!CLIENT.contains(&id)).then(error);
    }
    if id == ADDRESS {
        return Some(SettingError::without_value(
            flag(id),
            "is not used: --standalone does not call a sidecar",
            "keep one of the two",
        ));
    }
    unsupported_standalone(id)
}

/// Returns why a standalone drain does not support a setting of the sidecar, given by its id or its flag; `None` if it
/// does.
#[must_use]
pub fn unsupported_standalone(setting: &str) -> Option<SettingError> {
    let id = setting.replace('-', "_");
    if id == IDLE_AFTER {
        return Some(SettingError::without_value(
            flag(&id),
            "is not supported: a standalone drain waits for idle streams, because it cannot end a target that stays for them",
            "leave it out, or use a sidecar",
        ));
    }
    let cause = "is not supported: a standalone drain has no sidecar and no port";
    SIDECAR_ONLY.contains(&id.as_str()).then(|| SettingError::without_value(flag(&id), cause, "leave it out"))
}

fn flag(id: &str) -> String {
    format!("--{}", id.replace('_', "-"))
}
