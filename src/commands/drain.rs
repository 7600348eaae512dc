//! `lameduck drain`: drains through the sidecar on this host, or without one, and shows the progress.

use std::time::Duration;

use crate::commands::status::{cancel, fetch, get};
use crate::commands::{CommandError, Exit, block_on, eprint_line, print_line, startup};
use crate::io::http::Url;
use crate::io::report::OutcomeReport;
use crate::settings::drain::DrainArgs;

use display::Display;

mod display;
mod lock;
mod provisional;
mod standalone;

/// How often the progress is updated.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// Longer than any drain: the sidecar enforces the deadline.
const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Drains, and prints the outcome to stdout.
///
/// # Errors
/// Fails if the sidecar cannot be reached or goes away. With `--standalone`, fails if a setting cannot work.
pub fn run(args: &DrainArgs) -> Result<Exit, CommandError> {
    if args.standalone {
        return standalone::run(args);
    }
    let _log = startup::open_log(&args.settings.log)?;
    if args.cancel {
        return block_on(async {
            print_line(&cancel(&args.address.resolve()).await?);
            Ok(Exit::Success)
        });
    }
    block_on(async {
        let mut display = Display::new();
        let outcome = drain(&args.address.resolve(), args.hook, &mut display).await?;
        display.print_outcome(&outcome);
        Ok(Exit::after(outcome.stragglers))
    })
}

async fn drain(address: &Url, hook: bool, display: &mut Display) -> Result<OutcomeReport, CommandError> {
    if !hook {
        // Print this only if there is a sidecar.
        fetch(address).await?;
        eprint_line(
            "draining the target; after it has exited, the kubelet restarts its container or, under `lameduck run`, \
             lameduck ends too; until the signal is sent, `lameduck drain --cancel` cancels the drain",
        );
    }
    let path = if hook { "/prestop" } else { "/prestop?trigger=cli" };
    let mut time_left = None;
    let mut response = call(address, path, display, &mut time_left).await;
    if let (true, Err(_), Some(time_left)) = (hook, &response, time_left) {
        // For the kubelet, a failed hook has ended. The sidecar may restart and resume the drain, so keep calling.
        let retried = tokio::time::timeout(time_left, retry(address, path, display)).await;
        response = retried.unwrap_or(response);
    }
    display.clear();
    serde_json::from_str(&response?).map_err(|error| {
        CommandError::new(Exit::Unreachable, format!("the sidecar's response is not an outcome: {error}"))
    })
}

/// Calls the hook and waits for its response. Meanwhile, shows the progress and updates the time left in the drain.
async fn call(
    address: &Url,
    path: &str,
    display: &mut Display,
    time_left: &mut Option<Duration>,
) -> Result<String, CommandError> {
    let mut held = std::pin::pin!(get(address, path, NO_TIMEOUT));
    loop {
        tokio::select! {
            biased;
            response = &mut held => return response,
            () = tokio::time::sleep(REFRESH_INTERVAL) => {
                *time_left = time_left.map(|left| left.saturating_sub(REFRESH_INTERVAL));
                // If the sidecar is gone, the held call fails. A missing status means nothing.
                if let Ok(status) = fetch(address).await {
                    let remaining = status.drain.as_ref().map(|drain| drain.remaining_seconds);
                    *time_left = remaining.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).or(*time_left);
                    display.show(&status);
                }
            }
        }
    }
}

/// Repeats the call until a sidecar holds it to the end of the drain.
async fn retry(address: &Url, path: &str, display: &mut Display) -> Result<String, CommandError> {
    loop {
        tokio::time::sleep(REFRESH_INTERVAL).await;
        let response = call(address, path, display, &mut None).await;
        if response.is_ok() {
            return response;
        }
    }
}
