//! Which series count as streams: `PromQL` instant selectors, as operators know them from dashboards and alerts.
//!
//! Ranges, offsets, functions and operators are rejected with an error that names them: a page shows one moment, and
//! its matching series are summed anyway.

mod error;
mod parse;
mod pattern;
mod quoted;

use std::fmt;
use std::str::FromStr;

use memchr::memmem::Finder;

use super::cursor::Cursor;
pub use error::{Error, Reason};
use pattern::Pattern;

/// The label that holds the metric name in `PromQL`.
const NAME: &str = "__name__";

/// The words that are no metric names unless they are in quotes.
const RESERVED: [&str; 8] = ["atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"];

/// Selects series of a page by metric name and labels.
///
/// The syntax is that of `PromQL`: `active{kind="stream"}`, `{__name__=~"active_.+"}`,
/// `{"active.streams", kind!="batch"}`. Regular expressions must match the whole value, and a missing label equals the
/// empty string. Regular expressions are read as Prometheus reads them, or rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    name: Option<String>,
    matchers: Vec<Matcher>,
    needle: Option<Needle>,
}

/// A text that every line of a matching series contains, prepared for the search.
#[derive(Debug, Clone)]
pub(crate) struct Needle(Finder<'static>);

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

impl Selector {
    /// Creates the selector that matches series of this name with these labels. Empty label values are left out.
    #[must_use]
    pub fn exact<'a>(name: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let matcher = |(label, value): (&str, &str)| Matcher { label: label.into(), test: Test::Equal(value.into()) };
        let matchers = labels.into_iter().filter(|(_, value)| !value.is_empty()).map(matcher).collect();
        Self::new(Some(name.into()), matchers)
    }

    fn new(name: Option<String>, matchers: Vec<Matcher>) -> Self {
        let needle = Needle::of(name.as_deref(), &matchers);
        Self { name, matchers, needle }
    }

    /// Returns the only metric name that this selector can match, if it has a fixed one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns a text that every line of a matching series contains, if there is one: its fixed name, or the start of its
    /// name. There is none if a page must escape a character of the name.
    pub(crate) fn needle(&self) -> Option<&Finder<'static>> {
        self.needle.as_ref().map(|needle| &needle.0)
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

impl Needle {
    fn of(name: Option<&str>, matchers: &[Matcher]) -> Option<Self> {
        let pattern = |matcher: &Matcher| match &matcher.test {
            Test::Match(pattern) if matcher.label == NAME => Some(pattern.prefix.clone()),
            Test::Match(_) | Test::NoMatch(_) | Test::Equal(_) | Test::NotEqual(_) => None,
        };
        let text = match name {
            Some(name) => Some(name.to_owned()),
            None => matchers.iter().filter_map(pattern).max_by_key(String::len),
        };
        let is_literal = |text: &String| !text.is_empty() && !text.contains(['\\', '"', '\n']);
        text.filter(is_literal).map(|text| Self(Finder::new(&text).into_owned()))
    }
}

impl PartialEq for Needle {
    fn eq(&self, other: &Self) -> bool {
        self.0.needle() == other.0.needle()
    }
}

impl Eq for Needle {}

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
            Self::Match(pattern) => pattern.is_match(value),
            Self::NoMatch(pattern) => !pattern.is_match(value),
        }
    }
}

fn is_bare_name(name: &str) -> bool {
    !name.is_empty() && Cursor::new(name).metric_name() == name && !is_reserved(name)
}

/// Returns whether `PromQL` reads this unquoted name as an operator, a modifier or a number, in any case.
fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name))
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
    fn needle_is_in_every_matching_line() {
        for (text, needle) in [
            ("active", Some("active")),
            (r#"{"my.metric"}"#, Some("my.metric")),
            (r#"{"my\\metric"}"#, None),
            (r#"{__name__=~"active_.+",__name__=~"a.+"}"#, Some("active_")),
            (r#"{__name__=~".+_active"}"#, None),
            (r#"{__name__!~"active",a="b"}"#, None),
            (r#"{a=~"active"}"#, None),
        ] {
            let found = selector(text);
            assert_eq!(found.needle().map(Finder::needle), needle.map(str::as_bytes), "{text}");
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
            (r#"{"Inf"}"#, r#"{"Inf"}"#),
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
