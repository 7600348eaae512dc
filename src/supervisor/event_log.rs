//! The log of what happens: told once, when it changes. The outcome is the last line about a drain.

use std::net::IpAddr;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::io::log::Nullable;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::Source;
use lameduck_machine::result::DrainResult;
use lameduck_machine::snapshot::{Phase, Snapshot};
use lameduck_machine::source_state::{SourceState, State};
use lameduck_machine::time::Time;

/// Remembers what has been told.
#[derive(Debug, Default)]
pub struct EventLog {
    before: Option<Snapshot>,
    /// Whether it was told of this target that the sources disagree.
    divided: bool,
    held: Hush,
    refused: Hush,
    let_go: Hush,
    astray: Hush,
}

impl EventLog {
    /// Tells what has changed since the last time.
    pub fn tell(&mut self, now: Snapshot) {
        self.tell_disagreement(&now);
        if let Some(before) = &self.before {
            tell_target(before, &now);
            tell_sources(before, &now);
            tell_phase(before, &now);
            tell_readiness(before, &now);
            tell_obstacle(before, &now);
        } else {
            tell_start(&now);
        }
        self.before = Some(now);
    }

    /// Once for each life of the target: sources may come to agree and fall out again with every poll.
    fn tell_disagreement(&mut self, now: &Snapshot) {
        let life = |snapshot: &Snapshot| snapshot.target.as_ref().map(|target| target.incarnation);
        self.divided &= self.before.as_ref().is_some_and(|before| life(before) == life(now));
        if now.disagreement.is_none() || self.divided {
            return;
        }
        self.divided = true;
        let words = now.sources.iter().filter_map(|witness| match &witness.state {
            State::Counted(count) => Some(format!("{}: {}", witness.source.name(), count.streams)),
            State::NotPolled | State::Absent | State::Unknown(_) => None,
        });
        let words = words.collect::<Vec<_>>().join(", ");
        warn!(words, "the sources disagree about the streams; the largest count holds");
    }

    /// Tells of a call without the token, which is held unless too many are.
    pub fn tokenless(&mut self, now: Time, peer: IpAddr, is_held: bool) {
        let peer = peer.to_canonical();
        if !is_held {
            if let Some(calls) = self.refused.breaks(now) {
                error!(%peer, calls, "a call of /prestop without the token is refused: too many wait already");
            }
        } else if let Some(calls) = self.held.breaks(now) {
            error!(
                %peer,
                calls,
                "a call of /prestop without the token is held, but turns nothing unready and signals nobody; if it is the \
                 kubelet's, give its hook the header `Authorization: Bearer …` with what is in --token-file"
            );
        }
    }

    /// Tells of a call without the token that is answered while there may be streams: its pod may end now.
    pub fn dismissed(&mut self, now: Time, verdict: &DrainResult) {
        if verdict.stragglers == Some(0) {
            return;
        }
        if let Some(calls) = self.let_go.breaks(now) {
            let (outcome, stragglers) = (verdict.outcome.name(), Nullable(verdict.stragglers));
            warn!(outcome, ?stragglers, calls, "a call of /prestop without the token is over");
        }
    }

    /// Tells of a hook that calls what is not there.
    pub fn astray(&mut self, now: Time, path: &str) {
        if let Some(calls) = self.astray.breaks(now) {
            error!(
                path,
                calls,
                "a hook called a path that does not exist, and the kubelet takes that for success; set it to /prestop"
            );
        }
    }

    /// Tells of a SIGTERM and who sent it; after an outcome only to those who look closely, for that is the last line.
    pub fn sigterm(&self, sender: Option<i32>) {
        let sender = Nullable(sender);
        match self.before.as_ref().map(|before| before.phase) {
            Some(Phase::Done) => debug!(?sender, "SIGTERM received"),
            Some(Phase::Serving | Phase::LameDuck | Phase::Draining) | None => info!(?sender, "SIGTERM received"),
        }
    }
}

/// What strangers can cause must not fill the log: after one that was told, further ones are only counted for a while.
#[derive(Debug, Default)]
struct Hush {
    untold: u64,
    told: Option<Time>,
}

impl Hush {
    const LASTS: Duration = Duration::from_secs(10);

