//! A child process of the same name: real engines have children that must not be mistaken for them.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use crate::log::Log;

/// Starts the child, which runs until this process closes its stdin.
pub(crate) fn spawn(log: &Log) -> io::Result<Child> {
    let child = Command::new(env::current_exe()?)
        .arg0(own_name())
        .arg("--sleep-until-stdin-ends")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    log.line(format_args!("child pid={}", child.id()));
    Ok(child)
}

/// Runs the child. The kernel closes the parent's end of the pipe however the parent ends.
pub(crate) fn sleep_until_stdin_ends() -> io::Result<ExitCode> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(ExitCode::SUCCESS)
}

/// The process name with which this process was started.
pub(crate) fn own_name() -> OsString {
    env::args_os().next().unwrap_or_else(|| "engine_sim".into())
}
