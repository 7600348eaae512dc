//! Environment variables that look like settings but are not.

use clap::{Args, Command};

use crate::settings::args::SidecarArgs;

/// lameduck's variables that are not settings of the sidecar: clients read this one.
const NON_SIDECAR_VARS: [&str; 1] = ["LAMEDUCK_ADDRESS"];

/// Returns the `LAMEDUCK_` variables that no setting has: misspelt ones, and settings of another version.
#[must_use]
pub fn unknown_variables() -> Vec<String> {
    let known = known_variables();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let own = names.filter(|name| name.starts_with("LAMEDUCK_"));
    own.filter(|name| !known.contains(name) && !is_service_link(name)).collect()
}

/// Returns every variable of lameduck.
#[must_use]
pub fn known_variables() -> Vec<String> {
    let command = SidecarArgs::augment_args(Command::new("sidecar"));
    let settings = command.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned()));
    settings.chain(NON_SIDECAR_VARS.map(str::to_owned)).collect()
}

/// Whether Kubernetes may have set this variable for a Service whose name begins with `lameduck`.
fn is_service_link(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_not_unknown_settings() {
        for name in ["LAMEDUCK_SERVICE_HOST", "LAMEDUCK_PORT", "LAMEDUCK_PORT_8089_TCP", "LAMEDUCK_TARGET_SERVICE_PORT"]
        {
            assert!(is_service_link(name), "{name}");
        }
        assert!(!is_service_link("LAMEDUCK_TOKEN_FILE"));
    }
}
