//! The totals of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::invariants::{overrun, violations};
use crate::jitter::now;
use crate::matrix::{EngineBehavior, Scenario, Stage};
use crate::record::Record;

/// Totals over all drains of a run.
pub(crate) struct Totals {
    started_at: Duration,
    drains: usize,
    outcomes: BTreeMap<String, usize>,
    callers: usize,
    signals: usize,
    restarts: usize,
    replaced: usize,
    streams: usize,
    /// Of the drains in which the sidecar had time to see the fault: in how many it did, and their number.
    faults_seen: (usize, usize),
    faulty_pages: usize,
    max_overrun: Duration,
    violations: usize,
}

impl Totals {
    pub(crate) fn new() -> Self {
        Self {
            started_at: now(),
            drains: 0,
            outcomes: BTreeMap::new(),
            callers: 0,
            signals: 0,
            restarts: 0,
            replaced: 0,
            streams: 0,
            faults_seen: (0, 0),
            faulty_pages: 0,
            max_overrun: Duration::ZERO,
            violations: 0,
        }
    }

    /// Adds a drain, and prints its violations.
    pub(crate) fn add(&mut self, scenario: &Scenario, record: &Record) {
        self.drains += 1;
        self.callers += record.calls.len();
        self.restarts += record.restarts;
        self.replaced += usize::from(record.replaced);
        for engine in &record.engines {
            self.signals += engine.signals;
            self.streams += engine.streams.len();
            self.faulty_pages += engine.faulty_pages;
        }
        self.max_overrun = record.calls.iter().map(overrun).chain([self.max_overrun]).max().unwrap_or_default();
        let outcome = record.message.as_ref().and_then(|message| message["outcome"].as_str()).unwrap_or("none");
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        if has_time_to_see_fault(scenario) {
            self.faults_seen.0 += usize::from(record.fault_seen);
            self.faults_seen.1 += 1;
        }
        self.add_violations(scenario, record);
    }

    /// Adds a drain whose test code panicked.
    pub(crate) fn add_panic(&mut self, scenario: &Scenario, message: &str) {
        self.drains += 1;
        self.violations += 1;
        println!("VIOLATION {scenario}: {message}");
    }

    fn add_violations(&mut self, scenario: &Scenario, record: &Record) {
        let violations = violations(scenario, record);
        self.violations += violations.len();
        for violation in &violations {
            println!("VIOLATION {scenario}: {violation}");
        }
        if !violations.is_empty() {
            let Record { called_at, calls, engines, log, .. } = record;
            println!("  {scenario:?}\n  called at {called_at:?}; {calls:#?}\n  {engines:?}\n  {}", log.join("\n  "));
        }
    }

    /// Whether no invariant was violated and nearly all faults were seen.
    pub(crate) fn passed(&self) -> bool {
        self.violations == 0 && self.faults_seen.0 * 10 >= self.faults_seen.1 * 9
    }
}

/// Whether the fault begins early in the drain, and the engine keeps running.
fn has_time_to_see_fault(scenario: &Scenario) -> bool {
    let early = matches!(scenario.combination.stage, Stage::Serving | Stage::LameDuck);
    early && matches!(scenario.combination.behavior, EngineBehavior::Drains | EngineBehavior::Ignores)
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = now() - self.started_at;
        let (seen, expected) = self.faults_seen;
        writeln!(f, "drains          {} in {:.0} s", self.drains, elapsed.as_secs_f64())?;
        for (outcome, count) in &self.outcomes {
            writeln!(f, "  {outcome:<14}{count}")?;
        }
        writeln!(f, "callers         {} answered, or cut off by a restart", self.callers)?;
        writeln!(f, "streams         {}", self.streams)?;
        writeln!(f, "signals         {}", self.signals)?;
        writeln!(f, "restarts        {} of the sidecar, {} of the engine", self.restarts, self.replaced)?;
        writeln!(f, "faulty pages    {} served; seen in {seen} of {expected} drains", self.faulty_pages)?;
        writeln!(f, "max. overrun    {:?}", self.max_overrun)?;
        write!(f, "violations      {}", self.violations)
    }
}
