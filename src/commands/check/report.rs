//! The results of a preflight check: single checks, as text or as JSON, and the exit code.

use std::fmt::Write;

use serde::Serialize;

use crate::commands::Exit;
use crate::sanitize::sanitize;

/// One check and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// The name, which stays the same from version to version.
    name: &'static str,
    finding: Finding,
    /// What was observed.
    detail: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    Pass,
    /// It could not be checked, or does not matter with these settings.
    Skip,
    /// It works, but not always as expected.
    Warn {
        fix: String,
    },
    Fail {
        cause: Cause,
        fix: String,
    },
}

/// Why a check failed. If several checks failed, the first cause in this order determines the exit code.
///
/// With invalid settings there is no sidecar, so they come first. A missing permission often hides something that
/// exists, so it comes before what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// The sidecar refuses or ignores a setting.
    Settings,
    /// A permission is missing.
    NotPermitted,
    /// Something does not exist, does not answer, or does not fit.
    Environment,
}

impl Check {
    /// A check that passed.
    pub(super) fn pass(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, finding: Finding::Pass, detail: detail.into() }
    }

    /// A check that was not possible, or does not matter.
    pub(super) fn skip(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, finding: Finding::Skip, detail: detail.into() }
    }

    /// A check that found something to improve, without failing.
    pub(super) fn warn(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, finding: Finding::Warn { fix: fix.into() }, detail: detail.into() }
    }

    /// A check that failed.
    pub(super) fn fail(name: &'static str, cause: Cause, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, finding: Finding::Fail { cause, fix: fix.into() }, detail: detail.into() }
    }

    /// The same check, but skipped instead of failed unless it is required.
    pub(super) fn required_if(self, required: bool) -> Self {
        match self.finding {
            Finding::Fail { .. } if !required => Self { finding: Finding::Skip, ..self },
            Finding::Pass | Finding::Skip | Finding::Warn { .. } | Finding::Fail { .. } => self,
        }
    }

    fn fix(&self) -> Option<&str> {
        match &self.finding {
            Finding::Fail { fix, .. } | Finding::Warn { fix } => Some(fix),
            Finding::Pass | Finding::Skip => None,
        }
    }

    /// The check for JSON.
    pub(super) fn to_json(&self) -> CheckJson<'_> {
        CheckJson { name: self.name, ok: self.finding.ok(), detail: &self.detail, fix: self.fix() }
    }

    /// A line, and a second one with the fix, if there is one. All names are padded to a width.
    pub(super) fn to_text(&self, width: usize, colours: bool) -> String {
        let label = self.name.replace('_', " ");
        let mut text = format!("{} {label:<width$}  {}\n", self.finding.mark(colours), sanitize(&self.detail));
        if let Some(fix) = self.fix() {
            let _ = writeln!(text, "  {:<width$}  fix: {}", "", sanitize(fix));
        }
        text
    }
}

impl Finding {
    /// The value in JSON.
    const fn ok(&self) -> Option<bool> {
        match self {
            Self::Pass => Some(true),
            Self::Skip | Self::Warn { .. } => None,
            Self::Fail { .. } => Some(false),
        }
    }

    fn mark(&self, colours: bool) -> String {
        let (colour, mark) = match self {
            Self::Pass => (32, "✓"),
            Self::Skip => (2, "–"),
            Self::Warn { .. } => (33, "!"),
            Self::Fail { .. } => (31, "✗"),
        };
        if colours { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.to_owned() }
    }
}

/// All checks of one run.
pub(super) struct Report(Vec<Check>);

#[derive(Serialize)]
struct ReportJson<'a> {
    ok: bool,
    checks: Vec<CheckJson<'a>>,
    version: &'static str,
}

/// A check in JSON. A warning has no value for `ok`, and a fix.
#[derive(Serialize)]
pub(super) struct CheckJson<'a> {
    name: &'static str,
    ok: Option<bool>,
    detail: &'a str,
    fix: Option<&'a str>,
}

impl Report {
    pub(super) const fn new(checks: Vec<Check>) -> Self {
        Self(checks)
    }

