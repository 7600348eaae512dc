//! What `lameduck drain` is told: as a client next to nothing, without a sidecar all that a sidecar is told.

use std::ffi::OsStr;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};

use crate::settings::args::{AddressArgs, SidecarArgs};
use crate::settings::values;

/// The settings of a sidecar that mean nothing without one.
const SIDECAR_ONLY: [&str; 4] = ["listen", "token_file", "on_sigterm", "accept_below"];
/// What only a process can do that outlives the hook.
const IDLE_AFTER: &str = "idle_after";
/// What a client is told as well.
const CLIENT: [&str; 5] = ["hook", "standalone", "address", "log_format", "log_level"];
/// Where a drain is noted.
const STATE_DIR: &str = "state_dir";
/// Where a client looks for its sidecar.
const ADDRESS: &str = "address";

/// The settings of `lameduck drain`, as typed.
#[derive(Args, Clone, Debug)]
pub struct DrainArgs {
    /// This is the preStop hook of the target's container, not a person
    #[arg(long)]
    pub hook: bool,

    /// Do the whole drain in this process, without a sidecar: for an exec hook in the target's own container
    #[arg(long)]
    pub standalone: bool,

    /// Where the sidecar is
    #[command(flatten)]
    pub address: AddressArgs,

    /// What a sidecar would be told
    #[command(flatten, next_help_heading = "With --standalone, and as of a sidecar")]
    pub settings: SidecarArgs,
}

/// Leaves only those variables to `drain` that mean something to it: one list serves a pod's containers alike, and a
/// hook that fails for a setting that it has no use for would cut every stream.
#[must_use]
pub fn scope_env_vars(drain: Command, words: &[impl AsRef<OsStr>]) -> Command {
    let typed = |word: &str| words.iter().any(|typed| typed.as_ref() == word);
    let (standalone, help) = (typed("--standalone"), typed("--help") || typed("-h"));
    drain.mut_arg(STATE_DIR, |arg| arg.value_parser(values::path_or_none)).mut_args(|arg| {
        let id = arg.get_id().as_str();
        let is_of_sidecar = SIDECAR_ONLY.contains(&id) || id == IDLE_AFTER;
        let is_of_client = CLIENT.contains(&id);
        let arg = arg.hide(is_of_sidecar);
        let means_something = if standalone { !is_of_sidecar } else { is_of_client || help };
        if means_something { arg } else { arg.env(None::<&'static str>) }
    })
}

/// Refuses what was typed in vain.
///
/// # Errors
/// Names the flag, and why it means nothing here.
pub fn reject_unused_flags(drain: &Command, matches: &ArgMatches) -> Result<(), String> {
    let standalone = matches.get_flag("standalone");
    for arg in drain.get_arguments() {
        let id = arg.get_id().as_str();
        let is_typed = matches.value_source(id) == Some(ValueSource::CommandLine);
        if let Some(why) = unsupported_reason(id, standalone).filter(|_| is_typed) {
            return Err(format!("--{}: {why}", id.replace('_', "-")));
        }
    }
    Ok(())
}

fn unsupported_reason(id: &str, standalone: bool) -> Option<&'static str> {
    if !standalone {
        let vain = "the sidecar has its own settings; set it there, or do without a sidecar by --standalone";
        return (!CLIENT.contains(&id)).then_some(vain);
    }
    match id {
        ADDRESS => Some("--standalone asks no sidecar; keep one of the two"),
        _ => unsupported_standalone_reason(id),
    }
}

/// What stands against a setting of a sidecar, by its id or flag, where there is none.
#[must_use]
pub fn unsupported_standalone_reason(setting: &str) -> Option<&'static str> {
    match setting.replace('-', "_").as_str() {
        IDLE_AFTER => Some(
            "--standalone cannot end a target that then stays for its idle streams, so it waits for them; leave it out, or use a sidecar",
        ),
        id => SIDECAR_ONLY.contains(&id).then_some("--standalone has no port and is no sidecar; leave it out"),
    }
}
