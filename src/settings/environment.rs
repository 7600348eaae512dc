//! Environment variables that look like settings but are not.

use clap::{Args, Command};

use crate::settings::args::SidecarArgs;

/// lameduck's variables that are not settings of the sidecar: clients read this one.
const NON_SIDECAR_VARS: [&str; 1] = ["LAMEDUCK_ADDRESS"];

/// Returns the `LAMEDUCK_` variables that no setting has: misspelt ones, and settings of another version.
#[must_use]
pub fn unknown_variables() -> Vec<String> {
    let command = SidecarArgs::augment_args(Command::new("sidecar"));
    let known: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let own = names.filter(|name| name.starts_with("LAMEDUCK_") && !NON_SIDECAR_VARS.contains(&name.as_str()));
    own.filter(|name| !known.contains(&name.as_str()) && !is_service_link(name)).collect()
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
