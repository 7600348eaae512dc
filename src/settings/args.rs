//! Every setting as it is typed; the comments are the help that users see.
#![expect(clippy::doc_markdown, rustdoc::broken_intra_doc_links, reason = "the comments are read in a terminal")]

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, ValueEnum};
use nix::sys::signal::Signal;
use tracing::level_filters::LevelFilter;

use crate::io::http::Url;
use crate::io::log;
use crate::settings::values::{self, Level, Listen, OrNone, Ports, Selectors};
use lameduck_manifests::sidecar_spec::SHARED_BEFORE;

/// Where the sidecar listens if nothing is said.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8089);

/// What a client is told, and what `lameduck inject` leaves for itself.
const NON_SIDECAR_VARS: [&str; 2] = ["LAMEDUCK_ADDRESS", SHARED_BEFORE];

/// Every setting of `lameduck sidecar`, as typed.
#[derive(Args, Clone, Debug)]
pub struct SidecarArgs {
    /// The pod's terminationGracePeriodSeconds, which nothing in the pod can tell; a wrong one cuts calls [required]
    #[arg(long, env = "LAMEDUCK_GRACE_PERIOD", value_name = "DURATION", value_parser = values::duration)]
    pub grace_period: Option<Duration>,

    /// What the defaults shown as [preset: …] are
    #[arg(long, env = "LAMEDUCK_PRESET", value_name = "PRESET", default_value = "deepgram-engine")]
    pub preset: Preset,

    /// The Prometheus or OpenMetrics text page [preset: http://127.0.0.1:9991/metrics]
    #[arg(long, env = "LAMEDUCK_METRICS_URL", value_name = "URL")]
    pub metrics_url: Option<Url>,

    /// A PromQL instant selector of the streams on that page; repeatable, summed; never zero while it matches nothing [preset: engine_active_requests]
    #[arg(long, env = "LAMEDUCK_STREAMS", value_name = "SELECTOR", value_parser = values::selectors)]
    pub streams: Vec<Selectors>,

    /// The same for series that appear with the first request: zero until shown; repeatable, summed [preset: engine_flux_used_streams, flux_used_streams]
    #[arg(long, env = "LAMEDUCK_LAZY_STREAMS", value_name = "SELECTOR", value_parser = values::selectors)]
    pub lazy_streams: Vec<Selectors>,

    /// Count established connections to this local TCP port as streams; repeatable [preset: none]
    #[arg(long, env = "LAMEDUCK_STREAMS_PORT", value_name = "PORT", value_parser = values::ports)]
    pub streams_port: Vec<Ports>,

    /// Tell idle streams from working ones by the bytes received on connections to this local port, which are not counted; repeatable [preset: 8080]
    #[arg(long, env = "LAMEDUCK_ACTIVITY_PORT", value_name = "PORT", value_parser = values::ports)]
    pub activity_port: Vec<Ports>,

    /// The target, by the basename of its executable or of its argv[0] [preset: impeller]
    #[arg(long, env = "LAMEDUCK_TARGET", value_name = "NAME", value_parser = values::target)]
    pub target: Option<String>,

    /// The target, by the TCP port that it listens on, instead of its name
    #[arg(long, env = "LAMEDUCK_TARGET_PORT", value_name = "PORT", value_parser = values::port)]
    pub target_port: Option<u16>,

    /// The signal that tells the target to take no more and finish; none: only count and wait [preset: SIGINT]
    #[arg(long, env = "LAMEDUCK_SIGNAL", value_name = "SIGNAL", value_parser = values::signal)]
    pub signal: Option<OrNone<Signal>>,

    /// What ends a drain: zero streams, or only the target's own exit [preset: zero]
    #[arg(long, env = "LAMEDUCK_WAIT_FOR", value_name = "WHAT")]
    pub wait_for: Option<WaitFor>,

    /// The end of the grace period, kept back so that the target can still exit after SIGTERM [default: 5s, at most a tenth of the grace period]
    #[arg(long, env = "LAMEDUCK_EXIT_MARGIN", value_name = "DURATION", value_parser = values::duration)]
    pub exit_margin: Option<Duration>,

