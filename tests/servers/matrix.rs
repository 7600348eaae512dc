//! The tables of all scenarios and runtimes, and their copies in documents.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::scenario::{Behavior, Report, Scenario};

/// The lines between which the tables are in the document.
const BEGIN: &str = "<!-- begin: tests/servers/run --write-docs -->\n";
const END: &str = "<!-- end: tests/servers/run --write-docs -->\n";

const HEAD: &str = "\
| server | on the signal | counted by | clients saw | server's end | outcome | `stragglers` | `warnings` | exit code | \
termination message |
|---|---|---|---|---|---|---|---|---|---|
";

/// The tables, in Markdown.
pub(crate) fn tables(reports: &[(&Scenario, &Report)]) -> String {
    let groups = [Group::Drops, Group::Drains, Group::Limits].map(|group| {
        let rows = reports.iter().filter(|(scenario, _)| Group::of(scenario.behavior) == group);
        let rows: String = rows.map(|(scenario, report)| row(scenario, report)).collect();
        format!("{}:\n\n{HEAD}{rows}", group.title())
    });
    groups.join("\n")
}

/// Scenarios with a table of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Drops,
    Drains,
    Limits,
}

impl Group {
    const fn of(behavior: Behavior) -> Self {
        match behavior {
            Behavior::Drops => Self::Drops,
            Behavior::Drains => Self::Drains,
            Behavior::DrainsUncounted | Behavior::DrainsAndDies | Behavior::GivesUp | Behavior::Stalls => Self::Limits,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Drops => "Servers that end their streams on the signal",
            Self::Drains => "Servers that serve their streams to the end, or have none",
            Self::Limits => "Limits: servers whose records do not match what the clients saw",
        }
    }
}

fn row(scenario: &Scenario, Report { endings, end, records }: &Report) -> String {
    let answer = &records.answer;
    let outcome = answer["outcome"].as_str().unwrap_or_default();
    let warnings: Vec<String> = records.warnings().iter().map(|code| format!("`{code}`")).collect();
    let exit_code = records.exit_code.map_or("none".to_owned(), |code| code.to_string());
    let message = describe(&records.message);
    let Scenario { server, on_signal, signal, counted_by, .. } = scenario;
    format!(
        "| {server} | {signal}: {on_signal} | {counted_by} | {endings} | {end} | `{outcome}` | {} | {} | {exit_code} | {message} |\n",
        answer["stragglers"],
        if warnings.is_empty() { "none".to_owned() } else { warnings.join(", ") },
    )
}

/// The fields of a termination message that matter here.
fn describe(message: &Value) -> String {
    format!("`{}`, {} stragglers", message["outcome"].as_str().unwrap_or_default(), message["stragglers"])
}

/// A document with generated tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document(pub(crate) &'static str);

/// The document with the tables of all scenarios.
pub(crate) const RECORDS: Document = Document("docs/records.md");
/// The document with the table of all runtimes.
pub(crate) const RUNTIMES: Document = Document("docs/runtimes.md");

impl Document {
    fn path(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.0)
    }

    fn read(self) -> String {
        fs::read_to_string(self.path()).unwrap_or_else(|error| panic!("{}: {error}", self.0))
    }

    /// Whether the document has these tables; prints the lines that differ.
    pub(crate) fn has(self, tables: &str) -> bool {
        let text = self.read();
        let (_, documented, _) = self.split(&text);
        let print_missing = |from: &str, other: &str, place: &str| {
            from.lines()
                .filter(|line| !other.lines().any(|found| found == *line))
                .for_each(|line| println!("{place} {}: {line}", self.0));
        };
        print_missing(tables, documented, "not in");
        print_missing(documented, tables, "only in");
        documented == tables.trim()
    }

    /// Writes the tables into the document.
    pub(crate) fn write(self, tables: &str) {
        let text = self.read();
        let (before, _, after) = self.split(&text);
        let text = format!("{before}{BEGIN}\n{tables}\n{END}{after}");
        fs::write(self.path(), text).unwrap_or_else(|error| panic!("{}: {error}", self.0));
    }

    /// The document's text before the tables, the tables, and the text after them.
    fn split(self, text: &str) -> (&str, &str, &str) {
        let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?)));
        let (before, (tables, after)) = parts.unwrap_or_else(|| panic!("{} has no lines around its tables", self.0));
        (before, tables.trim(), after)
    }
}
