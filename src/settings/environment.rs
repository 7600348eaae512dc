//! Environment variables that look like settings but are not.

use clap::{Args, Command};

use crate::settings::run::RunArgs;
use crate::suggest::closest;

/// The prefix of all variables.
const PREFIX: &str = "LAMEDUCK_";
/// lameduck's variables that are not settings of the sidecar: clients read this one.
const NON_SIDECAR_VARS: [&str; 1] = ["LAMEDUCK_ADDRESS"];

/// Returns the `LAMEDUCK_` variables that no setting has: misspelt ones, and settings of another version.
#[must_use]
pub fn unknown_variables() -> Vec<String> {
    let known = known_variables();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let own = names.filter(|name| name.starts_with(PREFIX));
    own.filter(|name| !known.contains(name) && !is_service_link(name)).collect()
}

/// Returns the variable that a misspelt one probably stands for; `None` if no name is similar.
#[must_use]
pub fn intended_variable(name: &str) -> Option<String> {
    let bare = |name: &str| name.trim_start_matches(PREFIX).to_owned();
    let settings: Vec<String> = setting_variables().map(|name| bare(&name)).collect();
    let intended = closest(&bare(name), settings.iter().map(String::as_str))?;
    Some(format!("{PREFIX}{intended}"))
}

/// Returns every variable of lameduck.
#[must_use]
pub fn known_variables() -> Vec<String> {
    setting_variables().chain(NON_SIDECAR_VARS.map(str::to_owned)).collect()
}

/// The variables of all settings.
fn setting_variables() -> impl Iterator<Item = String> {
    // They include those of a sidecar.
    let command = RunArgs::augment_args(Command::new("run"));
    let variables: Vec<String> =
        command.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned())).collect();
    variables.into_iter()
}

/// Whether Kubernetes may have set this variable for a Service whose name begins with `lameduck`.
fn is_service_link(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_variables_are_recognized() {
        for (typed, intended) in [
            ("LAMEDUCK_TOKENFILE", Some("LAMEDUCK_TOKEN_FILE")),
            ("LAMEDUCK_GRACEPERIOD", Some("LAMEDUCK_GRACE_PERIOD")),
            ("LAMEDUCK_GRACE_PERIOD_SECONDS", Some("LAMEDUCK_GRACE_PERIOD")),
            ("LAMEDUCK_STREAM", Some("LAMEDUCK_STREAMS")),
            ("LAMEDUCK_COLOUR", None),
        ] {
            assert_eq!(intended_variable(typed).as_deref(), intended, "{typed}");
        }
    }

    #[test]
    fn service_links_are_not_unknown_settings() {
        for name in ["LAMEDUCK_SERVICE_HOST", "LAMEDUCK_PORT", "LAMEDUCK_PORT_8089_TCP", "LAMEDUCK_TARGET_SERVICE_PORT"]
        {
            assert!(is_service_link(name), "{name}");
        }
        assert!(!is_service_link("LAMEDUCK_TOKEN_FILE"));
    }
}
