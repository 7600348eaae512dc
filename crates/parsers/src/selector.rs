//! Which series count as streams: `PromQL` instant selectors, as an operator knows them from dashboards and alerts.
//!
//! Only the selector is spoken here. Whatever asks for history or arithmetic is refused by name, because a page shows
//! one moment and its matching series are summed anyway.

mod error;
mod parse;
mod quoted;

use std::fmt;
use std::str::FromStr;

use regex_lite::{Regex, RegexBuilder};

use super::cursor::Cursor;
pub use error::{Error, Reason};

/// The label under which `PromQL` keeps the metric name.
const NAME: &str = "__name__";

/// How large a pattern may become, in bytes: each of its steps is tried at every character of a value.
const PATTERN_SIZE: usize = 64 * 1024;

/// Picks series off a page by metric name and labels.
///
/// Written as in `PromQL`: `active{kind="stream"}`, `{__name__=~"active_.+"}`, `{"active.streams", kind!="batch"}`.
/// Regular expressions must match the whole value, and a label that is not there is equal to the empty string. Their
/// `(?i)` folds ASCII letters only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    name: Option<String>,
    matchers: Vec<Matcher>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Matcher {
    label: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Equal(String),
    NotEqual(String),
    Match(Pattern),
    NoMatch(Pattern),
}

/// A regular expression that remembers how it was written.
#[derive(Debug, Clone)]
struct Pattern {
    source: String,
    whole: Regex,
}

impl Selector {
    /// Returns the one metric name that this selector can match, if it names one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Tells whether a series of this name could match, whatever its labels.
    #[must_use]
    pub fn could_match(&self, name: &str) -> bool {
        self.name().is_none_or(|only| only == name)
            && self.matchers.iter().filter(|matcher| matcher.label == NAME).all(|matcher| matcher.test.holds(name))
    }

    /// Tells whether a series matches; `label` returns a label's value by its name.
    #[must_use]
    pub fn matches<'a>(&self, name: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.could_match(name)
            && self
                .matchers
                .iter()
                .filter(|matcher| matcher.label != NAME)
                .all(|matcher| matcher.test.holds(label(&matcher.label).unwrap_or_default()))
    }
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse::selector(text)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut inside: Vec<String> = self.matchers.iter().map(Matcher::to_string).collect();
        match self.name() {
            // A second matcher on the name may only stand beside `__name__`.
            Some(name) if self.matchers.iter().any(|matcher| matcher.label == NAME) => {
                inside.insert(0, format!("{NAME}={}", quoted::write(name)));
            }
            Some(name) if is_bare_name(name) => f.write_str(name)?,
            Some(name) => inside.insert(0, quoted::write(name)),
            None => {}
        }
        if inside.is_empty() { Ok(()) } else { write!(f, "{{{}}}", inside.join(",")) }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_bare_label(&self.label) {
            f.write_str(&self.label)?;
        } else {
            f.write_str(&quoted::write(&self.label))?;
        }
        match &self.test {
            Test::Equal(value) => write!(f, "={}", quoted::write(value)),
            Test::NotEqual(value) => write!(f, "!={}", quoted::write(value)),
            Test::Match(pattern) => write!(f, "=~{}", quoted::write(&pattern.source)),
            Test::NoMatch(pattern) => write!(f, "!~{}", quoted::write(&pattern.source)),
        }
    }
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => wanted == value,
            Self::NotEqual(unwanted) => unwanted != value,
            Self::Match(pattern) => pattern.whole.is_match(value),
            Self::NoMatch(pattern) => !pattern.whole.is_match(value),
        }
    }
}

impl Pattern {
    fn new(source: String) -> Result<Self, Reason> {
        if let Some(escape) = [r"\<", r"\>", r"\b{"].into_iter().find(|escape| has_escape(&source, escape)) {
            return Err(Reason::UnsupportedEscape(escape));
        }
        let refused = |error: regex_lite::Error| Reason::Pattern(error.to_string());
        // Alone first: `a)|(b` is sound only inside the group, where it would undo the anchors.
        let regex = |pattern: &str| RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).build().map_err(refused);
        regex(&source)?;
        let whole = regex(&format!("^(?s:{source})$"))?;
        Ok(Self { source, whole })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

/// Looks for an escape whose own backslash is not escaped.
fn has_escape(pattern: &str, escape: &str) -> bool {
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        if rest[at..].starts_with(escape) {
            return true;
        }
        let mut after = rest[at..].chars();
        after.nth(1);
        rest = after.as_str();
    }
    false
}

