//! Settings: flags and environment variables, presets, and the checks that are possible at start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::io::process::Matcher;
use crate::io::target_signal::TargetSignal;
use crate::settings::args::SidecarArgs;
use crate::settings::error::{SettingError, shown};
use crate::settings::preset::Defaults;
use crate::settings::sources::Sources;
use crate::settings::values::{OrNone, WaitFor, is_writable};
use lameduck_machine::drain_times::{DrainTimes, DrainTimesError, TimeArgs, TimeSetting};
use lameduck_machine::policy::SigtermPolicy;

pub mod args;
pub mod drain;
pub mod environment;
pub mod error;
pub mod preset;
pub mod run;
pub mod sources;
pub mod values;

/// Every setting of `lameduck sidecar`, with the defaults filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The times of a drain.
    pub times: DrainTimes,
    /// The sources that count the streams.
    pub sources: Sources,
    /// Which process is the target.
    pub matcher: Option<Matcher>,
    /// The signal for the target; `None` only counts and waits.
    pub signal: Option<TargetSignal>,
    /// Whether the target may be signalled if the kernel does not show which signals it catches.
    pub assume_signal_caught: bool,
    /// What ends a drain.
    pub wait_for: WaitFor,
    /// The file with the token that a hook call from another host must carry.
    pub token_file: Option<PathBuf>,
    /// What SIGTERM to the sidecar means.
    pub on_sigterm: SigtermPolicy,
    /// The directory for the state of a drain.
    pub state_dir: Option<PathBuf>,
    /// The file for the outcome, and whether to create it.
    pub termination_log: (PathBuf, bool),
}

impl Settings {
    /// Fills in the defaults of the preset and checks that the settings fit together.
    ///
    /// # Errors
    /// Names the setting, its value and the fix.
    pub fn new(args: &SidecarArgs) -> Result<Self, SettingError> {
        args.required_listen()?;
        let settings = Self::build(args, matcher(args, &args.preset.defaults())?)?;
        settings.check_target()?;
        Ok(settings)
    }

    /// Does the same for `lameduck run`, whose target is its child unless another one is set. It may have no address.
    ///
    /// # Errors
    /// Names the setting, its value and the fix.
    pub fn new_run(args: &SidecarArgs) -> Result<Self, SettingError> {
        if args.grace_period.is_none() {
            return Err(SettingError::without_value(
                "--grace-period",
                "is required",
                "set it to the time between the stop signal and SIGKILL: stop_grace_period (Compose), --stop-timeout \
                 (Docker, Podman), kill_timeout (Nomad) or TimeoutStopSec (systemd)",
            ));
        }
        Self::build(args, matcher(args, &Defaults { target: None, ..args.preset.defaults() })?)
    }

    fn build(args: &SidecarArgs, matcher: Option<Matcher>) -> Result<Self, SettingError> {
        let preset = args.preset.defaults();
        let wait_for = args.wait_for.unwrap_or(preset.wait_for);
        Ok(Self {
            times: times(args)?,
            sources: Sources::new(args, &preset, wait_for)?,
            matcher,
            signal: args.signal.clone().map_or(preset.signal, |OrNone(signal)| signal),
            assume_signal_caught: args.assume_signal_caught,
            wait_for,
            token_file: args.token_file.clone().and_then(|OrNone(path)| path),
            on_sigterm: args.on_sigterm,
            state_dir: state_dir(args.state_dir.as_ref()),
            termination_log: match &args.termination_log {
                Some(path) => (path.clone(), true),
                None => (PathBuf::from("/dev/termination-log"), false),
            },
        })
    }

    /// Does the same for a drain without a sidecar.
    ///
    /// # Errors
    /// Names the setting, its value and the fix.
    pub fn new_standalone(args: &SidecarArgs) -> Result<Self, SettingError> {
        let settings = Self::new(args)?;
        let budget = settings.times.budget();
        match settings.sources.streams_ports.gauge_leak_after {
            Some(after) if after >= budget => Err(SettingError::new(
                "--gauge-leak-after",
                shown(after),
                format!(
                    "a standalone drain observes the connections only from its own start, and lasts at most {}, so no \
                     leak would be detected",
                    shown(budget)
                ),
                "set it shorter, lengthen the pod's grace period, or use a sidecar, which observes them all the time",
            )),
            Some(_) | None => Ok(settings),
        }
    }

    fn check_target(&self) -> Result<(), SettingError> {
        match (&self.matcher, self.signal, self.wait_for) {
            (Some(_), _, _) | (None, None, WaitFor::Zero) => Ok(()),
            (None, Some(signal), _) => Err(SettingError::new(
                "--signal",
                signal,
                "there is no target to send it to",
                "name the target with --target or --target-port, or set --signal none",
            )),
            (None, None, WaitFor::Exit) => Err(SettingError::new(
                "--wait-for",
                "exit",
                "there is no target whose exit could end the drain",
                "name the target with --target or --target-port",
            )),
        }
    }

