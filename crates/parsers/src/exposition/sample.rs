//! One sample line, in what the Prometheus text format and `OpenMetrics` allow together.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Reason;
use super::error::excerpt;
use crate::cursor::Cursor;

/// Above this, neighbouring whole numbers share one floating-point value.
const MAX_COUNT: f64 = 9_007_199_254_740_992.0;

/// A sample whose line is sound throughout.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub(super) name: Cow<'a, str>,
    labels: Labels<'a>,
    value: Value<'a>,
}

/// A number, and how it was written.
#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    number: f64,
    text: &'a str,
}

/// A line that is not sound.
#[derive(Debug)]
pub(super) struct Malformed<'a> {
    /// The metric name, if it stood inside the braces and could be read.
    pub(super) quoted_name: Option<Cow<'a, str>>,
    pub(super) reason: Reason,
}

/// What stands between braces; the labels are sorted by name.
#[derive(Debug, Default)]
struct Labels<'a> {
    name: Option<Cow<'a, str>>,
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Sample<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, Malformed<'a>> {
        let mut labels = Labels::default();
        match head(line, &mut labels) {
            Ok((name, value)) => Ok(Self { name, labels, value }),
            Err(reason) => Err(Malformed { quoted_name: labels.name.filter(|_| line.starts_with('{')), reason }),
        }
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.pairs.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_ref())
    }

    /// Returns the value if it can be a number of streams.
    pub(super) fn count(&self) -> Result<u64, Reason> {
        let Value { number, text } = self.value;
        let exact = number != 0.0 || spells_zero(text);
        if number.is_sign_positive() && number < MAX_COUNT && number.fract() == 0.0 && exact {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within 0..2^53")]
            return Ok(number as u64);
        }
        Err(Reason::NotACount(excerpt(text)))
    }

    /// Returns the same for equal series, in whatever order their labels are written.
    pub(super) fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        // An empty label is a missing label.
        for pair in self.labels.pairs.iter().filter(|(_, value)| !value.is_empty()) {
            pair.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Reads the name and the value, and makes sure of all that follows.
fn head<'a>(line: &'a str, labels: &mut Labels<'a>) -> Result<(Cow<'a, str>, Value<'a>), Reason> {
    let mut cursor = Cursor::new(line);
    let bare = cursor.metric_name();
    if !cursor.peek().is_none_or(|next| is_blank(next) || next == '{') {
        return Err(Reason::Name);
    }
    blanks(&mut cursor);
    if cursor.eat("{") {
        labels.read(&mut cursor)?;
    }
    let name = match (bare, labels.name.clone()) {
        ("", Some(quoted)) => quoted,
        ("", None) | (_, Some(_)) => return Err(Reason::Name),
        (bare, None) => Cow::Borrowed(bare),
    };
    let value = value(&mut cursor)?;
    timestamp(&mut cursor)?;
    exemplar(&mut cursor)?;
    Ok((name, value))
}

fn value<'a>(cursor: &mut Cursor<'a>) -> Result<Value<'a>, Reason> {
    let text = word(cursor);
    if text.is_empty() {
        return Err(Reason::NoValue);
    }
    let number = text.parse().map_err(|_| Reason::NotANumber(excerpt(text)))?;
    Ok(Value { number, text })
}

fn timestamp(cursor: &mut Cursor<'_>) -> Result<(), Reason> {
    blanks(cursor);
    if matches!(cursor.peek(), None | Some('#')) {
        return Ok(());
    }
    let time = word(cursor);
    if time.parse().is_ok_and(f64::is_finite) { Ok(()) } else { Err(Reason::Timestamp(excerpt(time))) }
}

/// Reads the ` # {…} value [timestamp]` that may end a line, and makes sure that the line ends there.
fn exemplar(cursor: &mut Cursor<'_>) -> Result<(), Reason> {
    blanks(cursor);
    if cursor.peek().is_none() {
        return Ok(());
    }
    if !cursor.eat("#") {
        return Err(Reason::Trailing(excerpt(cursor.rest())));
    }
    blanks(cursor);
    let mut labels = Labels::default();
    if !cursor.eat("{") {
        return Err(Reason::Exemplar);
    }
    labels.read(cursor)?;
    value(cursor)?;
    timestamp(cursor)?;
    blanks(cursor);
    if labels.name.is_some() || cursor.peek().is_some() { Err(Reason::Exemplar) } else { Ok(()) }
}

