//! The demonstration: a pod is deleted while people are speaking, and nobody is cut off.
//!
//! Everything is real but the engine's work and the cluster: lameduck, a simulated engine and its callers run as
//! processes, speak over WebSocket connections, and the engine gets a real SIGINT. The demonstration plays the kubelet,
//! tells who says what and when, and checks at the end that everything went as promised.

mod clock;
mod drain;
mod events;
mod http;
mod pod;
mod process;
mod programs;
mod record;
mod result;
mod screen;
mod transcript;

use std::process::ExitCode;

use clap::Parser;

use crate::drain::Drain;
use crate::events::{Events, Stop};
use crate::pod::Pod;
use crate::programs::Programs;
use crate::screen::Screen;

/// Shows how lameduck drains a pod: real processes, WebSocket streams and signals, in about 20 seconds.
///
/// Needs nothing but loopback: the ports are free ones, and what is written goes to a directory of its own, which is
/// removed at the end. Exits with 0 if everything went as promised, otherwise with 1.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Args {}

/// The exit code of what Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let Args {} = Args::parse();
    let mut screen = Screen::new();
    match show(&mut screen) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Stop::Interrupted) => {
            screen.line("\nInterrupted. Every process of the demonstration has been stopped.");
            ExitCode::from(INTERRUPTED)
        }
        Err(Stop::Failed(why)) => {
            screen.line(&format!("\nThe demonstration failed: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// Plays the whole; true if everything went as promised. On return every process has ended.
fn show(screen: &mut Screen) -> Result<bool, Stop> {
    let mut events = Events::watch()?;
    screen.line("A pod is deleted while people are speaking. Nobody shall be cut off. This takes about 20 seconds.\n");
    let programs = Programs::build(screen, &mut events)?;
    let mut pod = Pod::start(programs, screen, &mut events)?;
    let record = Drain::begin(&mut pod, screen, &mut events).play()?;
    Ok(result::tell(&record, screen))
}
