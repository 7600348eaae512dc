//! The log of changes, one line each. The outcome is the last line of a drain.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use lameduck_machine::io::TargetEnded;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::{ReadError, ReadErrorKind, Source};
use lameduck_machine::result::DrainResult;
use lameduck_machine::snapshot::{Phase, Snapshot};
use lameduck_machine::source_state::{SourceState, SourceStatus};
use lameduck_machine::target::SignalBlocker;
use lameduck_machine::time::Time;
use tracing::{debug, error, info, warn};

use crate::io::log::Nullable;
use crate::io::rounding::rounded_seconds;
use crate::queue::Stop;
use crate::reasons::Reasons;

/// How many process names are remembered: a pod has few, but a process may rename itself again and again.
const MAX_LOGGED_NAMES: usize = 64;

/// The last logged state.
#[derive(Debug, Default)]
pub struct EventLog {
    last: Option<Snapshot>,
    /// Whether the disagreement of the sources has been logged for this incarnation.
    disagreement_logged: bool,
    /// Whether a leak of the page's gauge has been logged for this incarnation.
    leak_logged: bool,
    /// The names of processes that were logged because no process matched.
    logged_names: BTreeSet<String>,
    held: LogThrottle,
    rejected: LogThrottle,
    released: LogThrottle,
    unknown_paths: LogThrottle,
}

impl EventLog {
    /// Logs what has changed since the last call.
    pub fn update(&mut self, now: Snapshot, reasons: &Reasons) {
        self.log_disagreement(&now);
        self.log_leak(&now);
        let sees_new_names = self.sees_new_names(&now, reasons);
        if let Some(last) = &self.last {
            log_target(last, &now);
            log_sources(last, &now, reasons);
            log_phase(last, &now);
            if last.not_ready != now.not_ready || sees_new_names {
                log_readiness(last, &now, reasons);
            }
            log_signal_blocker(last, &now, reasons);
        } else {
            log_start(&now);
        }
        self.last = Some(now);
    }

    /// Whether there is no target, and the reason names a process that has not been logged yet. The sidecar starts
    /// first, so the first line names few processes or none.
    fn sees_new_names(&mut self, now: &Snapshot, reasons: &Reasons) -> bool {
        if now.not_ready != Some(NotReady::NotFound) {
            return false;
        }
        let names = reasons.visible_names();
        let is_new = |name: &&str| self.logged_names.len() < MAX_LOGGED_NAMES && !self.logged_names.contains(*name);
        let new: Vec<String> = names.into_iter().filter(is_new).map(str::to_owned).collect();
        let any = !new.is_empty();
        self.logged_names.extend(new);
        any
    }

    /// Once for each incarnation: sources may agree and disagree with every poll.
    fn log_disagreement(&mut self, now: &Snapshot) {
        self.disagreement_logged &= self.is_same_incarnation(now);
        if now.streams.disagreement.is_none() || self.disagreement_logged {
            return;
        }
        self.disagreement_logged = true;
        let counts = now.streams.sources.iter().filter_map(|state| match &state.status {
            SourceStatus::Counted(count) => Some(format!("{}: {}", state.source.name(), count.streams)),
            SourceStatus::NotPolled | SourceStatus::Absent | SourceStatus::Unknown(_) => None,
        });
        let counts = counts.collect::<Vec<_>>().join(", ");
        warn!(counts, "the sources disagree about the number of streams; the largest count is used");
    }

    /// Once for each incarnation, too.
    fn log_leak(&mut self, now: &Snapshot) {
        self.leak_logged &= self.is_same_incarnation(now);
        let Some(streams) = now.streams.leaked.filter(|_| !self.leak_logged) else { return };
        self.leak_logged = true;
        warn!(
            streams,
            "the page counts streams, but their ports have had no connection for --gauge-leak-after: its count is overruled"
        );
    }

    fn is_same_incarnation(&self, now: &Snapshot) -> bool {
        let incarnation = |snapshot: &Snapshot| snapshot.target.as_ref().map(|target| target.incarnation);
        self.last.as_ref().is_some_and(|last| incarnation(last) == incarnation(now))
    }

    /// Logs an unauthorized hook call that is held.
    pub fn unauthorized_call(&mut self, now: Time, peer: IpAddr) {
        let peer = peer.to_canonical();
        if let Some(calls) = self.held.allow(now) {
            error!(
                %peer,
                calls,
                "hook call without the token: it is held, but starts no drain and sends no signal; if it is the \
                 kubelet's, set the header `Authorization: Bearer …` in the hook to the content of --token-file"
            );
        }
    }

