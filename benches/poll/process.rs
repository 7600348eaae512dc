//! What a running process has cost.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use lameduck_test_support::shipped::{Process, Result, line_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The context switches of the threads that are alive.
pub(crate) fn context_switches(pid: u32) -> Result<u64> {
    let mut switches = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = task?.path().join("status");
        let status = status.to_str().ok_or("a path in UTF-8")?;
        switches += line_of(status, "voluntary_ctxt_switches")? + line_of(status, "nonvoluntary_ctxt_switches")?;
    }
    Ok(switches)
}

/// Counts the system calls of a process and its threads while `wait` runs; `None` without strace.
pub(crate) fn count_system_calls(pid: u32, summary: &Path, wait: impl FnOnce() -> Result<u32>) -> Result<Option<u64>> {
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--summary-only", "--attach", &pid.to_string(), "--output"]).arg(summary);
    let Ok(child) = command.stderr(Stdio::null()).spawn() else { return Ok(None) };
    let mut strace = Process(child);
    // It has attached to the process when the kernel names it as the tracer.
    while line_of(&format!("/proc/{pid}/status"), "TracerPid")? == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    let polls = wait()?;
    kill(Pid::from_raw(i32::try_from(strace.0.id())?), Signal::SIGINT)?;
    strace.0.wait()?;
    let summary = fs::read_to_string(summary)?;
    let total = summary.lines().find(|line| line.ends_with(" total")).ok_or("no total in strace's summary")?;
    let calls: u64 = total.split_whitespace().nth(3).ok_or("no number of calls in strace's summary")?.parse()?;
    Ok(Some(calls / u64::from(polls.max(1))))
}
