//! A reference parser for a metrics page.

use lameduck_parsers::exposition::Sum;

use crate::line::{self, Line, Series};

/// A selector whose meaning is written by hand.
pub struct ReferenceSelector {
    /// The text that lameduck parses.
    pub text: &'static str,
    /// What every name that it can match starts with, if that is known.
    pub prefix: Option<&'static str>,
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
        let start = trim_start(line);
        if let Some(sample) = sample(start, selectors, (open_metrics, start.len() < line.len()))? {
            add(&sample, open_metrics, (selectors, idle), &mut sums, &mut seen)?;
        }
    }
    (ended || !open_metrics).then_some(sums)
}

/// A series, its value and its time.
type Sample<'a> = (Series, &'a [u8], Option<f64>);

/// Parses a line; `None` if it makes the page invalid, `Some(None)` if it is irrelevant.
fn sample<'a>(
    line: &'a [u8],
    selectors: &[ReferenceSelector],
    (open_metrics, is_indented): (bool, bool),
) -> Option<Option<Sample<'a>>> {
    let could_match = |name: &[u8]| selectors.iter().any(|selector| (selector.could_match)(name));
    match line.first() {
        None => return Some(None),
        Some(b'#') => return metadata(line, selectors).then_some(None),
        Some(b'<') => return None,
        Some(b'[') if starts_json_array(line) => return None,
        Some(b'{') => {}
        Some(_) if !may_be_selected(line, selectors, could_match) => return Some(None),
        Some(_) => {}
    }
    // OpenMetrics forbids blanks before a sample.
    if open_metrics && is_indented && (line[0] == b'{' || !line_name(line).is_empty() && could_match(line_name(line))) {
        return None;
    }
    match line::parse(line, open_metrics) {
        Line::Sample(series, value, time) => Some(Some((series, value, time))),
        Line::Invalid(Some(name)) if !could_match(&name) && !may_contain(line, 0, selectors) => Some(None),
        Line::Invalid(_) => None,
    }
}

fn starts_json_array(line: &[u8]) -> bool {
    let rest = line[1..].trim_ascii();
    rest.first().is_none_or(|first| b"{[]\"".contains(first))
}

/// Returns whether a comment is valid: a type or unit that is more than one word may hide a sample.
fn metadata(line: &[u8], selectors: &[ReferenceSelector]) -> bool {
    let valid = str::from_utf8(line).map_or_else(|error| error.valid_up_to(), str::len);
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let rest = trim_start(&line[1..valid]);
    let keyword = rest.split(is_blank).next().unwrap_or_default();
    if !line.get(1).is_some_and(is_blank) || !matches!(keyword, b"TYPE" | b"UNIT") {
        return true;
    }
    let name = trim_start(&rest[keyword.len()..]);
    let after_quotes = line::quoted_end(name).unwrap_or_else(|| name.split(is_blank).next().unwrap_or_default().len());
    let text = &line[valid - name.len() + after_quotes..];
    let is_word = text.trim_ascii().iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    is_word || !contains_prefix(text, 0, selectors)
}

/// Adds a sample to the sums; `None` if it makes the page invalid.
fn add(
    (series, value, time): &Sample<'_>,
    open_metrics: bool,
    (selectors, idle): (&[ReferenceSelector], &[ReferenceSelector]),
    sums: &mut [Option<Sum>],
    seen: &mut Vec<(Series, u64, Option<f64>)>,
) -> Option<()> {
    let is_idle = idle.iter().any(|selector| selector.matches(series));
    let earlier = seen.iter().position(|(other, ..)| other == series);
    let (mut count, mut earlier_count) = (None, None);
    for (_, sum) in selectors.iter().zip(sums).filter(|(selector, _)| selector.matches(series)) {
        count = count.or_else(|| line::count(value));
        let (count, sum) = (count?, sum.get_or_insert_default());
        if let Some(at) = earlier {
            let (_, earlier, earlier_time) = seen[at];
            // Only OpenMetrics permits several points, and their times increase.
            if !open_metrics || !matches!((earlier_time, *time), (Some(earlier), Some(time)) if earlier < time) {
                return None;
            }
            earlier_count = Some(earlier);
            sum.total -= earlier;
            sum.non_idle -= if is_idle { 0 } else { earlier };
            sum.series -= 1;
            sum.idle_series -= usize::from(is_idle);
        }
        sum.total += count;
        sum.non_idle += if is_idle { 0 } else { count };
        sum.series += 1;
        sum.idle_series += usize::from(is_idle);
    }
    match (count, earlier, earlier_count) {
        (Some(count), Some(at), Some(_)) => seen[at] = (series.clone(), count, *time),
        (Some(count), ..) => seen.push((series.clone(), count, *time)),
        (None, ..) => {}
    }
    Some(())
}

/// Returns whether a line may hold a sample of a selected series.
fn may_be_selected(line: &[u8], selectors: &[ReferenceSelector], could_match: impl Fn(&[u8]) -> bool) -> bool {
    let name = line_name(line);
    !name.is_empty() && could_match(name) || may_contain(line, name.len(), selectors)
}

/// Returns the unquoted name that a line starts with, or an empty one.
fn line_name(line: &[u8]) -> &[u8] {
    let name = line.split(|byte| !line::is_name_byte(*byte)).next().unwrap_or_default();
    if name.first().is_some_and(u8::is_ascii_digit) { b"" } else { name }
}

/// Returns whether a selected name may occur so that it ends after `start`.
fn may_contain(line: &[u8], start: usize, selectors: &[ReferenceSelector]) -> bool {
    selectors.iter().any(|selector| selector.prefix.is_none()) || contains_prefix(line, start, selectors)
}

fn contains_prefix(text: &[u8], start: usize, selectors: &[ReferenceSelector]) -> bool {
    let prefixes = selectors.iter().filter_map(|selector| selector.prefix);
    prefixes.into_iter().any(|prefix| {
        let ends = text.windows(prefix.len()).enumerate().filter(|(_, window)| *window == prefix.as_bytes());
        ends.into_iter().any(|(at, _)| at + prefix.len() > start)
    })
}

fn trim_start(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    &line[start..]
}
