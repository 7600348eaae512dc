//! Which series count as streams: `PromQL` instant selectors, as operators know them from dashboards and alerts.
//!
//! Ranges, offsets, functions and operators are rejected with an error that names them: a page shows one moment, and
//! its matching series are summed anyway.

mod error;
mod parse;
mod quoted;

use std::fmt;
use std::str::FromStr;

use regex_lite::{Regex, RegexBuilder};

use super::cursor::Cursor;
pub use error::{Error, Reason};

/// The label that holds the metric name in `PromQL`.
const NAME: &str = "__name__";

/// Maximum size of a compiled pattern, in bytes: each of its steps may run at every character of a value.
const MAX_PATTERN_SIZE: usize = 64 * 1024;

/// Selects series of a page by metric name and labels.
///
/// The syntax is that of `PromQL`: `active{kind="stream"}`, `{__name__=~"active_.+"}`,
/// `{"active.streams", kind!="batch"}`. Regular expressions must match the whole value, and a missing label equals the
/// empty string. `(?i)` folds ASCII letters only.
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

/// A regular expression and its source text.
#[derive(Debug, Clone)]
struct Pattern {
    source: String,
    anchored: Regex,
}

impl Selector {
    /// Creates the selector that matches series of this name with these labels. Empty label values are left out.
    #[must_use]
    pub fn exact<'a>(name: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let matcher = |(label, value): (&str, &str)| Matcher { label: label.into(), test: Test::Equal(value.into()) };
        let matchers = labels.into_iter().filter(|(_, value)| !value.is_empty()).map(matcher).collect();
        Self { name: Some(name.into()), matchers }
    }

    /// Returns the only metric name that this selector can match, if it has a fixed one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns whether a series of this name could match, depending on its labels.
    #[must_use]
    pub fn could_match(&self, name: &str) -> bool {
        self.name().is_none_or(|only| only == name)
            && self.matchers.iter().filter(|matcher| matcher.label == NAME).all(|matcher| matcher.test.holds(name))
    }

    /// Returns whether a series matches; `label` returns the value of a label by its name.
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
        let mut matchers: Vec<String> = self.matchers.iter().map(Matcher::to_string).collect();
        match self.name() {
            // Further matchers on the name are valid only with `__name__`, not with a bare or quoted name.
            Some(name) if self.matchers.iter().any(|matcher| matcher.label == NAME) => {
                matchers.insert(0, format!("{NAME}={}", quoted::write(name)));
            }
            Some(name) if is_bare_name(name) => f.write_str(name)?,
            Some(name) => matchers.insert(0, quoted::write(name)),
            None => {}
        }
        if matchers.is_empty() { Ok(()) } else { write!(f, "{{{}}}", matchers.join(",")) }
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
            Self::Equal(expected) => expected == value,
            Self::NotEqual(excluded) => excluded != value,
            Self::Match(pattern) => pattern.anchored.is_match(value),
            Self::NoMatch(pattern) => !pattern.anchored.is_match(value),
        }
    }
}

impl Pattern {
    fn new(source: String) -> Result<Self, Reason> {
        if let Some(escape) = [r"\<", r"\>", r"\b{"].into_iter().find(|escape| has_escape(&source, escape)) {
            return Err(Reason::UnsupportedEscape(escape));
        }
        let invalid = |error: regex_lite::Error| Reason::InvalidPattern(error.to_string());
        // Compile it alone first: `a)|(b` is valid only inside the group, where it would break the anchors.
        let regex = |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_PATTERN_SIZE).build().map_err(invalid);
        regex(&source)?;
        let anchored = regex(&format!("^(?s:{source})$"))?;
        Ok(Self { source, anchored })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

/// Returns whether the pattern contains this escape, with a backslash that is not itself escaped.
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
    fn bare_name_matches_any_labels() {
        let selector = selector("active");
        assert_eq!(selector.name(), Some("active"));
        assert!(selector.matches("active", |_| Some("x")));
        assert!(!selector.could_match("active_total"));
        assert!(!selector.matches("activ", |_| None));
    }

    #[test]
    fn missing_label_equals_empty_string() {
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
            let matches = |value| selector.matches("m", |label| if label == "a" { value } else { None });
            assert_eq!((matches(None), matches(Some("")), matches(Some("x"))), (missing, empty, x), "{text}");
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
    fn patterns_match_whole_values_and_dot_matches_newline() {
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
    fn name_patterns_match_several_names() {
        let selector = selector(r#"{__name__=~"active_.+",__name__!="active_max"}"#);
        assert_eq!(selector.name(), None);
        assert!(selector.could_match("active_streams"));
        assert!(!selector.could_match("active_max"));
        assert!(!selector.matches("max", |_| None));
    }

    #[test]
    fn fixed_name_must_satisfy_name_matchers() {
        let selector = selector(r#"{__name__="a",__name__!~"a|b"}"#);
        assert_eq!(selector.name(), Some("a"));
        assert!(!selector.could_match("a"));
    }

    #[test]
    fn display_round_trips() {
        for (text, displayed) in [
            (" active ", "active"),
            ("active{}", "active"),
            (r"{ __name__ = 'a:b' }", "a:b"),
            (r#"m { a != "b" , c =~ `\d"` , }"#, r#"m{a!="b",c=~"\\d\""}"#),
            (r#"{"my.metric"}"#, r#"{"my.metric"}"#),
            (r#"{"x.y"!~"\n", "5xx"}"#, r#"{"5xx","x.y"!~"\n"}"#),
            (r#"{a="b", c!=""}"#, r#"{a="b",c!=""}"#),
            (r#"{__name__!~"b", __name__="a"}"#, r#"{__name__="a",__name__!~"b"}"#),
        ] {
            let parsed = selector(text);
            assert_eq!(parsed.to_string(), displayed);
            assert_eq!(selector(displayed), parsed);
        }
    }

    #[test]
    fn equality_compares_test_and_value() {
        assert_ne!(selector(r#"m{a="b"}"#), selector(r#"m{a=~"b"}"#));
        assert_ne!(selector(r#"m{a=~"b"}"#), selector(r#"m{a=~"c"}"#));
    }

    #[test]
    fn exact_selector_names_every_nonempty_label() {
        let series = Selector::exact("m", [("a", "1"), ("b", ""), ("c.d", "\"")]);
        assert_eq!(series, selector(r#"m{a="1","c.d"="\""}"#));
    }

    fn selector(text: &str) -> Selector {
        text.parse().unwrap()
    }
}
