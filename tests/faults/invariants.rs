//! The invariants of every drain, checked against what the engine and its clients know.

use std::time::Duration;

use serde_json::Value;

use crate::incarnation::{End, EngineRecord, StreamEnd};
use crate::jitter::{max_cpu_delay, max_file_delay, max_scheduling_delay};
use crate::matrix::{BUDGET, EXIT_MARGIN, PageFault, Scenario};
use crate::record::{HookCall, Record};

/// How long after its deadline a hook may be released.
const MAX_OVERRUN: Duration = Duration::from_millis(250);
/// How long the sidecar may take to receive a call.
const MAX_ACCEPT_DELAY: Duration = Duration::from_secs(1);
/// The difference between two clocks that are read one after the other.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(5);
/// How long before the deadline the page must have been readable for the count to be known.
const READABLE_FOR: Duration = Duration::from_secs(1);

/// A drain, and its violations so far.
struct Checker<'a> {
    scenario: &'a Scenario,
    record: &'a Record,
    violations: Vec<String>,
}

/// Lists the invariants that a drain has violated.
pub(crate) fn violations(scenario: &Scenario, record: &Record) -> Vec<String> {
    let mut checker = Checker { scenario, record, violations: Vec::new() };
    checker.check_calls();
    checker.check_signals();
    checker.check_engines();
    checker.check_final_outcome();
    checker.check_end_of_run();
    checker.violations
}

/// How long after its deadline a caller was released.
pub(crate) fn overrun(call: &HookCall) -> Duration {
    call.released_at.saturating_sub(call.received_at + BUDGET)
}

/// How late this machine ran when the hook was called and when it was due to be released. A sidecar has to be woken up,
/// and then has work to do: it also saves the drain and writes the termination message.
fn machine_delays(call: &HookCall) -> [Duration; 2] {
    let due = call.received_at + BUDGET;
    let delay = |from, to| max_scheduling_delay(from, to) * 2 + max_cpu_delay(from, to) + max_file_delay(from, to) * 2;
    [delay(call.called_at - MAX_OVERRUN, call.received_at), delay(due - MAX_OVERRUN, call.released_at.max(due))]
}

/// The earliest possible deadline.
fn deadline(call: &HookCall) -> Duration {
    call.called_at + BUDGET
}

