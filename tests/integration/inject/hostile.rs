//! Texts that are not what they should be: never a panic, and never harm.

use lameduck_manifests::inject;
use lameduck_manifests::sidecar_spec::Mode;
use proptest::prelude::*;

use crate::inject::properties::config;
use crate::inject::support::{CHART, request};
use lameduck_test_support::manifests::view::{view, without_ours};

/// What YAML is made of.
const PIECES: &[&str] = &[
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
        (place(), prop::sample::select(PIECES)).prop_map(|(at, piece)| Damage::Insert(at, piece)),
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

fn shapes() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Native, Mode::Classic, Mode::Standalone])
}

/// The part of the chart that is changed: damage elsewhere is only looked over.
fn deployment() -> &'static str {
    let (_, rest) = CHART.split_once("# Source: deepgram-self-hosted/templates/engine/engine.deployment.yaml").unwrap();
    rest.split("---\n").next().unwrap()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn damaged_manifests_are_refused_or_done_right(
        damage in prop::collection::vec(damage(), 1..5), shape in shapes()
    ) {
        let text = damaged(deployment(), &damage);
        if let Ok(done) = inject(&text, &request(shape), &|_| Ok(())) && view(&text).is_some() {
            prop_assert_eq!(without_ours(&text), without_ours(&done.text), "{}\n\n{}", text, done.text);
            let again = inject(&done.text, &request(shape), &|_| Ok(())).map(|again| again.text);
            prop_assert_eq!(again, Ok(done.text));
        }
    }

    #[test]
    fn any_text_is_taken_or_refused(text in "\\PC{0,40}|[-:{}\\[\\]&*!|>'\"%?#, \na-c\t\r]{0,60}") {
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
fn a_value_that_is_missing_at_the_very_end_is_filled_before_anything_follows() {
    let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: engine\n    command: [impeller]\n    lifecycle:\n      preStop:";
    let out = inject(text, &request(Mode::Classic), &|_| Ok(())).unwrap().text;
    assert!(out.contains("      preStop: {httpGet: {path: /prestop, port: 8089}}\n  - name: lameduck\n"), "{out}");
    assert_eq!(without_ours(&out), without_ours(text), "{out}");
}

/// SourcePoller of YAML take a lone one for a line end, and what stands in which column is another matter then.
#[test]
fn carriage_returns_alone_are_refused() {
    let pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: engine\n    command: [impeller]\n";
    for text in [&pod.replace('\n', "\r"), &pod.replace("v1\n", "v1\r"), ")a: \r-\r\ra:\r- \r-\r # :\r- \r\r-\r"] {
        let error = inject(text, &request(Mode::Native), &|_| Ok(())).unwrap_err();
        assert!(error.contains("line 1, column ") && error.contains("carriage return"), "{text:?}: {error}");
    }
    assert!(inject(&pod.replace('\n', "\r\n"), &request(Mode::Native), &|_| Ok(())).is_ok());
}

#[test]
fn circles_of_aliases_come_to_an_end() {
    for text in [
        "apiVersion: v1\nkind: Pod\nspec: &a\n  <<: *a\n  containers:\n  - name: engine\n    command: [impeller]\n",
        "apiVersion: v1\nkind: Pod\nspec:\n  containers: &a\n  - *a\n  - name: engine\n    command: [impeller]\n",
        "kind: List\nitems: &a\n- kind: List\n  items: *a\n",
    ] {
        assert!(inject(text, &request(Mode::Native), &|_| Ok(())).is_err(), "{text}");
    }
}