fn is_bare_name(name: &str) -> bool {
    !name.is_empty() && Cursor::new(name).metric_name() == name
}

fn is_bare_label(label: &str) -> bool {
    !label.is_empty() && Cursor::new(label).label_name() == label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_matches_any_labels_of_that_name_only() {
        let selector = selector("active");
        assert_eq!(selector.name(), Some("active"));
        assert!(selector.matches("active", |_| Some("x")));
        assert!(!selector.could_match("active_total"));
        assert!(!selector.matches("activ", |_| None));
    }

    #[test]
    fn a_missing_label_is_the_empty_string() {
        for (text, missing, empty, x) in [
            (r#"m{a=""}"#, true, true, false),
            (r#"m{a!=""}"#, false, false, true),
            (r#"m{a=~"x?"}"#, true, true, true),
            (r#"m{a!~"x?"}"#, false, false, false),
            (r#"m{a!="x"}"#, true, true, false),
            (r#"m{a=~"x"}"#, false, false, true),
            (r#"m{a!~"x"}"#, true, true, false),
        ] {
            let selector = selector(text);
            let of = |value| selector.matches("m", |label| if label == "a" { value } else { None });
            assert_eq!((of(None), of(Some("")), of(Some("x"))), (missing, empty, x), "{text}");
        }
    }

    #[test]
    fn every_matcher_must_hold() {
        let selector = selector(r#"m{a="1",b="2"}"#);
        let with = |a, b| selector.matches("m", |label| Some(if label == "a" { a } else { b }));
        assert!(with("1", "2"));
        assert!(!with("1", "1"));
        assert!(!with("2", "2"));
    }

    #[test]
    fn patterns_match_whole_values_and_dots_match_newlines() {
        for (pattern, value, holds) in [
            ("b|c", "abc", false),
            ("ab|c", "abc", false),
            ("a.c", "a\nc", true),
            ("a", "a\n", false),
            (r"\d+", "12", true),
            (r"\d", "٣", false),
            (r"\w+", "é", false),
            (r"(?i)AB", "ab", true),
            (r"a\\<b", r"a\<b", true),
        ] {
            let test = Test::Match(Pattern::new(pattern.to_owned()).unwrap());
            assert_eq!(test.holds(value), holds, "{pattern} on {value:?}");
        }
    }

    #[test]
    fn names_may_be_matched_by_pattern() {
        let selector = selector(r#"{__name__=~"active_.+",__name__!="active_max"}"#);
        assert_eq!(selector.name(), None);
        assert!(selector.could_match("active_streams"));
        assert!(!selector.could_match("active_max"));
        assert!(!selector.matches("max", |_| None));
    }

    #[test]
    fn a_fixed_name_and_name_matchers_must_agree() {
        let selector = selector(r#"{__name__="a",__name__!~"a|b"}"#);
        assert_eq!(selector.name(), Some("a"));
        assert!(!selector.could_match("a"));
    }

    #[test]
    fn displays_in_a_form_that_reads_back() {
        for (text, shown) in [
            (" active ", "active"),
            ("active{}", "active"),
            (r"{ __name__ = 'a:b' }", "a:b"),
            (r#"m { a != "b" , c =~ `\d"` , }"#, r#"m{a!="b",c=~"\\d\""}"#),
            (r#"{"my.metric"}"#, r#"{"my.metric"}"#),
            (r#"{"x.y"!~"\n", "5xx"}"#, r#"{"5xx","x.y"!~"\n"}"#),
            (r#"{a="b", c!=""}"#, r#"{a="b",c!=""}"#),
            (r#"{__name__!~"b", __name__="a"}"#, r#"{__name__="a",__name__!~"b"}"#),
        ] {
            let read = selector(text);
            assert_eq!(read.to_string(), shown);
            assert_eq!(selector(shown), read);
        }
    }

    #[test]
    fn selectors_differ_by_test_and_value() {
        assert_ne!(selector(r#"m{a="b"}"#), selector(r#"m{a=~"b"}"#));
        assert_ne!(selector(r#"m{a=~"b"}"#), selector(r#"m{a=~"c"}"#));
    }

    fn selector(text: &str) -> Selector {
        text.parse().unwrap()
    }
}
