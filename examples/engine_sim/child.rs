//! A child process of the engine's own name: real engines have children that must not be mistaken for them.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use crate::log::Log;

/// Starts the child; it lives as long as this process holds the other end of its stdin.
pub(crate) fn spawn(log: &Log) -> io::Result<Child> {
    let child = Command::new(env::current_exe()?)
        .arg0(own_name())
        .arg("--sleep-until-stdin-ends")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    log.say(format_args!("child pid={}", child.id()));
    Ok(child)
}

/// The whole life of the child. The kernel closes its parent's end of the pipe however the parent dies.
pub(crate) fn sleep_until_stdin_ends() -> io::Result<ExitCode> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(ExitCode::SUCCESS)
}

/// The name that this process was started by.
pub(crate) fn own_name() -> OsString {
    env::args_os().next().unwrap_or_else(|| "engine_sim".into())
}
