//! `lameduck drain`: asks the sidecar on this host to drain, and shows what it waits for.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tracing::info;

use crate::commands::status::text::{describe_outcome, known};
use crate::commands::status::{fetch, page};
use crate::commands::{Exit, Failure, block_on, complain, say};
use crate::edges::http::Url;
use crate::edges::log::{Log, Nullable};
use crate::edges::report::{OutcomeReport, StatusReport};
use crate::settings::args::LogArgs;

/// How often the display is brought up to date.
const REFRESH: Duration = Duration::from_secs(1);
/// Longer than any drain: the sidecar keeps the deadline.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Drains, and prints the outcome to stdout.
///
/// # Errors
/// Fails where the sidecar cannot be reached, or goes away.
pub fn run(address: &Url, hook: bool, log: &LogArgs) -> Result<Exit, Failure> {
    let (format, level) = log.resolve();
    let _log = Log::open(format, level).map_err(|error| Failure::new(Exit::Fault, error.to_string()))?;
    let terminal = std::io::stderr().is_terminal();
    block_on(async {
        let outcome = drain(address, hook, Display { terminal, shown: None }).await?;
        say(&outcome.to_json());
        if terminal {
            complain(&describe_outcome(&outcome));
        }
        Ok(Exit::after(outcome.stragglers))
    })
}

async fn drain(address: &Url, hook: bool, mut display: Display) -> Result<OutcomeReport, Failure> {
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
            () = tokio::time::sleep(REFRESH) => display.refresh(address).await,
        }
    };
    display.clear();
    let answer = answer?;
    serde_json::from_str(&answer)
        .map_err(|error| Failure::new(Exit::Unreachable, format!("the sidecar's answer is not an outcome: {error}")))
}

/// What a person, or a log, sees while the drain is on.
struct Display {
    terminal: bool,
    shown: Option<(String, Option<u64>)>,
}

impl Display {
    async fn refresh(&mut self, address: &Url) {
        // A sidecar that does not answer this once says so by the held call, if it has gone.
        let Ok(status) = fetch(address).await else { return };
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", progress(&status));
        } else {
            self.log_step(&status);
        }
    }

    fn log_step(&mut self, status: &StatusReport) {
        let step = (status.phase.clone(), status.streams);
        let remaining = status.drain.as_ref().map(|drain| drain.remaining_seconds);
        if self.shown.as_ref() != Some(&step) {
            let (phase, streams) = (status.phase.as_str(), Nullable(status.streams));
            info!(phase, ?streams, remaining_seconds = ?Nullable(remaining), "waiting");
            self.shown = Some(step);
        }
    }

    fn clear(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn progress(status: &StatusReport) -> String {
    let phase = status.phase.replace('_', " ");
    let streams = known(status.streams);
    match &status.drain {
        Some(drain) => format!("{phase}: streams left: {streams}, time left: {:.0} s", drain.remaining_seconds),
        None => format!("{phase}: streams: {streams}"),
    }
}
