//! What a page offers to a selector that matches nothing on it, for a person to choose from.
//!
//! Here `prometheus-parse` reads: it passes over lines that it does not know, which is well enough for advice, and would
//! not be for a count. What is advised is tried on the page by the reader that counts.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use prometheus_parse::{Sample, Scrape, Value};

use super::similarity::{is_similar, percent};
use lameduck_parsers::exposition::{Format, Page};
use lameduck_parsers::selector::Selector;

/// How many names a line may hold.
const SHOWN: usize = 12;

/// The gauges of a page, and the page.
pub(super) struct Gauges<'a> {
    page: &'a [u8],
    gauges: Vec<Sample>,
}

/// What a selector that matches nothing could have meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Advice {
    /// What the page has.
    pub(super) offer: String,
    /// The selector that was probably meant: it matches.
    pub(super) meant: Option<String>,
}

impl<'a> Gauges<'a> {
    /// Reads a page; a series without a type may be a gauge.
    pub(super) fn read(page: &'a [u8]) -> Self {
        let text = String::from_utf8_lossy(page);
        let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned())));
        let samples = scrape.map(|scrape| scrape.samples).unwrap_or_default();
        Self { page, gauges: samples.into_iter().filter(may_be_gauge).collect() }
    }

    /// What this selector could have meant.
    pub(super) fn advise(&self, selector: &Selector) -> Advice {
        let named: Vec<&Sample> = self.gauges.iter().filter(|sample| selector.could_match(&sample.metric)).collect();
        if self.gauges.is_empty() {
            Advice { offer: "it has no gauges".to_owned(), meant: None }
        } else if named.is_empty() {
            self.advise_names(selector)
        } else {
            self.advise_series(selector, &named)
        }
    }

    /// The name is right, so the labels are not.
    fn advise_series(&self, selector: &Selector, named: &[&Sample]) -> Advice {
        let series = ranked(&selector.to_string(), named.iter().map(|sample| write(sample)).collect());
        let meant = series.iter().find(|written| self.matches(written)).cloned();
        Advice { offer: format!("of its name the page has {}", list(&series)), meant }
    }

    fn advise_names(&self, selector: &Selector) -> Advice {
        let mut counts = BTreeMap::<&str, usize>::new();
        self.gauges.iter().for_each(|sample| *counts.entry(&sample.metric).or_default() += 1);
        let typed = selector.name().unwrap_or_default();
        let names = ranked(typed, counts.keys().map(|name| (*name).to_owned()).collect());
        let likely = names.iter().filter(|name| is_similar(typed, name));
        // With the same labels if that matches.
        let meant = likely.flat_map(|name| [selector.to_string().replacen(typed, name, 1), name.clone()]);
        let meant = meant.into_iter().find(|written| self.matches(written));
        Advice { offer: format!("the page's gauges are {}", list(&names)), meant }
    }

    /// Whether a selector matches on the page, by the reader that counts.
    pub(super) fn matches(&self, written: &str) -> bool {
        let Ok(selector) = written.parse::<Selector>() else { return false };
        let selectors = [selector];
        let mut page = Page::new(&selectors, Format::Text);
        page.feed(self.page).is_ok() && page.finish(true).is_ok_and(|sums| sums[0].is_some())
    }
}

/// Parts of counters and histograms come without a type as well: the type is that of their family.
fn may_be_gauge(sample: &Sample) -> bool {
    const PARTS: [&str; 6] = ["_total", "_sum", "_count", "_bucket", "_created", "_info"];
    match sample.value {
        Value::Gauge(_) => true,
        Value::Untyped(_) => !PARTS.iter().any(|part| sample.metric.ends_with(part)),
        Value::Counter(_) | Value::Histogram(_) | Value::Summary(_) => false,
    }
}

fn write(sample: &Sample) -> String {
    let Sample { metric, labels, .. } = sample;
    if labels.is_empty() { metric.clone() } else { format!("{metric}{{{labels}}}") }
}

/// The most alike first.
fn ranked(typed: &str, mut names: Vec<String>) -> Vec<String> {
    names.sort_by_cached_key(|name| (Reverse(percent(typed, name)), name.clone()));
    names
}

fn list(names: &[String]) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    names[..names.len().min(SHOWN)].join(", ") + &rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINE: &[u8] = include_bytes!("../../../tests/fixtures/deepgram-engine.prom");

    fn advise(page: &[u8], selector: &str) -> Advice {
        Gauges::read(page).advise(&selector.parse().unwrap())
    }

    fn meant(selector: &str) -> Option<String> {
        advise(ENGINE, selector).meant
    }

    #[test]
    fn a_slip_in_the_name_is_mended_and_the_labels_are_kept() {
        assert_eq!(meant("engine_active_request").as_deref(), Some("engine_active_requests"));
        let labelled = meant(r#"engine_requests_active{kind="stream"}"#);
        assert_eq!(labelled.as_deref(), Some(r#"engine_active_requests{kind="stream"}"#));
        assert_eq!(meant(r#"active_requests{king="stream"}"#).as_deref(), Some("engine_active_requests"));
    }

    #[test]
    fn a_slip_in_a_label_is_mended() {
        let selector = r#"engine_active_requests{kind="streem"}"#;
        let advice = advise(ENGINE, selector);
        assert_eq!(advice.meant.as_deref(), Some(r#"engine_active_requests{kind="stream"}"#));
        assert!(advice.offer.contains(r#"engine_active_requests{kind="batch"}"#), "{advice:?}");
        assert!(!advice.offer.contains("flux"), "{advice:?}");
    }

    #[test]
    fn what_is_like_nothing_gets_the_list_and_no_guess() {
        let advice = advise(ENGINE, "nginx_connections_waiting");
        assert_eq!(advice.meant, None);
        assert!(advice.offer.contains("engine_max_active_requests"), "{advice:?}");
        assert!(!advice.offer.contains("_total") && !advice.offer.contains("_bucket"), "{advice:?}");
    }

    #[test]
    fn parts_of_other_families_are_no_gauges() {
        let page = b"# TYPE a_seconds histogram\na_seconds_bucket{le=\"1\"} 1\na_seconds_sum 1\na_seconds_count 1\n\
            # TYPE a counter\na_total 1\n# TYPE b gauge\nb_count 1\nb 1\n# EOF\n";
        let advice = advise(page, "c");
        assert_eq!(advice, Advice { offer: "the page's gauges are b".to_owned(), meant: None });
        assert_eq!(advise(page, "b{x=\"1\"}").meant.as_deref(), Some("b"));
    }

    #[test]
    fn a_page_without_gauges_says_so() {
        let advice = advise(b"# TYPE a counter\na 1\n", "a_streams");
        assert_eq!(advice, Advice { offer: "it has no gauges".to_owned(), meant: None });
    }

    #[test]
    fn nothing_is_advised_that_would_not_match() {
        // prometheus-parse takes the value as far as its comma.
        let advice = advise(b"calls{queue=\"a,b\"} 1\n", r#"calls{queue="a,c"}"#);
        assert_eq!(advice.meant, None, "{advice:?}");
    }
}
