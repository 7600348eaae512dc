//! Every setting as typed on the command line. The comments are the help texts that users see.
#![expect(clippy::doc_markdown, rustdoc::broken_intra_doc_links, reason = "the comments are read in a terminal")]

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use tracing::level_filters::LevelFilter;

use crate::io::http::Url;
use crate::io::log;
use crate::io::target_signal::TargetSignal;
use crate::settings::error::SettingError;
use crate::settings::preset::Preset;
use crate::settings::values::{self, Level, Listen, LogFormat, OrNone, Ports, Selectors, WaitFor};
use lameduck_machine::activity::WorkDirection;
use lameduck_machine::policy::{AcceptLimit, SigtermPolicy};

/// Where the sidecar listens by default.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8089);
/// The same, as users write it.
const DEFAULT_LISTEN_TEXT: &str = "[::]:8089";

// The headings of the help.
const GENERAL: &str = "General";
const COUNTING: &str = "Counting streams";
const TARGET: &str = "Target and signal";
const TIMES: &str = "Times";
const IDLE: &str = "Idle streams";
const BALANCERS: &str = "Load balancers";
const SERVER: &str = "Server";
const LIFECYCLE: &str = "Lifecycle of the sidecar";
const LOGGING: &str = "Logging";

/// Every setting of `lameduck sidecar`, as typed.
#[derive(Args, Clone, Debug)]
pub struct SidecarArgs {
    /// The pod's terminationGracePeriodSeconds. Nothing in the pod provides this value, and a wrong one cuts calls [required]
    #[arg(long, env = "LAMEDUCK_GRACE_PERIOD", help_heading = GENERAL, value_name = "DURATION", value_parser = values::duration)]
    pub grace_period: Option<Duration>,

    /// The kind of target. It sets the defaults shown as [preset: …]
    #[arg(long, env = "LAMEDUCK_PRESET", help_heading = GENERAL, value_name = "PRESET", default_value = "deepgram-engine")]
    pub preset: Preset,

    /// The metrics page, in the Prometheus or OpenMetrics text format [preset: http://127.0.0.1:9991/metrics]
    #[arg(long, env = "LAMEDUCK_METRICS_URL", help_heading = COUNTING, value_name = "URL")]
    pub metrics_url: Option<Url>,

    /// A PromQL instant selector for the series on the metrics page that count streams. If it matches no series, the count is unknown, never zero. Repeatable: the counts are added [preset: engine_active_requests]
    #[arg(long, env = "LAMEDUCK_STREAMS", help_heading = COUNTING, value_name = "SELECTOR", value_parser = values::selectors)]
    pub streams: Vec<Selectors>,

    /// Like --streams, for series that appear with the first request: they count as zero until they have appeared. Repeatable: the counts are added [preset: engine_flux_used_streams, flux_used_streams]
    #[arg(long, env = "LAMEDUCK_LAZY_STREAMS", help_heading = COUNTING, value_name = "SELECTOR", value_parser = values::selectors)]
    pub lazy_streams: Vec<Selectors>,

    /// Count the established TCP connections to this local port as streams. Repeatable [preset: none]
    #[arg(long, env = "LAMEDUCK_STREAMS_PORT", help_heading = COUNTING, value_name = "PORT", value_parser = values::ports)]
    pub streams_port: Vec<Ports>,

    /// For gauges that leak: use zero instead of the count of a page once the ports of --streams-port have had no connection for this long [default: off]
    #[arg(long, env = "LAMEDUCK_GAUGE_LEAK_AFTER", help_heading = COUNTING, value_name = "DURATION", value_parser = values::duration_or_off)]
    pub gauge_leak_after: Option<OrNone<Duration>>,

    /// The name of the target process: the basename of its executable or of its argv[0] [preset: impeller]
    #[arg(long, env = "LAMEDUCK_TARGET", help_heading = TARGET, value_name = "NAME", value_parser = values::target)]
    pub target: Option<String>,

    /// Find the target by the TCP port on which it listens, instead of by name
    #[arg(long, env = "LAMEDUCK_TARGET_PORT", help_heading = TARGET, value_name = "PORT", value_parser = values::port)]
    pub target_port: Option<u16>,

    /// The signal that tells the target to accept no new streams and to finish the open ones. none: send no signal, only count and wait [preset: SIGINT]
    #[arg(long, env = "LAMEDUCK_SIGNAL", help_heading = TARGET, value_name = "SIGNAL", value_parser = values::signal)]
    pub signal: Option<OrNone<TargetSignal>>,

