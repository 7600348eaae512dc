//! The gauges of a page, listed for a person to choose a selector from.
//!
//! Unlike [`Page`](super::Page), this parser skips what it does not understand: a list of suggestions may be
//! incomplete, a count may not.

use std::borrow::Cow;
use std::collections::HashMap;

use super::sample::{Escapes, Sample, quoted, skip_whitespace, token};
use super::{BYTE_ORDER_MARK, MAX_LINE, trim_start};
use crate::cursor::Cursor;
use crate::selector::Selector;

/// Maximum number of series that [`gauges`] returns.
pub const MAX_GAUGES: usize = 10_000;

/// What the samples of counters, histograms, summaries and infos append to the name of their family.
const SUFFIXES: [&str; 8] = ["_total", "_sum", "_count", "_bucket", "_created", "_info", "_gsum", "_gcount"];

/// A series that may be a gauge.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge<'p> {
    /// The metric name.
    pub name: Cow<'p, str>,
    /// Label names and values, sorted by name.
    pub labels: Vec<(Cow<'p, str>, Cow<'p, str>)>,
    /// The value, which may be fractional, negative, infinite or NaN.
    pub value: f64,
}

impl Gauge<'_> {
    /// Returns the selector of this series.
    #[must_use]
    pub fn selector(&self) -> Selector {
        Selector::exact(&self.name, self.labels.iter().map(|(label, value)| (label.as_ref(), value.as_ref())))
    }
}

/// The type that a `# TYPE` line declares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Gauge,
    Unknown,
    Other,
}

/// Returns the series of a page that are gauges or may be: those without a type count unless their name ends like part
/// of a counter, histogram, summary or info.
///
/// Skips invalid lines and lines longer than [`MAX_LINE`]; stops after [`MAX_GAUGES`] series.
#[must_use]
pub fn gauges(page: &[u8]) -> Vec<Gauge<'_>> {
    let page = page.strip_prefix(BYTE_ORDER_MARK).unwrap_or(page);
    let mut types = HashMap::new();
    let mut gauges = Vec::new();
    for line in page.split(|byte| *byte == b'\n') {
        let line = trim_start(line.strip_suffix(b"\r").unwrap_or(line));
        let Ok(text) = str::from_utf8(line) else { continue };
        if line.is_empty() || line.len() > MAX_LINE {
            continue;
        }
        if line[0] == b'#' {
            types.extend(type_line(text));
        } else if let Ok(sample) = Sample::parse(text, Escapes::Any)
            && may_be_gauge(&sample.name, &types)
        {
            gauges.push(Gauge { labels: sample.labels().to_vec(), value: sample.value(), name: sample.name });
            if gauges.len() == MAX_GAUGES {
                break;
            }
        }
    }
    gauges
}

/// Parses `# TYPE name type`.
fn type_line(line: &str) -> Option<(Cow<'_, str>, Type)> {
    let mut cursor = Cursor::new(line);
    if !cursor.eat("#") || token(&mut cursor) != "TYPE" {
        return None;
    }
    skip_whitespace(&mut cursor);
    let name = match quoted(&mut cursor, Escapes::Any).ok()? {
        Some(name) => name,
        None => Cow::Borrowed(cursor.metric_name()),
    };
    let kind = match token(&mut cursor) {
        "gauge" => Type::Gauge,
        "untyped" | "unknown" => Type::Unknown,
        _ => Type::Other,
    };
    Some((name, kind))
}

fn may_be_gauge(name: &str, types: &HashMap<Cow<'_, str>, Type>) -> bool {
    match types.get(name) {
        Some(Type::Gauge) => true,
        Some(Type::Other) => false,
        Some(Type::Unknown) | None => !SUFFIXES.iter().any(|suffix| name.ends_with(suffix)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn listed(page: &[u8]) -> Vec<String> {
        gauges(page).iter().map(|gauge| gauge.selector().to_string()).collect()
    }

    #[test]
    fn lists_name_labels_and_value() {
        let page = b"\xef\xbb\xbf# TYPE calls gauge\r\ncalls{b=\"2\",a=\"x,y\"} 3.5 1700000000000\r\n";
        let labels = vec![("a".into(), "x,y".into()), ("b".into(), "2".into())];
        assert_eq!(gauges(page), [Gauge { name: "calls".into(), labels, value: 3.5 }]);
    }

    #[test]
    fn typed_counters_histograms_and_summaries_are_not_gauges() {
        let page = b"# TYPE a counter\na 1\n# TYPE b summary\nb{quantile=\"0.5\"} 1\nb_sum 1\nb_count 1\n\
            # TYPE c histogram\nc_bucket{le=\"1\"} 1\nc_sum 1\nc_count 1\n# TYPE d gaugehistogram\nd_gcount 1\nd_gsum 1\n\
            # TYPE e info\ne_info 1\n# TYPE f stateset\nf{f=\"on\"} 1\n# TYPE g gauge\ng 1\n";
        assert_eq!(listed(page), ["g"]);
    }

    #[test]
    fn series_without_type_count_unless_suffix_says_otherwise() {
        let page = b"a 1\nb_total 1\n# TYPE c_count gauge\nc_count 1\n# TYPE d unknown\nd 1\n# HELP e TYPE\ne 1\n";
        assert_eq!(listed(page), ["a", "c_count", "d", "e"]);
    }

    #[test]
    fn quoted_names_and_escaped_labels_are_written_as_selectors() {
        let page =
            b"# TYPE \"my.calls\" counter\n{\"my.calls\"} 1\n{\"my.streams\",a=\"\\\"\\\\\\n\"} 1\nx:y{a=\"\"} 1\n";
        assert_eq!(listed(page), [r#"{"my.streams",a="\"\\\n"}"#, "x:y"]);
    }

    #[test]
    fn invalid_and_long_lines_are_skipped() {
        let long = format!("long{{a=\"{}\"}} 1\n", "x".repeat(MAX_LINE));
        let page = [&b"a x\nb{ 1\nc \xff\n<html>\n\n#\n# TYPE\n"[..], long.as_bytes(), b"ok 1"].concat();
        assert_eq!(listed(&page), ["ok"]);
    }

    #[test]
    fn number_of_gauges_is_limited() {
        assert_eq!(gauges("a 1\n".repeat(MAX_GAUGES + 1).as_bytes()).len(), MAX_GAUGES);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_selectors_parse(page in r#"([a-z# {}=",\\\n.]|TYPE |gauge|\PC){0,60}"#, byte: u8) {
            let page = [page.as_bytes(), &[byte], page.as_bytes()].concat();
            for gauge in gauges(&page) {
                let find = |label: &str| gauge.labels.iter().find(|(name, _)| name == label).map(|(_, value)| &**value);
                let selector: Selector = gauge.selector().to_string().parse().unwrap();
                prop_assert!(selector.matches(&gauge.name, find));
            }
        }
    }
}
