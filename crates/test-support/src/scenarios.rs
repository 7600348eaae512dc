//! Runs the scenarios of a test that brings its own main function.

use std::any::Any;
use std::env;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use crate::process::stopwatch;

/// A scenario; it fails by a panic.
pub type Scenario = (&'static str, fn());

/// Runs the scenarios whose names contain one of the arguments, or all if there is none; `workers` at a time.
pub fn run(suite: &str, scenarios: &[&[Scenario]], workers: usize) -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some(flag) = words.iter().find(|word| word.starts_with('-')) {
        eprintln!("unknown argument {flag}; expected --packages, or words of scenarios");
        return ExitCode::from(64);
    }
    let is_selected = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let selected = scenarios.iter().flat_map(|part| *part).filter(|(name, _)| is_selected(name));
    let remaining = Mutex::new(selected);
    let next = || remaining.lock().expect("no scenario panics here").next();
    let work = || std::iter::from_fn(next).map(passes).collect::<Vec<bool>>();
    let results = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("panics are caught")).collect::<Vec<bool>>()
    });
    let passed = results.iter().filter(|passed| **passed).count();
    let failed = results.len() - passed;
    println!("\n{suite}: {passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one scenario; prints its result.
fn passes((name, run): &Scenario) -> bool {
    let elapsed = stopwatch();
    let result = catch_unwind(run);
    let seconds = elapsed().as_secs();
    match &result {
        Ok(()) => println!("     ok  {name} ({seconds} s)"),
        Err(panic) => println!(" FAILED  {name} ({seconds} s): {}", panic_message(panic.as_ref())),
    }
    result.is_ok()
}

/// What a scenario panicked with.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked")
}