    /// The signal's name.
    #[must_use]
    pub fn signal_name(&self) -> Option<&'static str> {
        self.signal.map(TargetSignal::as_str)
    }

    /// Identifies what is drained, and how: two sets of settings with the same identity may share the state of a drain.
    #[must_use]
    pub fn identity(&self) -> String {
        let page = self.sources.page.as_ref().map(|(url, _)| url.to_string());
        format!("{:?} {:?} {:?} {:?}", self.matcher, self.signal, page, self.sources.streams_ports.ports)
    }
}

fn times(args: &SidecarArgs) -> Result<DrainTimes, SettingError> {
    let grace_period = args.grace_period.ok_or_else(|| {
        SettingError::without_value(
            "--grace-period",
            "is required",
            "set it to the pod's terminationGracePeriodSeconds: nothing in the pod provides that value, and a wrong one \
             cuts calls",
        )
    })?;
    let times = TimeArgs {
        grace_period,
        exit_margin: args.exit_margin,
        lame_duck: args.lame_duck,
        unready_after: args.unready_after,
        quiet_period: args.quiet_period,
        exit_wait: args.exit_wait,
        poll_interval: args.poll_interval,
        scrape_timeout: args.scrape_timeout,
    };
    DrainTimes::new(&times).map_err(|error| times_error(&error))
}

/// Describes times that cannot work.
fn times_error(error: &DrainTimesError) -> SettingError {
    let debug = |value: &Duration| shown(*value);
    match error {
        DrainTimesError::GracePeriodZero => SettingError::new(
            "--grace-period",
            "0s",
            "a pod without a grace period cannot drain",
            "set the pod's terminationGracePeriodSeconds and --grace-period to the same time",
        ),
        DrainTimesError::TooLong(value) => SettingError::new(
            "--grace-period",
            debug(value),
            "it is longer than a year",
            "check the unit: a bare number is seconds",
        ),
        DrainTimesError::OutOfRange { setting, value } => SettingError::new(
            time_flag(*setting),
            debug(value),
            "it is out of range",
            "set at least 1ms and at most a year, e.g. 1s",
        ),
        DrainTimesError::UnreadyTooLate { unready_after, lame_duck } => unready_too_late(*unready_after, *lame_duck),
        DrainTimesError::NothingLeft { setting: TimeSetting::ExitMargin, times } => SettingError::new(
            "--exit-margin",
            debug(&times.exit_margin),
            format!("it leaves nothing of --grace-period {} to drain in", shown(times.grace_period)),
            "set it shorter than --grace-period",
        ),
        DrainTimesError::NothingLeft { setting, times } => {
            let value = if *setting == TimeSetting::LameDuck { times.lame_duck } else { times.quiet_period };
            let [grace_period, exit_margin, lame_duck, quiet_period] =
                [times.grace_period, times.exit_margin, times.lame_duck, times.quiet_period].map(shown);
            SettingError::new(
                time_flag(*setting),
                shown(value),
                format!(
                    "--lame-duck {lame_duck}, --quiet-period {quiet_period} and --exit-margin {exit_margin} together \
                     leave nothing of --grace-period {grace_period}"
                ),
                "shorten one of them, or lengthen the pod's grace period",
            )
        }
    }
}

fn unready_too_late(unready_after: Duration, lame_duck: Duration) -> SettingError {
    SettingError::new(
        "--unready-after",
        shown(unready_after),
        format!(
            "it is longer than --lame-duck {}, so the pod would still be ready when the signal is sent",
            shown(lame_duck)
        ),
        "shorten it, or lengthen --lame-duck, whose default is 5s and at most a tenth of the grace period",
    )
}

const fn time_flag(setting: TimeSetting) -> &'static str {
    match setting {
        TimeSetting::ExitMargin => "--exit-margin",
        TimeSetting::LameDuck => "--lame-duck",
        TimeSetting::QuietPeriod => "--quiet-period",
        TimeSetting::PollInterval => "--poll-interval",
        TimeSetting::ScrapeTimeout => "--scrape-timeout",
    }
}

fn matcher(args: &SidecarArgs, preset: &Defaults) -> Result<Option<Matcher>, SettingError> {
    match (&args.target, args.target_port) {
        (Some(name), Some(port)) => Err(SettingError::new(
            "--target-port",
            port,
            format!("--target {name} is set too, and the two may differ"),
            "keep one of them",
        )),
        (None, Some(port)) => Ok(Some(Matcher::Port(port))),
        (Some(name), None) => Ok(Some(Matcher::Name(name.clone()))),
        (None, None) => Ok(preset.target.map(|name| Matcher::Name(name.to_owned()))),
    }
}

fn state_dir(typed: Option<&OrNone<PathBuf>>) -> Option<PathBuf> {
    match typed {
        Some(OrNone(dir)) => dir.clone(),
        None => Some(Path::new("/dev/shm")).filter(|dir| is_writable(dir)).map(Path::to_owned),
    }
}
