//! The release binary as the image ships it, and what `/proc` shows of a process.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use rustix::time::{ClockId, clock_gettime};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The same as in the Dockerfile.
const FLAGS: &str = "-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs";

/// Builds the release binary as the image ships it, and these examples; returns the path of the binary.
pub fn build(examples: &[&str]) -> Result<PathBuf> {
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", triple.to_uppercase().replace('-', "_"));
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut binary = Command::new(&cargo);
    binary.args(["build", "--quiet", "--release", "--bin", "lameduck", "--target", &triple]);
    let mut others = Command::new(&cargo);
    others.args(["build", "--quiet", "--release"]).args(examples.iter().flat_map(|name| ["--example", name]));
    for command in [binary.env(flags, FLAGS), &mut others] {
        if !command.status()?.success() {
            return Err("the build failed".into());
        }
    }
    Ok(target_dir()?.join(triple).join("release/lameduck"))
}

/// The path of a built example.
pub fn example(name: &str) -> Result<PathBuf> {
    Ok(target_dir()?.join("release/examples").join(name))
}

/// The target directory: this program is in its `release/deps`.
pub fn target_dir() -> Result<PathBuf> {
    let own = env::current_exe()?;
    Ok(own.ancestors().nth(3).ok_or("not run by cargo")?.to_owned())
}

/// A process that is killed on drop.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The number in a line of `/proc/PID/status`; memory is in kB.
pub fn status(pid: u32, key: &str) -> Result<u64> {
    line_of(&format!("/proc/{pid}/status"), key)
}

/// The number in the line of a file in `/proc` that begins with this key.
pub fn line_of(path: &str, key: &str) -> Result<u64> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    Ok(line.ok_or_else(|| format!("no {key} in {path}"))?.trim().trim_end_matches(" kB").parse()?)
}

/// The number of open descriptors of a process.
pub fn descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Monotonic time since an arbitrary point in the past.
pub fn now() -> Result<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::Monotonic))?)
}

/// The CPU time of this thread, including the kernel's.
pub fn thread_cpu_time() -> Result<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?)
}

/// The CPU time of a process since its start, with that of threads that have ended.
pub fn process_cpu_time(pid: u32) -> Result<Duration> {
    Ok(Duration::from(clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?.now()?))
}