    /// Logs an unauthorized hook call that is rejected.
    pub fn unauthorized_rejection(&mut self, now: Time, peer: IpAddr) {
        let peer = peer.to_canonical();
        if let Some(calls) = self.rejected.allow(now) {
            error!(%peer, calls, "hook call without the token rejected: too many are held already");
        }
    }

    /// Logs that an unauthorized hook call was answered while there may be streams: its pod may be stopped now.
    pub fn unauthorized_release(&mut self, now: Time, result: &DrainResult) {
        if result.stragglers == Some(0) {
            return;
        }
        if let Some(calls) = self.released.allow(now) {
            let (outcome, stragglers) = (result.outcome.name(), Nullable(result.stragglers));
            warn!(outcome, ?stragglers, calls, "hook call without the token released");
        }
    }

    /// Logs that another process has shortened the deadline.
    pub fn deadline_shortened(&self, before: Duration, after: Duration) {
        let (seconds, before) = (rounded_seconds(after), rounded_seconds(before));
        warn!(remaining_seconds = seconds, before_seconds = before, "the deadline of the drain was shortened");
    }

    /// Logs a hook call to a path that does not exist.
    pub fn unknown_hook_path(&mut self, now: Time, path: &str) {
        if let Some(calls) = self.unknown_paths.allow(now) {
            error!(
                path,
                calls, "hook call to an unknown path, which the kubelet takes for success; set the path to /prestop"
            );
        }
    }

    /// Logs the end of the target outside a drain, if it had or may have had streams.
    pub fn target_end(&self, ended: TargetEnded) {
        match ended {
            TargetEnded::Drain | TargetEnded::Serving(Some(0)) => {}
            TargetEnded::Serving(streams) => warn!(
                streams = ?Nullable(streams),
                "the target has ended while it was serving, and its streams with it"
            ),
        }
    }

    /// Logs a signal that stops this process, its sender and the open streams. After an outcome only at debug level,
    /// because the outcome is the last line.
    pub fn stop(&self, stop: &Stop) {
        let (signal, sender) = (stop.signal, Nullable(stop.sender));
        let streams = Nullable(self.last.as_ref().and_then(|last| last.streams.count));
        match self.last.as_ref().map(|last| last.phase) {
            Some(Phase::Done) => debug!(?sender, "{signal} received"),
            Some(Phase::Serving | Phase::LameDuck | Phase::Draining) | None => {
                info!(?sender, ?streams, "{signal} received");
            }
        }
    }
}

/// Limits lines that any client can cause: after a line, further events are only counted for a while.
#[derive(Debug, Default)]
struct LogThrottle {
    suppressed: u64,
    last_logged: Option<Time>,
}

impl LogThrottle {
    const INTERVAL: Duration = Duration::from_secs(10);

