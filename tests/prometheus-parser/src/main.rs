//! Compares the parsers of pages and selectors with Prometheus' own: `tests/prometheus-parser/run` builds both.
//!
//! `lameduck-prometheus-parser FILTER COUNT DIRECTORY...`: FILTER is the program that answers what Prometheus' parsers
//! say; the files below the directories are pages, which are compared whole and as COUNT mutants. A fifth as many
//! selectors are compared. The same arguments give the same mutants.

mod filter;
mod pages;
mod random;
mod selectors;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use filter::Filter;
use random::Random;

/// How many items one request has.
const BATCH: u64 = 1000;

/// How many differences are printed.
const MAX_PRINTED: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [filter, count, directories @ ..] = &arguments[..] else {
        eprintln!("usage: lameduck-prometheus-parser FILTER COUNT DIRECTORY...");
        return ExitCode::from(64);
    };
    let Ok(count) = count.parse::<u64>() else {
        eprintln!("{count} is not a number of mutants");
        return ExitCode::from(64);
    };
    let mut sources = Vec::new();
    for directory in directories {
        collect(Path::new(directory), &mut sources);
    }
    sources.sort();
    let mut differences = pages::compare_whole(&mut Filter::start(filter), &sources);
    let selectors = (count / 5).div_ceil(BATCH) * BATCH;
    let mutants = count.div_ceil(BATCH) * BATCH;
    thread::scope(|scope| {
        let run = |worker: u64| {
            let sources = &sources;
            scope.spawn(move || {
                let (mut filter, mut differences) = (Filter::start(filter), Vec::new());
                for batch in (worker..mutants / BATCH).step_by(2) {
                    differences.extend(pages::compare_mutants(&mut filter, sources, &mut Random::new(batch)));
                }
                for batch in (worker..selectors / BATCH).step_by(2) {
                    differences.extend(selectors::compare(&mut filter, &mut Random::new(!batch)));
                }
                differences
            })
        };
        for worker in [run(0), run(1)] {
            differences.extend(worker.join().expect("a worker panicked"));
        }
    });
    for difference in differences.iter().take(MAX_PRINTED) {
        println!("{difference}\n");
    }
    let pages = sources.len() as u64 * pages::WHOLE + mutants;
    println!("{pages} pages, {selectors} selectors compared: {} differences", differences.len());
    if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Collects the pages below a directory.
fn collect(path: &Path, pages: &mut Vec<Vec<u8>>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("the directory is readable") {
            collect(&entry.expect("the directory is readable").path(), pages);
        }
    } else {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == "metrics" || name.ends_with(".prom") || name.ends_with(".txt") && !name.contains(".om2.") {
            pages.push(fs::read(path).expect("the page is readable"));
        }
    }
}
