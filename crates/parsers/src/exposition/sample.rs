//! The grammar of a sample line: the union of the Prometheus text format and `OpenMetrics`.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Reason;
use super::error::excerpt;
use crate::cursor::Cursor;

/// From 2⁵³ on, neighbouring whole numbers share one floating-point value.
const MAX_COUNT: f64 = 9_007_199_254_740_992.0;

/// A sample whose whole line is valid.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub(super) name: Cow<'a, str>,
    labels: Labels<'a>,
    value: Value<'a>,
    /// Its timestamp, if it has one.
    pub(super) time: Option<f64>,
}

/// Which escapes the quoted strings of a format may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// Only `\\`, `\"` and `\n`.
    Defined,
    /// Any. The backslash of any other escape stands for itself.
    Any,
}

/// A number, and its text on the page.
#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    number: f64,
    text: &'a str,
}

/// A line that is not a valid sample.
#[derive(Debug)]
pub(super) struct Malformed<'a> {
    /// The metric name, if it was inside the braces and valid.
    pub(super) quoted_name: Option<Cow<'a, str>>,
    pub(super) reason: Reason,
}

/// The content of the braces; `pairs` is sorted by name.
#[derive(Debug)]
struct Labels<'a> {
    escapes: Escapes,
    name: Option<Cow<'a, str>>,
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Sample<'a> {
    pub(super) fn parse(line: &'a str, escapes: Escapes) -> Result<Self, Malformed<'a>> {
        let mut labels = Labels::new(escapes);
        match parse_sample(line, &mut labels) {
            Ok((name, value, time)) => Ok(Self { name, labels, value, time }),
            Err(reason) => Err(Malformed { quoted_name: labels.name.filter(|_| line.starts_with('{')), reason }),
        }
    }

    /// Returns the labels, sorted by name.
    pub(super) fn labels(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.labels.pairs
    }

    pub(super) fn value(&self) -> f64 {
        self.value.number
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.pairs.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_ref())
    }

    /// Returns the value if it is an exact number of streams.
    pub(super) fn count(&self) -> Result<u64, Reason> {
        let Value { number, text } = self.value;
        let exact = number != 0.0 || is_literal_zero(text);
        // A negative zero is zero.
        if (0.0..MAX_COUNT).contains(&number) && number.fract() == 0.0 && exact {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within 0..2^53")]
            return Ok(number as u64);
        }
        Err(Reason::NotACount(excerpt(text)))
    }

    /// Returns a hash that is equal for equal series, regardless of label order.
    pub(super) fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        // A label with an empty value equals a missing label.
        for pair in self.labels.pairs.iter().filter(|(_, value)| !value.is_empty()) {
            pair.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Parses the name, the value and the timestamp, and validates the rest of the line.
fn parse_sample<'a>(line: &'a str, labels: &mut Labels<'a>) -> Result<(Cow<'a, str>, Value<'a>, Option<f64>), Reason> {
    let mut cursor = Cursor::new(line);
    let bare = cursor.metric_name();
    if !cursor.peek().is_none_or(|next| is_whitespace(next) || next == '{') {
        return Err(Reason::InvalidName);
    }
    skip_whitespace(&mut cursor);
    if cursor.eat("{") {
        labels.parse(&mut cursor)?;
    }
    let name = match (bare, labels.name.clone()) {
        ("", Some(quoted)) => quoted,
        ("", None) | (_, Some(_)) => return Err(Reason::InvalidName),
        (bare, None) => Cow::Borrowed(bare),
    };
    let value = value(&mut cursor)?;
    let time = timestamp(&mut cursor)?;
    exemplar(&mut cursor, labels.escapes)?;
    Ok((name, value, time))
}

fn value<'a>(cursor: &mut Cursor<'a>) -> Result<Value<'a>, Reason> {
    let text = token(cursor);
    if text.is_empty() {
        return Err(Reason::MissingValue);
    }
    match text.parse() {
        Ok(number) if is_in_range(number, text) => Ok(Value { number, text }),
        Ok(_) | Err(_) => Err(Reason::NotANumber(excerpt(text))),
    }
}

