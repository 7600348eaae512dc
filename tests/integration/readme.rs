//! The reference pages agree with the code: the settings with `lameduck sidecar --help`, the metrics with the source.
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What is said of a setting: its default, without marks and quotes.
type Settings = BTreeMap<String, String>;

fn help() -> String {
    let output = Command::new(lameduck_test_support::process::binary()).args(["sidecar", "--help"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn plain(default: &str) -> String {
    default.replace(['`', '◆'], "").trim().to_owned()
}

fn in_docs() -> Settings {
    let rows = include_str!("../../docs/settings.md").lines().filter_map(|line| line.strip_prefix("| `--"));
    rows.map(|row| {
        let mut cells = row.split(" | ");
        let flag = cells.next().unwrap().trim_end_matches('`').to_owned();
        (flag, plain(cells.next().unwrap()))
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
    let options = help.split("\n      --").skip(1);
    options
        .map(|option| {
            // Long lines are wrapped.
            let option = option.split_whitespace().collect::<Vec<_>>().join(" ");
            let flag = option.split(' ').next().unwrap().to_owned();
            let required = option.contains("[required]").then_some("required");
            let default = bracketed(&option, "default").or_else(|| bracketed(&option, "preset")).or(required);
            (flag, default.unwrap_or("none").to_owned())
        })
        .collect()
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
fn metric_families() -> BTreeSet<&'static str> {
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
