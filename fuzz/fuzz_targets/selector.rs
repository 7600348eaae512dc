//! Selectors: `lameduck_parsers::selector` against a reference parser, and its patterns against the regex crate.
//!
//! The first byte holds choices. The rest is separated by NUL: a selector, and the name, labels and label values of a
//! series.
#![no_main]

use lameduck_fuzz::selector::{self, Parsed};
use lameduck_parsers::selector::{Reason, Selector};
use libfuzzer_sys::{Corpus, fuzz_target};
use regex::bytes::RegexBuilder;

/// Returns whether an ASCII pattern matches a whole ASCII value; `None` if the regex crate cannot tell.
///
/// Over bytes and without Unicode the regex crate agrees with RE2 as Prometheus uses it, but for classes, braces, and a
/// few escapes, which tests/prometheus-parser compares with Prometheus itself.
fn matches(pattern: &str, value: &str) -> Option<bool> {
    let differs = ["[", "{", r"\s", r"\S", r"\<", r"\>", "(?"].iter().any(|part| pattern.contains(part));
    if differs || !pattern.is_ascii() || !value.is_ascii() || pattern.len() > 64 {
        return None;
    }
    let regex = RegexBuilder::new(&format!("^(?s:{pattern})$")).unicode(false).size_limit(1 << 20).build();
    Some(regex.ok()?.is_match(value.as_bytes()))
}

fn unknown(_: &str, _: &str) -> Option<bool> {
    None
}

/// Checks a selector that was accepted.
fn check_accepted(selector: &Selector, expected: &Parsed) {
    assert_eq!(selector.name(), expected.name.as_deref());
    let text = selector.to_string();
    assert_eq!(text.parse::<Selector>().as_ref(), Ok(selector), "displayed as {text}");
    assert_eq!(selector::parse(&text).as_ref(), Some(expected), "displayed as {text}");
}

/// Checks a selector that was rejected.
fn check_rejected(reason: &Reason, expected: Option<&Parsed>, use_regex: bool) {
    match (reason, expected) {
        // An invalid pattern hides what follows it.
        (Reason::InvalidPattern(_), _) | (_, None) => {}
        (Reason::MatchesEverything, Some(expected)) => {
            let everything =
                if use_regex { expected.matches_everything(&matches) } else { expected.matches_everything(&unknown) };
            assert_ne!(everything, Some(false), "{expected:?}");
        }
        (reason, Some(expected)) => panic!("{reason:?}, expected {expected:?}"),
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((choices, text)) = data.split_first() else { return Corpus::Reject };
    let Ok(text) = str::from_utf8(text) else { return Corpus::Reject };
    let mut parts = text.split('\0');
    let text = parts.next().unwrap_or_default();
    let use_regex = choices & 1 != 0;

    let expected = selector::parse(text);
    let selector = match text.parse::<Selector>() {
        Ok(selector) => selector,
        Err(error) => {
            check_rejected(&error.reason, expected.as_ref(), use_regex);
            assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}");
            assert!(!error.to_string().is_empty());
            return Corpus::Keep;
        }
    };
    let Some(expected) = expected else { panic!("{selector:?} was accepted") };
    check_accepted(&selector, &expected);

    let name = parts.next().unwrap_or_default();
    let labels: Vec<(&str, &str)> = std::iter::from_fn(|| Some((parts.next()?, parts.next()?))).take(8).collect();
    let find = |name: &str| labels.iter().find(|(label, _)| *label == name).map(|(_, value)| *value);
    let is_match = selector.matches(name, find);
    assert!(!is_match || selector.could_match(name));
    let value = |label: &str| find(label).unwrap_or_default().to_owned();
    let expected_match =
        if use_regex { expected.matches(name, value, &matches) } else { expected.matches(name, value, &unknown) };
    assert!(expected_match.is_none_or(|expected| expected == is_match), "{is_match}: {expected:?}");
    if use_regex {
        assert_ne!(expected.matches_everything(&matches), Some(true), "{expected:?}");
    }
    Corpus::Keep
});
