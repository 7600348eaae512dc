//! `prometheus-parse` as a second opinion, on the pages that it parses correctly.

use prometheus_parse::{Scrape, Value};

use crate::line::Series;
use crate::page::ReferenceSelector;

/// Returns whether prometheus-parse parses every line correctly: it drops, truncates or reinterprets others.
#[must_use]
pub fn supports(page: &[u8]) -> bool {
    page.split(|byte| *byte == b'\n').all(|line| line.is_empty() || is_plain(line))
}

/// `name{label="value",…} number`, or without braces; the number may have a timestamp.
fn is_plain(line: &[u8]) -> bool {
    let mut rest = line;
    let name = token(&mut rest, |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if name.first().is_none_or(u8::is_ascii_digit) {
        return false;
    }
    if let Some(braces) = rest.strip_prefix(b"{") {
        rest = braces;
        loop {
            let label = token(&mut rest, |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            let Some(value) = rest.strip_prefix(b"=\"") else { return false };
            rest = value;
            token(&mut rest, |byte| byte.is_ascii_alphanumeric());
            if label.first().is_none_or(u8::is_ascii_digit) || !rest.starts_with(b"\"") {
                return false;
            }
            rest = &rest[1..];
            match rest.split_first() {
                Some((b',', more)) => rest = more,
                Some((b'}', more)) => break rest = more,
                _ => return false,
            }
        }
    }
    let value = rest.strip_prefix(b" ").map(|mut rest| (token(&mut rest, |byte| byte.is_ascii_digit()), rest));
    let Some((digits, after)) = value else { return false };
    let is_time = |time: &[u8]| (1..13).contains(&time.len()) && time.iter().all(u8::is_ascii_digit);
    (1..16).contains(&digits.len()) && (after.is_empty() || after.strip_prefix(b" ").is_some_and(is_time))
}

fn token<'a>(rest: &mut &'a [u8], belongs: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = rest.iter().position(|byte| !belongs(byte)).unwrap_or(rest.len());
    let (token, after) = rest.split_at(end);
    *rest = after;
    token
}

/// Returns the sums by prometheus-parse.
///
/// # Panics
/// Panics if it does not [support](supports) the page.
#[must_use]
pub fn sums(page: &[u8], selectors: &[ReferenceSelector]) -> Vec<Option<u64>> {
    let text = str::from_utf8(page).expect("a supported page is ASCII");
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).expect("lines in memory do not fail");
    let series: Vec<_> = scrape.samples.iter().map(|sample| (series(sample), value(&sample.value))).collect();
    let sum = |selector: &ReferenceSelector| {
        let matching = series.iter().filter(|(series, _)| selector.matches(series)).map(|(_, value)| *value);
        matching.fold(None, |sum, value| Some(sum.unwrap_or(0) + value))
    };
    selectors.iter().map(sum).collect()
}

fn series(sample: &prometheus_parse::Sample) -> Series {
    let labels = sample.labels.iter().map(|(label, value)| (label.clone().into_bytes(), value.clone().into_bytes()));
    Series { name: sample.metric.clone().into_bytes(), labels: labels.collect() }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn value(value: &Value) -> u64 {
    match value {
        Value::Counter(number) | Value::Gauge(number) | Value::Untyped(number) => *number as u64,
        Value::Histogram(_) | Value::Summary(_) => panic!("supported pages have no `# TYPE`"),
    }
}
