//! `lameduck drain`: asks the sidecar on this host to drain, or does without one, and shows what is waited for.

use std::time::Duration;

use crate::commands::status::{fetch, page};
use crate::commands::{CommandError, Exit, block_on, eprint_line, startup};
use crate::io::http::Url;
use crate::io::report::OutcomeReport;
use crate::settings::drain::DrainArgs;

use display::Display;

mod display;
mod provisional;
mod standalone;

/// How often the display is brought up to date.
const REFRESH: Duration = Duration::from_secs(1);
/// Longer than any drain: the sidecar keeps the deadline.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Drains, and prints the outcome to stdout.
///
/// # Errors
/// Fails where the sidecar cannot be reached or goes away; without one, where something cannot work at all.
pub fn run(args: &DrainArgs) -> Result<Exit, CommandError> {
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

async fn drain(address: &Url, hook: bool, display: &mut Display) -> Result<OutcomeReport, CommandError> {
    if !hook {
        // It is said of a sidecar that is there.
        fetch(address).await?;
        eprint_line(
            "draining this pod's target; when it has ended, the kubelet restarts its container, and lameduck is ready again",
        );
    }
    let path = if hook { "/prestop" } else { "/prestop?trigger=cli" };
    let mut left = None;
    let mut answer = hold(address, path, display, &mut left).await;
    if let (true, Err(_), Some(left)) = (hook, &answer, left) {
        // To the kubelet a hook that fails is one that is over. The sidecar may come back, and goes on with its drain.
        let again = tokio::time::timeout(left, hold_again(address, path, display)).await;
        answer = again.unwrap_or(answer);
    }
    display.clear();
    let answer = answer?;
    serde_json::from_str(&answer).map_err(|error| {
        CommandError::new(Exit::Unreachable, format!("the sidecar's answer is not an outcome: {error}"))
    })
}

/// Waits for the sidecar's answer, and keeps what is left of the drain's time.
async fn hold(
    address: &Url,
    path: &str,
    display: &mut Display,
    left: &mut Option<Duration>,
) -> Result<String, CommandError> {
    let mut held = std::pin::pin!(page(address, path, FOREVER));
    loop {
        tokio::select! {
            biased;
            answer = &mut held => return answer,
            () = tokio::time::sleep(REFRESH) => {
                *left = left.map(|left| left.saturating_sub(REFRESH));
                // A sidecar that does not answer this once says so by the held call, if it has gone.
                if let Ok(status) = fetch(address).await {
                    let remaining = status.drain.as_ref().map(|drain| drain.remaining_seconds);
                    *left = remaining.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).or(*left);
                    display.show(&status);
                }
            }
        }
    }
}

/// Asks until a sidecar is there that holds the call to its end.
async fn hold_again(address: &Url, path: &str, display: &mut Display) -> Result<String, CommandError> {
    loop {
        tokio::time::sleep(REFRESH).await;
        let answer = hold(address, path, display, &mut None).await;
        if answer.is_ok() {
            return answer;
        }
    }
}
