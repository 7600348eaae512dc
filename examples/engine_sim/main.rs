//! A simulated Deepgram Engine, to try a drain without a GPU.
//!
//! It serves WebSocket streams on one port and a metrics page on another. On SIGINT or SIGTERM it accepts no more
//! streams, lets the open ones finish and exits. It can also simulate the API in front of engines. Flags select how
//! real engines may differ. The metrics page can be broken and repaired at run time:
//! `curl -X PUT -d garbage http://127.0.0.1:9991/page`.

mod args;
mod body;
mod child;
mod clock;
mod connection;
mod engine;
mod kind;
mod log;
mod messages;
mod metrics;
mod page;
mod respond;
mod server;
mod signals;
mod statistics;
mod status;
mod stream;

use std::fs;
use std::io;
use std::process::ExitCode;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::args::{Args, OnSignal};
use crate::log::Log;

fn main() -> ExitCode {
    let args = Args::read();
    let ended = if args.sleep_until_stdin_ends { child::sleep_until_stdin_ends() } else { try_main(args) };
    ended.unwrap_or_else(|error| {
        eprintln!("engine_sim: {error}");
        ExitCode::FAILURE
    })
}

fn try_main(args: Args) -> io::Result<ExitCode> {
    match args.signals.on_signal {
        OnSignal::Ignore => signals::ignore_in_kernel()?,
        OnSignal::Default => signals::reset_to_default()?,
        OnSignal::Drain | OnSignal::Quit => {}
    }
    if let Some(path) = &args.pid_file {
        fs::write(path, format!("{}\n", std::process::id()))?;
    }
    let log = Log::new(&args.log);
    let _child = if args.child { Some(child::spawn(&log)?) } else { None };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(server::run(args, log)))
}
