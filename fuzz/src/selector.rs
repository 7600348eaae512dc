//! A reference parser and evaluator for selectors.

use std::iter::Peekable;
use std::str::Chars;

const NAME: &str = "__name__";

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Match,
    NoMatch,
}

/// One matcher: label, operator, value.
pub type Matcher = (String, Operator, String);

/// A selector whose patterns have not been parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    pub name: Option<String>,
    pub matchers: Vec<Matcher>,
}

/// Parses a selector; `None` if it must be rejected regardless of its patterns.
#[must_use]
pub fn parse(text: &str) -> Option<Parsed> {
    let (mut rest, mut parsed) = (text.chars().peekable(), Parsed::default());
    skip_whitespace(&mut rest);
    let bare = identifier(&mut rest, |next| next == '_' || next == ':');
    let reserved = ["atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"];
    if reserved.contains(&bare.to_ascii_lowercase().as_str()) {
        return None;
    }
    parsed.name = (!bare.is_empty()).then_some(bare);
    skip_whitespace(&mut rest);
    if rest.next_if_eq(&'{').is_some() {
        braces(&mut rest, &mut parsed)?;
    } else {
        parsed.name.as_ref()?;
    }
    skip_whitespace(&mut rest);
    (rest.next().is_none()).then_some(())?;
    take_name(parsed)
}

impl Parsed {
    /// Returns whether a series matches, given how patterns match; `None` if that is unknown.
    pub fn matches(
        &self,
        name: &str,
        label: impl Fn(&str) -> String,
        matches: &impl Fn(&str, &str) -> Option<bool>,
    ) -> Option<bool> {
        let mut all = self.name.as_ref().is_none_or(|only| only == name);
        for (label_name, operator, expected) in &self.matchers {
            let value = if label_name == NAME { name.to_owned() } else { label(label_name) };
            all &= match operator {
                Operator::Equal => value == *expected,
                Operator::NotEqual => value != *expected,
                Operator::Match => matches(expected, &value)?,
                Operator::NoMatch => !matches(expected, &value)?,
            };
        }
        Some(all)
    }

    /// Returns whether every series would match, whatever its name.
    pub fn matches_everything(&self, matches: &impl Fn(&str, &str) -> Option<bool>) -> Option<bool> {
        if self.name.is_some() { Some(false) } else { self.matches("", |_| String::new(), matches) }
    }
}

/// Takes the name from a `__name__=` matcher.
fn take_name(mut parsed: Parsed) -> Option<Parsed> {
    let is_name_matcher = |(label, _, _): &Matcher| label == NAME;
    if parsed.name.is_some() {
        return (!parsed.matchers.iter().any(is_name_matcher)).then_some(parsed);
    }
    let is_fixed_name = |matcher: &Matcher| is_name_matcher(matcher) && matcher.1 == Operator::Equal;
    if let Some(at) = parsed.matchers.iter().position(is_fixed_name) {
        parsed.name = Some(parsed.matchers.remove(at).2);
    }
    (parsed.name.as_deref() != Some("")).then_some(parsed)
}

fn braces(rest: &mut Peekable<Chars>, parsed: &mut Parsed) -> Option<()> {
    skip_whitespace(rest);
    while rest.next_if_eq(&'}').is_none() {
        entry(rest, parsed)?;
        skip_whitespace(rest);
        if rest.next_if_eq(&',').is_none() && rest.peek() != Some(&'}') {
            return None;
        }
        skip_whitespace(rest);
    }
    Some(())
}

fn entry(rest: &mut Peekable<Chars>, parsed: &mut Parsed) -> Option<()> {
    let label = if let Some(text) = string(rest)? {
        skip_whitespace(rest);
        if matches!(rest.peek(), Some(',' | '}')) {
            let first = parsed.name.replace(text.clone()).is_none();
            return (first && !text.is_empty()).then_some(());
        }
        text
    } else {
        let label = identifier(rest, |next| next == '_');
        (!label.is_empty()).then_some(label)?
    };
    skip_whitespace(rest);
    let operator = match (rest.next()?, rest.peek()) {
        ('=', Some('~')) => Operator::Match,
        ('!', Some('~')) => Operator::NoMatch,
        ('!', Some('=')) => Operator::NotEqual,
        ('=', _) => Operator::Equal,
        _ => return None,
    };
    if operator != Operator::Equal {
        rest.next();
    }
    skip_whitespace(rest);
    let value = string(rest)??;
    parsed.matchers.push((label, operator, value));
    Some(())
}

/// Parses a quoted string; `Some(None)` if there is no quote.
fn string(rest: &mut Peekable<Chars>) -> Option<Option<String>> {
    let Some(quote) = rest.next_if(|next| matches!(next, '"' | '\'' | '`')) else { return Some(None) };
    let mut bytes = Vec::new();
    loop {
        match rest.next()? {
            next if next == quote => break,
            '\\' if quote != '`' => escape(rest, quote, &mut bytes)?,
            '\n' if quote != '`' => return None,
            next => bytes.extend(next.to_string().bytes()),
        }
    }
    Some(Some(String::from_utf8(bytes).ok()?))
}

fn escape(rest: &mut Peekable<Chars>, quote: char, bytes: &mut Vec<u8>) -> Option<()> {
    let next = rest.next()?;
    let simple = "a\x07b\x08f\x0cn\nr\rt\tv\x0b\\\\".as_bytes();
    if let Some(pair) = simple.chunks(2).find(|pair| char::from(pair[0]) == next) {
        bytes.push(pair[1]);
        return Some(());
    }
    let mut digits = |radix: u32, first: &str, count: usize| {
        let text: String = first.chars().chain(rest.by_ref().take(count)).collect();
        let is_number = text.len() == first.len() + count && text.chars().all(|digit| digit.is_digit(radix));
        is_number.then(|| u32::from_str_radix(&text, radix).ok())?
    };
    match next {
        _ if next == quote => bytes.push(u8::try_from(quote).ok()?),
        'x' => bytes.push(u8::try_from(digits(16, "", 2)?).ok()?),
        'u' => bytes.extend(char::from_u32(digits(16, "", 4)?)?.to_string().bytes()),
        'U' => bytes.extend(char::from_u32(digits(16, "", 8)?)?.to_string().bytes()),
        '0'..='7' => bytes.push(u8::try_from(digits(8, &next.to_string(), 2)?).ok()?),
        _ => return None,
    }
    Some(())
}

fn identifier(rest: &mut Peekable<Chars>, is_punctuation: impl Fn(char) -> bool) -> String {
    let mut name = String::new();
    while let Some(next) = rest.next_if(|next| {
        is_punctuation(*next) || next.is_ascii_alphabetic() || next.is_ascii_digit() && !name.is_empty()
    }) {
        name.push(next);
    }
    name
}

fn skip_whitespace(rest: &mut Peekable<Chars>) {
    while rest.next_if(|next| matches!(next, ' ' | '\t' | '\n' | '\r')).is_some() {}
}
