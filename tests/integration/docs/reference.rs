//! The reference pages list every route, warning, outcome, exit code and reason that the code has, and no other.

use std::collections::{BTreeMap, BTreeSet};

use lameduck::reasons::{Reasons, Wanted};
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::{ReadError, ReadErrorKind, Source};
use lameduck_machine::result::Outcome;
use lameduck_machine::target::SignalBlocker;
use lameduck_machine::warnings::Warning;

use super::read;

/// The section of a page under this heading, up to the next heading of the same or a higher level.
fn section(page: &str, heading: &str) -> String {
    let text = format!("\n{}", read(page));
    let (_, rest) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{page}: no {heading:?}"));
    let level = heading.split(' ').next().unwrap().len();
    let is_end = |line: &&str| line.starts_with('#') && line.split(' ').next().unwrap().len() <= level;
    rest.lines().take_while(|line| !is_end(line)).collect::<Vec<_>>().join("\n")
}

/// The code spans in the first cell of each row.
fn first_cells(section: &str) -> impl Iterator<Item = &str> {
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2))
}

fn set(names: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
    names.into_iter().map(Into::into).collect()
}

#[test]
fn every_route_is_documented() {
    let section = section("docs/http.md", "# HTTP interface");
    let (table, _) = section.split_once("\n## ").unwrap();
    let documented = first_cells(table).filter_map(|route| route.split_once(' ')).map(|(_, path)| path);
    let code = include_str!("../../../src/io/hook.rs");
    let paths = code.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/') && text.len() > 1);
    assert_eq!(set(documented), set(paths));
}

#[test]
fn every_warning_is_documented() {
    let section = section("docs/drain.md", "### Warnings");
    assert_eq!(set(first_cells(&section)), set(Warning::ALL.map(Warning::name)));
}

#[test]
fn every_outcome_is_documented() {
    let outcome = section("docs/http.md", "## Outcome");
    let row = outcome.lines().find(|line| line.starts_with("| `outcome` |")).unwrap();
    let cases = section("docs/drain.md", "## Cases");
    let in_cases =
        cases.lines().filter_map(|line| line.split(" | ").nth(1)).flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let names = set(Outcome::ALL.map(Outcome::name));
    assert_eq!(set(row.split('`').skip(3).step_by(2)), names);
    let in_cases = set(in_cases);
    assert!(names.is_subset(&in_cases), "{in_cases:?}");
}

#[test]
fn every_exit_code_is_documented() {
    let section = section("docs/commands.md", "## Exit codes");
    let code = include_str!("../../../src/commands.rs");
    let (_, arms) = code.split_once("fn code(self)").unwrap();
    let (arms, _) = arms.split_once("\n    }\n").unwrap();
    let codes = arms.split("=> ").skip(1).map(|rest| rest.split(',').next().unwrap());
    // `lameduck run` ends with any code of its command.
    let codes = codes.filter(|code| *code != "code");
    assert_eq!(set(first_cells(&section)), set(codes));
}

/// Every reason. The compiler notices a new variant in [`name`]; add it here too.
fn reasons() -> Vec<NotReady> {
    let cannot_signal = |blocker| NotReady::CannotSignal { pid: 7, signal: "SIGINT".into(), blocker };
    vec![
        NotReady::Starting,
        NotReady::NotFound,
        NotReady::Ambiguous(vec![7, 8]),
        cannot_signal(SignalBlocker::NotPermitted { errno: 1, theirs: 0, ours: 1000 }),
        cannot_signal(SignalBlocker::NotCaught),
        cannot_signal(SignalBlocker::CaughtUnknown),
        NotReady::FirstPoll,
        NotReady::SourceAbsent { source: Source::Metrics, missing: vec![0] },
        NotReady::SourceUnknown(ReadError::new(ReadErrorKind::ConnectionRefused, "connection refused")),
        NotReady::AtCapacity { limit: 3 },
        NotReady::LameDuck,
        NotReady::Draining,
        NotReady::Done,
    ]
}

const fn name(reason: &NotReady) -> &'static str {
    match reason {
        NotReady::Starting => "starting",
        NotReady::NotFound => "not found",
        NotReady::Ambiguous(_) => "ambiguous",
        NotReady::CannotSignal { blocker: SignalBlocker::NotPermitted { .. }, .. } => "not permitted",
        NotReady::CannotSignal { blocker: SignalBlocker::NotCaught, .. } => "not caught",
        NotReady::CannotSignal { blocker: SignalBlocker::CaughtUnknown, .. } => "caught unknown",
        NotReady::FirstPoll => "first poll",
        NotReady::SourceAbsent { .. } => "source absent",
        NotReady::SourceUnknown(_) => "source unknown",
        NotReady::AtCapacity { .. } => "at capacity",
        NotReady::LameDuck => "lame duck",
        NotReady::Draining => "draining",
        NotReady::Done => "done",
    }
}

#[test]
fn every_readiness_reason_is_documented() {
    let section = section("docs/troubleshooting.md", "## The pod does not become ready");
    let documented: Vec<&str> = first_cells(&section).map(|reason| reason.trim_end_matches("SIG…")).collect();
    let texts = Reasons::new(Wanted::default());
    let mut explained = BTreeMap::new();
    for reason in reasons() {
        let text = texts.not_ready(&reason);
        let entry = documented.iter().find(|entry| text.starts_with(**entry));
        explained.insert(name(&reason), *entry.unwrap_or_else(|| panic!("not documented: {text}")));
    }
    assert_eq!(explained.len(), reasons().len());
    assert_eq!(set(explained.into_values()), set(documented), "a documented reason does not exist");
}
