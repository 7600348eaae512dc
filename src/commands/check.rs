//! `lameduck check`: a preflight check where the sidecar runs, with the settings of the sidecar.
//!
//! Each group of checks observes first and evaluates then. It sends no signal, and writes nothing but a test file in the
//! state directory, which it removes again. [`manifests`] checks manifests instead, wherever it runs.

use std::env;
use std::io::{IsTerminal, stdout};
use std::net::SocketAddr;
use std::time::Duration;

use crate::commands::{CommandError, Exit, block_on, print_line};
use crate::settings::Settings;
use crate::settings::args::SidecarArgs;
use crate::settings::environment::unknown_variables;
pub use gauge_changes::measure_time;
use report::{Check, Report};

mod files;
mod gauge_changes;
mod manifest;
pub mod manifests;
mod page;
mod ports;
mod processes;
mod report;
mod settings;
mod target;

/// Runs all checks and prints the results. With `measure`, it also measures for that long how often the gauges change.
///
/// # Errors
/// Fails only if no runtime can be started. Failed checks are in the report and in the exit code.
pub fn run(args: &SidecarArgs, measure: Option<Duration>, json: bool) -> Result<Exit, CommandError> {
    block_on(async {
        let settings = Settings::new(args).and_then(|settings| Ok((settings, args.required_listen()?)));
        let report = Report::new(match settings {
            Ok((settings, listen)) => run_checks(args, &settings, listen, measure).await,
            Err(error) => vec![settings::refused(&error)],
        });
        if json {
            print_line(&report.to_json());
        } else {
            print_line(report.to_text(wants_colours()).trim_end());
        }
        Ok(report.exit())
    })
}

/// Runs all groups at once. Each has the timeout of one poll; the page has that of two, because it is read again.
async fn run_checks(
    args: &SidecarArgs,
    settings: &Settings,
    listen: SocketAddr,
    measure: Option<Duration>,
) -> Vec<Check> {
    let groups = tokio::join!(
        files::listen(settings, listen),
        target::check(settings),
        page::check(settings),
        ports::check(settings, !args.activity_port.is_empty()),
    );
    let (listen, target, page, ports) = groups;
    let mut checks = settings::check(settings, &unknown_variables());
    checks.push(listen);
    checks.push(files::state_dir(settings, args.state_dir.is_some()));
    checks.push(files::termination_log(settings));
    checks.extend(files::token_file(settings));
    checks.extend(target);
    checks.extend(page);
    if let Some(measure) = measure {
        checks.extend(gauge_changes::check(settings, measure).await);
    }
    checks.extend(ports);
    checks.extend(manifest::unseen(settings, is_pod()));
    checks
}

/// Whether this is a pod: the kubelet sets this variable in every container.
fn is_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// Whether stdout is a terminal and the user has not turned colours off (<https://no-color.org>).
fn wants_colours() -> bool {
    stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
