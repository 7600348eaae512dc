//! Polls the status of a sidecar for `lameduck status --watch`.

use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::commands::CommandError;
use crate::commands::status::{STATUS_TIMEOUT, get, parse};
use crate::io::http::{self, Url};
use crate::io::report::StatusReport;

/// How often a status is delivered, and the timeout of a poll after the first.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// How often the status is polled during a drain. The sidecar may exit a fraction of a second after its drain, and the
/// outcome must be seen before.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A status, as received and as parsed.
pub(super) struct Fetched {
    /// The JSON text.
    pub(super) text: String,
    /// The parsed status.
    pub(super) report: StatusReport,
}

/// A status, or why there is none.
pub(super) type Answer = Result<Fetched, CommandError>;

/// Delivers the status every second, and at once when a drain has finished or when a sidecar is gone that has finished
/// one, until the receiver is dropped.
pub(super) async fn poll(address: Url, answers: Sender<Answer>) {
    let mut ticks = interval(REFRESH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut timeout = STATUS_TIMEOUT;
    let mut phase = DrainPhase::None;
    let mut may_be_gone = false;
    loop {
        let due = tokio::select! {
            biased;
            _ = ticks.tick() => true,
            () = early_poll(&address, phase), if !may_be_gone => false,
        };
        let answer = fetch(&address, timeout).await;
        // After the first answer, a missing one is worth showing soon.
        timeout = REFRESH_INTERVAL;
        let before = phase;
        phase = answer.as_ref().map_or(before, |fetched| DrainPhase::of(&fetched.report));
        let finished = phase == DrainPhase::Finished && (before != phase || answer.is_err());
        // A sidecar that answers although it closed a connection is not asked again before the next tick.
        may_be_gone = !due && before == DrainPhase::Finished;
        if (due || finished) && answers.send(answer).await.is_err() {
            return;
        }
    }
}

/// How far a drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DrainPhase {
    None,
    Active,
    Finished,
}

impl DrainPhase {
    const fn of(report: &StatusReport) -> Self {
        match (&report.outcome, &report.drain) {
            (Some(_), _) => Self::Finished,
            (None, Some(_)) => Self::Active,
            (None, None) => Self::None,
        }
    }
}

async fn fetch(address: &Url, timeout: Duration) -> Answer {
    let text = get(address, "/status", timeout).await?;
    let report = parse(address, &text)?;
    Ok(Fetched { text, report })
}

/// Returns when the status should be polled before the next tick.
async fn early_poll(address: &Url, phase: DrainPhase) {
    match phase {
        DrainPhase::None => std::future::pending().await,
        DrainPhase::Active => sleep(DRAIN_POLL_INTERVAL).await,
        DrainPhase::Finished => connection_closed(address).await,
    }
}

/// Returns when the sidecar closes an idle connection, as the kernel does at once when the sidecar exits. The processes
/// that `kubectl exec` has started in its container are killed immediately afterwards.
async fn connection_closed(address: &Url) {
    if let Ok(connection) = http::connect(address).await {
        // The sidecar sends nothing before it has received a request.
        let _ = connection.readable().await;
    }
}
