//! The reference pages agree with the code: the settings with `lameduck sidecar --help`, the metrics with the source.
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The heading and the default of each setting, without marks and quotes.
type Settings = BTreeMap<String, (String, String)>;

fn help() -> String {
    let output = Command::new(lameduck_test_support::process::binary()).args(["sidecar", "--help"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn plain(default: &str) -> String {
    default.replace(['`', '◆'], "").trim().to_owned()
}

fn in_docs() -> Settings {
    let sections = include_str!("../../docs/settings.md").split("\n## ").skip(1);
    sections.flat_map(|section| settings_under(section.lines().next().unwrap(), section)).collect()
}

fn settings_under(heading: &str, section: &str) -> Settings {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `--"));
    rows.map(|row| {
        let mut cells = row.split(" | ");
        let flag = cells.next().unwrap().trim_end_matches('`').to_owned();
        (flag, (heading.to_owned(), plain(cells.next().unwrap())))
    })
    .collect()
}

/// The text after `[key: ` up to the bracket that closes it.
fn bracketed<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("[{key}: "))?;
    let mut depth = 1;
    let end = rest.find(|letter| {
        depth += match letter {
            '[' => 1,
            ']' => -1,
            _ => 0,
        };
        depth == 0
    })?;
    Some(&rest[..end])
}

fn in_help() -> Settings {
    let help = help();
    let mut heading = "";
    let mut settings = Settings::new();
    for part in help.split("\n      --") {
        if let Some(flag) = part.split([' ', '\n', '[']).next().filter(|_| !heading.is_empty()) {
            // Long lines are wrapped.
            let option = part.split_whitespace().collect::<Vec<_>>().join(" ");
            let required = option.contains("[required]").then_some("required");
            let default = bracketed(&option, "default").or_else(|| bracketed(&option, "preset")).or(required);
            settings.insert(flag.to_owned(), (heading.to_owned(), default.unwrap_or("none").to_owned()));
        }
        // A heading ends the last option of the group before it.
        let last = part.lines().next_back().unwrap_or_default();
        heading = last.strip_suffix(':').filter(|last| !last.starts_with(' ')).unwrap_or(heading);
    }
    settings
}

#[test]
fn documented_settings_match_help() {
    let (documented, help) = (in_docs(), in_help());
    assert!(help.len() >= 21, "{help:?}");
    assert_eq!(documented, help);
}

#[test]
fn every_setting_has_an_environment_variable_of_its_name() {
    let help = help();
    for flag in in_help().keys() {
        let variable = format!("[env: LAMEDUCK_{}]", flag.to_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "--{flag} has no {variable}");
    }
}

/// The names that src/io/metrics.rs passes to its functions for metric families.
pub(crate) fn metric_families() -> BTreeSet<&'static str> {
    let source = include_str!("../../src/io/metrics.rs");
    let calls = ["family(", "gauge(", "histogram("].into_iter().flat_map(|call| source.split(call).skip(1));
    let names = calls.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'));
    names.map(|(name, _)| name).collect()
}

#[test]
fn documented_metrics_match_source() {
    let page = include_str!("../../docs/metrics.md");
    let (_, table) = page.split_once("## Families").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    assert_eq!(rows.map(|(name, _)| name).collect::<BTreeSet<_>>(), metric_families());
}
