//! What a rehearsal found: single checks, as lines for people or as JSON, and the exit code that sums them up.

use std::fmt::Write;

use serde::Serialize;

use crate::commands::Exit;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// What it is about; it stays the same from version to version.
    name: &'static str,
    finding: Finding,
    /// What was seen.
    detail: String,
    /// What to do about it.
    mend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Well,
    /// It could not be checked, or need not.
    Open,
    Amiss(Cause),
}

/// Why something is amiss, in the order in which they claim the exit code.
///
/// With settings that cannot work there is no sidecar, so they come first. A missing permission often hides something
/// that is there, so it comes before what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// A setting that the sidecar refuses or ignores.
    Settings,
    /// A permission is missing.
    NotPermitted,
    /// Something is not there, does not answer, or does not fit.
    Environment,
}

impl Check {
    /// All is well.
    pub(super) fn well(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, finding: Finding::Well, detail: detail.into(), mend: None }
    }

    /// It could not be checked, or need not.
    pub(super) fn open(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, finding: Finding::Open, detail: detail.into(), mend: None }
    }

    /// Something stands in the way.
    pub(super) fn amiss(name: &'static str, cause: Cause, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, finding: Finding::Amiss(cause), detail: detail.into(), mend: Some(mend.into()) }
    }

    /// The same, or left open where nothing hangs on it.
    pub(super) fn where_needed(self, needed: bool) -> Self {
        match self.finding {
            Finding::Amiss(_) if !needed => Self { finding: Finding::Open, mend: None, ..self },
            Finding::Well | Finding::Open | Finding::Amiss(_) => self,
        }
    }
}

/// All checks of one rehearsal.
pub(super) struct Report(Vec<Check>);

#[derive(Serialize)]
struct ReportJson<'a> {
    ok: bool,
    checks: Vec<CheckJson<'a>>,
    version: &'static str,
}

#[derive(Serialize)]
struct CheckJson<'a> {
    name: &'static str,
    ok: Option<bool>,
    detail: &'a str,
    mend: Option<&'a str>,
}

impl Report {
    pub(super) const fn new(checks: Vec<Check>) -> Self {
        Self(checks)
    }

    /// How the command ends.
    pub(super) fn exit(&self) -> Exit {
        let causes = self.0.iter().filter_map(|check| match check.finding {
            Finding::Amiss(cause) => Some(cause),
            Finding::Well | Finding::Open => None,
        });
        match causes.min() {
            None => Exit::Success,
            Some(Cause::Settings) => Exit::Usage,
            Some(Cause::NotPermitted) => Exit::NotPermitted,
            Some(Cause::Environment) => Exit::Unreachable,
        }
    }

    /// One JSON object.
    pub(super) fn to_json(&self) -> String {
        let checks = self.0.iter().map(|check| {
            let ok = match check.finding {
                Finding::Well => Some(true),
                Finding::Open => None,
                Finding::Amiss(_) => Some(false),
            };
            CheckJson { name: check.name, ok, detail: &check.detail, mend: check.mend.as_deref() }
        });
        let report =
            ReportJson { ok: self.count(is_amiss) == 0, checks: checks.collect(), version: env!("CARGO_PKG_VERSION") };
        // It holds nothing that JSON cannot.
        serde_json::to_string(&report).unwrap_or_default()
    }

    /// A line for each check, one more for each mend, and a last one with the sum.
    pub(super) fn to_text(&self, colours: bool) -> String {
        let width = self.0.iter().map(|check| check.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Check { name, finding, detail, mend } in &self.0 {
            let label = name.replace('_', " ");
            let _ = writeln!(text, "{} {label:<width$}  {}", mark(*finding, colours), printable(detail));
            if let Some(mend) = mend {
                let _ = writeln!(text, "  {:<width$}  mend: {}", "", printable(mend));
            }
        }
        text + &self.sum()
    }

    fn sum(&self) -> String {
        let (amiss, well) = (self.count(is_amiss), self.count(|finding| finding == Finding::Well));
        let open = self.count(|finding| finding == Finding::Open);
        let result = if amiss == 0 { "all is well" } else { "not as it should be" };
        format!("{result}: {well} ✓, {amiss} ✗, {open} –\n")
    }

    fn count(&self, of: impl Fn(Finding) -> bool) -> usize {
        self.0.iter().filter(|check| of(check.finding)).count()
    }
}

fn is_amiss(finding: Finding) -> bool {
    matches!(finding, Finding::Amiss(_))
}

fn mark(finding: Finding, colours: bool) -> String {
    let (colour, mark) = match finding {
        Finding::Well => (32, "✓"),
        Finding::Open => (2, "–"),
        Finding::Amiss(_) => (31, "✗"),
    };
    if colours { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.to_owned() }
}

/// Names of processes and of series are others' words, and must not command the terminal.
fn printable(text: &str) -> String {
    let safe = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amiss(cause: Cause) -> Check {
        Check::amiss("target", cause, "gone", "bring it back")
    }

    #[test]
    fn the_first_cause_in_their_order_claims_the_exit_code() {
        let well = Check::well("times", "fine");
        let [settings, permission, world] = [Cause::Settings, Cause::NotPermitted, Cause::Environment].map(amiss);
        for (checks, exit) in [
            (vec![well.clone(), Check::open("page", "none")], Exit::Success),
            (vec![well, world.clone()], Exit::Unreachable),
            (vec![world.clone(), permission.clone()], Exit::NotPermitted),
            (vec![world, permission, settings], Exit::Usage),
        ] {
            assert_eq!(Report::new(checks).exit(), exit);
        }
    }

    #[test]
    fn what_nothing_hangs_on_is_left_open() {
        assert_eq!(amiss(Cause::Environment).where_needed(true), amiss(Cause::Environment));
        assert_eq!(amiss(Cause::Environment).where_needed(false), Check::open("target", "gone"));
        assert_eq!(Check::well("page", "it").where_needed(false), Check::well("page", "it"));
    }

    #[test]
    fn every_check_is_a_line_and_every_mend_another() {
        let report =
            Report::new(vec![Check::well("a_b", "fine"), amiss(Cause::Environment), Check::open("page", "none")]);
        let text = "✓ a b     fine\n✗ target  gone\n          mend: bring it back\n– page    none\n\
            not as it should be: 1 ✓, 1 ✗, 1 –\n";
        assert_eq!(report.to_text(false), text);
        assert!(report.to_text(true).contains("\u{1b}[31m✗\u{1b}[0m target"));
    }

    #[test]
    fn words_of_others_do_not_command_the_terminal() {
        let report = Report::new(vec![Check::well("target", "a\u{1b}[2Jb\nc")]);
        let text = report.to_text(false);
        assert!(text.starts_with("✓ target  a\u{fffd}[2Jb\u{fffd}c\n"), "{text}");
    }
}
