//! A reference parser for a metrics page.

use lameduck_parsers::exposition::Sum;

use crate::line::{self, Line, Series};

/// A selector whose meaning is written by hand.
pub struct ReferenceSelector {
    /// The text that lameduck parses.
    pub text: &'static str,
    /// The only name that it can match, if it has a fixed one.
    pub name: Option<&'static str>,
    /// Returns whether a name can match.
    pub could_match: fn(&[u8]) -> bool,
    /// Returns whether a series whose name can match does match.
    pub labels_match: fn(&Series) -> bool,
}

impl ReferenceSelector {
    /// Returns whether a series matches.
    #[must_use]
    pub fn matches(&self, series: &Series) -> bool {
        (self.could_match)(&series.name) && (self.labels_match)(series)
    }
}

/// Parses a page; `None` if it must be rejected.
#[must_use]
pub fn parse(
    page: &[u8],
    selectors: &[ReferenceSelector],
    idle: &[ReferenceSelector],
    open_metrics: bool,
    complete: bool,
) -> Option<Vec<Option<Sum>>> {
    let (mut sums, mut seen, mut ended) = (vec![None; selectors.len()], Vec::new(), false);
    let mut rest = page;
    while !rest.is_empty() {
        let newline = rest.iter().position(|byte| *byte == b'\n');
        if ended || newline.is_none() && !complete {
            return None;
        }
        let line = &rest[..newline.unwrap_or(rest.len())];
        rest = &rest[newline.map_or(rest.len(), |newline| newline + 1)..];
        let is_first = line.as_ptr() == page.as_ptr();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = line.strip_prefix("\u{feff}".as_bytes()).filter(|_| is_first).unwrap_or(line);
        ended = open_metrics && line == b"# EOF";
        if let Some((series, value)) = sample(trim_start(line), selectors)? {
            add(&series, value, (selectors, idle), &mut sums, &mut seen)?;
        }
    }
    (ended || !open_metrics).then_some(sums)
}

/// Parses a line; `None` if it makes the page invalid, `Some(None)` if it is irrelevant.
fn sample<'a>(line: &'a [u8], selectors: &[ReferenceSelector]) -> Option<Option<(Series, &'a [u8])>> {
    let could_match = |name: &[u8]| selectors.iter().any(|selector| (selector.could_match)(name));
    match line.first() {
        None | Some(b'#') => return Some(None),
        Some(b'<') => return None,
        Some(b'{') => {}
        Some(_) if !may_be_selected(line, selectors, could_match) => return Some(None),
        Some(_) => {}
    }
    match line::parse(line) {
        Line::Sample(series, value) => Some(Some((series, value))),
        Line::Invalid(Some(name)) if !could_match(&name) => Some(None),
        Line::Invalid(_) => None,
    }
}

/// Adds a sample to the sums; `None` if it makes the page invalid.
fn add(
    series: &Series,
    value: &[u8],
    (selectors, idle): (&[ReferenceSelector], &[ReferenceSelector]),
    sums: &mut [Option<Sum>],
    seen: &mut Vec<Series>,
) -> Option<()> {
    let is_idle = idle.iter().any(|selector| selector.matches(series));
    let mut count = None;
    for (_, sum) in selectors.iter().zip(sums).filter(|(selector, _)| selector.matches(series)) {
        count = count.or_else(|| line::count(value));
        let (count, sum) = (count?, sum.get_or_insert_default());
        sum.total += count;
        sum.non_idle += if is_idle { 0 } else { count };
        sum.series += 1;
        sum.idle_series += usize::from(is_idle);
    }
    if count.is_some() {
        if seen.contains(series) {
            return None;
        }
        seen.push(series.clone());
    }
    Some(())
}

/// Returns whether a line may be a sample of a selected series, judging by the name that it starts with.
fn may_be_selected(line: &[u8], selectors: &[ReferenceSelector], could_match: impl Fn(&[u8]) -> bool) -> bool {
    let starts_with = |name: &str| {
        line.strip_prefix(name.as_bytes())
            .is_some_and(|rest| !rest.first().is_some_and(|next| line::is_name_byte(*next)))
    };
    if selectors.iter().filter_map(|selector| selector.name).any(starts_with) {
        return true;
    }
    let name = line.split(|byte| !line::is_name_byte(*byte)).next().unwrap_or_default();
    let is_open = selectors.iter().any(|selector| selector.name.is_none());
    is_open && (name.is_empty() || name[0].is_ascii_digit() || could_match(name))
}

fn trim_start(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    &line[start..]
}