impl Checker<'_> {
    fn require(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(violation());
        }
    }

    fn check_calls(&mut self) {
        let unanswered = self.record.unanswered;
        self.require(unanswered == 0, || format!("hold: {unanswered} callers were never released"));
        for call in &self.record.calls {
            let (accept, over, allowed) = (call.received_at - call.called_at, overrun(call), machine_delays(call));
            self.require(accept <= MAX_ACCEPT_DELAY + allowed[0], || {
                format!("hold: received after {accept:?} (machine delays: {allowed:?})")
            });
            self.require(over <= MAX_OVERRUN + allowed[1], || {
                format!("hold: released {over:?} after the deadline (machine delays: {allowed:?})")
            });
            match &call.outcome {
                Some(outcome) => self.check_outcome(call, outcome),
                None => self.require(self.record.restarts > 0, || "hold: a caller was cut off".into()),
            }
        }
    }

    fn check_outcome(&mut self, call: &HookCall, outcome: &Value) {
        let name = outcome["outcome"].as_str().unwrap_or_default();
        let (alive, ended) = (self.min_alive(call.released_at), self.has_ended_by(call.released_at));
        let deadline_reached = call.released_at + CLOCK_TOLERANCE >= deadline(call);
        let correct = match name {
            "drained" => alive == 0,
            "exited" => ended,
            "expired" => deadline_reached,
            // The target never served a page of its own, or there was no target.
            "never_served" => self.record.replaced || ended,
            _ => false,
        };
        self.require(correct, || format!("outcome: {outcome} with {alive} streams alive"));
        let may_release = alive == 0 || ended || deadline_reached || (name == "never_served" && correct);
        self.require(may_release, || format!("cut: released with {alive} streams alive: {outcome}"));
        self.check_stragglers(call, outcome, name);
    }

    fn check_stragglers(&mut self, call: &HookCall, outcome: &Value, name: &str) {
        match outcome["stragglers"].as_u64() {
            Some(0) if name == "never_served" => {}
            Some(count) => {
                let mut possible = self.possible_counts(call.released_at);
                if is_warned(outcome, "told_by_others") {
                    // The engine may have ended before the call, with streams.
                    possible.extend(self.counts_of_all_engines(call.released_at));
                }
                self.require(possible.contains(&count), || {
                    format!("stragglers: {outcome}, but the possible counts are {possible:?}")
                });
            }
            None => {
                self.require(outcome["stragglers"].is_null(), || format!("stragglers: {outcome}"));
                // Streams may happen to end just after the signal, and a faulty page may hide what happens there.
                // A page that closes in the lame duck may be a sign that something else has stopped the engine.
                let unproven = is_warned(outcome, "ended_with_signal") || is_warned(outcome, "told_by_others");
                let readable = name == "expired" && self.is_readable_until(call.released_at);
                let knowable = (name == "drained" || readable) && !unproven;
                self.require(!knowable, || format!("stragglers: {outcome}, but the count could be known"));
            }
        }
    }

    /// The engines that can have been the drain's target.
    fn candidates(&self) -> impl Iterator<Item = &EngineRecord> {
        self.record.engines.iter().filter(|engine| engine.ended.is_none_or(|(at, _)| at >= self.record.called_at))
    }

    /// The smallest number of live streams among the engines: any of them can have been the target.
    fn min_alive(&self, at: Duration) -> u64 {
        self.candidates().map(|engine| alive(engine, at)).min().unwrap_or(0)
    }

    fn has_ended_by(&self, at: Duration) -> bool {
        self.record.engines.iter().any(|engine| match engine.ended {
            // It exits by itself when its last stream ends.
            None | Some((_, End::Run)) => alive(engine, at) == 0,
            Some((ended, _)) => ended <= at,
        })
    }

    /// The greatest age of a reading that counts.
    fn max_age(&self, at: Duration) -> Duration {
        self.scenario.poll_interval() * 2 + CLOCK_TOLERANCE + 2 * max_scheduling_delay(at - READABLE_FOR, at)
    }

    /// The counts that a reading of any engine can have had, also of those that ended before the call.
    fn counts_of_all_engines(&self, at: Duration) -> Vec<u64> {
        let age = self.max_age(at);
        self.record.engines.iter().flat_map(|engine| self.counts_of(engine, at, age)).collect()
    }

    /// The counts that a sufficiently recent reading can have had.
    fn possible_counts(&self, at: Duration) -> Vec<u64> {
        let age = self.max_age(at);
        let mut counts: Vec<u64> = self.candidates().flat_map(|engine| self.counts_of(engine, at, age)).collect();
        if counts.is_empty() {
            counts.push(0);
        }
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    fn counts_of(&self, engine: &EngineRecord, at: Duration, age: Duration) -> Vec<u64> {
        let end = engine.ended.map_or(at, |(ended, _)| ended.min(at));
        let from = match (self.scenario.combination.page, self.record.fault) {
            (PageFault::Frozen, Some((since, _))) => since.min(end) - age,
            _ => end - age,
        };
        let changes = engine.streams.iter().filter_map(|stream| match stream {
            StreamEnd::Clean(at) => Some(*at),
            StreamEnd::Cut => None,
        });
        // A stream may still end after the engine got the command to exit.
        let moments = changes.filter(|change| (from..=at).contains(change)).chain([from, at]);
        moments.map(|moment| alive(engine, moment)).collect()
    }

    /// Whether the page was readable for long enough that the sidecar must know the count.
    fn is_readable_until(&self, at: Duration) -> bool {
        let since = at - READABLE_FOR - self.scenario.poll_interval();
        let healthy = self.record.fault.is_none_or(|(from, until)| from > at || until < since);
        let running = self.record.engines.iter().all(|engine| !engine.stopped);
        let undisturbed = !self.record.replaced && self.record.restarts == 0;
        let never_stopped = self.scenario.resumed_at.is_none();
        // The last poll must be answered within about 35 ms.
        let delay = max_scheduling_delay(since, at) + max_cpu_delay(since, at);
        let punctual = delay < CLOCK_TOLERANCE * 5;
        healthy && running && undisturbed && never_stopped && punctual
    }

    fn check_signals(&mut self) {
        for engine in &self.record.engines {
            let signals = engine.signals;
            self.require(signals <= 1, || format!("signals: {signals} to one engine"));
        }
        let [engine] = &self.record.engines[..] else { return };
        let Some(message) = &self.record.message else { return };
        let reported = !message["signal"].is_null();
        self.require(reported || engine.signals == 0, || format!("signals: one was sent, but {message}"));
        self.require(!(reported && self.scenario.ignores_sigint), || {
            format!("signals: {message}, but the engine ignores SIGINT")
        });
        // A sidecar that was killed may have saved the signal as sent without having sent it.
        let countable = !engine.stopped && self.record.restarts == 0;
        let countable = countable && matches!(engine.ended, None | Some((_, End::Kubelet | End::Run)));
        self.require(!(reported && countable) || engine.signals == 1, || {
            format!("signals: none was sent, but {message}")
        });
    }

    /// An engine ends only by itself or because the test ended it.
    fn check_engines(&mut self) {
        for engine in &self.record.engines {
            self.require(engine.has_expected_status(), || {
                format!("cut: an engine ended with {:?}: {engine:?}", engine.status)
            });
        }
    }

    /// Checks the termination message and the sidecar's exit code.
    fn check_final_outcome(&mut self) {
        let answered = self.record.calls.iter().filter(|call| call.outcome.is_some());
        let last = answered.max_by_key(|call| call.released_at).and_then(|call| call.outcome.clone());
        let message = &self.record.message;
        self.require(*message == last, || format!("message: {message:?}, but the hook's answer is {last:?}"));
        let Some(last) = last else { return };
        let expected = match last["stragglers"].as_u64() {
            Some(0) => 0,
            Some(_) => 10,
            None => 11,
        };
        let code = self.record.status.code();
        if self.scenario.combination.is_run() && !self.scenario.ends_with_outcome {
            return self.check_end_like_command();
        }
        // With a replacement engine the sidecar starts over, and reports how that one ended.
        let correct = code == Some(expected) || (self.record.replaced && matches!(code, Some(0 | 10 | 11)));
        self.require(correct, || format!("exit code: {code:?} after {last}"));
        let streams = self.candidates().flat_map(|engine| &engine.streams);
        let cut = streams.filter(|end| matches!(end, StreamEnd::Cut)).count();
        let claims_clean = code == Some(0) && !self.record.replaced;
        self.require(!claims_clean || cut == 0, || format!("exit code: 0, but {cut} streams were cut: {last}"));
    }

    /// `lameduck run` ends as its command has ended.
    fn check_end_like_command(&mut self) {
        let (status, engines) = (self.record.status, &self.record.engines);
        self.require(engines.iter().all(|engine| engine.status == status), || {
            format!("exit status: {status:?}, but the engine ended with {:?}", engines[0].status)
        });
    }

    /// `lameduck run` ends before its supervisor would kill it.
    fn check_end_of_run(&mut self) {
        let (Some(ended_at), Some(call)) = (self.record.run_ended_at, self.record.calls.first()) else { return };
        let over = ended_at.saturating_sub(call.received_at + BUDGET + EXIT_MARGIN);
        let [_, delay] = machine_delays(call);
        self.require(over <= delay, || {
            format!("run: ended {over:?} after the grace period (machine delays: {delay:?})")
        });
    }
}

/// Whether the outcome has this warning.
fn is_warned(outcome: &Value, code: &str) -> bool {
    outcome["warnings"].as_array().is_some_and(|codes| codes.iter().any(|other| other == code))
}

/// Counts the streams of an engine that had not ended by themselves at this time. A cut stream never does.
fn alive(engine: &EngineRecord, at: Duration) -> u64 {
    let alive = engine.streams.iter().filter(|end| match end {
        StreamEnd::Clean(ended) => *ended > at,
        StreamEnd::Cut => true,
    });
    alive.count() as u64
}
