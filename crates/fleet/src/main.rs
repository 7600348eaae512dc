//! The command line of `lameduck-fleet`.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use kube::{Client, Config};
use lameduck::commands::eprint_line;
use lameduck::io::clock::Clock;
use lameduck::io::hook::bind;
use lameduck::io::log::{Format, Log};
use lameduck::io::signals::{Arrivals, SIGTERM};
use lameduck::settings::values::LogFormat;
use lameduck_fleet::cleanup::cleanup;
use lameduck_fleet::kube_api::KubeApi;
use lameduck_fleet::lease::FleetLease;
use lameduck_fleet::server;
use lameduck_fleet::settings::{Cli, Command, FleetArgs};
use lameduck_fleet::sidecar::Sidecars;
use lameduck_fleet::supervisor::{self, Effects, Queues, now};
use lameduck_fleet::watch::{WatchSettings, watch_pods};
use tokio::sync::mpsc;
use tracing::info;

/// How many events wait for the loop.
const QUEUE_LENGTH: usize = 1024;

fn main() -> ExitCode {
    let Cli { command, args } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_error = error.use_stderr();
            drop(error.print());
            return if is_error { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let format = match args.log_format {
        Some(LogFormat::Text) => Format::Text,
        None if std::io::stderr().is_terminal() => Format::Text,
        Some(LogFormat::Json) | None => Format::Json,
    };
    let log = Log::open(format, args.log_level.0);
    let result = log.map_err(|error| Failure::internal(format!("cannot start the log: {error}"))).and_then(|_log| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::internal(format!("cannot start: {error}")))?;
        runtime.block_on(async {
            match command {
                None => run(&args).await,
                Some(Command::Cleanup) => clean(&args).await,
            }
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            eprint_line(&format!("error: {message}"));
            ExitCode::from(code)
        }
    }
}

/// Why the command fails.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    const fn usage(message: String) -> Self {
        Self { code: 64, message }
    }

    const fn unavailable(message: String) -> Self {
        Self { code: 69, message }
    }

    const fn internal(message: String) -> Self {
        Self { code: 70, message }
    }
}

async fn client() -> Result<(Client, String), Failure> {
    let mut config = Config::infer().await.map_err(|error| {
        Failure::unavailable(format!("no cluster: {error}; run it in a pod with a service account, or set KUBECONFIG"))
    })?;
    // The client's own retries would exceed the limits of the machine.
    config.default_retry = false;
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(|error| Failure::unavailable(format!("no client: {error}")))?;
    Ok((client, namespace))
}

fn watch_settings(args: &FleetArgs) -> WatchSettings {
    let FleetArgs { namespace, selector, container, .. } = args.clone();
    WatchSettings { namespace, selector, container }
}

async fn run(args: &FleetArgs) -> Result<(), Failure> {
    let token = args.token().map_err(Failure::usage)?;
    let sidecars = Sidecars::new(args.sidecar_port, token.as_deref())
        .map_err(|error| Failure::usage(format!("--token-file: {error}")))?;
    let listener =
        bind(args.listen.0).map_err(|error| Failure::unavailable(format!("--listen {}: {error}", args.listen.0)))?;
    let (client, own_namespace) = client().await?;
    let (clock, identity) = (Clock::start(), args.identity());
    let (inputs, pages, stop) = (mpsc::channel(QUEUE_LENGTH), mpsc::channel(QUEUE_LENGTH), mpsc::channel(1));
    let sigterm = Arrivals::install(&[SIGTERM], &[]);
    let sigterm = sigterm.map_err(|error| Failure::internal(format!("cannot handle SIGTERM: {error}")))?;
    tokio::spawn(request_stop(sigterm, stop.0));
    let lease_namespace = args.lease_namespace.as_ref().unwrap_or(&own_namespace);
    let effects = Effects {
        api: KubeApi::new(client.clone(), identity.clone()),
        lease: FleetLease::new(client.clone(), lease_namespace, &args.lease_name),
        sidecars,
        identity: identity.clone(),
    };
    info!(identity, selector = args.selector, version = env!("CARGO_PKG_VERSION"), "lameduck-fleet starts");
    let server = tokio::spawn(server::serve(listener, pages.0));
    let watch = tokio::spawn(watch_pods(client, watch_settings(args), move || now(&clock), inputs.0.clone()));
    supervisor::run(clock, args.machine(), effects, Queues { inputs, pages: pages.1, stop: stop.1 }).await;
    watch.abort();
    server.abort();
    Ok(())
}

/// Requests the end of this process for every SIGTERM.
async fn request_stop(mut sigterm: Arrivals, stop: mpsc::Sender<()>) {
    while sigterm.receive().await.is_ok() {
        // If the queue is full, this process is stopping already.
        let _ = stop.try_send(());
    }
}

async fn clean(args: &FleetArgs) -> Result<(), Failure> {
    let (client, _) = client().await?;
    let cleaned = cleanup(client, &watch_settings(args), now(&Clock::start())).await.map_err(Failure::unavailable)?;
    eprint_line(&format!("pods whose annotations were removed: {}", cleaned.pods));
    if cleaned.failed > 0 {
        return Err(Failure::unavailable(format!(
            "pods whose annotations could not be removed: {}; try again",
            cleaned.failed
        )));
    }
    Ok(())
}
