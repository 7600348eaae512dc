//! Selectors: `lameduck_parsers::selector` against a plain reader, and its patterns against the regex crate.
//!
//! The input is a byte of choices, a selector, and a series: name, then labels and their values, with a zero between
//! each two.
#![no_main]

use lameduck_parsers::selector::{Reason, Selector};
use lameduck_fuzz::selector::{self, Plain};
use libfuzzer_sys::{Corpus, fuzz_target};
use regex::bytes::RegexBuilder;

/// Whether an ASCII pattern matches the whole of an ASCII value; `None` where that cannot be told.
///
/// Over bytes and without Unicode the regex crate agrees with RE2 as Prometheus uses it, and so must lameduck.
fn matches(pattern: &str, value: &str) -> Option<bool> {
    if !pattern.is_ascii() || !value.is_ascii() || pattern.len() > 64 {
        return None;
    }
    let regex = RegexBuilder::new(&format!("^(?s:{pattern})$")).unicode(false).size_limit(1 << 20).build();
    Some(regex.ok()?.is_match(value.as_bytes()))
}

fn unknown(_: &str, _: &str) -> Option<bool> {
    None
}

/// What must hold for a selector that was taken.
fn taken(selector: &Selector, plain: &Plain) {
    assert_eq!(selector.name(), plain.name.as_deref());
    let shown = selector.to_string();
    assert_eq!(shown.parse::<Selector>().as_ref(), Ok(selector), "shown as {shown}");
    assert_eq!(selector::read(&shown).as_ref(), Some(plain), "shown as {shown}");
}

/// What must hold for one that was refused.
fn refused(reason: &Reason, plain: Option<&Plain>, asks: bool) {
    match (reason, plain) {
        // The first pattern that is unsound hides what comes after it.
        (Reason::Pattern(_) | Reason::ForeignEscape(_), _) | (_, None) => {}
        (Reason::MatchesEverything, Some(plain)) => {
            let everything = if asks { plain.matches_everything(&matches) } else { plain.matches_everything(&unknown) };
            assert_ne!(everything, Some(false), "{plain:?}");
        }
        (reason, Some(plain)) => panic!("{reason:?}, and not {plain:?}"),
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((how, text)) = data.split_first() else { return Corpus::Reject };
    let Ok(text) = str::from_utf8(text) else { return Corpus::Reject };
    let mut parts = text.split('\0');
    let text = parts.next().unwrap_or_default();
    let asks = how & 1 != 0;

    let plain = selector::read(text);
    let selector = match text.parse::<Selector>() {
        Ok(selector) => selector,
        Err(error) => {
            refused(&error.reason, plain.as_ref(), asks);
            assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}");
            assert!(!error.to_string().is_empty());
            return Corpus::Keep;
        }
    };
    let Some(plain) = plain else { panic!("{selector:?} was taken") };
    taken(&selector, &plain);

    let name = parts.next().unwrap_or_default();
    let labels: Vec<(&str, &str)> = std::iter::from_fn(|| Some((parts.next()?, parts.next()?))).take(8).collect();
    let find = |wanted: &str| labels.iter().find(|(label, _)| *label == wanted).map(|(_, value)| *value);
    let ours = selector.matches(name, find);
    assert!(!ours || selector.could_match(name));
    let value = |label: &str| find(label).unwrap_or_default().to_owned();
    let plainly = if asks { plain.matches(name, value, &matches) } else { plain.matches(name, value, &unknown) };
    assert!(plainly.is_none_or(|plainly| plainly == ours), "{plainly:?}, and not {ours}: {plain:?}");
    if asks {
        assert_ne!(plain.matches_everything(&matches), Some(true), "{plain:?}");
    }
    Corpus::Keep
});
