//! The flags and environment variables of `lameduck-fleet`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use lameduck::settings::values::{self, Level, Listen, LogFormat};
use lameduck_fleet_machine::settings::{DisruptionSetting, ProtectionSettings, Settings};

const DISCOVERY: &str = "Pods";
const PROTECTION: &str = "Protection";
const ELECTION: &str = "Leader election";
const SERVER: &str = "Server and log";

/// The controller of all pods that have a lameduck sidecar.
///
/// It writes deletion costs, so that the emptiest pods are removed first, tells sidecars how long their pods really have,
/// and records the outcome of every drain. It uses the service account of its pod, or KUBECONFIG outside a cluster.
#[derive(Debug, Parser)]
#[command(name = "lameduck-fleet", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// The subcommand; the controller if there is none.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings.
    #[command(flatten)]
    pub args: FleetArgs,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Remove every annotation that this controller has written, and exit
    ///
    /// Use it after the controller was uninstalled. Annotations of others stay.
    Cleanup,
}

/// The value of do-not-disrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Disruption {
    /// Do not write it.
    Off,
    /// A duration, which ends by itself: needs Karpenter 1.12.
    Duration,
    /// "true", for earlier versions of Karpenter.
    True,
}

/// The settings, as typed.
#[derive(Args, Clone, Debug)]
pub struct FleetArgs {
    /// Which pods: a label selector
    #[arg(long, global = true, env = "LAMEDUCK_FLEET_SELECTOR", help_heading = DISCOVERY, value_name = "LABELS", default_value = "lameduck/sidecar=true")]
    pub selector: String,

    /// The namespace of the pods [default: all namespaces]
    #[arg(long, global = true, env = "LAMEDUCK_FLEET_NAMESPACE", help_heading = DISCOVERY, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// The name of the sidecar's container
    #[arg(long, global = true, env = "LAMEDUCK_FLEET_CONTAINER", help_heading = DISCOVERY, value_name = "NAME", default_value = "lameduck")]
    pub container: String,

    /// The port of the sidecars
    #[arg(long, env = "LAMEDUCK_FLEET_SIDECAR_PORT", help_heading = DISCOVERY, value_name = "PORT", value_parser = values::port, default_value = "8089")]
    pub sidecar_port: u16,

    /// How often each sidecar is read
    #[arg(long, env = "LAMEDUCK_FLEET_POLL_INTERVAL", help_heading = DISCOVERY, value_name = "DURATION", value_parser = poll_interval, default_value = "5s")]
    pub poll_interval: Duration,

    /// A file with the token of the sidecars. Without it, deadlines are not shortened
    #[arg(long, env = "LAMEDUCK_FLEET_TOKEN_FILE", help_heading = DISCOVERY, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Write cluster-autoscaler.kubernetes.io/safe-to-evict: "false" while a pod has active streams
    #[arg(long, value_parser = values::switch, env = "LAMEDUCK_FLEET_SAFE_TO_EVICT", help_heading = PROTECTION)]
    pub safe_to_evict: bool,

    /// Write karpenter.sh/do-not-disrupt while a pod has active streams
    #[arg(long, env = "LAMEDUCK_FLEET_DO_NOT_DISRUPT", help_heading = PROTECTION, value_name = "VALUE", default_value = "off")]
    pub do_not_disrupt: Disruption,

    /// For how long a pod is protected at most without a moment in which it has no active stream
    #[arg(long, env = "LAMEDUCK_FLEET_PROTECTION_MAX_AGE", help_heading = PROTECTION, value_name = "DURATION", value_parser = values::duration, default_value = "24h")]
    pub protection_max_age: Duration,

    /// Whether replicas elect a leader by a Lease
    #[arg(long, env = "LAMEDUCK_FLEET_LEADER_ELECTION", help_heading = ELECTION, value_name = "BOOL", value_parser = values::switch, action = ArgAction::Set, default_value = "true")]
    pub leader_election: bool,

    /// The namespace of the Lease [default: the namespace of this pod, or of the kubeconfig's context]
    #[arg(long, env = "LAMEDUCK_FLEET_LEASE_NAMESPACE", help_heading = ELECTION, value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// The name of the Lease
    #[arg(long, env = "LAMEDUCK_FLEET_LEASE_NAME", help_heading = ELECTION, value_name = "NAME", default_value = "lameduck-fleet")]
    pub lease_name: String,

