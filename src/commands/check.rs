//! `lameduck check`: a rehearsal of a drain in the place where the sidecar runs, with the sidecar's settings.
//!
//! Each theme looks first and judges then. Nothing is signalled, and nothing written but a probe in the state dir.

use std::env;
use std::io::{IsTerminal, stdout};

use crate::commands::{CommandError, Exit, block_on, print_line};
use crate::settings::Settings;
use crate::settings::args::{SidecarArgs, unknown_variables};
use report::{Check, Report};

mod files;
mod gauges;
mod page;
mod ports;
mod report;
mod settings;
mod similarity;
mod target;

/// Rehearses, and prints what was found.
///
/// # Errors
/// Fails only where no runtime can be had: what is amiss is in the report, and in the exit code.
pub fn run(args: &SidecarArgs, json: bool) -> Result<Exit, CommandError> {
    block_on(async {
        let report = Report::new(match Settings::new(args) {
            Ok(settings) => rehearse(args, &settings).await,
            Err(message) => vec![settings::refused(&message)],
        });
        if json {
            print_line(&report.to_json());
        } else {
            print_line(report.to_text(wants_colours()).trim_end());
        }
        Ok(report.exit())
    })
}

/// Each look has the bound of one reading, and all are made at once.
async fn rehearse(args: &SidecarArgs, settings: &Settings) -> Vec<Check> {
    let themes = tokio::join!(
        files::listen(settings),
        target::check(settings),
        page::check(settings),
        ports::check(settings, !args.activity_port.is_empty()),
    );
    let (listen, target, page, ports) = themes;
    let mut checks = settings::check(settings, &unknown_variables());
    checks.push(listen);
    checks.push(files::state_dir(settings, args.state_dir.is_some()));
    checks.push(files::termination_log(settings));
    checks.extend(files::token_file(settings));
    checks.extend(target);
    checks.extend(page);
    checks.extend(ports);
    checks
}

/// On a terminal, unless the person has said otherwise (<https://no-color.org>).
fn wants_colours() -> bool {
    stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
