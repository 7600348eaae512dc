//! Malformed and malicious texts: no panic, and no wrong edit.

use lameduck_manifests::{Mode, inject};
use proptest::prelude::*;

use crate::inject::properties::config;
use crate::inject::support::{CHART, request};
use lameduck_test_support::manifests::libyaml::{parse, without_lameduck};

/// Fragments of YAML.
const FRAGMENTS: &[&str] = &[
    "\n",
    "\r\n",
    " ",
    "  ",
    "\t",
    ":",
    ": ",
    "- ",
    "-",
    "#",
    " # ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "!x ",
    "|",
    ">-",
    "|+\n",
    "\"",
    "'",
    "\\",
    "?",
    "? ",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "~",
    "null",
    "é",
    "𝄞",
    "\u{feff}",
    "\u{2028}",
    "\0",
    "containers:",
    "lifecycle: {}",
    "initContainers: []",
    "name: lameduck",
    "spec:",
];

#[derive(Clone, Debug)]
enum Damage {
    Insert(prop::sample::Index, &'static str),
    Cut(prop::sample::Index, usize),
    CopyLine(prop::sample::Index, prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        (place(), prop::sample::select(FRAGMENTS)).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (place(), 1..20_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        (place(), place()).prop_map(|(from, to)| Damage::CopyLine(from, to)),
    ]
}

fn damaged(text: &str, all: &[Damage]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for damage in all {
        match damage {
            Damage::Insert(at, piece) => {
                let at = at.index(text.len() + 1);
                text.splice(at..at, piece.chars());
            }
            Damage::Cut(at, length) => {
                let at = at.index(text.len() + 1);
                text.drain(at..(at + length).min(text.len()));
            }
            Damage::CopyLine(from, to) => {
                let all: String = text.iter().collect();
                let mut lines: Vec<_> = all.split_inclusive('\n').collect();
                let line = lines.get(from.index(lines.len().max(1))).copied().unwrap_or("");
                lines.insert(to.index(lines.len() + 1), line);
                text = lines.concat().chars().collect();
            }
        }
    }
    text.into_iter().collect()
}

fn modes() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Native, Mode::Classic, Mode::Standalone])
}

/// The part of the chart that injection changes.
fn deployment() -> &'static str {
    let (_, rest) = CHART.split_once("# Source: deepgram-self-hosted/templates/engine/engine.deployment.yaml").unwrap();
    rest.split("---\n").next().unwrap()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn damaged_manifests_are_refused_or_edited_correctly(
        damage in prop::collection::vec(damage(), 1..5), mode in modes()
    ) {
        let text = damaged(deployment(), &damage);
        if let Ok(edited) = inject(&text, &request(mode), &|_| Ok(())) && parse(&text).is_some() {
            prop_assert_eq!(without_lameduck(&text), without_lameduck(&edited.text), "{}\n\n{}", text, edited.text);
            let again = inject(&edited.text, &request(mode), &|_| Ok(())).map(|again| again.text);
            prop_assert_eq!(again, Ok(edited.text));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,40}|[-:{}\\[\\]&*!|>'\"%?#, \na-c\t\r]{0,60}") {
        let _ = inject(&text, &request(Mode::Native), &|_| Ok(()));
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (open, what) in [("[", "flow"), ("{a: ", "flow maps"), ("- ", "block")] {
        let error = inject(&open.repeat(100_000), &request(Mode::Native), &|_| Ok(())).unwrap_err();
        assert!(error.contains("cannot be read") && error.contains("line 1"), "{what}: {error}");
    }
}

#[test]
fn missing_value_at_end_of_text_is_filled_in_place() {
    let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: engine\n    command: [impeller]\n    lifecycle:\n      preStop:";
    let out = inject(text, &request(Mode::Classic), &|_| Ok(())).unwrap().text;
    assert!(out.contains("      preStop: {  httpGet: {path: /prestop, port: 8089}}\n  - name: lameduck\n"), "{out}");
    assert_eq!(without_lameduck(&out), without_lameduck(text), "{out}");
}

/// YAML parsers read a bare carriage return as a line break, which changes the columns.
#[test]
fn bare_carriage_return_is_refused() {
    let pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: engine\n    command: [impeller]\n";
    for text in [&pod.replace('\n', "\r"), &pod.replace("v1\n", "v1\r"), ")a: \r-\r\ra:\r- \r-\r # :\r- \r\r-\r"] {
        let error = inject(text, &request(Mode::Native), &|_| Ok(())).unwrap_err();
        assert!(error.contains("line 1, column ") && error.contains("carriage return"), "{text:?}: {error}");
    }
    assert!(inject(&pod.replace('\n', "\r\n"), &request(Mode::Native), &|_| Ok(())).is_ok());
}

#[test]
fn alias_cycles_terminate() {
    for text in [
        "apiVersion: v1\nkind: Pod\nspec: &a\n  <<: *a\n  containers:\n  - name: engine\n    command: [impeller]\n",
        "apiVersion: v1\nkind: Pod\nspec:\n  containers: &a\n  - *a\n  - name: engine\n    command: [impeller]\n",
        "kind: List\nitems: &a\n- kind: List\n  items: *a\n",
    ] {
        assert!(inject(text, &request(Mode::Native), &|_| Ok(())).is_err(), "{text}");
    }
}
