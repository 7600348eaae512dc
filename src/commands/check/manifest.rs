//! The parts of the manifest on which a drain depends, and which a process in the pod cannot see.

use humantime::format_duration;

use super::report::Check;
use crate::settings::Settings;

/// The command that checks them.
const COMMAND: &str = "kubectl get pod POD -o json | lameduck check -f -";

/// Lists the parts of the manifest that were not checked, with the command that checks them. Without a pod, there is no
/// manifest.
pub(super) fn unseen(settings: &Settings, in_pod: bool) -> Vec<Check> {
    let grace = format_duration(settings.times.grace_period);
    if !in_pod {
        let skip = |name, what: String| Check::skip(name, what);
        let no_pod = || "there is no pod here: KUBERNETES_SERVICE_HOST is not set".to_owned();
        let settings = "stop_grace_period (Compose), --stop-timeout (Docker, Podman), kill_timeout (Nomad) or \
                        TimeoutStopSec (systemd)";
        return vec![
            skip("hook", no_pod()),
            skip("probes", no_pod()),
            skip(
                "grace_period",
                format!("whether {grace} pass between the stop signal and SIGKILL is not visible: {settings}"),
            ),
        ];
    }
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
        let checks = unseen(&Settings::new(&cli.args).unwrap(), true);
        assert_eq!(checks.len(), 3);
        for (check, part) in checks.iter().zip(["preStop", "probes", "is 30m too"]) {
            let text = format!("{check:?}");
            assert!(text.contains("Skip") && text.contains(COMMAND) && text.contains(part), "{text}");
        }
    }

    #[test]
    fn without_a_pod_there_is_no_manifest() {
        let cli = Cli::parse_from(["sidecar", "--grace-period", "30m", "--state-dir", "none"]);
        let checks = unseen(&Settings::new(&cli.args).unwrap(), false);
        for (check, part) in checks.iter().zip(["no pod", "no pod", "TimeoutStopSec"]) {
            let text = format!("{check:?}");
            assert!(text.contains("Skip") && !text.contains(COMMAND) && text.contains(part), "{text}");
        }
    }
}
