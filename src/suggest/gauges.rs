//! Suggestions for a selector that matches nothing: the gauges of the page, and the gauge that was probably meant.
//!
//! Every suggested selector is tried on the page with the strict parser that counts streams.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::slice;

use super::list;
use super::similarity::{is_similar, percent};
use lameduck_parsers::exposition::{Format, Gauge, Page, gauges};
use lameduck_parsers::selector::Selector;

/// How many candidates are tried on the page. Each takes as long as reading the page.
const MAX_TRIED: usize = 8;

/// The gauges of a page, and the page.
#[derive(Debug)]
pub struct Gauges<'a> {
    page: &'a [u8],
    gauges: Vec<Gauge<'a>>,
}

/// What to use instead of a selector that matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The gauges of the page, as a clause of a message.
    pub available: String,
    /// The selector that was probably meant. It matches.
    pub best: Option<String>,
}

impl<'a> Gauges<'a> {
    /// Lists the gauges of a page.
    #[must_use]
    pub fn read(page: &'a [u8]) -> Self {
        Self { page, gauges: gauges(page) }
    }

    /// Returns what to use instead of this selector.
    #[must_use]
    pub fn suggest(&self, selector: &Selector) -> Suggestion {
        let same_name: Vec<_> = self.gauges.iter().filter(|gauge| selector.could_match(&gauge.name)).collect();
        if self.gauges.is_empty() {
            Suggestion { available: "the page has no gauges".to_owned(), best: None }
        } else if same_name.is_empty() {
            self.suggest_names(selector)
        } else {
            self.suggest_series(selector, &same_name)
        }
    }

    /// Suggests series, because the name of the selector matches and so its labels do not.
    fn suggest_series(&self, selector: &Selector, same_name: &[&Gauge]) -> Suggestion {
        let series = same_name.iter().map(|gauge| gauge.selector().to_string()).collect();
        let series = sorted_by_similarity(&selector.to_string(), series);
        let best = series.iter().take(MAX_TRIED).find(|text| self.matches(text)).cloned();
        Suggestion { available: format!("the page's series of this name are {}", list(&series)), best }
    }

    fn suggest_names(&self, selector: &Selector) -> Suggestion {
        // By name, as a selector writes it.
        let names: BTreeMap<String, &str> =
            self.gauges.iter().map(|gauge| (Selector::exact(&gauge.name, []).to_string(), &*gauge.name)).collect();
        let typed = selector.name().unwrap_or_default();
        let written = sorted_by_similarity(typed, names.keys().cloned().collect());
        let similar = written.iter().filter(|text| is_similar(typed, names[*text]));
        // With the labels that were typed, if that matches.
        let candidates = similar.flat_map(|text| [selector.to_string().replacen(typed, text, 1), text.clone()]);
        let best = candidates.take(MAX_TRIED).find(|text| self.matches(text));
        Suggestion { available: format!("the page's gauges are {}", list(&written)), best }
    }

    /// Returns whether a selector matches a countable series of the page.
    #[must_use]
    pub fn matches(&self, selector: &str) -> bool {
        let Ok(selector) = selector.parse::<Selector>() else { return false };
        let mut page = Page::new(slice::from_ref(&selector), Format::Text);
        page.feed(self.page).is_ok() && page.finish(true).is_ok_and(|sums| sums[0].is_some())
    }
}

/// Sorts by similarity to what was typed, the most similar first.
fn sorted_by_similarity(typed: &str, mut names: Vec<String>) -> Vec<String> {
    names.sort_by_cached_key(|name| (Reverse(percent(typed, name)), name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINE: &[u8] = include_bytes!("../../tests/fixtures/deepgram-engine.prom");

    fn suggest(page: &[u8], selector: &str) -> Suggestion {
        Gauges::read(page).suggest(&selector.parse().unwrap())
    }

    fn best(selector: &str) -> Option<String> {
        suggest(ENGINE, selector).best
    }

    #[test]
    fn misspelled_name_is_corrected_and_labels_are_kept() {
        assert_eq!(best("engine_active_request").as_deref(), Some("engine_active_requests"));
        let labelled = best(r#"engine_requests_active{kind="stream"}"#);
        assert_eq!(labelled.as_deref(), Some(r#"engine_active_requests{kind="stream"}"#));
        assert_eq!(best(r#"active_requests{king="stream"}"#).as_deref(), Some("engine_active_requests"));
    }

    #[test]
    fn misspelled_label_is_corrected() {
        let selector = r#"engine_active_requests{kind="streem"}"#;
        let suggestion = suggest(ENGINE, selector);
        assert_eq!(suggestion.best.as_deref(), Some(r#"engine_active_requests{kind="stream"}"#));
        assert!(suggestion.available.contains(r#"engine_active_requests{kind="batch"}"#), "{suggestion:?}");
        assert!(!suggestion.available.contains("flux"), "{suggestion:?}");
    }

    #[test]
    fn dissimilar_name_gets_list_without_suggestion() {
        let suggestion = suggest(ENGINE, "nginx_connections_waiting");
        assert_eq!(suggestion.best, None);
        assert!(suggestion.available.contains("engine_max_active_requests"), "{suggestion:?}");
        assert!(
            !suggestion.available.contains("_total") && !suggestion.available.contains("_bucket"),
            "{suggestion:?}"
        );
    }

    #[test]
    fn parts_of_histograms_and_counters_are_not_listed() {
        let page = b"# TYPE a_seconds histogram\na_seconds_bucket{le=\"1\"} 1\na_seconds_sum 1\na_seconds_count 1\n\
            # TYPE a counter\na_total 1\n# TYPE b gauge\nb_count 1\nb 1\n# EOF\n";
        let suggestion = suggest(page, "c");
        assert_eq!(suggestion, Suggestion { available: "the page's gauges are b".to_owned(), best: None });
        assert_eq!(suggest(page, "b{x=\"1\"}").best.as_deref(), Some("b"));
    }

    #[test]
    fn page_without_gauges_is_reported() {
        let suggestion = suggest(b"# TYPE a counter\na 1\n", "a_streams");
        assert_eq!(suggestion, Suggestion { available: "the page has no gauges".to_owned(), best: None });
    }

    #[test]
    fn label_values_may_contain_commas() {
        let suggestion = suggest(b"calls{queue=\"a,b\"} 1\n", r#"calls{queue="a,c"}"#);
        assert_eq!(suggestion.best.as_deref(), Some(r#"calls{queue="a,b"}"#));
    }

    #[test]
    fn quoted_names_are_suggested_in_quotes() {
        let suggestion = suggest(b"{\"my.calls\",a=\"b\"} 1\n", r#"{"my.call"}"#);
        assert_eq!(suggestion.best.as_deref(), Some(r#"{"my.calls"}"#));
        assert_eq!(suggestion.available, r#"the page's gauges are {"my.calls"}"#);
    }

    #[test]
    fn uncountable_series_are_listed_but_not_suggested() {
        let suggestion = suggest(b"calls{queue=\"a\"} 0.5\n", r#"calls{queue="b"}"#);
        assert_eq!(suggestion.best, None);
        assert!(suggestion.available.ends_with(r#"calls{queue="a"}"#), "{suggestion:?}");
    }
}
