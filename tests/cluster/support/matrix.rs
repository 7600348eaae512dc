//! The table of all records, and its copy in docs/records.md.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::support::cluster::repository;

/// The lines between which the table is in the document.
const BEGIN: &str = "<!-- begin: tests/cluster/run --write-docs -->\n";
const END: &str = "<!-- end: tests/cluster/run --write-docs -->\n";

const HEAD: &str = "\
| scenario | clients saw | termination message | last record in the log | exit code | metrics |
|---|---|---|---|---|---|
";

/// The rows of the scenarios that have passed.
static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// What the records of one scenario say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// Its position in the table.
    pub(crate) position: usize,
    pub(crate) cells: Vec<String>,
    /// Whether the records said what the table shows. Otherwise a process was delayed by seconds.
    pub(crate) is_usual: bool,
}

/// What becomes of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Documents {
    /// The document must have the same table.
    Check,
    /// The table is written into the document.
    Write,
}

pub(crate) fn add(row: Row) {
    ROWS.lock().expect("no thread panics here").push(row);
}

/// Prints the table, and checks or writes the document if it has all `rows`. Returns false if that fails, or if delays
/// would have to explain most of the rows.
pub(crate) fn finish(rows: usize, documents: Documents) -> bool {
    let mut found = ROWS.lock().expect("no thread panics here").clone();
    if found.is_empty() {
        return documents == Documents::Check;
    }
    found.sort();
    let lines: Vec<String> = found.iter().map(|row| format!("| {} |", row.cells.join(" | "))).collect();
    let table = format!("{HEAD}{}\n", lines.join("\n"));
    println!("\n{table}");
    let unusual = found.iter().filter(|row| !row.is_usual).count();
    println!("records: {unusual} of {} scenarios with records that only delays explain", found.len());
    if unusual * 2 > rows {
        return false;
    }
    match documents {
        // Some scenarios were not selected, or have failed.
        Documents::Check if found.len() < rows => true,
        Documents::Check => is_documented(&table),
        Documents::Write if found.len() < rows => {
            println!("docs/records.md is unchanged: {} of {rows} scenarios have a row", found.len());
            false
        }
        Documents::Write => {
            write(&table);
            true
        }
    }
}

fn document() -> PathBuf {
    repository("docs/records.md")
}

/// The document's text before the table, the table, and the text after it.
fn split(text: &str) -> (&str, &str, &str) {
    let (before, rest) = text.split_once(BEGIN).expect("docs/records.md has the line that begins the table");
    let (table, after) = rest.split_once(END).expect("docs/records.md has the line that ends the table");
    (before, table.trim(), after)
}

/// Whether the document has this table; prints the lines that differ.
fn is_documented(table: &str) -> bool {
    let text = fs::read_to_string(document()).expect("docs/records.md is readable");
    let (_, documented, _) = split(&text);
    let print_missing = |from: &str, other: &str, place: &str| {
        let missing = from.lines().filter(|line| !other.lines().any(|found| found == *line));
        missing.for_each(|line| println!("{place}: {line}"));
    };
    print_missing(table, documented, "not in docs/records.md");
    print_missing(documented, table, "only in docs/records.md");
    documented == table.trim()
}

fn write(table: &str) {
    let text = fs::read_to_string(document()).expect("docs/records.md is readable");
    let (before, _, after) = split(&text);
    fs::write(document(), format!("{before}{BEGIN}\n{table}\n{END}{after}")).expect("docs/records.md is writable");
}
