//! Selectors, read and evaluated plainly.

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

/// A selector, of which only the patterns have not been looked into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    pub name: Option<String>,
    pub matchers: Vec<Matcher>,
}

/// Reads a selector; `None` where it must be refused, whatever its patterns are.
#[must_use]
pub fn read(text: &str) -> Option<Plain> {
    let (mut rest, mut plain) = (text.chars().peekable(), Plain::default());
    blanks(&mut rest);
    let bare = word(&mut rest, |next| next == '_' || next == ':');
    plain.name = (!bare.is_empty()).then_some(bare);
    blanks(&mut rest);
    if rest.next_if_eq(&'{').is_some() {
        braces(&mut rest, &mut plain)?;
    } else {
        plain.name.as_ref()?;
    }
    blanks(&mut rest);
    (rest.next().is_none()).then_some(())?;
    settle(plain)
}

impl Plain {
    /// Whether a series matches, given how patterns do; `None` where that is not known.
    pub fn matches(
        &self,
        name: &str,
        label: impl Fn(&str) -> String,
        matches: &impl Fn(&str, &str) -> Option<bool>,
    ) -> Option<bool> {
        let mut all = self.name.as_ref().is_none_or(|only| only == name);
        for (matched, operator, wanted) in &self.matchers {
            let value = if matched == NAME { name.to_owned() } else { label(matched) };
            all &= match operator {
                Operator::Equal => value == *wanted,
                Operator::NotEqual => value != *wanted,
                Operator::Match => matches(wanted, &value)?,
                Operator::NoMatch => !matches(wanted, &value)?,
            };
        }
        Some(all)
    }

    /// Whether every series would match, however it is called.
    pub fn matches_everything(&self, matches: &impl Fn(&str, &str) -> Option<bool>) -> Option<bool> {
        if self.name.is_some() { Some(false) } else { self.matches("", |_| String::new(), matches) }
    }
}

/// Finds the name that `__name__` fixes.
fn settle(mut plain: Plain) -> Option<Plain> {
    let of_name = |(label, _, _): &Matcher| label == NAME;
    if plain.name.is_some() {
        return (!plain.matchers.iter().any(of_name)).then_some(plain);
    }
    let fixes = |matcher: &Matcher| of_name(matcher) && matcher.1 == Operator::Equal;
    if let Some(at) = plain.matchers.iter().position(fixes) {
        plain.name = Some(plain.matchers.remove(at).2);
    }
    (plain.name.as_deref() != Some("")).then_some(plain)
}

fn braces(rest: &mut Peekable<Chars>, plain: &mut Plain) -> Option<()> {
    blanks(rest);
    while rest.next_if_eq(&'}').is_none() {
        entry(rest, plain)?;
        blanks(rest);
        if rest.next_if_eq(&',').is_none() && rest.peek() != Some(&'}') {
            return None;
        }
        blanks(rest);
    }
    Some(())
}

fn entry(rest: &mut Peekable<Chars>, plain: &mut Plain) -> Option<()> {
    let label = if let Some(text) = string(rest)? {
        blanks(rest);
        if matches!(rest.peek(), Some(',' | '}')) {
            let first = plain.name.replace(text.clone()).is_none();
            return (first && !text.is_empty()).then_some(());
        }
        text
    } else {
        let label = word(rest, |next| next == '_');
        (!label.is_empty()).then_some(label)?
    };
    blanks(rest);
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
    blanks(rest);
    let value = string(rest)??;
    plain.matchers.push((label, operator, value));
    Some(())
}

/// A string in quotes, or none where none stands.
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

fn word(rest: &mut Peekable<Chars>, mark: impl Fn(char) -> bool) -> String {
    let mut word = String::new();
    while let Some(next) =
        rest.next_if(|next| mark(*next) || next.is_ascii_alphabetic() || next.is_ascii_digit() && !word.is_empty())
    {
        word.push(next);
    }
    word
}

fn blanks(rest: &mut Peekable<Chars>) {
    while rest.next_if(|next| matches!(next, ' ' | '\t' | '\n' | '\r')).is_some() {}
}
