//! Lameduck's settings as a manifest gives them, read with the sidecar's own parser. The environment of this process
//! has no influence.

use std::path::PathBuf;
use std::time::Duration;

use clap::FromArgMatches;

use crate::io::process::Matcher;
use crate::settings::Settings as OwnSettings;
use crate::settings::args::SidecarArgs;
use crate::settings::environment::{intended_variable, known_variables};
use crate::settings::values::OrNone;
use given::{Flags, Given, clap_problem};
use lameduck_machine::policy::SigtermPolicy;
use lameduck_manifests::preflight::{GracePeriod, Invocation, Listen, Problem, Settings, Target, Variable};

mod given;

/// The grace period that is assumed, in seconds, if neither lameduck nor the pod gives one.
const ASSUMED_GRACE_PERIOD: u64 = 3600;

/// Reads the settings of an invocation.
pub(in crate::commands) fn read(invocation: &Invocation) -> Settings {
    let flags = Flags::new(invocation.standalone);
    let given = Given::new(invocation, &flags);
    let mut settings = Settings {
        refused: given.problems.clone(),
        unknown_variables: unknown_variables(&invocation.environment),
        unknown: given.unknown(),
        ..Settings::default()
    };
    let matches = flags.command.clone().try_get_matches_from(given.words());
    match matches.and_then(|matches| SidecarArgs::from_arg_matches(&matches)) {
        Ok(args) => fill(&mut settings, &given, &args, invocation),
        Err(error) => settings.refused.push(clap_problem(&error)),
    }
    settings
}

/// Fills in the derived settings, as far as the manifest gives the values on which they depend.
fn fill(settings: &mut Settings, given: &Given, args: &SidecarArgs, invocation: &Invocation) {
    let known = |flags: &[&str]| flags.iter().all(|flag| given.is_known(flag));
    let grace_period = args.grace_period.map_or(GracePeriod::NotSet, GracePeriod::Set);
    settings.grace_period = known(&["grace-period"]).then_some(grace_period);
    let listen = args.required_listen().ok().filter(|_| known(&["listen"]));
    settings.listen = listen.map(|listen| Listen { port: listen.port(), is_loopback: listen.ip().is_loopback() });
    settings.needs_token = known(&["token-file"]).then_some(is_path(args.token_file.as_ref()));
    settings.exits_on_sigterm = known(&["on-sigterm"]).then_some(args.on_sigterm == SigtermPolicy::Exit);
    let assumed = Duration::from_secs(invocation.pod_grace_period.filter(|it| *it > 0).unwrap_or(ASSUMED_GRACE_PERIOD));
    let grace_period = if known(&["grace-period"]) { args.grace_period } else { Some(assumed) };
    let new = if invocation.standalone { OwnSettings::new_standalone } else { OwnSettings::new };
    match new(&SidecarArgs { grace_period, ..args.clone() }) {
        Ok(own) => {
            let unready_lead = own.times.lame_duck.saturating_sub(own.times.unready_after);
            settings.unready_lead = known(&["lame-duck", "unready-after"]).then_some(unready_lead);
            settings.sends_signal = known(&["preset", "signal"]).then_some(own.signal.is_some());
            settings.target = known(&["preset", "target", "target-port"]).then(|| target(args, own.matcher.as_ref()));
        }
        // If one setting is invalid or unknown, the derived values are unknown. The times depend on no other settings.
        Err(_) if !settings.refused.is_empty() => {}
        Err(error) if !settings.unknown.is_empty() && !is_known_time(given, &error.setting) => {}
        Err(error) => settings.refused.push(Problem { cause: error.problem(), fix: error.fix }),
    }
}

/// Whether a setting is a time that is refused whatever the unknown settings are.
fn is_known_time(given: &Given, setting: &str) -> bool {
    const TIMES: [&str; 4] = ["grace-period", "exit-margin", "lame-duck", "quiet-period"];
    const OTHER_TIMES: [&str; 3] = ["unready-after", "poll-interval", "scrape-timeout"];
    let flag = setting.trim_start_matches('-');
    let is_time = TIMES.contains(&flag) || OTHER_TIMES.contains(&flag);
    is_time && TIMES.iter().all(|time| given.is_known(time)) && given.is_known(flag)
}

fn is_path(value: Option<&OrNone<PathBuf>>) -> bool {
    matches!(value, Some(OrNone(Some(_))))
}

fn target(args: &SidecarArgs, matcher: Option<&Matcher>) -> Target {
    match matcher {
        None => Target::None,
        Some(Matcher::Port(port)) => Target::Port(*port),
        Some(Matcher::Name(name)) => {
            let image = args.preset.image().filter(|_| args.target.is_none());
            Target::Program { name: name.clone(), image }
        }
    }
}

/// The variables that are not settings, each with the setting that was probably meant.
fn unknown_variables(environment: &[Variable]) -> Vec<Problem> {
    let known = known_variables();
    let unknown = environment.iter().filter(|variable| !known.contains(&variable.name));
    let problem = |Variable { name, line, .. }: &Variable| {
        let fix = match intended_variable(name) {
            Some(closest) => format!("{closest} was probably intended"),
            None => "correct or remove it; lameduck sidecar --help lists all settings".to_owned(),
        };
        Problem { cause: format!("line {line}: {name} is not a setting, so lameduck ignores it"), fix }
    };
    unknown.map(problem).collect()
}
