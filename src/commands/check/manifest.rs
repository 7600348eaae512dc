//! The parts of the manifest on which a drain depends, and which a process in the pod cannot see.

use humantime::format_duration;

use super::report::Check;
use crate::settings::Settings;

/// The command that checks them.
const COMMAND: &str = "kubectl get pod POD -o json | lameduck check -f -";

/// Lists the parts of the manifest that were not checked, with the command that checks them.
pub(super) fn unseen(settings: &Settings) -> Vec<Check> {
    let grace = format_duration(settings.times.grace_period);
    let skip = |name, what: String| Check::skip(name, format!("{what} is not visible inside the pod: {COMMAND}"));
    vec![
        skip("hook", "whether the main container has the preStop hook".into()),
        skip("probes", "whether the probes use the right paths".into()),
        skip("grace_period", format!("whether the pod's terminationGracePeriodSeconds is {grace} too")),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::settings::args::SidecarArgs;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: SidecarArgs,
    }

    #[test]
    fn unseen_parts_are_skipped_and_name_the_command() {
        let cli = Cli::parse_from(["sidecar", "--grace-period", "30m", "--state-dir", "none"]);
        let checks = unseen(&Settings::new(&cli.args).unwrap());
        assert_eq!(checks.len(), 3);
        for (check, part) in checks.iter().zip(["preStop", "probes", "is 30m too"]) {
            let text = format!("{check:?}");
            assert!(text.contains("Skip") && text.contains(COMMAND) && text.contains(part), "{text}");
        }
    }
}
