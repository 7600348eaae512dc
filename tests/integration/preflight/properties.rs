//! Hostile and broken manifests: each gets findings or an error with a place, and never a panic.
//!
//! `LAMEDUCK_MANIFESTS` sets the number of changed manifests per property.

use std::fmt::Write;

use lameduck::commands::check::manifests::check_text;
use lameduck_manifests::preflight::{Evaluation, Object, Options, Preflight};
use proptest::prelude::*;
use serde_norway::Value;

use super::support::{Base, NATIVE, config, findings, preflight_with, problems};

/// Values of wrong types and ranges.
const ODD_VALUES: [&str; 24] = [
    "null",
    "''",
    "0",
    "-1",
    "1.5",
    "true",
    "[]",
    "{}",
    "[[[]]]",
    "'8089'",
    "99999999999999999999",
    "1e400",
    ".nan",
    "$(A)",
    "[null]",
    "{name: null}",
    "{a: {b: {c: []}}}",
    "[sidecar]",
    "--grace-period",
    "\"\\u0000\\u202e\"",
    "lameduck",
    "0777",
    "{httpGet: {path: [], port: {}}}",
    "{exec: {command: {a: b}}}",
];
/// Pieces of text that mean something in YAML.
const ODD_TEXTS: [&str; 16] =
    ["\n", "  ", "- ", ": ", "{", "}", "[", "]", "&a ", "*a", "<<: *a", "|\n", "'", "\"", "---\n", "!!int "];

fn bases() -> impl Strategy<Value = Base> {
    prop::sample::select(vec![Base::Native, Base::Classic, Base::Standalone, Base::TwoContainers])
}

/// Replaces, adds or removes the value that the choices lead to.
fn disturb(value: &mut Value, choices: &[u8], odd: &str) {
    let odd_value = || serde_norway::from_str(odd).unwrap_or(Value::Null);
    let Some((choice, rest)) = choices.split_first() else {
        *value = odd_value();
        return;
    };
    let choice = usize::from(*choice);
    match value {
        Value::Sequence(items) if !items.is_empty() => {
            let index = choice % items.len();
            match choice % 13 {
                0 => drop(items.remove(index)),
                1 => items.push(odd_value()),
                2 => items.push(items[index].clone()),
                _ => disturb(&mut items[index], rest, odd),
            }
        }
        Value::Mapping(map) if !map.is_empty() => {
            let key = map.keys().nth(choice % map.len()).unwrap().clone();
            if choice % 13 == 0 {
                map.remove(&key);
            } else {
                disturb(&mut map[&key], rest, odd);
            }
        }
        Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Tagged(_) => *value = odd_value(),
    }
}

