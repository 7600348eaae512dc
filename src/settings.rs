//! What was typed becomes what it means: flags and environment, presets, and every refusal that is possible at start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nix::sys::signal::Signal;

use crate::edges::http::Url;
use crate::edges::process::Matcher;
use crate::machine::io::OnSigterm;
use crate::machine::plan::{Plan, Times};
use crate::readers::selector::Selector;
use crate::settings::args::{Preset, SidecarArgs, SigtermPolicy, WaitFor};
use crate::settings::values::Choice;

pub mod args;
pub mod values;

/// Every setting of `lameduck sidecar`, as it is meant.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The times.
    pub plan: Plan,
    /// The metrics page.
    pub metrics_url: Url,
    /// What counts streams on it.
    pub streams: Vec<Selector>,
    /// What counts streams on it once it is there.
    pub lazy_streams: Vec<Selector>,
    /// What tells the target from others.
    pub matcher: Option<Matcher>,
    /// The signal; `None` counts and waits only.
    pub signal: Option<Signal>,
    /// What ends a drain.
    pub wait_for: WaitFor,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What SIGTERM means.
    pub on_sigterm: OnSigterm,
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
        let streams = values::flatten(&args.streams).unwrap_or(preset.streams);
        let lazy_streams = values::flatten(&args.lazy_streams).unwrap_or(preset.lazy_streams);
        if let (Some(name), Some(port)) = (&args.target, args.target_port) {
            return Err(format!(
                "--target-port {port}: --target {name} is set too, and they may differ; keep one of them"
            ));
        }
        let settings = Self {
            plan: Plan::new(&times(args)?).map_err(|error| error.to_string())?,
            metrics_url: metrics_url(args, preset.metrics_url, &streams, &lazy_streams)?,
            streams,
            lazy_streams,
            matcher: match (&args.target, args.target_port) {
                (_, Some(port)) => Some(Matcher::Port(port)),
                (Some(name), None) => Some(Matcher::Name(name.clone())),
                (None, None) => preset.target.map(|name| Matcher::Name(name.to_owned())),
            },
            signal: args.signal.clone().map_or(preset.signal, |choice| choice.0),
            wait_for: args.wait_for.unwrap_or(preset.wait_for),
            listen: args.listen.0,
            on_sigterm: match args.on_sigterm {
                SigtermPolicy::Auto => OnSigterm::Auto,
                SigtermPolicy::Drain => OnSigterm::Drain,
                SigtermPolicy::Exit => OnSigterm::Exit,
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
    pub fn subject(&self) -> String {
        format!("{:?} {:?} {}", self.matcher, self.signal, self.metrics_url)
    }
}

struct Defaults {
    metrics_url: Option<Url>,
    streams: Vec<Selector>,
    lazy_streams: Vec<Selector>,
    target: Option<&'static str>,
    signal: Option<Signal>,
    wait_for: WaitFor,
}

impl Preset {
    fn defaults(self) -> Defaults {
        let selectors = |names: &[&str]| names.iter().filter_map(|name| name.parse().ok()).collect();
        match self {
            Self::DeepgramEngine => Defaults {
                metrics_url: Some(Url::new("127.0.0.1", 9991, "/metrics")),
                streams: selectors(&["engine_active_requests"]),
                lazy_streams: selectors(&["engine_flux_used_streams", "flux_used_streams"]),
                target: Some("impeller"),
                signal: Some(Signal::SIGINT),
                wait_for: WaitFor::Zero,
            },
            Self::Generic => Defaults {
                metrics_url: None,
                streams: Vec::new(),
                lazy_streams: Vec::new(),
                target: None,
                signal: None,
                wait_for: WaitFor::Zero,
            },
        }
    }
}

fn times(args: &SidecarArgs) -> Result<Times, String> {
    let grace_period = args.grace_period.ok_or(
        "--grace-period is required: set it to the pod's terminationGracePeriodSeconds. \
         Nothing in the pod can tell that time, and a wrong one cuts calls",
    )?;
    Ok(Times {
        grace_period,
        exit_margin: args.exit_margin,
        lame_duck: args.lame_duck,
        quiet_period: args.quiet_period,
        exit_wait: args.exit_wait,
        poll_interval: args.poll_interval,
        scrape_timeout: args.scrape_timeout,
    })
}

fn metrics_url(
    args: &SidecarArgs,
    preset: Option<Url>,
    streams: &[Selector],
    lazy: &[Selector],
) -> Result<Url, String> {
    let preset_name = args.preset.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    match (args.metrics_url.clone().or(preset), streams, lazy) {
        (None, [], []) => Err(format!(
            "--preset {preset_name}: there is no source to count streams with; name a page with --metrics-url and its series with --streams"
        )),
        (None, _, _) => Err("--streams: there is no page to find them on; name it with --metrics-url".into()),
        (Some(url), [], []) => {
            Err(format!("--metrics-url {url}: nothing is looked for on it; name a series with --streams"))
        }
        (Some(_), [], [lazy, ..]) => Err(format!(
            "--lazy-streams {lazy}: such series cannot tell a typing error from silence; add --streams with a series that the page always has"
        )),
        (Some(url), _, _) => Ok(url),
    }
}

fn state_dir(chosen: Option<&Choice<PathBuf>>) -> Option<PathBuf> {
    match chosen {
        Some(Choice(dir)) => dir.clone(),
        None => Some(PathBuf::from("/dev/shm")).filter(|dir| is_writable(dir)),
    }
}

/// Whether files can be made in a directory.
#[must_use]
pub fn is_writable(dir: &Path) -> bool {
    dir.is_dir() && rustix::fs::access(dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}
