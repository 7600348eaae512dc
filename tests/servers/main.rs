//! Drains real servers of Node, Python, Go and Java, and compares every record with what their clients saw.
//! `tests/servers/run` installs them and runs this.

mod clients;
mod go;
mod held_connection;
mod java;
mod matrix;
mod node;
mod python;
mod records;
mod runner;
mod runtimes;
mod scenario;
mod server;

use std::env;
use std::fs;
use std::process::ExitCode;

use lameduck_test_support::skip::skip;

use crate::scenario::Scenario;

/// The first Linux on which lameduck can read the exit code of a target that has been reaped (`pidfd_exit`).
const MIN_LINUX: (u32, u32) = (6, 15);

/// The argument that selects the table of the runtimes alone.
const RUNTIMES_WORD: &str = "runtimes";

/// What is done with the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Print,
    Check,
    WriteDocs,
}

fn main() -> ExitCode {
    if linux_version() < MIN_LINUX {
        skip("kernel older than Linux 6.15");
        return ExitCode::SUCCESS;
    }
    let args: Vec<String> = env::args().skip(1).collect();
    let (mode, words) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--check"] => (Mode::Check, Vec::new()),
        ["--write-docs"] => (Mode::WriteDocs, Vec::new()),
        ref words if words.iter().all(|word| !word.starts_with('-')) => (Mode::Print, words.to_vec()),
        _ => {
            eprintln!("unknown arguments: {args:?}; expected --check, --write-docs, or words of scenarios");
            return ExitCode::from(64);
        }
    };
    let runtimes = words.is_empty() || words == [RUNTIMES_WORD];
    let passed = (words == [RUNTIMES_WORD] || passes(mode, &words)) && (!runtimes || runtimes_pass(mode));
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads which signals the runtimes catch, and how they end.
fn runtimes_pass(mode: Mode) -> bool {
    let Some(table) = runtimes::table() else { return false };
    println!("\n{table}");
    match mode {
        Mode::Print => true,
        Mode::Check => matrix::RUNTIMES.has(&table),
        Mode::WriteDocs => {
            matrix::RUNTIMES.write(&table);
            true
        }
    }
}

/// Runs the scenarios whose names contain one of the words, or all if there is none.
fn passes(mode: Mode, words: &[&str]) -> bool {
    let is_selected = |scenario: &Scenario| {
        let name = scenario.name().to_lowercase();
        words.is_empty() || words.iter().any(|word| name.contains(&word.to_lowercase()))
    };
    let all = [node::SCENARIOS, python::SCENARIOS, go::SCENARIOS, java::SCENARIOS].concat();
    let selected: Vec<Scenario> = all.into_iter().filter(is_selected).collect();
    if selected.iter().any(|scenario| scenario.way == node::WAITING.1) {
        held_connection::delays_exit();
    }
    let results = runner::run(&selected);
    let passed: Vec<_> = results.iter().filter_map(|(scenario, report)| Some((*scenario, report.as_ref()?))).collect();
    let tables = matrix::tables(&passed);
    let failed = results.len() - passed.len();
    println!("\n{tables}\nservers: {} passed, {failed} failed", passed.len());
    if failed > 0 || passed.is_empty() {
        return false;
    }
    match mode {
        Mode::Print => true,
        Mode::Check => matrix::RECORDS.has(&tables),
        Mode::WriteDocs => {
            matrix::RECORDS.write(&tables);
            true
        }
    }
}

/// The running kernel's major and minor version.
fn linux_version() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
