//! The command line.

use std::env;
use std::iter;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use humantime::parse_duration;

use crate::child::own_name;
use crate::page::Page;

/// A variable with further options.
const ARGS_VARIABLE: &str = "ENGINE_SIM_ARGS";

/// A simulated engine: WebSocket streams, a metrics page, and a drain on SIGINT or SIGTERM.
///
/// Options also come from the variable `ENGINE_SIM_ARGS`, separated by spaces; those on the command line win. On
/// SIGUSR1 the streams' listener closes while open streams continue, so that liveness probes fail; on SIGUSR2 it crashes.
#[derive(Debug, Parser)]
#[command(name = "engine_sim", args_override_self = true)]
pub(crate) struct Args {
    /// What it simulates: an engine, or the API in front of engines, which serves `GET /v1/status` on the port of the
    /// streams instead of metrics.
    #[arg(long, value_name = "ROLE", value_enum, default_value = "engine")]
    pub(crate) role: Role,

    /// Where streams are served; port 0 picks a free one. `[::]:PORT` serves IPv4 as well.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Where the metrics page is served; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9991")]
    pub(crate) metrics: SocketAddr,

    /// Do not listen for this long after the start.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub(crate) loading: Duration,

    /// Start a child process of the same name, which exits with this one.
    #[arg(long)]
    pub(crate) child: bool,

    /// Write the process id to this file at start.
    #[arg(long, value_name = "PATH")]
    pub(crate) pid_file: Option<PathBuf>,

    /// What each printed line begins with.
    #[arg(long, value_name = "PREFIX", default_value = "engine")]
    pub(crate) log: String,

    #[command(flatten)]
    pub(crate) streams: StreamArgs,

    #[command(flatten)]
    pub(crate) page: PageArgs,

    #[command(flatten)]
    pub(crate) signals: SignalArgs,

    /// Ignored: images start a real engine with `-v serve FILE`.
    #[arg(short, hide = true)]
    pub(crate) verbose: bool,

    #[arg(hide = true, value_names = ["serve", "FILE"])]
    pub(crate) serve: Vec<String>,

    /// Be the child of another simulated engine.
    #[arg(long, hide = true)]
    pub(crate) sleep_until_stdin_ends: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Streams")]
pub(crate) struct StreamArgs {
    /// How often a stream that receives audio is sent a result.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = more_than_zero)]
    pub(crate) interim_every: Duration,

    /// How long a listening stream may send neither audio nor `KeepAlive` before it is closed with 1011.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub(crate) no_data_timeout: Duration,

    /// Refuse new streams with HTTP 503 while this many are active; 0 means no limit.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) max_active: u64,

    /// Remove a stream from the gauge this long before its last bytes are sent.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub(crate) gauge_drops_early: Duration,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Metrics page")]
pub(crate) struct PageArgs {
    /// The state of the page: ok, slow:DURATION, hang, garbage, html, 500, empty, truncated (ends within a line, as if
    /// complete), aborted (the connection ends before the body does), nan, negative, says:N (N streams and no other
    /// work, whatever is open) or frozen (as it was at this change). `PUT /page` with one of these words as its body
    /// changes it at run time.
    #[arg(long, value_name = "WORD", default_value = "ok")]
    pub(crate) page: Page,

    /// The state of the page after the first signal.
    #[arg(long, value_name = "WORD")]
    pub(crate) page_after_signal: Option<Page>,

    /// The content type of the page.
    #[arg(long, value_name = "TYPE", value_enum, default_value = "openmetrics")]
    pub(crate) page_type: PageType,

    /// Put about this many bytes of other families in front of the engine's own.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) pad_page: u64,

    /// Show this process start time on the page, in seconds since 1970.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) started_at: Option<u64>,

    /// Let other processes listen on the metrics port as well: for each connection, the kernel picks one of them.
    #[arg(long)]
    pub(crate) share_metrics_port: bool,

    /// The names of the Flux gauges, if any.
    #[arg(long, value_name = "NAMES", value_enum, default_value = "prefixed")]
    pub(crate) flux_names: FluxNames,

    /// Count a Flux stream under kind="stream" as well.
    #[arg(long)]
    pub(crate) flux_as_stream: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Signals and exit")]
pub(crate) struct SignalArgs {
    /// What SIGINT and SIGTERM do.
    #[arg(long, value_name = "WHAT", value_enum, default_value = "drain")]
    pub(crate) on_signal: OnSignal,

    /// Exit immediately with code 1 on the second signal, cutting streams, instead of ignoring it.
    #[arg(long)]
    pub(crate) second_signal_quits: bool,

    /// Also close the metrics port on the first signal.
    #[arg(long)]
    pub(crate) metrics_close_on_signal: bool,

    /// The exit code after a signal.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) exit_code: u8,

    /// How long the exit takes once no stream is left.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub(crate) exit_delay: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Role {
    /// Streams on one port, the metrics page on another
    Engine,
    /// Streams and `GET /v1/status` on one port
    Api,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum PageType {
    /// application/openmetrics-text; version=1.0.0; charset=utf-8
    Openmetrics,
    /// text/plain; version=0.0.4; charset=utf-8
    Text,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum FluxNames {
    /// `engine_flux_used_streams`
    Prefixed,
    /// `flux_used_streams`
    Bare,
    /// No Flux gauges at all
    None,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum OnSignal {
    /// Accept no more streams, finish those that are open, exit
    Drain,
    /// Nothing: the kernel discards the signal
    Ignore,
    /// The default action: the signal kills
    Default,
    /// Exit immediately, cutting streams
    Quit,
}

impl Args {
    /// Reads the variable and the command line; exits if they are invalid.
    pub(crate) fn read() -> Self {
        let variable = env::var(ARGS_VARIABLE).unwrap_or_default();
        let words = variable.split_whitespace().map(Into::into).chain(env::args_os().skip(1));
        Self::parse_from(iter::once(own_name()).chain(words))
    }
}

fn more_than_zero(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be more than zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}
