//! `lameduck drain`: asks the sidecar on this host to drain, or does without one, and shows what is waited for.

use std::time::Duration;

use crate::commands::status::{fetch, page};
use crate::commands::{Exit, Failure, block_on, complain, startup};
use crate::edges::http::Url;
use crate::edges::report::OutcomeReport;
use crate::settings::drain::DrainArgs;

use display::Display;

mod display;
mod last_words;
mod standalone;

/// How often the display is brought up to date.
const REFRESH: Duration = Duration::from_secs(1);
/// Longer than any drain: the sidecar keeps the deadline.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Drains, and prints the outcome to stdout.
///
/// # Errors
/// Fails where the sidecar cannot be reached or goes away; without one, where something cannot work at all.
pub fn run(args: &DrainArgs) -> Result<Exit, Failure> {
    if args.standalone {
        return standalone::run(args);
    }
    let _log = startup::open_log(&args.settings.log)?;
    block_on(async {
        let mut display = Display::new();
        let outcome = drain(&args.address.resolve(), args.hook, &mut display).await?;
        display.tell_outcome(&outcome);
        Ok(Exit::after(outcome.stragglers))
    })
}

async fn drain(address: &Url, hook: bool, display: &mut Display) -> Result<OutcomeReport, Failure> {
    if !hook {
        // It is said of a sidecar that is there.
        fetch(address).await?;
        complain(
            "draining this pod's target; when it has ended, the kubelet restarts its container, and lameduck is ready again",
        );
    }
    let path = if hook { "/prestop" } else { "/prestop?trigger=cli" };
    let mut held = std::pin::pin!(page(address, path, FOREVER));
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut held => break answer,
            () = tokio::time::sleep(REFRESH) => {
                // A sidecar that does not answer this once says so by the held call, if it has gone.
                if let Ok(status) = fetch(address).await {
                    display.show(&status);
                }
            }
        }
    };
    display.clear();
    let answer = answer?;
    serde_json::from_str(&answer)
        .map_err(|error| Failure::new(Exit::Unreachable, format!("the sidecar's answer is not an outcome: {error}")))
}
