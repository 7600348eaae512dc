//! The report about manifests: the checks of every object, as text or as JSON.

use std::fmt::Write;

use serde::Serialize;

use crate::commands::Exit;
use crate::commands::check::report::{Check, CheckJson, Report};
use crate::sanitize::sanitize;

/// The checks of one object.
pub(super) struct ObjectReport {
    /// The file, or `stdin`.
    pub(super) file: String,
    /// The number of the document in the file, from 1.
    pub(super) document: usize,
    /// The object's first line, from 1.
    pub(super) line: usize,
    /// KIND/NAMESPACE/NAME.
    pub(super) title: String,
    pub(super) checks: Vec<Check>,
}

/// The checks of all objects.
pub(super) struct ManifestReport {
    pub(super) objects: Vec<ObjectReport>,
    /// The objects with pods without lameduck, as KIND/NAME.
    pub(super) without_lameduck: Vec<String>,
    /// Whether there are several files, which the text must then name.
    pub(super) has_files: bool,
}

#[derive(Serialize)]
struct ReportJson<'a> {
    ok: bool,
    objects: Vec<ObjectJson<'a>>,
    without_lameduck: &'a [String],
    version: &'static str,
}

#[derive(Serialize)]
struct ObjectJson<'a> {
    file: &'a str,
    document: usize,
    line: usize,
    object: &'a str,
    checks: Vec<CheckJson<'a>>,
}

impl ObjectReport {
    fn to_json(&self) -> ObjectJson<'_> {
        let Self { file, document, line, title, checks } = self;
        let checks = checks.iter().map(Check::to_json).collect();
        ObjectJson { file, document: *document, line: *line, object: title, checks }
    }
}

impl ManifestReport {
    fn all(&self) -> Report {
        Report::new(self.objects.iter().flat_map(|object| object.checks.iter().cloned()).collect())
    }

    /// The result of the command.
    pub(super) fn exit(&self) -> Exit {
        self.all().exit()
    }

    /// Returns the report as one JSON object.
    pub(super) fn to_json(&self) -> String {
        let objects = self.objects.iter().map(ObjectReport::to_json).collect();
        let (ok, without_lameduck) = (self.all().is_ok(), &self.without_lameduck[..]);
        let report = ReportJson { ok, objects, without_lameduck, version: env!("CARGO_PKG_VERSION") };
        // Serialization cannot fail: there are only strings, numbers and booleans.
        serde_json::to_string(&report).unwrap_or_default()
    }

    /// Returns a heading and the checks of each object, and one summary.
    pub(super) fn to_text(&self, colours: bool) -> String {
        let all = self.all();
        let mut text = String::new();
        for object in &self.objects {
            let ObjectReport { file, document, line, title, checks } = object;
            let file = if self.has_files { format!("{}, ", sanitize(file)) } else { String::new() };
            let _ = writeln!(text, "{} ({file}document {document}, line {line})", sanitize(title));
            for check in checks {
                text += &check.to_text(all.width(), colours);
            }
        }
        if !self.without_lameduck.is_empty() {
            let _ =
                writeln!(text, "without lameduck, and not checked: {}", sanitize(&self.without_lameduck.join(", ")));
        }
        text + &all.summary()
    }
}
