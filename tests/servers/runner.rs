//! Runs the scenarios, several at a time.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::thread;

use lameduck_test_support::process::stopwatch;
use lameduck_test_support::scenarios::panic_message;

use crate::scenario::{Report, Scenario};

/// Number of scenarios that run at the same time: each waits more than it works.
const WORKERS: usize = 4;

/// Runs the scenarios; returns the reports of those that passed, in the same order.
pub(crate) fn run(scenarios: &[Scenario]) -> Vec<(&Scenario, Option<Report>)> {
    let remaining = Mutex::new(scenarios.iter().enumerate());
    let next = || remaining.lock().expect("no scenario panics here").next();
    let work = || std::iter::from_fn(next).map(|(index, scenario)| (index, scenario, passes(scenario))).collect();
    let mut reports: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| -> Vec<_> { worker.join().expect("panics are caught") }).collect()
    });
    reports.sort_by_key(|(index, ..)| *index);
    reports.into_iter().map(|(_, scenario, report)| (scenario, report)).collect()
}

/// Runs one; prints its result.
fn passes(scenario: &Scenario) -> Option<Report> {
    let elapsed = stopwatch();
    let result = catch_unwind(|| scenario.run());
    let (name, seconds) = (scenario.name(), elapsed().as_secs());
    match &result {
        Ok(report) => println!("     ok  {name} ({seconds} s): {}", report.endings),
        Err(panic) => println!(" FAILED  {name} ({seconds} s): {}", panic_message(panic.as_ref())),
    }
    result.ok()
}
