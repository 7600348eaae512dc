//! `lameduck check` as a process, in both of its output formats.

use std::process::Command;

use serde_json::Value;

use crate::sidecar::{QUICK_TIMES, SidecarEnv};

/// The output of one `lameduck check`, as text and as JSON.
pub struct CheckReport {
    pub code: Option<i32>,
    text: String,
    pub json: Value,
}

impl CheckReport {
    /// Runs it with the settings of this environment and these flags.
    pub fn with_args(env: &SidecarEnv, args: &[&str]) -> Self {
        Self::run(&|| {
            let mut command = env.check_command();
            command.args(args);
            command
        })
    }

    /// Runs it for text and for JSON, which must agree, except on the number of connections at that moment.
    pub fn run(command: &dyn Fn() -> Command) -> Self {
        let patient = |args: &[&str]| {
            let mut command = command();
            // A busy machine may be slow.
            output(command.env("LAMEDUCK_SCRAPE_TIMEOUT", "30s").args(QUICK_TIMES).args(args))
        };
        let ((code, text), (json_code, json)) = (patient(&[]), patient(&["--json"]));
        let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        assert_eq!((code, &json["version"]), (json_code, &env!("CARGO_PKG_VERSION").into()), "{text} {json}");
        let report = Self { code, text, json };
        report.assert_agreement();
        report
    }

    fn assert_agreement(&self) {
        let checks = self.json["checks"].as_array().unwrap();
        let lines: Vec<&str> = self.text.lines().filter(|line| !line.trim_start().starts_with("fix: ")).collect();
        assert_eq!(lines.len(), checks.len() + 1, "{}", self.text);
        let mut sums = [0, 0, 0];
        for (line, check) in lines.iter().zip(checks) {
            let place = match check["ok"].as_bool() {
                Some(true) => 0,
                Some(false) => 1,
                None => 2,
            };
            sums[place] += 1;
            let name = check["name"].as_str().unwrap().replace('_', " ");
            assert!(line.starts_with(&format!("{} {name} ", ["✓", "✗", "–"][place])), "{line} {check}");
            // Other processes come and go between the two.
            let detail = check["detail"].as_str().unwrap().split("visible to uid ").next().unwrap();
            assert!(line.contains(detail), "{line} {check}");
            assert_eq!(check["fix"].is_string(), place == 1, "{check}");
            assert!(check["fix"].as_str().is_none_or(|fix| self.text.contains(&format!("fix: {fix}\n"))), "{check}");
        }
        let [passed, failed, skipped] = sums;
        assert_eq!(
            lines[checks.len()],
            format!("{passed} passed, {failed} failed, {skipped} skipped"),
            "{}",
            self.text
        );
        assert_eq!(self.json["ok"], failed == 0);
        assert_eq!(self.code == Some(0), failed == 0, "{}", self.text);
        assert!(!self.text.contains('\u{1b}'), "colours without a terminal: {}", self.text);
    }

    pub fn checks(&self, name: &str) -> Vec<&Value> {
        let found: Vec<&Value> =
            self.json["checks"].as_array().unwrap().iter().filter(|it| it["name"] == name).collect();
        assert!(!found.is_empty(), "no {name} in {}", self.text);
        found
    }

    /// Asserts the result of the first check of this name, and that its detail and fix contain these parts.
    pub fn assert(&self, name: &str, ok: impl Into<Value>, parts: &[&str]) {
        let check = self.checks(name)[0];
        assert_eq!(check["ok"], ok.into(), "{check}");
        let said = format!("{} {}", check["detail"].as_str().unwrap(), check["fix"].as_str().unwrap_or_default());
        for part in parts {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }

    /// Asserts that exactly these checks failed, and that this is the exit code.
    pub fn assert_failed(&self, names: &[&str], code: i32) {
        let checks = self.json["checks"].as_array().unwrap().iter();
        let failed: Vec<&str> = checks.filter(|it| it["ok"] == false).map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!((failed.as_slice(), self.code), (names, Some(code)), "{}", self.text);
    }
}

fn output(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}