/// Distinguishes a literal infinity from a number that is too large.
fn is_in_range(number: f64, text: &str) -> bool {
    number.is_finite() || number.is_nan() || text.contains(['i', 'I'])
}

fn timestamp(cursor: &mut Cursor<'_>) -> Result<Option<f64>, Reason> {
    skip_whitespace(cursor);
    if matches!(cursor.peek(), None | Some('#')) {
        return Ok(None);
    }
    let text = token(cursor);
    match text.parse() {
        Ok(time) if f64::is_finite(time) => Ok(Some(time)),
        Ok(_) | Err(_) => Err(Reason::InvalidTimestamp(excerpt(text))),
    }
}

/// Validates the optional exemplar ` # {…} value [timestamp]`, after which the line must end.
fn exemplar(cursor: &mut Cursor<'_>, escapes: Escapes) -> Result<(), Reason> {
    skip_whitespace(cursor);
    if cursor.peek().is_none() {
        return Ok(());
    }
    if !cursor.eat("#") {
        return Err(Reason::TrailingText(excerpt(cursor.rest())));
    }
    skip_whitespace(cursor);
    let mut labels = Labels::new(escapes);
    if !cursor.eat("{") {
        return Err(Reason::InvalidExemplar);
    }
    labels.parse(cursor)?;
    value(cursor)?;
    timestamp(cursor)?;
    skip_whitespace(cursor);
    if labels.name.is_some() || cursor.peek().is_some() { Err(Reason::InvalidExemplar) } else { Ok(()) }
}

impl<'a> Labels<'a> {
    const fn new(escapes: Escapes) -> Self {
        Self { escapes, name: None, pairs: Vec::new() }
    }

    /// Parses up to and including the closing brace.
    fn parse(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Reason> {
        loop {
            skip_whitespace(cursor);
            if cursor.eat("}") {
                break;
            }
            self.entry(cursor)?;
            skip_whitespace(cursor);
            if !cursor.eat(",") {
                if cursor.eat("}") {
                    break;
                }
                return Err(Reason::InvalidLabels);
            }
        }
        self.sort()
    }

    /// Parses a label with its value, or the quoted metric name.
    fn entry(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Reason> {
        let quoted = quoted(cursor, self.escapes)?;
        skip_whitespace(cursor);
        match quoted {
            Some(name) if matches!(cursor.peek(), Some(',' | '}')) => self.metric_name(name),
            Some(label) => self.pair(label, cursor),
            None => {
                let label = cursor.label_name();
                skip_whitespace(cursor);
                self.pair(Cow::Borrowed(label), cursor)
            }
        }
    }

    fn metric_name(&mut self, name: Cow<'a, str>) -> Result<(), Reason> {
        // Of two names either may be the right one, so neither is kept.
        let is_duplicate = self.name.take().is_some();
        if is_duplicate || name.is_empty() {
            return Err(Reason::InvalidName);
        }
        self.name = Some(name);
        Ok(())
    }

    fn pair(&mut self, label: Cow<'a, str>, cursor: &mut Cursor<'a>) -> Result<(), Reason> {
        if label.is_empty() || label == "__name__" || !cursor.eat("=") {
            return Err(Reason::InvalidLabels);
        }
        skip_whitespace(cursor);
        let value = quoted(cursor, self.escapes)?.ok_or(Reason::InvalidLabels)?;
        self.pairs.push((label, value));
        Ok(())
    }

    fn sort(&mut self) -> Result<(), Reason> {
        self.pairs.sort_unstable();
        match self.pairs.windows(2).find(|pairs| pairs[0].0 == pairs[1].0) {
            Some(duplicate) => Err(Reason::DuplicateLabel(excerpt(&duplicate[0].0))),
            None => Ok(()),
        }
    }
}

/// Parses a quoted string; `None` if the next character is not a quote.
pub(super) fn quoted<'a>(cursor: &mut Cursor<'a>, escapes: Escapes) -> Result<Option<Cow<'a, str>>, Reason> {
    if !cursor.eat("\"") {
        return Ok(None);
    }
    let mut text = Cow::Borrowed(unescaped(cursor));
    while !cursor.eat("\"") {
        cursor.next().ok_or(Reason::InvalidLabels)?;
        let text = text.to_mut();
        match cursor.next() {
            Some('n') => text.push('\n'),
            Some(next @ ('\\' | '"')) => text.push(next),
            Some(next) if escapes == Escapes::Any => text.extend(['\\', next]),
            Some(_) | None => return Err(Reason::InvalidEscape),
        }
        text.push_str(unescaped(cursor));
    }
    Ok(Some(text))
}

