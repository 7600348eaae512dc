//! Runs the scenarios, and says how each went.

use std::any::Any;
use std::collections::VecDeque;
use std::env;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use crate::support::clock::{now, since};

/// How many scenarios run at once: each waits more than it works.
const AT_ONCE: usize = 4;

/// What is shown, and whether others may run at the same time.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) company: Company,
    /// Panics if a promise is broken; otherwise says in a few words what was seen.
    pub(crate) run: fn() -> String,
}

/// Whom a scenario can run beside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Company {
    /// Any that say the same.
    Others,
    /// Nobody: it disturbs the node, or measures it.
    Nobody,
}

/// Runs those whose names contain one of the words on the command line, or all of them.
pub(crate) fn run(scenarios: &[Scenario]) -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let wanted = |scenario: &&Scenario| words.is_empty() || words.iter().any(|word| scenario.name.contains(word));
    let (together, alone): (Vec<Scenario>, Vec<Scenario>) =
        scenarios.iter().filter(wanted).partition(|scenario| scenario.company == Company::Others);
    let passed = in_parallel(together) + alone.iter().filter(|scenario| passes(scenario)).count();
    let failed = scenarios.iter().filter(wanted).count() - passed;
    println!("cluster: {passed} scenarios passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn in_parallel(scenarios: Vec<Scenario>) -> usize {
    let left = Mutex::new(VecDeque::from(scenarios));
    let next = || left.lock().expect("no scenario panics here").pop_front();
    let work = || std::iter::from_fn(next).filter(passes).count();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("panics are caught")).sum()
    })
}

fn passes(scenario: &Scenario) -> bool {
    let start = now();
    let ended = catch_unwind(scenario.run);
    let seconds = since(start).as_secs();
    match &ended {
        Ok(seen) => println!("     ok  {} ({seconds} s): {seen}", scenario.name),
        Err(panic) => println!(" FAILED  {} ({seconds} s): {}", scenario.name, message(panic.as_ref())),
    }
    ended.is_ok()
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked")
}
