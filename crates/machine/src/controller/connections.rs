//! The socket table: who is idle, and how long streams last.

use std::time::Duration;

use crate::activity::{Activity, Look};
use crate::controller::{Controller, Stage};
use crate::durations::DurationHistogram;
use crate::io::Action;
use crate::policy::IdlePolicy;
use crate::reading::ReadError;
use crate::result::{DrainResult, Outcome, Trigger};
use crate::socket_table::SocketTable;
use crate::stream_lifetimes::StreamLifetimes;
use crate::time::Time;

/// What the table has shown of one incarnation's connections.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    activity: Activity,
    lives: StreamLifetimes,
}

/// The streams that are idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Idle {
    pub(crate) streams: u64,
    /// Whether there are streams, and all of them are idle.
    only: bool,
    /// The instant for which this holds.
    as_of: Time,
}

impl Connections {
    pub(super) fn new(idleness: &IdlePolicy) -> Self {
        Self { activity: Activity::new(idleness.rule), lives: StreamLifetimes::default() }
    }
}

impl Controller {
    pub(super) fn looked(&mut self, requested_at: Time, table: Result<SocketTable, ReadError>) {
        if !self.rounds.is_of_newest(requested_at) {
            return;
        }
        let look = Look { requested_at, taken: self.now };
        match table {
            Ok(table) => self.observe(look, &table),
            Err(_) => self.connections.activity.lost(),
        }
        if !self.rounds.is_under_way() {
            self.judge();
        }
    }

    fn observe(&mut self, look: Look, table: &SocketTable) {
        let cookies = table.connections.iter().filter_map(|connection| connection.cookie);
        for life in self.connections.lives.observe(look, cookies) {
            self.lived(life);
        }
        let ports = &self.policy.idleness.ports;
        let active = || table.connections.iter().filter(|connection| ports.contains(&connection.port()));
        let bytes: Option<Vec<(u64, u64)>> = active().map(|c| Some((c.cookie?, c.received?))).collect();
        let Some(bytes) = bytes else { return self.connections.activity.lost() };
        self.connections.activity.observe(look, &bytes);
        for cookie in self.connections.activity.worked_at(look) {
            if let Some(age) = self.connections.lives.age(cookie, self.now) {
                self.durations.worked(age);
            }
        }
    }

    fn lived(&mut self, life: Duration) {
        self.durations.observe(life);
        self.actions.push_back(Action::Lived(life));
    }

    /// The target has ended, and its connections with it.
    pub(super) fn end_lives(&mut self) {
        for life in self.connections.lives.end(self.now) {
            self.lived(life);
        }
    }

    /// The idle streams; `None` where they are not told apart.
    pub(crate) fn idle(&self) -> Option<Idle> {
        if self.policy.idleness.ports.is_empty() {
            return None;
        }
        let tally = self.census.tally()?;
        if tally.streams == 0 {
            return Some(Idle { streams: 0, only: false, as_of: tally.as_of });
        }
        let (never, working) = (self.census.never_idle()?, self.connections.activity.working()?);
        let streams = tally.streams.saturating_sub(never).saturating_sub(working.connections);
        let only = never == 0 && working.connections == 0;
        Some(Idle { streams, only, as_of: tally.as_of.min(working.as_of) })
    }

    /// The instant for which only idle streams are left, where that is to end the drain.
    pub(super) fn only_idle_as_of(&self) -> Option<Time> {
        let plan = &self.policy.plan;
        let idle = self.idle().filter(|idle| idle.only && self.policy.idleness.ends_drain)?;
        // A table or a page that hangs leaves its last word standing.
        let fresh = idle.as_of + plan.stale_after() + plan.scrape_timeout >= self.now;
        fresh.then_some(idle.as_of)
    }

    /// How many idle streams an outcome accounts for.
    pub(super) fn idle_left(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Idle | Outcome::Expired => self.idle().map_or(0, |idle| idle.streams),
            Outcome::Drained | Outcome::Exited | Outcome::NeverServed => 0,
        }
    }

    /// When a target that stays after `idle` is killed: it would wait for its idle streams to the grace period's end.
    ///
    /// One that nobody told to stop, or that has been seen at work since, is not.
    pub(super) fn kills_at(&self) -> Option<Time> {
        let Stage::Done { at, result, drain, .. } = &self.stage else { return None };
        let &DrainResult { outcome: Outcome::Idle, signalled, .. } = result else { return None };
        self.target.as_ref().filter(|target| target.alive && !target.killed)?;
        // After a hook and with SIGTERM the kubelet tells it; a person only looks on.
        let told = signalled || drain.trigger != Trigger::Cli;
        let works_again = self.connections.activity.has_worked_since(*at);
        (told && !works_again).then_some(*at + self.policy.plan.exit_margin)
    }

    pub(super) fn kill_who_stays(&mut self) {
        let due = self.kills_at().is_some_and(|at| self.now >= at);
        if let Some(target) = self.target.as_mut().filter(|_| due) {
            target.killed = true;
            self.actions.push_back(Action::Kill(target.incarnation));
        }
    }

    /// How long streams last, as far as it was seen since the sidecar started.
    #[must_use]
    pub const fn durations(&self) -> &DurationHistogram {
        &self.durations
    }

    /// How long it takes, as likely as not, until the open streams have ended; `None` where nobody can say.
    #[must_use]
    pub fn estimated_time_to_zero(&self, now: Time) -> Option<Duration> {
        let ages: Vec<Duration> = self.connections.lives.ages(now).collect();
        self.durations.estimated_time_to_zero(&ages)
    }
}
