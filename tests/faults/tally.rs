//! The counts of a whole run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::drain::Record;
use crate::invariants::{overrun, violations};
use crate::jitter::now;
use crate::matrix::{Fate, Scenario, Stage};

/// All drains of a run.
pub(crate) struct StreamCount {
    began: Duration,
    drains: usize,
    outcomes: BTreeMap<String, usize>,
    callers: usize,
    signals: usize,
    restarts: usize,
    replaced: usize,
    streams: usize,
    /// Drains whose fault was met, of those that lived long enough to meet it.
    met: (usize, usize),
    faulty_pages: usize,
    worst_overrun: Duration,
    violations: usize,
}

impl StreamCount {
    pub(crate) fn new() -> Self {
        Self {
            began: now(),
            drains: 0,
            outcomes: BTreeMap::new(),
            callers: 0,
            signals: 0,
            restarts: 0,
            replaced: 0,
            streams: 0,
            met: (0, 0),
            faulty_pages: 0,
            worst_overrun: Duration::ZERO,
            violations: 0,
        }
    }

    pub(crate) fn add(&mut self, scenario: &Scenario, record: &Record) {
        self.drains += 1;
        self.callers += record.held.len();
        self.restarts += record.restarts;
        self.replaced += usize::from(record.replaced);
        for life in &record.lives {
            self.signals += life.signals;
            self.streams += life.streams.len();
            self.faulty_pages += life.faulty;
        }
        self.worst_overrun = record.held.iter().map(overrun).chain([self.worst_overrun]).max().unwrap_or_default();
        let outcome = record.message.as_ref().and_then(|message| message["outcome"].as_str()).unwrap_or("none");
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        if is_to_be_met(scenario) {
            self.met.0 += usize::from(record.met);
            self.met.1 += 1;
        }
        self.tell(scenario, record);
    }

    /// The test itself did not come to its end.
    pub(crate) fn fail(&mut self, scenario: &Scenario, why: &str) {
        self.drains += 1;
        self.violations += 1;
        println!("VIOLATION {scenario}: {why}");
    }

    fn tell(&mut self, scenario: &Scenario, record: &Record) {
        let violations = violations(scenario, record);
        self.violations += violations.len();
        for violation in &violations {
            println!("VIOLATION {scenario}: {violation}");
        }
        if !violations.is_empty() {
            let Record { called, held, lives, log, .. } = record;
            println!("  {scenario:?}\n  called at {called:?}; {held:#?}\n  {lives:?}\n  {}", log.join("\n  "));
        }
    }

    /// Whether nothing was violated, and the faults were such as somebody met.
    pub(crate) fn is_sound(&self) -> bool {
        self.violations == 0 && self.met.0 * 10 >= self.met.1 * 9
    }
}

/// Whether the fault begins long before the end, at an engine that goes on.
fn is_to_be_met(scenario: &Scenario) -> bool {
    let early = matches!(scenario.combination.stage, Stage::Serving | Stage::LameDuck);
    early && matches!(scenario.combination.fate, Fate::Alive | Fate::Ignores)
}

impl fmt::Display for StreamCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = now() - self.began;
        writeln!(f, "drains          {} in {:.0} s", self.drains, took.as_secs_f64())?;
        for (outcome, count) in &self.outcomes {
            writeln!(f, "  {outcome:<14}{count}")?;
        }
        writeln!(f, "callers         {} answered or cut off by a restart", self.callers)?;
        writeln!(f, "streams         {}", self.streams)?;
        writeln!(f, "signals         {}", self.signals)?;
        writeln!(f, "restarts        {} of the sidecar, {} new engines", self.restarts, self.replaced)?;
        writeln!(f, "faulty pages    {} given, met in {} of {} drains", self.faulty_pages, self.met.0, self.met.1)?;
        writeln!(f, "worst overrun   {:?}", self.worst_overrun)?;
        write!(f, "violations      {}", self.violations)
    }
}
