//! A client for the simulated engine: it opens streams, sends audio or stays idle, and reports which were cut.

mod args;
mod audio;
mod clock;
mod messages;
mod phases;
mod plan;
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
use crate::stream::StreamEnd;
use crate::totals::Totals;

/// Becomes true when all streams are to end.
pub(crate) type Stop = watch::Receiver<bool>;

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

/// Opens all streams, waits for their ends and prints the totals.
async fn run(args: Args) -> io::Result<ExitCode> {
    let (sender, stop) = watch::channel(false);
    spawn_local(stop_on(signal(SignalKind::terminate())?, sender));
    let args = Rc::new(args);
    let mut totals = Totals::default();
    let mut streams = open_all(&args, &stop, &mut totals).await;
    while let Some(end) = streams.join_next().await {
        totals.count(&end?);
    }
    match args.arrivals {
        Some(_) => print(&totals.json()),
        None => log(&totals.summary()),
    }
    Ok(if totals.all_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn stop_on(mut signal: Signal, sender: watch::Sender<bool>) {
    signal.recv().await;
    sender.send_replace(true);
}

/// Opens the streams at their times; meanwhile counts those that end.
async fn open_all(args: &Rc<Args>, stop: &Stop, totals: &mut Totals) -> JoinSet<StreamEnd> {
    let every = args.arrivals.map_or(args.stagger, |arrivals| arrivals.0);
    let mut streams = JoinSet::new();
    let began = now();
    let mut due = began;
    for plan in plan::plans(args) {
        let is_over = args.arrivals_for.is_some_and(|limit| due - began >= limit);
        if is_over || !wait_until(due, stop.clone()).await {
            break;
        }
        streams.spawn_local(stream::run(plan, Rc::clone(args), stop.clone()));
        while let Some(Ok(end)) = streams.try_join_next() {
            totals.count(&end);
        }
        due += every;
    }
    streams
}

/// Waits for an instant; false if all streams are to end before.
async fn wait_until(instant: Instant, mut stop: Stop) -> bool {
    tokio::select! {
        biased;
        () = until_stopped(&mut stop) => false,
        () = sleep_until(instant) => true,
    }
}

pub(crate) async fn until_stopped(stop: &mut Stop) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Prints a log line.
fn log(line: &str) {
    print(&format!("client: {line}"));
}

/// Prints a line and flushes it. A closed stdout is not an error.
fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
