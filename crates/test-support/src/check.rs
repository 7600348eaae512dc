//! `lameduck check` as a process, in both of its languages.

use std::process::Command;

use serde_json::Value;

use crate::sidecar::{Pod, QUICK};

/// What a rehearsal said, which it says in two ways.
pub struct Rehearsal {
    pub code: Option<i32>,
    text: String,
    pub json: Value,
}

impl Rehearsal {
    /// Rehearses with the pod's settings and these flags.
    pub fn of(pod: &Pod, args: &[&str]) -> Self {
        Self::run(&|| {
            let mut command = pod.check();
            command.args(args);
            command
        })
    }

    /// Runs it for people and for machines; both must say the same, but for how many are connected just then.
    pub fn run(command: &dyn Fn() -> Command) -> Self {
        let patient = |args: &[&str]| {
            let mut command = command();
            // A machine that is busy may be slow.
            output(command.env("LAMEDUCK_SCRAPE_TIMEOUT", "30s").args(QUICK).args(args))
        };
        let ((code, text), (json_code, json)) = (patient(&[]), patient(&["--json"]));
        let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        assert_eq!((code, &json["version"]), (json_code, &env!("CARGO_PKG_VERSION").into()), "{text} {json}");
        let rehearsal = Self { code, text, json };
        rehearsal.assert_agreement();
        rehearsal
    }

    fn assert_agreement(&self) {
        let checks = self.json["checks"].as_array().unwrap();
        let lines: Vec<&str> = self.text.lines().filter(|line| !line.trim_start().starts_with("mend: ")).collect();
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
            let detail = check["detail"].as_str().unwrap().split("in sight: ").next().unwrap();
            assert!(line.contains(detail), "{line} {check}");
            assert_eq!(check["mend"].is_string(), place == 1, "{check}");
            assert!(
                check["mend"].as_str().is_none_or(|mend| self.text.contains(&format!("mend: {mend}\n"))),
                "{check}"
            );
        }
        let [well, amiss, open] = sums;
        assert!(lines[checks.len()].ends_with(&format!(": {well} ✓, {amiss} ✗, {open} –")), "{}", self.text);
        assert_eq!(self.json["ok"], amiss == 0);
        assert_eq!(self.code == Some(0), amiss == 0, "{}", self.text);
        assert!(!self.text.contains('\u{1b}'), "colours without a terminal: {}", self.text);
    }

    pub fn checks(&self, name: &str) -> Vec<&Value> {
        let found: Vec<&Value> =
            self.json["checks"].as_array().unwrap().iter().filter(|it| it["name"] == name).collect();
        assert!(!found.is_empty(), "no {name} in {}", self.text);
        found
    }

    /// The first check of this name is so, and these parts are in what it says.
    pub fn assert(&self, name: &str, ok: impl Into<Value>, parts: &[&str]) {
        let check = self.checks(name)[0];
        assert_eq!(check["ok"], ok.into(), "{check}");
        let said = format!("{} {}", check["detail"].as_str().unwrap(), check["mend"].as_str().unwrap_or_default());
        for part in parts {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }

    /// Nothing but these is amiss, and this is the code.
    pub fn assert_amiss(&self, names: &[&str], code: i32) {
        let checks = self.json["checks"].as_array().unwrap().iter();
        let amiss: Vec<&str> = checks.filter(|it| it["ok"] == false).map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!((amiss.as_slice(), self.code), (names, Some(code)), "{}", self.text);
    }
}

fn output(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}
