//! What the service manager is told, and when.
//!
//! `STOPPING=1` starts the stop timeout of systemd, which cannot be taken back. So it is sent only for a stop that cannot
//! be taken back either, and never for the drain of a user.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::io::clock::Clock;
use crate::io::sd_notify::ServiceManager;
use crate::queue::{Event, Request};
use lameduck_machine::snapshot::{Phase, Snapshot};
use lameduck_machine::time::Time;

/// How often the state is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often the stop timeout is extended during a stop.
const EXTEND_INTERVAL: Duration = Duration::from_secs(10);
/// By how much it is extended, so that two lost messages do no harm.
const EXTENSION: Duration = Duration::from_secs(30);

/// What the service manager has been told.
#[derive(Clone, Debug, Default)]
struct Notices {
    ready: bool,
    stopping: bool,
    status: String,
    extended_at: Option<Time>,
}

impl Notices {
    /// The lines that are due.
    fn due(&mut self, state: &Snapshot) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.ready && state.not_ready.is_none() {
            self.ready = true;
            lines.push("READY=1".to_owned());
        }
        if let Some(until) = state.drain.and_then(|drain| drain.stop_until) {
            if !self.stopping {
                self.stopping = true;
                lines.push("STOPPING=1".to_owned());
            }
            lines.extend(self.extension(state.now, until));
        }
        let status = status(state);
        if status != self.status {
            lines.push(format!("STATUS={status}"));
            self.status = status;
        }
        lines
    }

    /// The extension of the stop timeout, if it is due. It never reaches past the end of the grace period.
    fn extension(&mut self, now: Time, until: Time) -> Option<String> {
        let left = until.since(now).min(EXTENSION);
        let is_due = self.extended_at.is_none_or(|at| now >= at + EXTEND_INTERVAL);
        if left.is_zero() || !is_due {
            return None;
        }
        self.extended_at = Some(now);
        Some(format!("EXTEND_TIMEOUT_USEC={}", left.as_micros()))
    }
}

/// The state in a few words.
fn status(state: &Snapshot) -> String {
    let streams = match state.streams.count {
        Some(1) => "1 stream".to_owned(),
        Some(streams) => format!("{streams} streams"),
        None => "streams unknown".to_owned(),
    };
    let left = state.drain.map(|drain| time_left(drain.remaining)).unwrap_or_default();
    match state.phase {
        Phase::Serving if state.not_ready.is_some() => format!("not ready, {streams}"),
        Phase::Serving => streams,
        Phase::LameDuck => format!("leaving rotation, {streams}, {left} left"),
        Phase::Draining => format!("draining, {streams}, {left} left"),
        Phase::Done => "drain over".to_owned(),
    }
}

/// A time in whole minutes or, below two minutes, in steps of 10 seconds: each new text is a message.
fn time_left(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..120 => format!("{} s", seconds.div_ceil(10) * 10),
        seconds => format!("{} min", seconds / 60),
    }
}

/// Keeps the service manager informed until the event loop ends. A watchdog is answered only while the loop runs.
pub(super) async fn inform(manager: ServiceManager, clock: Clock, queue: mpsc::Sender<Event>) {
    let mut notices = Notices::default();
    let mut watched_at: Option<Time> = None;
    let interval = manager.watchdog.map_or(INTERVAL, |watchdog| INTERVAL.min(watchdog / 4));
    let mut is_heard = true;
    loop {
        let (reply, state) = oneshot::channel();
        if queue.send(Event::Request(Request::Snapshot(reply))).await.is_err() {
            return;
        }
        let Ok(state) = state.await else { return };
        let mut sent = notices.clone();
        let mut lines = sent.due(&state);
        let half = manager.watchdog.map(|watchdog| watchdog / 2);
        let is_watched =
            half.is_some_and(|half| watched_at.is_none_or(|at| state.now >= at + half.saturating_sub(interval)));
        if is_watched {
            lines.push("WATCHDOG=1".to_owned());
        }
        if !lines.is_empty() {
            let result = manager.send(&lines);
            if let (Err(error), true) = (&result, is_heard) {
                warn!(%error, "cannot send messages to the service manager (NOTIFY_SOCKET)");
            }
            is_heard = result.is_ok();
            if is_heard {
                // What could not be sent stays due.
                notices = sent;
                watched_at = is_watched.then_some(state.now).or(watched_at);
            }
        }
        let wake = clock.instant(state.now + interval);
        tokio::time::sleep_until(wake).await;
    }
}

#[cfg(test)]
mod tests {
    use lameduck_machine::controller::Controller;
    use lameduck_machine::io::Input;
    use lameduck_machine::policy::{Policy, SigtermPolicy};
    use lameduck_test_support::machine;

    use super::*;

    /// A machine with a grace period of 60 s.
    fn controller() -> Controller {
        let policy = Policy { on_sigterm: SigtermPolicy::StopChild, ..machine::policy() };
        Controller::new(at(0), policy, None)
    }

    fn at(second: u64) -> Time {
        Time::since_boot(Duration::from_secs(1000 + second))
    }

    /// The extensions that are due at these seconds after the stop.
    fn extensions(seconds: &[u64]) -> Vec<Option<u64>> {
        let mut controller = controller();
        controller.handle(at(0), Input::Sigterm);
        let mut notices = Notices::default();
        let due = |second: &u64| {
            let lines = notices.due(&controller.snapshot(at(*second)));
            lines.iter().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC=")?.parse().ok())
        };
        seconds.iter().map(due).collect()
    }

    #[test]
    fn stop_timeout_is_extended_every_ten_seconds_up_to_the_grace_period() {
        let grace = machine::policy().times.grace_period.as_secs();
        let seconds = [0, 1, 10, grace - 20, grace - 10, grace];
        let expected = [Some(30), None, Some(30), Some(20), Some(10), None];
        assert_eq!(extensions(&seconds), expected.map(|left| left.map(|left| left * 1_000_000)));
    }

    #[test]
    fn nothing_is_repeated() {
        let (controller, mut notices) = (controller(), Notices::default());
        let state = controller.snapshot(at(1));
        assert_eq!(notices.due(&state), ["STATUS=not ready, streams unknown"]);
        assert_eq!(notices.due(&state), [""; 0]);
    }

    #[test]
    fn status_has_the_time_left_in_few_steps() {
        let texts = [0, 1, 10, 119, 120, 725].map(|seconds| time_left(Duration::from_secs(seconds)));
        assert_eq!(texts, ["0 s", "10 s", "10 s", "120 s", "2 min", "12 min"]);
    }
}