/// Checks a text, and that every finding has a detail.
fn check(text: &str) -> Option<Preflight> {
    match check_text(text, &Options::default()) {
        Ok(preflight) => {
            for finding in preflight.objects.iter().flat_map(|object| &object.findings) {
                assert!(!finding.detail.is_empty(), "{finding:?}");
                if let Evaluation::Fail { fix } | Evaluation::Warn { fix } = &finding.evaluation {
                    assert!(!fix.is_empty(), "{finding:?}");
                }
            }
            Some(preflight)
        }
        Err(error) => {
            assert!(error.line > 0 && !error.message.is_empty(), "{error}");
            None
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn odd_values_cause_no_panic(
        base in bases(),
        changes in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), prop::sample::select(&ODD_VALUES[..])), 1..6),
    ) {
        let mut manifest = base.manifest();
        for (choices, odd) in &changes {
            let spec = &mut manifest["spec"]["template"]["spec"];
            if spec.is_mapping() {
                disturb(spec, choices, odd);
            }
        }
        let text = serde_norway::to_string(&manifest).unwrap();
        prop_assert!(check(&text).is_some(), "{text}");
        if let Ok(json) = serde_json::to_string(&manifest) {
            check(&json);
        }
    }

    #[test]
    fn findings_do_not_depend_on_the_serialization(
        base in bases(),
        kind in prop::sample::select(vec!["Deployment", "Rollout", "ReplicationController", "Widget"]),
        changes in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), prop::sample::select(&ODD_VALUES[..12])), 0..4),
    ) {
        let mut manifest = base.manifest();
        manifest["kind"] = kind.into();
        for (choices, odd) in &changes {
            disturb(&mut manifest["spec"]["template"]["spec"], choices, odd);
        }
        prop_assume!(manifest["spec"]["template"]["spec"].is_mapping());
        let json = serde_json::to_string(&manifest).unwrap();
        let resource_list = format!(r#"{{"kind": "ResourceList", "functionConfig": {{}}, "items": [{json}]}}"#);
        let all = [
            format!("{json}{json}"),
            format!("{json}\n{{\"kind\": \"ConfigMap\"}}\n"),
            format!("{{}}{}", serde_json::to_string_pretty(&manifest).unwrap()),
            resource_list,
        ];
        let rules = |text: &str| {
            let objects = check(text).unwrap().objects;
            let rules = |object: &Object| -> Vec<_> {
                object.findings.iter().map(|finding| (finding.rule, finding.evaluation.clone())).collect()
            };
            objects.iter().map(rules).next()
        };
        let expected = rules(&json);
        for text in all {
            prop_assert_eq!(rules(&text), expected.clone(), "{}", text);
        }
    }

    #[test]
    fn odd_texts_cause_no_panic(
        places in prop::collection::vec((0..NATIVE.len(), 0..60_usize, prop::sample::select(&ODD_TEXTS[..])), 1..5),
    ) {
        let mut text = NATIVE.to_owned();
        for (at, length, odd) in places {
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            text.replace_range(start..end, odd);
        }
        check(&text);
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        assert!(check(&text).is_none());
    }
    let error = check_text(&format!("kind: Pod\nspec: {}", "[".repeat(1000)), &Options::default()).unwrap_err();
    assert_eq!(error.line, 2, "{error}");
}

#[test]
fn lists_in_lists_end() {
    let deep = "{kind: List, items: [".repeat(100) + &"]}".repeat(100);
    assert_eq!(check(&deep).unwrap().objects, []);
    check("&a {kind: List, items: [*a, *a]}");
    check("kind: List\nitems: &a [*a, *a]\n");
    check("&a kind: List\nitems: [{kind: Pod, spec: *a}]\n");
}

#[test]
fn alias_bomb_is_not_expanded() {
    let mut text = "kind: Pod\nmetadata: {name: x}\na0: &a0 [x, x]\n".to_owned();
    for level in 1..30 {
        let below = level - 1;
        writeln!(text, "a{level}: &a{level} [{}]", vec![format!("*a{below}"); 9].join(", ")).unwrap();
    }
    text += "spec:\n  containers: [{name: *a29, image: *a29, env: *a29, args: *a29}, {name: lameduck, args: [sidecar], env: *a29}]\n";
    assert_eq!(check(&text).unwrap().objects.len(), 1);
}

#[test]
fn references_that_double_a_value_are_not_expanded() {
    let mut env = "[{name: V0, value: xxxxxxxx}".to_owned();
    for level in 1..64 {
        let below = level - 1;
        write!(env, ", {{name: V{level}, value: '$(V{below})$(V{below})'}}").unwrap();
    }
    env += ", {name: LAMEDUCK_TARGET, value: $(V63)}, {name: LAMEDUCK_GRACE_PERIOD, value: '600'}]";
    let mut manifest = Base::Native.manifest();
    manifest["spec"]["template"]["spec"]["initContainers"][0]["env"] = serde_norway::from_str(&env).unwrap();
    assert!(problems(&findings(&serde_norway::to_string(&manifest).unwrap())).is_empty());
}

#[test]
fn huge_scalars_are_read() {
    let long = "x".repeat(1 << 17);
    let text = NATIVE
        .replace("/prestop", &format!("/{long}"))
        .replace("args: [sidecar]", &format!("args: [sidecar, --target={long}, --lame-duck={long}]"));
    let findings = findings(&text);
    assert!(!problems(&findings).is_empty());
    assert!(findings.iter().all(|finding| finding.detail.len() < 1000), "details are short");
}

#[test]
fn empty_streams_have_no_objects() {
    for text in ["", "---\n", "# nothing\n", "null\n", "---\n---\n", "5\n", "[]\n", "\u{feff}"] {
        assert_eq!(preflight_with(text, &Options::default()), Preflight::default(), "{text:?}");
    }
}
