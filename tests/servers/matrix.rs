//! The tables of all scenarios, and their copy in docs/records.md.

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

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/records.md")
}

/// The document's text before the tables, the tables, and the text after them.
fn split(text: &str) -> (&str, &str, &str) {
    let (before, rest) = text.split_once(BEGIN).expect("docs/records.md has the line that begins the tables");
    let (tables, after) = rest.split_once(END).expect("docs/records.md has the line that ends the tables");
    (before, tables.trim(), after)
}

/// Whether the document has these tables; prints the lines that differ.
pub(crate) fn are_documented(tables: &str) -> bool {
    let text = fs::read_to_string(document()).expect("docs/records.md is readable");
    let (_, documented, _) = split(&text);
    let print_missing = |from: &str, other: &str, place: &str| {
        from.lines()
            .filter(|line| !other.lines().any(|found| found == *line))
            .for_each(|line| println!("{place}: {line}"));
    };
    print_missing(tables, documented, "not in docs/records.md");
    print_missing(documented, tables, "only in docs/records.md");
    documented == tables.trim()
}

/// Writes the tables into the document.
pub(crate) fn write(tables: &str) {
    let text = fs::read_to_string(document()).expect("docs/records.md is readable");
    let (before, _, after) = split(&text);
    fs::write(document(), format!("{before}{BEGIN}\n{tables}\n{END}{after}")).expect("docs/records.md is writable");
}