    /// How many there were since the last that was told, if this one is to be told.
    fn breaks(&mut self, now: Time) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now < told + Self::LASTS) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

fn tell_start(now: &Snapshot) {
    if let Some(drain) = &now.drain {
        warn!(
            phase = now.phase.name(),
            trigger = drain.trigger.name(),
            remaining_seconds = drain.remaining.as_secs_f64(),
            signalled = drain.signalled,
            "going on with a drain that an earlier process began"
        );
        if drain.signalled && now.phase != Phase::Done {
            info!(
                "the signal is not sent again; had that process died between noting and sending it, it never went out"
            );
        }
    }
}

fn tell_target(before: &Snapshot, now: &Snapshot) {
    let alive = |snapshot: &Snapshot| snapshot.target.clone().filter(|target| target.alive);
    match (alive(before), alive(now)) {
        (Some(old), Some(new)) if old.incarnation == new.incarnation => {}
        (_, Some(new)) => info!(pid = new.incarnation.pid, name = new.name, "target found"),
        (Some(old), None) if now.phase == Phase::Done => debug!(pid = old.incarnation.pid, "target has ended"),
        (Some(old), None) => info!(pid = old.incarnation.pid, "target has ended"),
        (None, None) => {}
    }
}

fn tell_sources(before: &Snapshot, now: &Snapshot) {
    for (old, new) in before.sources.iter().zip(&now.sources) {
        if std::mem::discriminant(&old.state) != std::mem::discriminant(&new.state) {
            // While the pod is not ready yet, or the drain is over, a source that fails is no news.
            let expected = now.phase == Phase::Done || (now.phase == Phase::Serving && before.unready.is_some());
            tell_source(new, expected);
        }
    }
}

fn tell_source(witness: &SourceState, expected: bool) {
    let source = witness.source.name();
    match &witness.state {
        State::NotPolled => {}
        State::Counted(count) => debug!(source, streams = count.streams, "source answers"),
        // A port opens when the target has loaded; a selector that matches nothing is wrong at once.
        State::Absent if expected && witness.source == Source::Sockets => {
            debug!(source, reason = witness.source.absence(), "source is absent");
        }
        State::Absent => warn!(source, reason = witness.source.absence(), "source is absent"),
        State::Unknown(fault) if expected => debug!(source, error = fault.message, "source is unknown"),
        State::Unknown(fault) => warn!(source, error = fault.message, "source is unknown"),
    }
}

fn tell_phase(before: &Snapshot, now: &Snapshot) {
    if before.phase == now.phase {
        return;
    }
    match (now.phase, &now.drain) {
        (Phase::Serving, _) | (_, None) => info!("serving again"),
        (Phase::LameDuck, Some(drain)) => info!(
            trigger = drain.trigger.name(),
            streams = ?Nullable(now.streams),
            budget_seconds = drain.remaining.as_secs_f64(),
            "drain begins: unready, still accepting"
        ),
        (Phase::Draining, Some(drain)) => {
            info!(streams = ?Nullable(now.streams), remaining_seconds = drain.remaining.as_secs_f64(), "draining");
        }
        (Phase::Done, Some(_)) => debug!("drain over"),
    }
}

fn tell_readiness(before: &Snapshot, now: &Snapshot) {
    if before.unready == now.unready || now.phase != Phase::Serving {
        return;
    }
    let was_ready = before.unready.is_none();
    match &now.unready {
        Some(reason @ (NotReady::Starting | NotReady::NoReading(None))) => debug!(%reason, "not ready yet"),
        None => info!(streams = ?Nullable(now.streams), "ready"),
        Some(reason @ (NotReady::NotFound | NotReady::NoReading(Some(_)))) if !was_ready => {
            info!(%reason, "not ready yet");
        }
        Some(reason) => warn!(%reason, "not ready"),
    }
}

fn tell_obstacle(before: &Snapshot, now: &Snapshot) {
    let unsignalled = now.phase == Phase::Draining && now.drain.is_some_and(|drain| !drain.signalled);
    if let Some(reason) = &now.obstacle
        // Nobody has looked yet, which is no reason.
        && *reason != NotReady::Starting
        && unsignalled
        && (before.obstacle != now.obstacle || before.phase != now.phase)
    {
        warn!(%reason, "no signal: this drain goes by count alone");
    }
}
