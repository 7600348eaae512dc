//! What must hold of every drain, by what the engine and the clients know.

use std::time::Duration;

use serde_json::Value;

use crate::drain::{Held, Record};
use crate::incarnation::{End, Life, StreamEnd};
use crate::jitter::{worst_nap, worst_work};
use crate::matrix::{BUDGET, PageFault, Scenario};

/// How much longer than its deadline a hook may be held.
const LATE: Duration = Duration::from_millis(250);
/// How long the sidecar may take to hear of anything.
const HEARS: Duration = Duration::from_secs(1);
/// What lies between two clocks that are read one after the other.
const GRAIN: Duration = Duration::from_millis(5);
/// From when on a page that has been sound since is missed at the deadline.
const SOUND: Duration = Duration::from_secs(1);

/// A drain and all that is wrong with it.
struct Judge<'a> {
    scenario: &'a Scenario,
    record: &'a Record,
    violations: Vec<String>,
}

/// What is wrong with a drain.
pub(crate) fn violations(scenario: &Scenario, record: &Record) -> Vec<String> {
    let mut judge = Judge { scenario, record, violations: Vec::new() };
    judge.held_callers();
    judge.signals();
    judge.ends();
    judge.last_words();
    judge.violations
}

/// How much later than at its deadline somebody was answered.
pub(crate) fn overrun(held: &Held) -> Duration {
    held.until.saturating_sub(held.heard + BUDGET)
}

/// How late this machine was when it was called, and when it was to be released: a sidecar has to be woken, and then has
/// work to do.
fn excuses(held: &Held) -> [Duration; 2] {
    let due = held.heard + BUDGET;
    let late = |from, to| worst_nap(from, to) * 2 + worst_work(from, to);
    [late(held.since - LATE, held.heard), late(due - LATE, held.until.max(due))]
}

/// A deadline is not there before this.
fn deadline(held: &Held) -> Duration {
    held.since + BUDGET
}

