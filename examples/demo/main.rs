//! The demo: a pod is deleted while callers are speaking, and no call is cut off.
//!
//! Only the engine's work and the cluster are simulated. lameduck, the engine and its clients run as processes, the
//! streams are WebSocket connections, and the engine gets a real SIGINT. The demo plays the kubelet, prints what each
//! process does and when, and checks the result at the end.

mod clock;
mod command;
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

use clap::{Parser, ValueEnum};

use crate::drain::Drain;
use crate::events::{Events, Stop};
use crate::pod::Pod;
use crate::programs::Programs;
use crate::screen::Screen;

/// Shows how lameduck drains a pod, with real processes, WebSocket streams and signals, in about 20 seconds.
///
/// Uses free ports on loopback and a temporary directory, which it removes at the end. Exits with 0 if every check passed,
/// otherwise with 1.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Args {
    /// Show this instead
    #[arg(value_enum)]
    other: Option<Other>,
}

/// Another demo.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Other {
    /// A command under `lameduck run` is stopped, as by Docker or systemd
    Run,
}

/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let Args { other } = Args::parse();
    let mut screen = Screen::new();
    match run(&mut screen, other) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Stop::Interrupted) => {
            screen.line("\nInterrupted. All processes of the demo have been stopped.");
            ExitCode::from(INTERRUPTED)
        }
        Err(Stop::Failed(why)) => {
            screen.line(&format!("\nThe demo failed: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the demo; true if every check passed. On return all processes have ended.
fn run(screen: &mut Screen, other: Option<Other>) -> Result<bool, Stop> {
    let mut events = Events::watch()?;
    if let Some(Other::Run) = other {
        screen.line(
            "A command is stopped while callers are speaking, and no call is cut off. This takes about 15 seconds.\n",
        );
        let programs = Programs::build(screen, &mut events)?;
        return command::show(&programs, screen, &mut events);
    }
    screen.line("A pod is deleted while callers are speaking, and no call is cut off. This takes about 20 seconds.\n");
    let programs = Programs::build(screen, &mut events)?;
    let mut pod = Pod::start(programs, screen, &mut events)?;
    let record = Drain::begin(&mut pod, screen, &mut events).run()?;
    Ok(result::print(&record, screen))
}