    /// How long to be unready and still accepting before the signal [default: 5s, at most a tenth of the grace period]
    #[arg(long, env = "LAMEDUCK_LAME_DUCK", value_name = "DURATION", value_parser = values::duration)]
    pub lame_duck: Option<Duration>,

    /// How long zero must hold before it is believed [default: 2s, at most a tenth of the grace period]
    #[arg(long, env = "LAMEDUCK_QUIET_PERIOD", value_name = "DURATION", value_parser = values::duration)]
    pub quiet_period: Option<Duration>,

    /// How long a signalled target may take, after zero, to exit by itself [default: 10s, at most a tenth of the grace period]
    #[arg(long, env = "LAMEDUCK_EXIT_WAIT", value_name = "DURATION", value_parser = values::duration)]
    pub exit_wait: Option<Duration>,

    /// How often the sources are read
    #[arg(long, env = "LAMEDUCK_POLL_INTERVAL", value_name = "DURATION", default_value = "1s", value_parser = values::duration)]
    pub poll_interval: Duration,

    /// The bound of one reading, never past the deadline
    #[arg(long, env = "LAMEDUCK_SCRAPE_TIMEOUT", value_name = "DURATION", default_value = "2s", value_parser = values::duration)]
    pub scrape_timeout: Duration,

    /// When no stream that is left has worked for this long, the drain is over, as idle [default: off]
    #[arg(long, env = "LAMEDUCK_IDLE_AFTER", value_name = "DURATION", value_parser = values::idle_after)]
    pub idle_after: Option<OrNone<Duration>>,

    /// Below so many bytes a second, received on a connection, it carries no data: keep-alives are not work
    #[arg(long, env = "LAMEDUCK_IDLE_RATE", value_name = "BYTES", default_value = "256", value_parser = values::rate)]
    pub idle_rate: u64,

    /// Which streams of the page can be idle at all; any other, such as a batch, forbids idle; repeatable [preset: engine_active_requests{kind="stream"} and the lazy ones]
    #[arg(long, env = "LAMEDUCK_IDLE_STREAMS", value_name = "SELECTOR", value_parser = values::selectors)]
    pub idle_streams: Vec<Selectors>,

    /// Answer 503 on /accepting while so many streams are open, and 200 again below 90 % of it; capacity: the page's own limit [default: off]
    #[arg(long, env = "LAMEDUCK_ACCEPT_BELOW", value_name = "N|capacity", value_parser = values::accept_below)]
    pub accept_below: Option<AcceptBelowArg>,

    /// Where probes, metrics and the hook are served; an IPv6 address serves IPv4 too
    #[arg(long, env = "LAMEDUCK_LISTEN", value_name = "ADDRESS", default_value_t = Listen(DEFAULT_LISTEN))]
    pub listen: Listen,

    /// A file with the token that a /prestop from another host must carry in its header Authorization: Bearer …; without it a call is held, but starts no drain [default: none]
    #[arg(long, env = "LAMEDUCK_TOKEN_FILE", value_name = "FILE", value_parser = values::path_or_none)]
    pub token_file: Option<OrNone<PathBuf>>,

    /// What SIGTERM to the sidecar means
    #[arg(long, env = "LAMEDUCK_ON_SIGTERM", value_name = "POLICY", default_value = "auto")]
    pub on_sigterm: SigtermArg,

    /// Where a drain is noted for a restarted sidecar; none switches it off [default: /dev/shm where it can be written]
    #[arg(long, env = "LAMEDUCK_STATE_DIR", value_name = "DIR", value_parser = values::state_dir)]
    pub state_dir: Option<OrNone<PathBuf>>,

    /// Where the outcome is left for the kubelet, as one JSON line [default: /dev/termination-log where it is there]
    #[arg(long, env = "LAMEDUCK_TERMINATION_LOG", value_name = "FILE", value_parser = values::termination_log)]
    pub termination_log: Option<PathBuf>,

    /// How logs look
    #[command(flatten)]
    pub log: LogArgs,
}

