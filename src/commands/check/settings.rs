//! The settings by themselves: whether the sidecar would take them, and whether their times add up.

use humantime::format_duration;

use super::report::{Cause, Check};
use crate::settings::Settings;

/// The settings that the sidecar refuses at start, in the words in which it does.
pub(super) fn refused(message: &str) -> Check {
    let (cause, mend) = message.split_once("; ").unwrap_or((message, "see lameduck sidecar --help"));
    Check::amiss("settings", Cause::Settings, cause, mend)
}

/// The settings that it takes, and the variables that it does not know.
pub(super) fn check(settings: &Settings, unknown: &[String]) -> Vec<Check> {
    let plan = &settings.plan;
    let [budget, grace, margin, lame_duck, quiet, exit_wait] =
        [plan.budget(), plan.grace_period, plan.exit_margin, plan.lame_duck, plan.quiet_period, plan.exit_wait]
            .map(format_duration);
    let times = format!(
        "a drain has {budget}: grace period {grace} less exit margin {margin}; lame duck {lame_duck}, quiet period {quiet}, exit wait {exit_wait}; that the pod's terminationGracePeriodSeconds is {grace} too cannot be seen from here"
    );
    vec![Check::well("settings", "the sidecar takes them"), Check::well("times", times), variables(unknown)]
}

fn variables(unknown: &[String]) -> Check {
    if unknown.is_empty() {
        return Check::well("variables", "every LAMEDUCK_ variable is a setting");
    }
    Check::amiss(
        "variables",
        Cause::Settings,
        format!("this version has no such setting, and ignores it: {}", unknown.join(", ")),
        "correct the name, or leave it out; lameduck sidecar --help has them all",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_as_cause_and_mend() {
        let both = Check::amiss("settings", Cause::Settings, "--signal SIGINT: no target", "name it; or not");
        assert_eq!(refused("--signal SIGINT: no target; name it; or not"), both);
        let cause_alone = Check::amiss("settings", Cause::Settings, "too long", "see lameduck sidecar --help");
        assert_eq!(refused("too long"), cause_alone);
    }

    #[test]
    fn variables_that_are_no_settings_are_named() {
        let unknown = ["LAMEDUCK_A".to_owned(), "LAMEDUCK_B".to_owned()];
        assert!(format!("{:?}", variables(&unknown)).contains("LAMEDUCK_A, LAMEDUCK_B"));
        assert_eq!(variables(&[]), Check::well("variables", "every LAMEDUCK_ variable is a setting"));
    }
}
