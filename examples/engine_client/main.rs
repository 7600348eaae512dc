//! A client for the simulated engine: it opens streams, speaks or stays idle, and tells which of them were cut.

mod args;
mod audio;
mod clock;
mod course;
mod plan;
mod speech;
mod stream;
mod totals;

use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until};

use crate::args::Args;
use crate::clock::now;
use crate::stream::Ending;
use crate::totals::Totals;

/// Turns true when everything shall end.
pub(crate) type Told = watch::Receiver<bool>;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(LocalSet::new().run_until(run(args)))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("engine_client: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Opens all streams, waits for their ends and sums up.
async fn run(args: Args) -> io::Result<ExitCode> {
    let (teller, told) = watch::channel(false);
    spawn_local(tell(signal(SignalKind::terminate())?, teller));
    let args = Rc::new(args);
    let mut totals = Totals::default();
    let mut streams = open_all(&args, &told, &mut totals).await;
    while let Some(ending) = streams.join_next().await {
        totals.count(&ending?);
    }
    match args.arrivals {
        Some(_) => print(&totals.json()),
        None => say(&totals.sentence()),
    }
    Ok(if totals.all_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn tell(mut order: Signal, teller: watch::Sender<bool>) {
    order.recv().await;
    teller.send_replace(true);
}

/// Opens the streams at their times, and counts those that end meanwhile.
async fn open_all(args: &Rc<Args>, told: &Told, totals: &mut Totals) -> JoinSet<Ending> {
    let every = args.arrivals.map_or(args.stagger, |arrivals| arrivals.0);
    let mut streams = JoinSet::new();
    let began = now();
    let mut due = began;
    for plan in plan::plans(args) {
        let over = args.arrivals_for.is_some_and(|limit| due - began >= limit);
        if over || !wait_until(due, told.clone()).await {
            break;
        }
        streams.spawn_local(stream::run(plan, Rc::clone(args), told.clone()));
        while let Some(Ok(ending)) = streams.try_join_next() {
            totals.count(&ending);
        }
        due += every;
    }
    streams
}

/// Waits for an instant; false if the end came first.
async fn wait_until(instant: Instant, mut told: Told) -> bool {
    tokio::select! {
        biased;
        () = until_told(&mut told) => false,
        () = sleep_until(instant) => true,
    }
}

pub(crate) async fn until_told(told: &mut Told) {
    let _ = told.wait_for(|told| *told).await;
}

/// Prints a line for people.
fn say(line: &str) {
    print(&format!("client: {line}"));
}

/// Prints a flushed line, and does not mind when nobody reads it any more.
fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