/// The settings of the log, as typed.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// How log lines look [default: text on a terminal, else json]
    #[arg(long, env = "LAMEDUCK_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// The least level that is logged: error, warn, info, debug or trace
    #[arg(long, env = "LAMEDUCK_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: Level,
}

/// Where the sidecar is, as typed to its clients.
#[derive(Args, Clone, Debug)]
pub struct AddressArgs {
    /// Where the sidecar is [default: the port of LAMEDUCK_LISTEN, else 8089, on loopback]
    #[arg(long, env = "LAMEDUCK_ADDRESS", value_name = "HOST:PORT", value_parser = values::address)]
    pub address: Option<Url>,
}

/// Defaults for a kind of target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Deepgram's self-hosted Engine.
    DeepgramEngine,
    /// Deepgram's self-hosted API: no metrics page, connections to port 8080, target stem, and its exit is waited for.
    DeepgramApi,
    /// Nothing: no source, no target, no signal.
    Generic,
}

/// From how many open streams on load balancers should send no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptBelowArg {
    /// This many.
    Streams(u64),
    /// As many as the page says that the target takes.
    Capacity,
}

/// What ends a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// Zero streams.
    Zero,
    /// Only the target's own exit.
    Exit,
}

/// What SIGTERM to the sidecar means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SigtermArg {
    /// While there may be streams, wait up to 30 s for a hook and drain if it comes; otherwise leave.
    Auto,
    /// A trigger like the hook.
    Drain,
    /// Leave.
    Exit,
}

/// What log lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl LogArgs {
    /// The format for this stderr, and the level.
    #[must_use]
    pub fn resolve(&self) -> (log::Format, LevelFilter) {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let format = match self.log_format {
            Some(LogFormat::Text) => log::Format::Text,
            None if terminal => log::Format::Text,
            Some(LogFormat::Json) | None => log::Format::Json,
        };
        (format, self.log_level.0)
    }
}

impl AddressArgs {
    /// Where the sidecar is.
    #[must_use]
    pub fn resolve(&self) -> Url {
        let listen = std::env::var("LAMEDUCK_LISTEN").ok().and_then(|listen| listen.parse::<Listen>().ok());
        self.address.clone().unwrap_or_else(|| sidecar_url(listen.map_or(DEFAULT_LISTEN, |listen| listen.0)))
    }
}

/// The variables that look like settings and are none: of another version, or misspelt.
#[must_use]
pub fn unknown_variables() -> Vec<String> {
    let command = SidecarArgs::augment_args(Command::new("sidecar"));
    let known: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with("LAMEDUCK_") && !NON_SIDECAR_VARS.contains(&name.as_str()));
    ours.filter(|name| !known.contains(&name.as_str()) && !is_service_link(name)).collect()
}

/// Whether Kubernetes may have set it, for a Service whose name begins with ours.
fn is_service_link(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|part| name.contains(part))
}

/// Where a sidecar that listens there is reached from its own pod.
#[must_use]
pub fn sidecar_url(listen: SocketAddr) -> Url {
    let host = if listen.ip().is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { listen.ip() };
    Url::new(&host.to_string(), listen.port(), "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_a_service_is_no_misspelt_setting() {
        for name in ["LAMEDUCK_SERVICE_HOST", "LAMEDUCK_PORT", "LAMEDUCK_PORT_8089_TCP", "LAMEDUCK_TARGET_SERVICE_PORT"]
        {
            assert!(is_service_link(name), "{name}");
        }
        assert!(!is_service_link("LAMEDUCK_TOKEN_FILE"));
    }

    #[test]
    fn a_sidecar_is_reached_on_loopback_unless_it_listens_elsewhere() {
        for (listen, url) in [
            ("[::]:8089", "http://127.0.0.1:8089/"),
            ("0.0.0.0:9", "http://127.0.0.1:9/"),
            ("[::1]:9", "http://[::1]:9/"),
            ("10.0.0.7:9", "http://10.0.0.7:9/"),
        ] {
            assert_eq!(sidecar_url(listen.parse().unwrap()).to_string(), url);
        }
    }
}
