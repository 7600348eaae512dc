//! The settings themselves: whether the sidecar accepts them, and whether their times add up.

use humantime::format_duration;

use super::report::{Cause, Check};
use crate::settings::Settings;
use crate::settings::environment::intended_variable;
use crate::settings::error::SettingError;

/// Reports a setting that the sidecar refuses at start.
pub(super) fn refused(error: &SettingError) -> Check {
    Check::fail("settings", Cause::Settings, error.problem(), &error.fix)
}

/// Reports settings that the sidecar accepts, and the variables that it does not know.
pub(super) fn check(settings: &Settings, unknown: &[String]) -> Vec<Check> {
    let times = &settings.times;
    let [budget, grace, margin, lame_duck, quiet, exit_wait] =
        [times.budget(), times.grace_period, times.exit_margin, times.lame_duck, times.quiet_period, times.exit_wait]
            .map(format_duration);
    let detail = format!(
        "the budget of a drain is {budget}: grace period {grace} minus exit margin {margin}; lame duck {lame_duck}, quiet period {quiet}, exit wait {exit_wait}"
    );
    vec![Check::pass("settings", "the sidecar accepts them"), Check::pass("times", detail), variables(unknown)]
}

fn variables(unknown: &[String]) -> Check {
    if unknown.is_empty() {
        return Check::pass("variables", "every LAMEDUCK_ variable is a setting");
    }
    Check::fail(
        "variables",
        Cause::Settings,
        format!(
            "the sidecar ignores these variables, because this version has no such setting: {}",
            unknown.iter().map(|name| with_intended(name)).collect::<Vec<_>>().join(", ")
        ),
        "correct or remove them; lameduck sidecar --help lists all settings",
    )
}

fn with_intended(name: &str) -> String {
    let intended = intended_variable(name);
    intended.map_or_else(|| name.to_owned(), |intended| format!("{name} ({intended} was probably intended)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_shows_problem_and_fix() {
        let error = SettingError::new("--signal", "SIGINT", "there is no target", "name it with --target");
        let expected =
            Check::fail("settings", Cause::Settings, "--signal SIGINT: there is no target", "name it with --target");
        assert_eq!(refused(&error), expected);
    }

    #[test]
    fn unknown_variables_are_listed() {
        let unknown = ["LAMEDUCK_A".to_owned(), "LAMEDUCK_B".to_owned()];
        assert!(format!("{:?}", variables(&unknown)).contains("LAMEDUCK_A, LAMEDUCK_B"));
        assert_eq!(variables(&[]), Check::pass("variables", "every LAMEDUCK_ variable is a setting"));
    }
}
