//! A reference parser for one line of a metrics page, byte by byte.

/// A series. Labels are sorted, and empty ones are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    pub name: Vec<u8>,
    pub labels: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Series {
    /// Returns a label's value; empty if the label is missing.
    #[must_use]
    pub fn label(&self, name: &str) -> &[u8] {
        let found = self.labels.iter().find(|(label, _)| label == name.as_bytes());
        found.map_or(&[], |(_, value)| value)
    }
}

/// A parsed line.
#[derive(Debug)]
pub enum Line<'a> {
    /// A valid sample, the text of its value, and its time.
    Sample(Series, &'a [u8], Option<f64>),
    /// An invalid line, with its name if that was in the braces, before the error.
    Invalid(Option<Vec<u8>>),
}

/// Parses a line without leading whitespace and line end; `any_escape` permits escapes that are not defined.
#[must_use]
pub fn parse(line: &[u8], any_escape: bool) -> Line<'_> {
    let valid = str::from_utf8(line).map_or_else(|error| error.valid_up_to(), str::len);
    let (mut rest, mut braces) = (&line[..valid], Braces { any_escape, ..Braces::default() });
    let sample = sample(&mut rest, &mut braces);
    let quoted = braces.name.filter(|_| line.starts_with(b"{"));
    match sample {
        Some((series, value, time)) if valid == line.len() && !line.contains(&0) => Line::Sample(series, value, time),
        _ => Line::Invalid(quoted),
    }
}

/// Returns whether a byte is valid in an unquoted metric name.
#[must_use]
pub fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

/// Returns where the quoted string ends that a text starts with, if it starts with one.
#[must_use]
pub fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    string(&mut rest, true)??;
    Some(text.len() - rest.len())
}

/// Parses a number of streams.
#[must_use]
pub fn count(text: &[u8]) -> Option<u64> {
    let number: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    let mantissa = text.split(|byte| byte.eq_ignore_ascii_case(&b'e')).next()?;
    let is_literal_zero = mantissa.iter().all(|byte| !(b'1'..=b'9').contains(byte));
    let is_count = (0.0..9_007_199_254_740_992.0).contains(&number) && number.trunc() == number;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (is_count && (number > 0.0 || is_literal_zero)).then_some(number as u64)
}

#[derive(Default)]
struct Braces {
    any_escape: bool,
    name: Option<Vec<u8>>,
    labels: Vec<(Vec<u8>, Vec<u8>)>,
}

fn sample<'a>(rest: &mut &'a [u8], braces: &mut Braces) -> Option<(Series, &'a [u8], Option<f64>)> {
    let bare = take(rest, is_name_byte);
    if bare.first().is_some_and(u8::is_ascii_digit) || !matches!(rest.first(), None | Some(b' ' | b'\t' | b'{')) {
        return None;
    }
    skip_whitespace(rest);
    if eat(rest, b'{') {
        entries(rest, braces)?;
    }
    let name = match (bare, &braces.name) {
        (b"", Some(name)) => name.clone(),
        (b"", None) | (_, Some(_)) => return None,
        (bare, None) => bare.to_vec(),
    };
    let value = number(rest, |_| true)?;
    let time = end(rest, braces.any_escape)?;
    let mut labels = std::mem::take(&mut braces.labels);
    labels.retain(|(_, value)| !value.is_empty());
    labels.sort();
    Some((Series { name, labels }, value, time))
}

/// Parses the optional timestamp and exemplar; returns the timestamp.
fn end(rest: &mut &[u8], any_escape: bool) -> Option<Option<f64>> {
    let time = timestamp(rest)?;
    if rest.is_empty() {
        return Some(time);
    }
    let mut exemplar = Braces { any_escape, ..Braces::default() };
    if !eat(rest, b'#') {
        return None;
    }
    skip_whitespace(rest);
    if !eat(rest, b'{') {
        return None;
    }
    entries(rest, &mut exemplar)?;
    number(rest, |_| true)?;
    timestamp(rest)?;
    (rest.is_empty() && exemplar.name.is_none()).then_some(time)
}

fn timestamp(rest: &mut &[u8]) -> Option<Option<f64>> {
    skip_whitespace(rest);
    if rest.is_empty() || rest[0] == b'#' {
        return Some(None);
    }
    let time = number(rest, f64::is_finite)?;
    skip_whitespace(rest);
    Some(str::from_utf8(time).ok()?.parse().ok())
}

fn number<'a>(rest: &mut &'a [u8], is_good: impl Fn(f64) -> bool) -> Option<&'a [u8]> {
    skip_whitespace(rest);
    let token = take(rest, |byte| byte != b' ' && byte != b'\t');
    let number: f64 = str::from_utf8(token).ok()?.parse().ok()?;
    let is_in_range = !number.is_infinite() || token.contains(&b'i') || token.contains(&b'I');
    (is_good(number) && is_in_range).then_some(token)
}

/// Parses the content of the braces and the closing brace.
fn entries(rest: &mut &[u8], braces: &mut Braces) -> Option<()> {
    skip_whitespace(rest);
    while !eat(rest, b'}') {
        entry(rest, braces)?;
        skip_whitespace(rest);
        if !eat(rest, b',') && rest.first() != Some(&b'}') {
            return None;
        }
        skip_whitespace(rest);
    }
    let is_duplicate =
        |(at, (label, _)): (usize, &(Vec<u8>, _))| braces.labels[..at].iter().any(|(other, _)| other == label);
    (!braces.labels.iter().enumerate().any(is_duplicate)).then_some(())
}

fn entry(rest: &mut &[u8], braces: &mut Braces) -> Option<()> {
    let label = match string(rest, braces.any_escape)? {
        Some(text) => {
            skip_whitespace(rest);
            if matches!(rest.first(), Some(b',' | b'}')) {
                let first = braces.name.take().is_none() && !text.is_empty();
                braces.name = first.then_some(text);
                return first.then_some(());
            }
            text
        }
        None => {
            let label = take(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
            label.first().filter(|first| !first.is_ascii_digit())?;
            label.to_vec()
        }
    };
    skip_whitespace(rest);
    if label.is_empty() || label == b"__name__" || !eat(rest, b'=') {
        return None;
    }
    skip_whitespace(rest);
    let value = string(rest, braces.any_escape)??;
    braces.labels.push((label, value));
    Some(())
}

/// Parses a quoted string; `Some(None)` if there is no quote.
fn string(rest: &mut &[u8], any_escape: bool) -> Option<Option<Vec<u8>>> {
    if !eat(rest, b'"') {
        return Some(None);
    }
    let mut text = Vec::new();
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        match byte {
            b'"' => return Some(Some(text)),
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                *rest = after;
                match escaped {
                    b'n' => text.push(b'\n'),
                    b'\\' | b'"' => text.push(escaped),
                    _ if any_escape => text.extend([b'\\', escaped]),
                    _ => return None,
                }
            }
            _ => text.push(byte),
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], belongs: impl Fn(u8) -> bool) -> &'a [u8] {
    let end = rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(end);
    *rest = after;
    taken
}

fn eat(rest: &mut &[u8], expected: u8) -> bool {
    let found = rest.first() == Some(&expected);
    *rest = &rest[usize::from(found)..];
    found
}

fn skip_whitespace(rest: &mut &[u8]) {
    take(rest, |byte| byte == b' ' || byte == b'\t');
}
