//! The programs that the demo runs: built by the cargo that runs the demo, into the same directory.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::clock::now;
use crate::events::{Events, Origin, Stop};
use crate::process::Process;
use crate::screen::Screen;

/// A first build on a slow machine takes minutes.
const BUILD_TIMEOUT: Duration = Duration::from_secs(1800);

/// The paths of the programs.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) lameduck: PathBuf,
    pub(crate) engine: PathBuf,
    pub(crate) client: PathBuf,
}

impl Programs {
    /// Builds them into the same directory and with the same profile as the demo.
    pub(crate) fn build(screen: &mut Screen, events: &mut Events) -> Result<Self, Stop> {
        let own = env::current_exe().map_err(|error| Stop::failed("cannot find the path of this program", error))?;
        let (Some(profile), Some(target)) = (own.ancestors().nth(2), own.ancestors().nth(3)) else {
            return Err(Stop::Failed(format!("{} is not in cargo's directory for examples", own.display())));
        };
        screen.line("Building lameduck, a simulated engine and its client ...");
        let began = now();
        let mut cargo = Process::start(&mut command(profile, target), Origin::Cargo, events)?;
        let status = events.wait_for("the build to finish", BUILD_TIMEOUT, |_| {
            screen.status(&format!("{} s", (now() - began).as_secs()));
            Ok(cargo.ended())
        })?;
        if !status.success() {
            return Err(events.failure(&format!("the build ended with {status}")));
        }
        let example = |name| profile.join("examples").join(name);
        Ok(Self { lameduck: profile.join("lameduck"), engine: example("engine_sim"), client: example("engine_client") })
    }
}

fn command(profile: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--bin", "lameduck", "--example", "engine_sim", "--example", "engine_client"]);
    cargo.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    cargo.arg("--profile").arg(profile_name(profile)).arg("--target-dir").arg(target);
    cargo
}

/// The profile whose output goes to this directory. The names are equal, except that `dev` writes to `debug`.
fn profile_name(directory: &Path) -> OsString {
    match directory.file_name() {
        Some(name) if name != "debug" => name.to_owned(),
        Some(_) | None => "dev".into(),
    }
}
