//! Manifests: `lameduck_manifests` on arbitrary texts, with libyaml as a second opinion on their content.
//!
//! The first byte chooses the mode, and whether the rest is the text or a tape of choices from which manifests are
//! generated.
#![no_main]

use lameduck_manifests::{ContainerSelector, Mode, Request, RunAsUser, Setting, inject, remove};
use lameduck_test_support::manifests::{self, libyaml};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_norway::Value;

const MODES: [Mode; 3] = [Mode::Native, Mode::Classic, Mode::Standalone];

fn request(mode: Mode, grace_period: Option<u64>) -> Request {
    let engine = ContainerSelector {
        program: Some("impeller".into()),
        image: Some("self-hosted-engine"),
        ..ContainerSelector::default()
    };
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
        run_as_user: Some(RunAsUser::Uid(1000)),
        port: 8089,
        signal: Some("SIGINT".into()),
        replace_hook: false,
    }
}

/// Injects the sidecar; `None` if the manifests are rejected. Checks that no message is empty.
fn try_inject(text: &str, request: &Request) -> Option<String> {
    match inject(text, request, &|_| Ok(())) {
        Ok(done) => {
            assert!(!done.messages.iter().any(|message| message.to_string().is_empty()));
            Some(done.text)
        }
        Err(error) => {
            assert!(!error.is_empty());
            None
        }
    }
}

/// Returns whether `long` is `short` with insertions only.
fn only_inserts(short: &str, long: &str) -> bool {
    let mut long = long.bytes();
    short.bytes().all(|byte| long.any(|other| other == byte))
}

/// Returns whether a text has nothing of lameduck and no null that injection may fill. Removal restores such a text
/// byte for byte.
fn is_without_lameduck(text: &str, documents: &[Value]) -> bool {
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

/// Checks the result of an injection.
fn check(text: &str, out: &str, request: &Request) {
    let (Some(documents), Some(before)) = (libyaml::parse(text), libyaml::without_lameduck(text)) else { return };
    assert_eq!(try_inject(out, request).as_deref(), Some(out), "a second injection changes something");
    let foreign = is_without_lameduck(text, &documents);
    if request.grace_period.is_none() {
        assert_eq!(libyaml::without_lameduck(out).as_ref(), Some(&before), "the content differs in\n{out}");
        assert!(!foreign || only_inserts(text, out), "bytes are missing in\n{out}");
    }
    let back = remove(out, &ContainerSelector::default()).expect("what was injected can be removed").text;
    if request.grace_period.is_none() && foreign {
        assert_eq!(back, text, "with the sidecar:\n{out}");
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((choices, rest)) = data.split_first() else { return Corpus::Reject };
    let mode = MODES[usize::from(choices & 3) % MODES.len()];
    let request = request(mode, (choices & 4 != 0).then_some(600));
    let text = if choices & 8 == 0 {
        let Ok(text) = String::from_utf8(rest.to_vec()) else { return Corpus::Reject };
        text
    } else {
        manifests::stream(&mut manifests::Tape::new(rest.to_vec()))
    };
    let _ = remove(&text, &ContainerSelector::default());
    if let Some(out) = try_inject(&text, &request) {
        check(&text, &out, &request);
    }
    Corpus::Keep
});
