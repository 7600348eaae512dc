//! The README's table of settings is held against `lameduck sidecar --help`.
use std::collections::BTreeMap;
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

fn in_readme() -> Settings {
    let rows = include_str!("../README.md").lines().filter_map(|line| line.strip_prefix("| `--"));
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
fn the_readme_names_every_setting_with_its_true_default() {
    let (readme, help) = (in_readme(), in_help());
    assert!(help.len() >= 21, "{help:?}");
    assert_eq!(readme, help);
}

#[test]
fn every_setting_has_an_environment_variable_of_its_name() {
    let help = help();
    for flag in in_help().keys() {
        let variable = format!("[env: LAMEDUCK_{}]", flag.to_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "--{flag} has no {variable}");
    }
}