    /// The name of this replica in the Lease and in Events [default: the host's name and the process id]
    #[arg(long, env = "LAMEDUCK_FLEET_IDENTITY", help_heading = ELECTION, value_name = "NAME")]
    pub identity: Option<String>,

    /// The address for probes, metrics and outcomes
    #[arg(long, env = "LAMEDUCK_FLEET_LISTEN", help_heading = SERVER, value_name = "ADDRESS:PORT", default_value = "[::]:8090")]
    pub listen: Listen,

    /// The format of log lines [default: text on a terminal, else json]
    #[arg(long, global = true, env = "LAMEDUCK_FLEET_LOG_FORMAT", help_heading = SERVER, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// The lowest level that is logged: error, warn, info, debug or trace
    #[arg(long, global = true, env = "LAMEDUCK_FLEET_LOG_LEVEL", help_heading = SERVER, value_name = "LEVEL", default_value = "info")]
    pub log_level: Level,
}

impl FleetArgs {
    /// The settings of the machine.
    #[must_use]
    pub const fn machine(&self) -> Settings {
        let do_not_disrupt = match self.do_not_disrupt {
            Disruption::Off => DisruptionSetting::Off,
            Disruption::Duration => DisruptionSetting::Duration,
            Disruption::True => DisruptionSetting::True,
        };
        let protection =
            ProtectionSettings { safe_to_evict: self.safe_to_evict, do_not_disrupt, max_age: self.protection_max_age };
        Settings { poll_interval: self.poll_interval, protection, leader_election: self.leader_election }
    }

    /// The first token in the token file.
    ///
    /// # Errors
    /// Fails if the file cannot be read or has no token.
    pub fn token(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let text = fs::read_to_string(path)
            .map_err(|error| format!("--token-file {}: {error}; mount the Secret there", path.display()))?;
        let token = text.lines().map(str::trim).find(|line| !line.is_empty());
        let token = token.ok_or_else(|| format!("--token-file {}: it has no token; write one line", path.display()))?;
        Ok(Some(token.to_owned()))
    }

    /// The name of this replica.
    #[must_use]
    pub fn identity(&self) -> String {
        let host = || fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        self.identity.clone().unwrap_or_else(|| format!("{}_{}", host().trim(), std::process::id()))
    }
}

fn poll_interval(text: &str) -> Result<Duration, String> {
    let interval = values::duration(text)?;
    let is_valid = (Duration::from_secs(1)..=Duration::from_secs(60)).contains(&interval);
    if is_valid { Ok(interval) } else { Err("must be from 1s to 60s".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_write_costs_and_no_protection() {
        let cli = Cli::try_parse_from(["lameduck-fleet"]).unwrap();
        assert_eq!(cli.args.machine(), Settings::default());
        assert_eq!((cli.args.selector.as_str(), cli.args.sidecar_port), ("lameduck/sidecar=true", 8089));
        assert!(cli.command.is_none());
    }

    #[test]
    fn election_is_switched_off_by_a_value() {
        let cli = Cli::try_parse_from(["lameduck-fleet", "--leader-election", "false", "--safe-to-evict"]).unwrap();
        assert!(!cli.args.leader_election && cli.args.safe_to_evict);
    }

    #[test]
    fn invalid_values_are_refused() {
        for args in [["--poll-interval", "100ms"], ["--sidecar-port", "0"], ["--do-not-disrupt", "maybe"]] {
            let error = Cli::try_parse_from(["lameduck-fleet", args[0], args[1]]).unwrap_err().to_string();
            assert!(error.contains(args[0]) && error.contains(args[1]), "{error}");
        }
    }

    #[test]
    fn every_variable_is_named_after_its_flag() {
        for arg in Cli::command().get_arguments() {
            let (Some(flag), Some(variable)) = (arg.get_long(), arg.get_env()) else { continue };
            let expected = format!("LAMEDUCK_FLEET_{}", flag.to_uppercase().replace('-', "_"));
            assert_eq!(variable.to_str(), Some(expected.as_str()));
        }
    }
}
