//! A client for the simulated engine: it opens streams, speaks or stays idle, and tells which of them were cut.

mod args;
mod audio;
mod clock;
mod plan;
mod stream;

use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;

use crate::args::Args;
use crate::stream::Ending;

#[derive(Default)]
struct Tally {
    clean: u32,
    cut: u32,
    refused: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(LocalSet::new().run_until(run(args))),
        Err(error) => {
            eprintln!("engine_client: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Opens all streams, waits for their ends and sums up.
async fn run(args: Args) -> ExitCode {
    let args = Rc::new(args);
    let mut streams = JoinSet::new();
    for plan in plan::plans(&args) {
        if plan.number > 1 {
            sleep(args.stagger).await;
        }
        streams.spawn_local(stream::run(plan, Rc::clone(&args)));
    }
    let mut tally = Tally::default();
    for ending in streams.join_all().await {
        tally.count(&ending);
    }
    let Tally { clean, cut, refused } = tally;
    say(&format!("{} streams: {clean} clean, {cut} cut, {refused} refused", args.streams));
    if cut + refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Tally {
    fn count(&mut self, ending: &Ending) {
        match ending {
            Ending::Clean { .. } => self.clean += 1,
            Ending::Cut { .. } => self.cut += 1,
            Ending::Refused { .. } => self.refused += 1,
        }
    }
}

/// Prints a flushed line, and does not mind when nobody reads it any more.
fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "client: {line}").and_then(|()| stdout.flush());
}
