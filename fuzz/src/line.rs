//! One line of a metrics page, read byte by byte.

/// A series, with its labels sorted and those that are empty left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    pub name: Vec<u8>,
    pub labels: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Series {
    /// A label's value; a label that is not there is empty.
    #[must_use]
    pub fn label(&self, name: &str) -> &[u8] {
        let found = self.labels.iter().find(|(label, _)| label == name.as_bytes());
        found.map_or(&[], |(_, value)| value)
    }
}

/// What a line says.
#[derive(Debug)]
pub enum Line<'a> {
    /// A sound sample, and how its value is written.
    Sample(Series, &'a [u8]),
    /// It is not sound; the name is there if it stood in the braces before the flaw.
    Flawed(Option<Vec<u8>>),
}

/// Reads a line that has neither leading blanks nor an end.
#[must_use]
pub fn read(line: &[u8]) -> Line<'_> {
    let sound = str::from_utf8(line).map_or_else(|error| error.valid_up_to(), str::len);
    let (mut rest, mut braces) = (&line[..sound], Braces::default());
    let sample = sample(&mut rest, &mut braces);
    let quoted = braces.name.filter(|_| line.starts_with(b"{"));
    match sample {
        Some((series, value)) if sound == line.len() => Line::Sample(series, value),
        _ => Line::Flawed(quoted),
    }
}

/// Whether a byte may stand in a bare metric name.
#[must_use]
pub fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

/// A written number, if it can be a number of streams.
#[must_use]
pub fn count(text: &[u8]) -> Option<u64> {
    let number: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    let mantissa = text.split(|byte| byte.eq_ignore_ascii_case(&b'e')).next()?;
    let says_zero = mantissa.iter().all(|byte| !(b'1'..=b'9').contains(byte));
    let is_count = (0.0..9_007_199_254_740_992.0).contains(&number) && number.trunc() == number;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (is_count && text[0] != b'-' && (number > 0.0 || says_zero)).then_some(number as u64)
}

#[derive(Default)]
struct Braces {
    name: Option<Vec<u8>>,
    labels: Vec<(Vec<u8>, Vec<u8>)>,
}

fn sample<'a>(rest: &mut &'a [u8], braces: &mut Braces) -> Option<(Series, &'a [u8])> {
    let bare = take(rest, is_name_byte);
    if bare.first().is_some_and(u8::is_ascii_digit) || !matches!(rest.first(), None | Some(b' ' | b'\t' | b'{')) {
        return None;
    }
    blanks(rest);
    if eat(rest, b'{') {
        entries(rest, braces)?;
    }
    let name = match (bare, &braces.name) {
        (b"", Some(name)) => name.clone(),
        (b"", None) | (_, Some(_)) => return None,
        (bare, None) => bare.to_vec(),
    };
    let value = number(rest, |_| true)?;
    end(rest)?;
    let mut labels = std::mem::take(&mut braces.labels);
    labels.retain(|(_, value)| !value.is_empty());
    labels.sort();
    Some((Series { name, labels }, value))
}

/// Timestamp and exemplar, of which both may be missing.
fn end(rest: &mut &[u8]) -> Option<()> {
    timestamp(rest)?;
    if rest.is_empty() {
        return Some(());
    }
    let mut exemplar = Braces::default();
    if !eat(rest, b'#') {
        return None;
    }
    blanks(rest);
    if !eat(rest, b'{') {
        return None;
    }
    entries(rest, &mut exemplar)?;
    number(rest, |_| true)?;
    timestamp(rest)?;
    (rest.is_empty() && exemplar.name.is_none()).then_some(())
}

fn timestamp(rest: &mut &[u8]) -> Option<()> {
    blanks(rest);
    if !rest.is_empty() && rest[0] != b'#' {
        number(rest, f64::is_finite)?;
        blanks(rest);
    }
    Some(())
}

fn number<'a>(rest: &mut &'a [u8], is_good: impl Fn(f64) -> bool) -> Option<&'a [u8]> {
    blanks(rest);
    let word = take(rest, |byte| byte != b' ' && byte != b'\t');
    let number = str::from_utf8(word).ok()?.parse().ok()?;
    is_good(number).then_some(word)
}

/// What stands between braces, with the closing one.
fn entries(rest: &mut &[u8], braces: &mut Braces) -> Option<()> {
    blanks(rest);
    while !eat(rest, b'}') {
        entry(rest, braces)?;
        blanks(rest);
        if !eat(rest, b',') && rest.first() != Some(&b'}') {
            return None;
        }
        blanks(rest);
    }
    let is_twice =
        |(at, (label, _)): (usize, &(Vec<u8>, _))| braces.labels[..at].iter().any(|(other, _)| other == label);
    (!braces.labels.iter().enumerate().any(is_twice)).then_some(())
}

fn entry(rest: &mut &[u8], braces: &mut Braces) -> Option<()> {
    let label = match string(rest)? {
        Some(text) => {
            blanks(rest);
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
    blanks(rest);
    if label.is_empty() || label == b"__name__" || !eat(rest, b'=') {
        return None;
    }
    blanks(rest);
    let value = string(rest)??;
    braces.labels.push((label, value));
    Some(())
}

/// A string in quotes, or none where none stands.
fn string(rest: &mut &[u8]) -> Option<Option<Vec<u8>>> {
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
                text.push(match escaped {
                    b'n' => b'\n',
                    b'\\' | b'"' => escaped,
                    _ => return None,
                });
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

fn eat(rest: &mut &[u8], wanted: u8) -> bool {
    let found = rest.first() == Some(&wanted);
    *rest = &rest[usize::from(found)..];
    found
}

fn blanks(rest: &mut &[u8]) {
    take(rest, |byte| byte == b' ' || byte == b'\t');
}
