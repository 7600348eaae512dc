//! Manifests: `lameduck_manifests` over texts of any kind, with libyaml as a second opinion on what they say.
//!
//! The first byte chooses the mode, and whether the rest is the text itself or a tape from which manifests are written.
#![no_main]
#![allow(dead_code)]

#[path = "../../tests/inject/manifests.rs"]
mod manifests;
#[path = "../../tests/inject/view.rs"]
mod view;
#[path = "../../tests/inject/writing.rs"]
mod writing;

use lameduck_manifests::{ContainerSelector, Mode, Request, Setting, inject, remove};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_norway::Value;

const MODES: [Mode; 3] = [Mode::Native, Mode::Classic, Mode::Standalone];

fn request(mode: Mode, grace_period: Option<u64>) -> Request {
    let engine = ContainerSelector { program: Some("impeller".into()), image: Some("self-hosted-engine"), ..ContainerSelector::default() };
    let streams = Setting {
        flag: "streams".into(),
        variable: "LAMEDUCK_STREAMS".into(),
        values: vec!["a{b=\"c\"}".into(), "d".into()],
    };
    Request {
        selector: engine,
        mode,
        image: "registry.example.com/lameduck:0.1.0".into(),
        settings: Vec::from_iter(grace_period.map(|_| streams)),
        grace_period,
        run_as_user: Some(1000),
        port: 8089,
    }
}

/// The manifests with the sidecar, where there is no reason to leave them; what is said of either is never empty.
fn with(text: &str, request: &Request) -> Option<String> {
    match inject(text, request, &|_| Ok(())) {
        Ok(done) => {
            assert!(!done.messages.iter().any(String::is_empty));
            Some(done.text)
        }
        Err(error) => {
            assert!(!error.is_empty());
            None
        }
    }
}

/// Whether the second text is the first with some stretches put in.
fn is_widened(narrow: &str, wide: &str) -> bool {
    let mut wide = wide.bytes();
    narrow.bytes().all(|byte| wide.any(|other| other == byte))
}

/// Whether nothing in a text could be ours, or be a null that is filled: such a text comes back to the byte.
fn is_strange(text: &str, documents: &[Value]) -> bool {
    let text = text.to_ascii_lowercase();
    let ours = ["lameduck", "prestop", "shareprocessnamespace"];
    !documents.iter().any(has_null) && !ours.iter().any(|ours| text.contains(ours))
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Sequence(items) => items.iter().any(has_null),
        Value::Mapping(map) => map.iter().any(|(key, value)| has_null(key) || has_null(value)),
        Value::Tagged(tagged) => has_null(&tagged.value),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What must hold where the text was taken.
fn taken(text: &str, out: &str, request: &Request) {
    let (Some(whole), Some(before)) = (view::view(text), view::without_ours(text)) else { return };
    assert_eq!(with(out, request).as_deref(), Some(out), "a second time changes something");
    let strange = is_strange(text, &whole);
    if request.grace_period.is_none() {
        assert_eq!(view::without_ours(out).as_ref(), Some(&before), "readers see something else in\n{out}");
        assert!(!strange || is_widened(text, out), "something is gone from\n{out}");
    }
    let back = remove(out, &ContainerSelector::default()).expect("what was put in can be taken out").text;
    if request.grace_period.is_none() && strange {
        assert_eq!(back, text, "it was\n{out}");
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((how, rest)) = data.split_first() else { return Corpus::Reject };
    let mode = MODES[usize::from(how & 3) % MODES.len()];
    let request = request(mode, (how & 4 != 0).then_some(600));
    let text = if how & 8 == 0 {
        let Ok(text) = String::from_utf8(rest.to_vec()) else { return Corpus::Reject };
        text
    } else {
        manifests::stream(&mut manifests::Tape::new(rest.to_vec()))
    };
    let _ = remove(&text, &ContainerSelector::default());
    if let Some(out) = with(&text, &request) {
        taken(&text, &out, &request);
    }
    Corpus::Keep
});
