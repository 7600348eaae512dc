//! The JSON Schemas of the status and the outcome agree with the code and with the documents.
//! `lifecycle::schemas` checks the answers of real sidecars.

use std::collections::BTreeSet;

use lameduck_machine::reading::Source;
use lameduck_machine::result::{Outcome, Trigger};
use lameduck_machine::snapshot::Phase;
use lameduck_machine::warnings::Warning;
use lameduck_test_support::json_schema::{Schema, properties};
use serde_json::{Value, json};

const OUTCOME: &str = "outcome.json";
const STATUS: &str = "status.json";
/// The documents with examples of the outcome or of the status.
const DOCUMENTS: [&str; 3] =
    [include_str!("../../README.md"), include_str!("../../docs/http.md"), include_str!("../../docs/drain.md")];

fn outcome() -> Value {
    json!({
        "id": "6f0c2d9be1a74b13", "outcome": "drained", "streams_at_start": 14, "streams_at_signal": null,
        "stragglers": 0, "idle_streams": 0, "seconds": 723.4, "signal": "SIGRTMIN+3", "warnings": ["no_hook"],
    })
}

fn status() -> Value {
    json!({
        "phase": "serving", "streams": 3, "idle_streams": null,
        "sources": [{"name": "lazy", "state": "absent", "streams": null, "error": "why", "age_seconds": 0.4}],
        "disagreement_seconds": null, "target": {"pid": 17, "name": "impeller", "alive": true},
        "drain": {"trigger": "hook", "elapsed_seconds": 1, "remaining_seconds": 2.5, "streams_at_start": 3, "signalled": false},
        "outcome": outcome(), "durations": null, "version": "0.1.0",
    })
}

/// The value with another one at this place.
fn with(mut value: Value, pointer: &str, other: impl Into<Value>) -> Value {
    *value.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = other.into();
    value
}

fn assert_violation(schema: &str, value: &Value, expected: &str) {
    let violations = Schema::load(schema).violations(value);
    assert!(violations.iter().any(|violation| violation.starts_with(expected)), "no {expected:?} in {violations:?}");
}

#[test]
fn schemas_accept_valid_values() {
    assert_eq!(Schema::load(OUTCOME).violations(&outcome()), [""; 0]);
    assert_eq!(Schema::load(STATUS).violations(&status()), [""; 0]);
}

#[test]
fn schemas_reject_each_kind_of_mistake() {
    for (pointer, other) in [
        ("/id", json!("6f0c")),
        ("/outcome", json!("unserved")),
        ("/streams_at_start", json!(-1)),
        ("/stragglers", json!(0.5)),
        ("/idle_streams", Value::Null),
        ("/seconds", json!("1")),
        ("/signal", json!("9")),
        ("/warnings/0", json!("other")),
    ] {
        assert_violation(OUTCOME, &with(outcome(), pointer, other.clone()), &format!("{pointer}: "));
        let pointer = format!("/outcome{pointer}");
        assert_violation(STATUS, &with(status(), &pointer, other), &format!("{pointer}: "));
    }
    for (pointer, other) in [
        ("/phase", json!("idle")),
        ("/sources/0/name", json!("page")),
        ("/sources/0/state", json!("failed")),
        ("/target/pid", json!(0)),
        ("/target/alive", json!("true")),
        ("/drain/trigger", json!("user")),
        ("/drain/remaining_seconds", json!(-0.1)),
        ("/durations", json!([])),
    ] {
        assert_violation(STATUS, &with(status(), pointer, other), &format!("{pointer}: "));
    }
}

#[test]
fn schemas_reject_missing_and_unknown_properties() {
    for name in outcome().as_object().unwrap().keys() {
        let mut value = outcome();
        value.as_object_mut().unwrap().remove(name);
        assert_violation(OUTCOME, &value, &format!("/{name}: missing"));
    }
    for name in status().as_object().unwrap().keys() {
        let mut value = status();
        value.as_object_mut().unwrap().remove(name);
        assert_violation(STATUS, &value, &format!("/{name}: missing"));
    }
    for pointer in ["", "/sources/0", "/target", "/drain", "/outcome"] {
        let mut value = status();
        value.pointer_mut(pointer).unwrap()["other"] = 1.into();
        assert_violation(STATUS, &value, &format!("{pointer}/other: the schema does not name"));
    }
}

#[test]
fn schemas_list_the_values_of_the_code() {
    let (outcome, status) = (Schema::load(OUTCOME), Schema::load(STATUS));
    let sources = [Source::Metrics, Source::Lazy, Source::Sockets, Source::Status];
    for (schema, pointer, names) in [
        (&outcome, "/properties/outcome", Outcome::ALL.map(Outcome::name).to_vec()),
        (&outcome, "/properties/warnings/items", Warning::ALL.map(Warning::name).to_vec()),
        (&status, "/properties/phase", Phase::ALL.map(Phase::name).to_vec()),
        (&status, "/$defs/drain/properties/trigger", Trigger::ALL.map(Trigger::name).to_vec()),
        (&status, "/$defs/source/properties/name", sources.map(Source::name).to_vec()),
    ] {
        assert_eq!(schema.root.pointer(pointer).unwrap()["enum"], json!(names), "{pointer}");
    }
}

/// Every property is required: lameduck writes null instead of leaving a property out.
#[test]
fn schemas_require_every_property() {
    fn check(schema: &Value) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let required = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            assert_eq!(required.collect::<BTreeSet<_>>(), properties.keys().map(String::as_str).collect());
        }
        for (_, inner) in schema.as_object().into_iter().flatten() {
            check(inner);
        }
    }
    for file in [OUTCOME, STATUS] {
        check(&Schema::load(file).root);
    }
}

/// The section of docs/http.md under this heading.
fn section(heading: &str) -> &'static str {
    let (_, rest) = DOCUMENTS[1].split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_property_is_documented() {
    for (file, heading) in [(OUTCOME, "Outcome"), (STATUS, "Status")] {
        let root = Schema::load(file).root;
        let named: BTreeSet<String> = properties(&root).into_iter().collect();
        let rows = section(heading).lines().filter(|line| line.starts_with("| `"));
        let documented: BTreeSet<&str> = rows.clone().flat_map(code_spans).flat_map(parts).collect();
        let missing: Vec<_> = named.iter().filter(|name| !documented.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{heading}: {missing:?} have no row");
        let first_cells = rows.map(|row| row[2..].split(" | ").next().unwrap());
        for name in first_cells.flat_map(code_spans).flat_map(parts) {
            assert!(named.contains(name), "{heading}: {file} has no property {name}");
        }
    }
}

/// The names in a path such as `sources[].name`.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').map(|part| part.trim_end_matches("[]"))
}

#[test]
fn documented_examples_match_schemas() {
    let blocks = DOCUMENTS.into_iter().flat_map(|document| document.split("```json\n").skip(1));
    let examples = blocks.map(|block| block.split_once("```").unwrap().0);
    let mut count = 0;
    for example in examples.map(|text| serde_json::from_str::<Value>(text).unwrap()) {
        let file = if example.get("phase").is_some() { STATUS } else { OUTCOME };
        assert_eq!(Schema::load(file).violations(&example), [""; 0], "{example}");
        count += 1;
    }
    assert_eq!(count, 4);
}