impl<'a> Labels<'a> {
    /// Reads up to and over the closing brace.
    fn read(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Reason> {
        loop {
            blanks(cursor);
            if cursor.eat("}") {
                break;
            }
            self.entry(cursor)?;
            blanks(cursor);
            if !cursor.eat(",") {
                if cursor.eat("}") {
                    break;
                }
                return Err(Reason::Labels);
            }
        }
        self.sort()
    }

    /// Reads a label with its value, or the metric name in quotes.
    fn entry(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Reason> {
        let quoted = quoted(cursor)?;
        blanks(cursor);
        match quoted {
            Some(name) if matches!(cursor.peek(), Some(',' | '}')) => self.metric_name(name),
            Some(label) => self.pair(label, cursor),
            None => {
                let label = cursor.label_name();
                blanks(cursor);
                self.pair(Cow::Borrowed(label), cursor)
            }
        }
    }

    fn metric_name(&mut self, name: Cow<'a, str>) -> Result<(), Reason> {
        // Of two names either may be meant, so that neither is known.
        let known = self.name.take().is_some();
        if known || name.is_empty() {
            return Err(Reason::Name);
        }
        self.name = Some(name);
        Ok(())
    }

    fn pair(&mut self, label: Cow<'a, str>, cursor: &mut Cursor<'a>) -> Result<(), Reason> {
        if label.is_empty() || label == "__name__" || !cursor.eat("=") {
            return Err(Reason::Labels);
        }
        blanks(cursor);
        let value = quoted(cursor)?.ok_or(Reason::Labels)?;
        self.pairs.push((label, value));
        Ok(())
    }

    fn sort(&mut self) -> Result<(), Reason> {
        self.pairs.sort_unstable();
        match self.pairs.windows(2).find(|pairs| pairs[0].0 == pairs[1].0) {
            Some(twice) => Err(Reason::DuplicateLabel(excerpt(&twice[0].0))),
            None => Ok(()),
        }
    }
}

/// Reads a string in quotes, or nothing when none stands here.
fn quoted<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Cow<'a, str>>, Reason> {
    if !cursor.eat("\"") {
        return Ok(None);
    }
    let mut text = Cow::Borrowed(plain(cursor));
    while !cursor.eat("\"") {
        cursor.next().ok_or(Reason::Labels)?;
        let text = text.to_mut();
        text.push(match cursor.next() {
            Some('n') => '\n',
            Some(next @ ('\\' | '"')) => next,
            Some(_) | None => return Err(Reason::Escape),
        });
        text.push_str(plain(cursor));
    }
    Ok(Some(text))
}

fn plain<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    cursor.take_while(|next| !matches!(next, '"' | '\\'))
}

/// Reads up to the next blank.
fn word<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    blanks(cursor);
    cursor.take_while(|next| !is_blank(next))
}

fn blanks(cursor: &mut Cursor<'_>) {
    while cursor.eat(" ") || cursor.eat("\t") {}
}

fn is_blank(next: char) -> bool {
    matches!(next, ' ' | '\t')
}

/// Tells a written zero from a number so small that it was rounded to zero.
fn spells_zero(number: &str) -> bool {
    let digits = number.split(['e', 'E']).next().unwrap_or_default();
    !digits.contains(|digit| matches!(digit, '1'..='9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_values_are_read() {
        let sample = Sample::parse(r#"a:b{cd="d\n\"\\",e="",} 3.0"#).unwrap();
        assert_eq!((sample.name.as_ref(), sample.label("cd"), sample.label("e")), ("a:b", Some("d\n\"\\"), Some("")));
        assert_eq!((sample.label("c"), sample.count()), (None, Ok(3)));
    }

    #[test]
    fn malformed_lines_tell_a_name_from_inside_the_braces_only() {
        for (line, name) in [
            ("a{b} 3", None),
            (r#"a{"b", c} 3"#, None),
            (r#"{"a", c} 3"#, Some("a")),
            (r#"{c="d", "a", e} 3"#, Some("a")),
            (r#"{c, "a"} 3"#, None),
            (r#"{"a", "b"} 3"#, None),
            (r#"{"a", "b", "a"} 3"#, None),
        ] {
            assert_eq!(Sample::parse(line).unwrap_err().quoted_name.as_deref(), name, "{line}");
        }
    }

    #[test]
    fn only_whole_numbers_that_are_exact_count() {
        for (value, count) in [
            ("0", Some(0)),
            ("+0.0e5", Some(0)),
            ("2.5e1", Some(25)),
            ("9007199254740991", Some((1 << 53) - 1)),
            ("9007199254740992", None),
            ("-0", None),
            ("-3", None),
            ("0.1", None),
            ("1e-999", None),
            ("0.0000E9", Some(0)),
            ("Inf", None),
            ("nan", None),
        ] {
            assert_eq!(Sample::parse(&format!("a {value}")).unwrap().count().ok(), count, "{value}");
        }
    }

    #[test]
    fn equal_series_have_one_identity() {
        let of = |line| Sample::parse(line).unwrap().identity();
        assert_eq!(of(r#"a{b="c",d="e"} 1"#), of(r#"{"d"="e",b="c",f="","a"} 2"#));
        assert_ne!(of(r#"a{b="c"} 1"#), of(r#"a{b="d"} 1"#));
        assert_ne!(of(r#"a{b="c"} 1"#), of(r#"b{b="c"} 1"#));
        assert_ne!(of(r#"a{bc="d"} 1"#), of(r#"a{b="cd"} 1"#));
    }
}