fn unescaped<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    cursor.take_while(|next| !matches!(next, '"' | '\\'))
}

/// Skips whitespace and consumes up to the next whitespace.
pub(super) fn token<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    skip_whitespace(cursor);
    cursor.take_while(|next| !is_whitespace(next))
}

pub(super) fn skip_whitespace(cursor: &mut Cursor<'_>) {
    while cursor.eat(" ") || cursor.eat("\t") {}
}

fn is_whitespace(next: char) -> bool {
    matches!(next, ' ' | '\t')
}

/// Distinguishes a literal zero from a number so small that it was rounded to zero.
fn is_literal_zero(number: &str) -> bool {
    let digits = number.split(['e', 'E']).next().unwrap_or_default();
    !digits.contains(|digit| matches!(digit, '1'..='9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_name_labels_and_value() {
        let sample = Sample::parse(r#"a:b{cd="d\n\"\\",e="",} 3.0"#, Escapes::Defined).unwrap();
        assert_eq!((sample.name.as_ref(), sample.label("cd"), sample.label("e")), ("a:b", Some("d\n\"\\"), Some("")));
        assert_eq!((sample.label("c"), sample.count()), (None, Ok(3)));
    }

    #[test]
    fn malformed_line_returns_only_quoted_name() {
        for (line, name) in [
            ("a{b} 3", None),
            (r#"a{"b", c} 3"#, None),
            (r#"{"a", c} 3"#, Some("a")),
            (r#"{c="d", "a", e} 3"#, Some("a")),
            (r#"{c, "a"} 3"#, None),
            (r#"{"a", "b"} 3"#, None),
            (r#"{"a", "b", "a"} 3"#, None),
        ] {
            assert_eq!(Sample::parse(line, Escapes::Defined).unwrap_err().quoted_name.as_deref(), name, "{line}");
        }
    }

    #[test]
    fn only_exact_whole_numbers_are_counts() {
        for (value, count) in [
            ("0", Some(0)),
            ("+0.0e5", Some(0)),
            ("2.5e1", Some(25)),
            ("9007199254740991", Some((1 << 53) - 1)),
            ("9007199254740992", None),
            ("-0", Some(0)),
            ("-0.0e3", Some(0)),
            ("-1e-999", None),
            ("-3", None),
            ("0.1", None),
            ("1e-999", None),
            ("0.0000E9", Some(0)),
            ("Inf", None),
            ("nan", None),
        ] {
            assert_eq!(Sample::parse(&format!("a {value}"), Escapes::Defined).unwrap().count().ok(), count, "{value}");
        }
    }

    #[test]
    fn equal_series_have_equal_identity() {
        let identity = |line| Sample::parse(line, Escapes::Defined).unwrap().identity();
        assert_eq!(identity(r#"a{b="c",d="e"} 1"#), identity(r#"{"d"="e",b="c",f="","a"} 2"#));
        assert_ne!(identity(r#"a{b="c"} 1"#), identity(r#"a{b="d"} 1"#));
        assert_ne!(identity(r#"a{b="c"} 1"#), identity(r#"b{b="c"} 1"#));
        assert_ne!(identity(r#"a{bc="d"} 1"#), identity(r#"a{b="cd"} 1"#));
    }
}