    /// Send the signal even if the kernel does not show which signals the target catches, as in gVisor. A signal that it does not catch kills it, and cuts its streams
    #[arg(long, env = "LAMEDUCK_ASSUME_SIGNAL_CAUGHT", help_heading = TARGET, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = values::switch)]
    pub assume_signal_caught: bool,

    /// What ends a drain [preset: zero]
    #[arg(long, env = "LAMEDUCK_WAIT_FOR", help_heading = TARGET, value_name = "WHAT")]
    pub wait_for: Option<WaitFor>,

    /// The end of the grace period, reserved so that the target can exit after SIGTERM [default: 5s, at most a tenth of the grace period]
    #[arg(long, env = "LAMEDUCK_EXIT_MARGIN", help_heading = TIMES, value_name = "DURATION", value_parser = values::duration)]
    pub exit_margin: Option<Duration>,

    /// How long the pod is unready but still accepts streams before the signal is sent [default: 5s, at most a tenth of the grace period]
    #[arg(long, env = "LAMEDUCK_LAME_DUCK", help_heading = TIMES, value_name = "DURATION", value_parser = values::duration)]
    pub lame_duck: Option<Duration>,

    /// In a drain that a preStop hook starts: how long /readyz still answers 200, at most --lame-duck. For pods without another ready endpoint, e.g. behind externalTrafficPolicy: Local
    #[arg(long, env = "LAMEDUCK_UNREADY_AFTER", help_heading = TIMES, value_name = "DURATION", default_value = "0s", value_parser = values::duration)]
    pub unready_after: Duration,

    /// How long the count must stay at zero before the drain is complete [default: 2s, at most a tenth of the grace period]
    #[arg(long, env = "LAMEDUCK_QUIET_PERIOD", help_heading = TIMES, value_name = "DURATION", value_parser = values::duration)]
    pub quiet_period: Option<Duration>,

    /// After zero, how long to wait for a signalled target to exit [default: 10s, at most a tenth of the grace period]
    #[arg(long, env = "LAMEDUCK_EXIT_WAIT", help_heading = TIMES, value_name = "DURATION", value_parser = values::duration)]
    pub exit_wait: Option<Duration>,

    /// How often the sources are polled
    #[arg(long, env = "LAMEDUCK_POLL_INTERVAL", help_heading = TIMES, value_name = "DURATION", default_value = "1s", value_parser = values::duration)]
    pub poll_interval: Duration,

    /// The timeout of one poll. A poll never lasts past the deadline
    #[arg(long, env = "LAMEDUCK_SCRAPE_TIMEOUT", help_heading = TIMES, value_name = "DURATION", default_value = "2s", value_parser = values::duration)]
    pub scrape_timeout: Duration,

    /// Detect idle streams by the bytes that connections to this local port carry. These connections are not counted as streams. Repeatable [preset: 8080]
    #[arg(long, env = "LAMEDUCK_ACTIVITY_PORT", help_heading = IDLE, value_name = "PORT", value_parser = values::ports)]
    pub activity_port: Vec<Ports>,

    /// End the drain with the outcome idle once every remaining stream has been idle for this long [default: off]
    #[arg(long, env = "LAMEDUCK_IDLE_AFTER", help_heading = IDLE, value_name = "DURATION", value_parser = values::duration_or_off)]
    pub idle_after: Option<OrNone<Duration>>,

    /// A connection that carries fewer bytes per second than this is idle, so that keep-alives do not count as activity
    #[arg(long, env = "LAMEDUCK_IDLE_RATE", help_heading = IDLE, value_name = "BYTES", default_value = "256", value_parser = values::rate)]
    pub idle_rate: u64,

    /// Which bytes are work: those that the target receives, those that it sends (server-sent events, speech synthesis, token streaming), or either
    #[arg(long, env = "LAMEDUCK_IDLE_DIRECTION", help_heading = IDLE, value_name = "DIRECTION", default_value = "received", value_parser = values::idle_direction())]
    pub idle_direction: WorkDirection,

    /// Which series on the metrics page count streams that can be idle. Any other open stream, such as a batch request, rules out the outcome idle. Repeatable [preset: engine_active_requests{kind="stream"} and the lazy ones]
    #[arg(long, env = "LAMEDUCK_IDLE_STREAMS", help_heading = IDLE, value_name = "SELECTOR", value_parser = values::selectors)]
    pub idle_streams: Vec<Selectors>,

