//! What was typed becomes what it means: flags and environment, presets, and every refusal that is possible at start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::io::process::Matcher;
use crate::settings::args::{SidecarArgs, SigtermArg, WaitFor};
use crate::settings::sources::Sources;
use crate::settings::values::OrNone;
use lameduck_machine::drain_times::{DrainTimes, TimeArgs};
use lameduck_machine::policy::SigtermPolicy;

pub mod args;
pub mod drain;
mod preset;
pub mod sources;
pub mod values;

/// Every setting of `lameduck sidecar`, as it is meant.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The times.
    pub plan: DrainTimes,
    /// What counts the streams.
    pub sources: Sources,
    /// What tells the target from others.
    pub matcher: Option<Matcher>,
    /// The signal; `None` counts and waits only.
    pub signal: Option<Signal>,
    /// What ends a drain.
    pub wait_for: WaitFor,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the token is that a hook call from another host must carry.
    pub token_file: Option<PathBuf>,
    /// What SIGTERM means.
    pub on_sigterm: SigtermPolicy,
    /// Where drains are noted.
    pub state_dir: Option<PathBuf>,
    /// Where the outcome is left, and whether that file is to be made.
    pub termination_log: (PathBuf, bool),
}

impl Settings {
    /// Fills in the preset's defaults and checks that everything fits together.
    ///
    /// # Errors
    /// Names the flag, the value and the mend.
    pub fn new(args: &SidecarArgs) -> Result<Self, String> {
        let preset = args.preset.defaults();
        let wait_for = args.wait_for.unwrap_or(preset.wait_for);
        if let (Some(name), Some(port)) = (&args.target, args.target_port) {
            return Err(format!(
                "--target-port {port}: --target {name} is set too, and they may differ; keep one of them"
            ));
        }
        let settings = Self {
            plan: DrainTimes::new(&times(args)?).map_err(|error| error.to_string())?,
            sources: Sources::new(args, &preset, wait_for)?,
            matcher: match (&args.target, args.target_port) {
                (_, Some(port)) => Some(Matcher::Port(port)),
                (Some(name), None) => Some(Matcher::Name(name.clone())),
                (None, None) => preset.target.map(|name| Matcher::Name(name.to_owned())),
            },
            signal: args.signal.clone().map_or(preset.signal, |choice| choice.0),
            wait_for,
            listen: args.listen.0,
            token_file: args.token_file.clone().and_then(|choice| choice.0),
            on_sigterm: match args.on_sigterm {
                SigtermArg::Auto => SigtermPolicy::Auto,
                SigtermArg::Drain => SigtermPolicy::Drain,
                SigtermArg::Exit => SigtermPolicy::Exit,
            },
            state_dir: state_dir(args.state_dir.as_ref()),
            termination_log: match &args.termination_log {
                Some(path) => (path.clone(), true),
                None => (PathBuf::from("/dev/termination-log"), false),
            },
        };
        settings.check_target()?;
        Ok(settings)
    }

    fn check_target(&self) -> Result<(), String> {
        if self.matcher.is_some() {
            return Ok(());
        }
        if let Some(signal) = self.signal {
            return Err(format!(
                "--signal {signal}: there is no target to send it to; name it with --target or --target-port, or set --signal none"
            ));
        }
        match self.wait_for {
            WaitFor::Zero => Ok(()),
            WaitFor::Exit => Err("--wait-for exit: there is no target whose exit could be waited for; name it with --target or --target-port".into()),
        }
    }

    /// The signal's name.
    #[must_use]
    pub fn signal_name(&self) -> Option<&'static str> {
        self.signal.map(Signal::as_str)
    }

    /// What is drained, in words that differ where the settings do.
    #[must_use]
    pub fn identity(&self) -> String {
        let page = self.sources.page.as_ref().map(|(url, _)| url.to_string());
        format!("{:?} {:?} {:?} {:?}", self.matcher, self.signal, page, self.sources.streams_ports)
    }
}

fn times(args: &SidecarArgs) -> Result<TimeArgs, String> {
    let grace_period = args.grace_period.ok_or(
        "--grace-period is required: set it to the pod's terminationGracePeriodSeconds. \
         Nothing in the pod can tell that time, and a wrong one cuts calls",
    )?;
    Ok(TimeArgs {
        grace_period,
        exit_margin: args.exit_margin,
        lame_duck: args.lame_duck,
        quiet_period: args.quiet_period,
        exit_wait: args.exit_wait,
        poll_interval: args.poll_interval,
        scrape_timeout: args.scrape_timeout,
    })
}

fn state_dir(chosen: Option<&OrNone<PathBuf>>) -> Option<PathBuf> {
    match chosen {
        Some(OrNone(dir)) => dir.clone(),
        None => Some(PathBuf::from("/dev/shm")).filter(|dir| is_writable(dir)),
    }
}

/// Whether files can be made in a directory.
#[must_use]
pub fn is_writable(dir: &Path) -> bool {
    dir.is_dir() && rustix::fs::access(dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}