    /// The result of the command.
    pub(super) fn exit(&self) -> Exit {
        let causes = self.0.iter().filter_map(|check| match check.finding {
            Finding::Fail { cause, .. } => Some(cause),
            Finding::Pass | Finding::Skip | Finding::Warn { .. } => None,
        });
        match causes.min() {
            None => Exit::Success,
            Some(Cause::Settings) => Exit::Usage,
            Some(Cause::NotPermitted) => Exit::NotPermitted,
            Some(Cause::Environment) => Exit::Unreachable,
        }
    }

    /// Returns the report as one JSON object.
    pub(super) fn to_json(&self) -> String {
        let checks = self.0.iter().map(Check::to_json).collect();
        let report = ReportJson { ok: self.is_ok(), checks, version: env!("CARGO_PKG_VERSION") };
        // Serialization cannot fail: there are only strings and booleans.
        serde_json::to_string(&report).unwrap_or_default()
    }

    /// Returns a line per check, a line per fix, and a summary.
    pub(super) fn to_text(&self, colours: bool) -> String {
        let lines = self.0.iter().map(|check| check.to_text(self.width(), colours));
        lines.collect::<String>() + &self.summary()
    }

    /// Whether no check failed.
    pub(super) fn is_ok(&self) -> bool {
        self.count(Some(false)) == 0
    }

    /// The length of the longest name.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|check| check.name.len()).max().unwrap_or(0)
    }

    /// The numbers of results; warnings only if there are any.
    pub(super) fn summary(&self) -> String {
        let warnings = self.0.iter().filter(|check| matches!(check.finding, Finding::Warn { .. })).count();
        let [passed, failed, unknown] = [Some(true), Some(false), None].map(|ok| self.count(ok));
        let warned = match warnings {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            _ => format!(", {warnings} warnings"),
        };
        format!("{passed} passed, {failed} failed, {} skipped{warned}\n", unknown - warnings)
    }

    fn count(&self, ok: Option<bool>) -> usize {
        self.0.iter().filter(|check| check.finding.ok() == ok).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(cause: Cause) -> Check {
        Check::fail("target", cause, "gone", "start it")
    }

    #[test]
    fn first_cause_determines_exit_code() {
        let passed = Check::pass("times", "fine");
        let [settings, permission, environment] =
            [Cause::Settings, Cause::NotPermitted, Cause::Environment].map(failed);
        for (checks, exit) in [
            (vec![passed.clone(), Check::skip("page", "none")], Exit::Success),
            (vec![passed, environment.clone()], Exit::Unreachable),
            (vec![environment.clone(), permission.clone()], Exit::NotPermitted),
            (vec![environment, permission, settings], Exit::Usage),
        ] {
            assert_eq!(Report::new(checks).exit(), exit);
        }
    }

    #[test]
    fn failure_is_skipped_if_not_required() {
        assert_eq!(failed(Cause::Environment).required_if(true), failed(Cause::Environment));
        assert_eq!(failed(Cause::Environment).required_if(false), Check::skip("target", "gone"));
        assert_eq!(Check::pass("page", "it").required_if(false), Check::pass("page", "it"));
    }

    #[test]
    fn text_has_a_line_per_check_and_fix() {
        let report =
            Report::new(vec![Check::pass("a_b", "fine"), failed(Cause::Environment), Check::skip("page", "none")]);
        let text = "✓ a b     fine\n✗ target  gone\n          fix: start it\n– page    none\n\
            1 passed, 1 failed, 1 skipped\n";
        assert_eq!(report.to_text(false), text);
        assert!(report.to_text(true).contains("\u{1b}[31m✗\u{1b}[0m target"));
    }

    #[test]
    fn json_has_finding_and_fix() {
        let report =
            Report::new(vec![Check::pass("a_b", "fine"), failed(Cause::Environment), Check::skip("page", "none")]);
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["ok"], false);
        let expected = serde_json::json!([
            {"name": "a_b", "ok": true, "detail": "fine", "fix": null},
            {"name": "target", "ok": false, "detail": "gone", "fix": "start it"},
            {"name": "page", "ok": null, "detail": "none", "fix": null},
        ]);
        assert_eq!(json["checks"], expected);
    }

    #[test]
    fn text_is_sanitized() {
        let report = Report::new(vec![Check::pass("target", "a\u{1b}[2Jb\nc\u{202e}")]);
        let text = report.to_text(false);
        assert!(text.starts_with("✓ target  a\u{fffd}[2Jb\u{fffd}c\u{fffd}\n"), "{text}");
    }
}