    /// Answer 503 on /accepting once this many streams are open, and 200 again below 90 % of it. capacity: the limit that the metrics page shows [default: off]
    #[arg(long, env = "LAMEDUCK_ACCEPT_BELOW", help_heading = BALANCERS, value_name = "N|capacity", value_parser = values::accept_below)]
    pub accept_below: Option<AcceptLimit>,

    /// The address for probes, metrics and the hook. An IPv6 address serves IPv4 too
    #[arg(long, env = "LAMEDUCK_LISTEN", help_heading = SERVER, value_name = "ADDRESS", default_value = DEFAULT_LISTEN_TEXT, value_parser = values::listen)]
    pub listen: OrNone<Listen>,

    /// A file with the token that /prestop calls from another host must carry in the header "Authorization: Bearer …". A call without it is held but starts no drain [default: none]
    #[arg(long, env = "LAMEDUCK_TOKEN_FILE", help_heading = SERVER, value_name = "FILE", value_parser = values::path_or_none)]
    pub token_file: Option<OrNone<PathBuf>>,

    /// What the sidecar does on SIGTERM
    #[arg(long, env = "LAMEDUCK_ON_SIGTERM", help_heading = LIFECYCLE, value_name = "POLICY", default_value = "auto", value_parser = values::sigterm_policy())]
    pub on_sigterm: SigtermPolicy,

    /// The directory for the state of a drain, from which a restarted sidecar resumes. none: keep no state [default: /dev/shm where it can be written]
    #[arg(long, env = "LAMEDUCK_STATE_DIR", help_heading = LIFECYCLE, value_name = "DIR", value_parser = values::state_dir)]
    pub state_dir: Option<OrNone<PathBuf>>,

    /// The file to which the outcome is written for the kubelet, as one line of JSON [default: /dev/termination-log where it is there]
    #[arg(long, env = "LAMEDUCK_TERMINATION_LOG", help_heading = LIFECYCLE, value_name = "FILE", value_parser = values::termination_log)]
    pub termination_log: Option<PathBuf>,

    /// The settings of the log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The settings of the log, as typed.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// The format of log lines [default: text on a terminal, else json]
    #[arg(long, env = "LAMEDUCK_LOG_FORMAT", help_heading = LOGGING, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// The lowest level that is logged: error, warn, info, debug or trace
    #[arg(long, env = "LAMEDUCK_LOG_LEVEL", help_heading = LOGGING, value_name = "LEVEL", default_value = "info")]
    pub log_level: Level,
}

/// The address of the sidecar, as typed for its clients.
#[derive(Args, Clone, Debug)]
pub struct AddressArgs {
    /// The address of the sidecar [default: the port of LAMEDUCK_LISTEN, else 8089, on loopback]
    #[arg(long, env = "LAMEDUCK_ADDRESS", value_name = "HOST:PORT", value_parser = values::address)]
    pub address: Option<Url>,
}

impl SidecarArgs {
    /// The address of a sidecar, whose clients are the kubelet and users.
    ///
    /// # Errors
    /// Fails if it is disabled.
    pub fn required_listen(&self) -> Result<SocketAddr, SettingError> {
        self.listen.0.map(|listen| listen.0).ok_or_else(|| {
            let cause = "a sidecar is reached only at its address; only `lameduck run` works without one";
            SettingError::new("--listen", "none", cause, "write an address, e.g. [::]:8089")
        })
    }
}

impl LogArgs {
    /// Returns the level, and the format: by default the format that suits stderr.
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
    /// Returns the URL of the sidecar.
    #[must_use]
    pub fn resolve(&self) -> Url {
        let listen = std::env::var("LAMEDUCK_LISTEN").ok().and_then(|listen| listen.parse::<Listen>().ok());
        self.address.clone().unwrap_or_else(|| sidecar_url(listen.map_or(DEFAULT_LISTEN, |listen| listen.0)))
    }
}

/// Returns the URL at which clients in the same pod reach a sidecar that listens on this address.
#[must_use]
pub fn sidecar_url(listen: SocketAddr) -> Url {
    let host = if listen.ip().is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { listen.ip() };
    Url::new(&host.to_string(), listen.port(), "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspecified_address_is_reached_on_loopback() {
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
