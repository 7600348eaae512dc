//! The fault matrix: drains under every combination of a faulty page, an engine that fares badly and a sidecar that is
//! killed, on real processes, judged by what the engine and its clients know.
//!
//! `LAMEDUCK_DRAINS=1152` runs so many; the combinations come round with other seeds. What went wrong is told with its
//! name and seed, and comes again with `LAMEDUCK_SEED=SEED cargo test --test faults -- NAME`.
#![expect(clippy::unchecked_time_subtraction, reason = "a time before the first one is a fault of the test")]

mod answers;
mod drain;
mod engine;
mod incarnation;
mod invariants;
mod jitter;
mod matrix;
mod rng;
mod tally;

use std::any::Any;
use std::collections::VecDeque;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::matrix::{Combination, PageFault, Scenario};
use crate::tally::StreamCount;

/// How many drains a plain `cargo test` runs.
const FEW: usize = 40;
/// How many drains go on at a time, for they mostly wait; and how many of them read pages of 60 MB.
const LANES: usize = 16;
const LONG_LANES: usize = 2;
const APART: Duration = Duration::from_millis(200);
/// Steps of so many combinations come to every one of them, and to different ones first.
const STRIDE: usize = 235;

fn main() -> ExitCode {
    if let Ok(role) = env::var(engine::ROLE) {
        engine::run(&role);
    }
    lameduck_test_support::environment::prepare();
    let words: Vec<String> = env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let filter = words.into_iter().find(|word| !word.starts_with('-')).unwrap_or_default();
    let scenarios = scenarios(&filter);
    jitter::start();
    let tally = run_all(scenarios);
    println!("{tally}");
    if tally.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(variable: &str) -> Option<usize> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// The drains to run: those whose name contains this.
fn scenarios(filter: &str) -> Vec<Scenario> {
    let all = Combination::all();
    let order = (0..all.len()).map(|at| all[at * STRIDE % all.len()]);
    let named: Vec<Combination> = order.filter(|combination| combination.to_string().contains(filter)).collect();
    if named.is_empty() {
        return Vec::new();
    }
    let count = number("LAMEDUCK_DRAINS").unwrap_or_else(|| FEW.min(named.len()));
    let first = number("LAMEDUCK_SEED").unwrap_or(1);
    (0..count).map(|at| Scenario::new(named[at % named.len()], (first + at / named.len()) as u64)).collect()
}

fn run_all(scenarios: Vec<Scenario>) -> StreamCount {
    let is_long = |scenario: &Scenario| scenario.combination.page == PageFault::Long;
    let (long, short): (VecDeque<_>, VecDeque<_>) = scenarios.into_iter().partition(is_long);
    let (long, short, tally) = (Mutex::new(long), Mutex::new(short), Mutex::new(StreamCount::new()));
    thread::scope(|scope| {
        for lane in 0..LANES {
            // Not all at once: to start a pod is the most work of a drain.
            thread::sleep(APART);
            let queue = if lane < LONG_LANES { &long } else { &short };
            scope.spawn(|| run_lane(queue, &tally));
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn run_lane(queue: &Mutex<VecDeque<Scenario>>, tally: &Mutex<StreamCount>) {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    while let Some(scenario) = next() {
        let result = catch_unwind(AssertUnwindSafe(|| drain::run(&scenario)));
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(record) => tally.add(&scenario, &record),
            Err(panic) => tally.fail(&scenario, &said(panic.as_ref())),
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
