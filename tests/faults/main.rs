//! The fault matrix: runs drains on real processes under every combination of a faulty page, a misbehaving engine, and a
//! sidecar, a killed sidecar or `lameduck run`. It checks each against what the engine and its clients know.
//!
//! `LAMEDUCK_DRAINS=1584` sets the number of drains; beyond 528, combinations repeat with other seeds. Each violation is
//! printed with the drain's name and seed; `LAMEDUCK_SEED=SEED cargo test --test faults -- NAME` repeats that drain.
#![expect(clippy::unchecked_time_subtraction, reason = "a time before the clock's zero is a bug in the test")]

mod drain;
mod engine;
mod events;
mod incarnation;
mod invariants;
mod jitter;
mod matrix;
mod page;
mod record;
mod rng;
mod run;
mod totals;

use std::any::Any;
use std::collections::VecDeque;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::matrix::{Combination, PageFault, Scenario};
use crate::totals::Totals;

/// Number of drains without `LAMEDUCK_DRAINS`.
const DEFAULT_DRAINS: usize = 40;
/// Number of concurrent drains, which mostly wait; and how many of them poll pages of 60 MB.
const WORKERS: usize = 16;
const LONG_PAGE_WORKERS: usize = 2;
/// Delay between the starts of two workers: starting a pod is the most expensive part of a drain.
const START_INTERVAL: Duration = Duration::from_millis(200);
/// Coprime to the number of combinations, so that steps of this size visit all of them, unlike ones first.
const STRIDE: usize = 235;

fn main() -> ExitCode {
    if let Ok(args) = env::var(engine::ARGS) {
        engine::run(&args);
    }
    lameduck_test_support::environment::prepare();
    let args: Vec<String> = env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    let filter = args.into_iter().find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let scenarios = scenarios(&filter);
    jitter::start();
    let totals = run_all(scenarios);
    println!("{totals}");
    if totals.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(variable: &str) -> Option<usize> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// The drains to run: those whose names contain the filter.
fn scenarios(filter: &str) -> Vec<Scenario> {
    let all = Combination::all();
    let order = (0..all.len()).map(|at| all[at * STRIDE % all.len()]);
    let selected: Vec<Combination> = order.filter(|combination| combination.to_string().contains(filter)).collect();
    if selected.is_empty() {
        return Vec::new();
    }
    let count = number("LAMEDUCK_DRAINS").unwrap_or_else(|| DEFAULT_DRAINS.min(selected.len()));
    let first_seed = number("LAMEDUCK_SEED").unwrap_or(1);
    let seed = |at| (first_seed + at / selected.len()) as u64;
    (0..count).map(|at| Scenario::new(selected[at % selected.len()], seed(at))).collect()
}

fn run_all(scenarios: Vec<Scenario>) -> Totals {
    let is_long = |scenario: &Scenario| scenario.combination.page == PageFault::Long;
    let (long, short): (VecDeque<_>, VecDeque<_>) = scenarios.into_iter().partition(is_long);
    let (long, short, totals) = (Mutex::new(long), Mutex::new(short), Mutex::new(Totals::new()));
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            thread::sleep(START_INTERVAL);
            let queue = if worker < LONG_PAGE_WORKERS { &long } else { &short };
            scope.spawn(|| run_worker(queue, &totals));
        }
    });
    totals.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn run_worker(queue: &Mutex<VecDeque<Scenario>>, totals: &Mutex<Totals>) {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    while let Some(scenario) = next() {
        let result = catch_unwind(AssertUnwindSafe(|| drain::run(&scenario)));
        let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(record) => totals.add(&scenario, &record),
            Err(panic) => totals.add_panic(&scenario, &panic_message(panic.as_ref())),
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