impl Judge<'_> {
    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(what());
        }
    }

    fn held_callers(&mut self) {
        let unanswered = self.record.unanswered;
        self.require(unanswered == 0, || format!("hold: {unanswered} callers were never released"));
        for held in &self.record.held {
            let (deaf, late, excuses) = (held.heard - held.since, overrun(held), excuses(held));
            self.require(deaf <= HEARS + excuses[0], || format!("hold: heard after {deaf:?} ({excuses:?} excused)"));
            self.require(late <= LATE + excuses[1], || {
                format!("hold: {late:?} past the deadline ({excuses:?} excused)")
            });
            match &held.outcome {
                Some(outcome) => self.outcome(held, outcome),
                None => self.require(self.record.restarts > 0, || "hold: a caller was cut off".into()),
            }
        }
    }

    fn outcome(&mut self, held: &Held, outcome: &Value) {
        let word = outcome["outcome"].as_str().unwrap_or_default();
        let (alive, ended) = (self.fewest_alive(held.until), self.is_ended_by(held.until));
        let is_time = held.until + GRAIN >= deadline(held);
        let is_right = match word {
            "drained" => alive == 0,
            "exited" => ended,
            "expired" => is_time,
            // One that never showed a page of its own, or nobody at all.
            "never_served" => self.record.replaced || ended,
            _ => false,
        };
        self.require(is_right, || format!("outcome: {outcome} with {alive} streams alive"));
        let may_be_released = alive == 0 || ended || is_time || (word == "never_served" && is_right);
        self.require(may_be_released, || format!("cut: released with {alive} streams alive: {outcome}"));
        self.stragglers(held, outcome, word);
    }

    fn stragglers(&mut self, held: &Held, outcome: &Value, word: &str) {
        match outcome["stragglers"].as_u64() {
            Some(0) if word == "never_served" => {}
            Some(count) => {
                let known = self.counts_before(held.until);
                self.require(known.contains(&count), || format!("stragglers: {outcome}, and there were {known:?}"));
            }
            None => {
                self.require(outcome["stragglers"].is_null(), || format!("stragglers: {outcome}"));
                let could_know = word == "drained" || (word == "expired" && self.is_sound_until(held.until));
                self.require(!could_know, || format!("stragglers: {outcome}, and it could be known"));
            }
        }
    }

    /// The engines that the drain can have been about.
    fn candidates(&self) -> impl Iterator<Item = &Life> {
        self.record.lives.iter().filter(|life| life.ended.is_none_or(|(at, _)| at >= self.record.called))
    }

    /// The streams of the engine that has fewest, for the drain may have been about any of them.
    fn fewest_alive(&self, at: Duration) -> u64 {
        self.candidates().map(|life| alive(life, at)).min().unwrap_or(0)
    }

    fn is_ended_by(&self, at: Duration) -> bool {
        self.record.lives.iter().any(|life| match life.ended {
            Some((ended, _)) => ended <= at,
            // By itself, and that is when its last stream had ended.
            None => alive(life, at) == 0,
        })
    }

    /// What a reading that was young enough can have counted.
    fn counts_before(&self, at: Duration) -> Vec<u64> {
        let age = self.scenario.poll_interval() * 2 + GRAIN + 2 * worst_nap(at - SOUND, at);
        let mut counts: Vec<u64> = self.candidates().flat_map(|life| self.counts_of(life, at, age)).collect();
        if counts.is_empty() {
            counts.push(0);
        }
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    fn counts_of(&self, life: &Life, at: Duration, age: Duration) -> Vec<u64> {
        let end = life.ended.map_or(at, |(ended, _)| ended.min(at));
        // One that is told to exit may still see a stream end.
        let from = match (self.scenario.combination.page, self.record.faulty) {
            (PageFault::Frozen, Some((since, _))) => since.min(end) - age,
            _ => end - age,
        };
        let changes = life.streams.iter().filter_map(|stream| match stream {
            StreamEnd::Bye(at) => Some(*at),
            StreamEnd::Cut => None,
        });
        let moments = changes.filter(|change| (from..=at).contains(change)).chain([from, at]);
        moments.map(|moment| alive(life, moment)).collect()
    }

    /// Whether the page could be read for so long that the count was known then.
    fn is_sound_until(&self, at: Duration) -> bool {
        let since = at - SOUND - self.scenario.poll_interval();
        let page = self.record.faulty.is_none_or(|(from, until)| from > at || until < since);
        let engine = self.record.lives.iter().all(|life| !life.stopped);
        let undisturbed = !self.record.replaced && self.record.restarts == 0;
        let resumed = self.scenario.resumed_at.is_none();
        page && engine && undisturbed && resumed && worst_nap(since, at) < GRAIN * 10
    }

    fn signals(&mut self) {
        for life in &self.record.lives {
            let signals = life.signals;
            self.require(signals <= 1, || format!("signals: {signals} to one engine"));
        }
        let [life] = &self.record.lives[..] else { return };
        let Some(message) = &self.record.message else { return };
        let told = !message["signal"].is_null();
        self.require(told || life.signals == 0, || format!("signals: one was sent, and {message}"));
        self.require(!(told && self.scenario.deaf), || format!("signals: {message} to one that is deaf"));
        // A sidecar that was killed may have noted what it had no time to send.
        let counts = !life.stopped && self.record.restarts == 0 && matches!(life.ended, None | Some((_, End::Kubelet)));
        self.require(!(told && counts) || life.signals == 1, || format!("signals: none was sent, and {message}"));
    }

    /// No engine ends but by itself or by what was done to it here.
    fn ends(&mut self) {
        for life in &self.record.lives {
            self.require(life.end_is_explained(), || format!("cut: an engine ended with {:?}: {life:?}", life.status));
        }
    }

    /// The termination message, and what the sidecar exits with.
    fn last_words(&mut self) {
        let answers = self.record.held.iter().filter(|held| held.outcome.is_some());
        let last = answers.max_by_key(|held| held.until).and_then(|held| held.outcome.clone());
        let message = &self.record.message;
        self.require(*message == last, || format!("message: {message:?}, and the answer {last:?}"));
        let Some(last) = last else { return };
        let expected = match last["stragglers"].as_u64() {
            Some(0) => 0,
            Some(_) => 10,
            None => 11,
        };
        let code = self.record.code;
        // With a new engine there is a new beginning, and nothing to account for.
        let is_right = code == Some(expected) || (self.record.replaced && code == Some(0));
        self.require(is_right, || format!("exit code: {code:?} after {last}"));
        let cut = self.candidates().flat_map(|life| &life.streams).filter(|end| matches!(end, StreamEnd::Cut));
        let cut = cut.count();
        let claims = code == Some(0) && !self.record.replaced;
        self.require(!claims || cut == 0, || format!("exit code: 0, and {cut} streams were cut: {last}"));
    }
}

/// How many streams of an engine had not ended by themselves: one that was cut never will.
fn alive(life: &Life, at: Duration) -> u64 {
    let alive = life.streams.iter().filter(|end| match end {
        StreamEnd::Bye(ended) => *ended > at,
        StreamEnd::Cut => true,
    });
    alive.count() as u64
}