    /// Returns how many events there were since the last logged one, with this one; `None` if it must not be logged.
    fn allow(&mut self, now: Time) -> Option<u64> {
        self.suppressed += 1;
        if self.last_logged.is_some_and(|last| now < last + Self::INTERVAL) {
            return None;
        }
        self.last_logged = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

fn log_start(now: &Snapshot) {
    let Some(drain) = &now.drain else { return };
    warn!(
        phase = now.phase.name(),
        trigger = drain.trigger.name(),
        remaining_seconds = drain.remaining.as_secs_f64(),
        signalled = drain.signalled,
        "resuming the drain of an earlier process"
    );
    if drain.signalled && now.phase != Phase::Done {
        info!(
            "not resending the signal: the earlier process recorded it as sent (it may have crashed just before sending it)"
        );
    }
}

fn log_target(last: &Snapshot, now: &Snapshot) {
    let alive = |snapshot: &Snapshot| snapshot.target.clone().filter(|target| target.alive);
    match (alive(last), alive(now)) {
        (Some(old), Some(new)) if old.incarnation == new.incarnation => {}
        (_, Some(new)) => info!(pid = new.incarnation.pid, name = new.name, "target found"),
        (Some(old), None) if now.phase == Phase::Done => debug!(pid = old.incarnation.pid, "target has ended"),
        (Some(old), None) => info!(pid = old.incarnation.pid, "target has ended"),
        (None, None) => {}
    }
}

fn log_sources(last: &Snapshot, now: &Snapshot, reasons: &Reasons) {
    for (old, new) in last.streams.sources.iter().zip(&now.streams.sources) {
        if is_news(&old.status, &new.status) {
            // While the pod is not ready yet, or the drain is over, a failing source is expected.
            let expected = now.phase == Phase::Done || (now.phase == Phase::Serving && last.not_ready.is_some());
            log_source(new, expected, reasons);
        }
    }
}

/// Whether a status must be logged. A failure after another one is logged only if it lasts for the whole incarnation.
fn is_news(last: &SourceStatus, now: &SourceStatus) -> bool {
    let is_shared = |status: &SourceStatus| {
        matches!(status, SourceStatus::Unknown(ReadError { kind: ReadErrorKind::SeveralProcesses, .. }))
    };
    std::mem::discriminant(last) != std::mem::discriminant(now) || (is_shared(now) && !is_shared(last))
}

fn log_source(state: &SourceState, expected: bool, reasons: &Reasons) {
    let source = state.source.name();
    match &state.status {
        SourceStatus::NotPolled => {}
        SourceStatus::Counted(count) => debug!(source, streams = count.streams, "source answers"),
        // A port may open only after the target has loaded. A selector that matches nothing is wrong from the start.
        SourceStatus::Absent if expected && state.source == Source::Sockets => {
            debug!(source, reason = reasons.absent(state), "source is absent");
        }
        SourceStatus::Absent => warn!(source, reason = reasons.absent(state), "source is absent"),
        SourceStatus::Unknown(error) if expected && error.kind != ReadErrorKind::SeveralProcesses => {
            debug!(source, error = error.message, "source is unknown");
        }
        SourceStatus::Unknown(error) => warn!(source, error = error.message, "source is unknown"),
    }
}

fn log_phase(last: &Snapshot, now: &Snapshot) {
    if last.phase == now.phase {
        return;
    }
    let streams = Nullable(now.streams.count);
    match (now.phase, &now.drain) {
        (Phase::Serving, _) | (_, None) => info!("serving again"),
        (Phase::LameDuck, Some(drain)) => info!(
            id = ?Nullable(now.record.map(|record| record.id)),
            trigger = drain.trigger.name(),
            ?streams,
            budget_seconds = drain.remaining.as_secs_f64(),
            "drain started: not ready, still accepting"
        ),
        (Phase::Draining, Some(drain)) => {
            info!(?streams, remaining_seconds = drain.remaining.as_secs_f64(), "draining");
        }
        (Phase::Done, Some(_)) => debug!("drain finished"),
    }
}

fn log_readiness(last: &Snapshot, now: &Snapshot, reasons: &Reasons) {
    if now.phase != Phase::Serving {
        return;
    }
    let was_ready = last.not_ready.is_none();
    let Some(reason) = &now.not_ready else {
        return info!(streams = ?Nullable(now.streams.count), "ready");
    };
    let text = reasons.not_ready(reason);
    match reason {
        NotReady::Starting | NotReady::FirstPoll => debug!(reason = text, "not ready yet"),
        NotReady::NotFound | NotReady::SourceAbsent { .. } | NotReady::SourceUnknown(_) if !was_ready => {
            info!(reason = text, "not ready yet");
        }
        NotReady::NotFound
        | NotReady::SourceAbsent { .. }
        | NotReady::SourceUnknown(_)
        | NotReady::Ambiguous(_)
        | NotReady::CannotSignal { .. }
        | NotReady::AtCapacity { .. }
        | NotReady::LameDuck
        | NotReady::Draining
        | NotReady::Done => warn!(reason = text, "not ready"),
    }
}

fn log_signal_blocker(last: &Snapshot, now: &Snapshot, reasons: &Reasons) {
    let unsignalled = now.phase == Phase::Draining && now.drain.is_some_and(|drain| !drain.signalled);
    if let Some(reason) = &now.signal_blocker
        // Before the first search, nothing is known.
        && *reason != NotReady::Starting
        && unsignalled
        && (last.signal_blocker != now.signal_blocker || last.phase != now.phase)
    {
        let text = reasons.not_ready(reason);
        if matches!(reason, NotReady::CannotSignal { blocker: SignalBlocker::NotPermitted { .. }, .. }) {
            error!(reason = text, "no signal is sent: this drain relies on the stream count alone");
        } else {
            warn!(reason = text, "no signal is sent: this drain relies on the stream count alone");
        }
    }
}
