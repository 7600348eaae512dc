//! Runs the scenarios, and prints their results.

use std::any::Any;
use std::collections::VecDeque;
use std::env;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::thread;

use crate::support::clock::{now, since};

/// Number of scenarios that run at the same time: each waits more than it works.
const WORKERS: usize = 4;

/// One scenario.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) concurrency: Concurrency,
    /// Panics if an assertion fails; otherwise returns a short summary.
    pub(crate) run: fn() -> String,
}

/// Whether other scenarios may run at the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Concurrency {
    /// May run at the same time as other parallel scenarios.
    Parallel,
    /// Runs by itself: it disturbs the node or measures it.
    Serial,
}

/// Runs the scenarios whose names contain one of the words on the command line, or all of them. Returns whether all have
/// passed.
pub(crate) fn run(scenarios: &[Scenario]) -> bool {
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let selected = |scenario: &&Scenario| words.is_empty() || words.iter().any(|word| scenario.name.contains(word));
    let (parallel, serial): (Vec<Scenario>, Vec<Scenario>) =
        scenarios.iter().filter(selected).partition(|scenario| scenario.concurrency == Concurrency::Parallel);
    let passed = run_parallel(parallel) + serial.iter().filter(|scenario| passes(scenario)).count();
    let failed = scenarios.iter().filter(selected).count() - passed;
    println!("cluster: {passed} scenarios passed, {failed} failed");
    failed == 0 && passed > 0
}

fn run_parallel(scenarios: Vec<Scenario>) -> usize {
    let remaining = Mutex::new(VecDeque::from(scenarios));
    let next = || remaining.lock().expect("no scenario panics here").pop_front();
    let work = || std::iter::from_fn(next).filter(passes).count();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("panics are caught")).sum()
    })
}

fn passes(scenario: &Scenario) -> bool {
    let start = now();
    let result = catch_unwind(scenario.run);
    let seconds = since(start).as_secs();
    match &result {
        Ok(summary) => println!("     ok  {} ({seconds} s): {summary}", scenario.name),
        Err(panic) => println!(" FAILED  {} ({seconds} s): {}", scenario.name, message(panic.as_ref())),
    }
    result.is_ok()
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked")
}
