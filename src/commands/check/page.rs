//! The metrics page: whether it answers, and what the selectors match on it.

use std::slice;
use std::time::Duration;

use super::ports::streams;
use super::processes;
use super::report::{Cause, Check};
use crate::io::http::Url;
use crate::io::page::{MAX_KEPT_BYTES, PageResponse, PageSelectors, PageSums};
use crate::settings::Settings;
use crate::suggest::gauges::{Gauges, Suggestion};
use lameduck_machine::policy::AcceptLimit;
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind};
use lameduck_parsers::exposition::{Error, Page, Sum};
use lameduck_parsers::selector::Selector;

/// What was found on the page.
struct Observed {
    sums: PageSums,
    /// For each selector of idle streams, how many of the counted series it matches.
    idle_series: Vec<usize>,
    /// The page as far as it was kept, up to the end of a line.
    text: Vec<u8>,
}

/// Checks that the page answers and that the selectors match.
pub(super) async fn check(settings: &Settings) -> Vec<Check> {
    let Some((url, selectors)) = &settings.sources.page else {
        return vec![Check::skip("page", "none is set: the streams are counted in another way")];
    };
    match observe(url, selectors, settings.times.scrape_timeout).await {
        Ok(observed) => {
            let mut checks = evaluate(settings, url, selectors, &observed);
            checks.insert(1, processes::check(settings, url).await);
            checks
        }
        Err(error) => failed(url, selectors, &error),
    }
}

async fn observe(url: &Url, selectors: &PageSelectors, timeout: Duration) -> Result<Observed, ReadError> {
    let late = || Err(ReadError::new(ReadErrorKind::NoResponse, format!("no complete page within {timeout:?}")));
    tokio::time::timeout(timeout, fetch(url, selectors)).await.unwrap_or_else(|_| late())
}

/// Reads the page as the sidecar does, and at the same time once per selector of idle streams.
async fn fetch(url: &Url, selectors: &PageSelectors) -> Result<Observed, ReadError> {
    let invalid = |error: Error| ReadError::new(ReadErrorKind::Invalid, error);
    let all = selectors.to_list();
    let counted = [&selectors.eager[..], &selectors.lazy].concat();
    let mut response = PageResponse::get(url).await?;
    let mut page = Page::new(&all, response.format);
    let with_idle = |idle| Page::new(&counted, response.format).with_idle_selectors(slice::from_ref(idle));
    let mut idle_pages: Vec<Page<'_>> = selectors.idle.iter().map(with_idle).collect();
    let mut text = Vec::new();
    while let Some(bytes) = response.next().await? {
        for page in idle_pages.iter_mut().chain([&mut page]) {
            page.feed(&bytes).map_err(invalid)?;
        }
        text.extend_from_slice(&bytes[..bytes.len().min(MAX_KEPT_BYTES - text.len())]);
    }
    let sums = selectors.sort(page.finish(response.framed).map_err(invalid)?);
    let mut idle_series = Vec::new();
    for page in idle_pages {
        let sums = page.finish(response.framed).map_err(invalid)?;
        idle_series.push(sums.into_iter().flatten().map(|sum| sum.idle_series).sum());
    }
    text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    Ok(Observed { sums, idle_series, text })
}

fn failed(url: &Url, selectors: &PageSelectors, error: &ReadError) -> Vec<Check> {
    let fix = match error.kind {
        ReadErrorKind::ConnectionRefused => "wait until the target serves its page, or correct --metrics-url",
        ReadErrorKind::NoResponse => "correct --metrics-url; if the page is only slow, lengthen --scrape-timeout",
        ReadErrorKind::Invalid | ReadErrorKind::SeveralProcesses => {
            "name a page in the Prometheus or OpenMetrics text format with --metrics-url"
        }
    };
    let mut checks = vec![Check::fail("page", Cause::Environment, format!("{url}: {}", error.message), fix)];
    let skipped = |selector| Check::skip("streams", format!("{selector}: there is no page to search"));
    checks.extend(selectors.eager.iter().map(skipped));
    checks
}

fn evaluate(settings: &Settings, url: &Url, selectors: &PageSelectors, observed: &Observed) -> Vec<Check> {
    let mut checks = vec![Check::pass("page", format!("{url} answers: {}", total(observed)))];
    let PageSums { eager: eager_sums, lazy: lazy_sums, .. } = &observed.sums;
    checks.extend(selectors.eager.iter().zip(eager_sums).map(|(selector, sum)| eager(selector, *sum, observed)));
    checks.extend(selectors.lazy.iter().zip(lazy_sums).map(|(selector, sum)| lazy(selector, *sum)));
    let ends_drain = settings.sources.idle.ends_drain;
    // Lazy series that have not appeared yet are reported above.
    let is_new = |(selector, series): &(&Selector, &usize)| **series > 0 || !selectors.lazy.contains(selector);
    let idle = selectors.idle.iter().zip(&observed.idle_series).filter(is_new);
    checks.extend(idle.map(|(selector, series)| idle_streams(selector, *series, observed).required_if(ends_drain)));
    if let (Some(AcceptLimit::Capacity), Some(selector)) = (settings.sources.accept_below, &selectors.capacity) {
        checks.push(capacity(selector, observed));
    }
    checks
}

/// Describes how many streams the page counts, as the sidecar does: unknown while a selector matches nothing.
fn total(observed: &Observed) -> String {
    let sum = |sums: &[Option<Sum>]| sums.iter().flatten().fold(0_u64, |total, sum| total.saturating_add(sum.total));
    if observed.sums.eager.contains(&None) {
        return "streams unknown, because a selector matches nothing".to_owned();
    }
    // The lazy series count the same streams once more.
    streams(Count::of(sum(&observed.sums.eager).max(sum(&observed.sums.lazy))))
}

fn eager(selector: &Selector, sum: Option<Sum>, observed: &Observed) -> Check {
    if let Some(sum) = sum {
        return Check::pass("streams", matched(selector, sum));
    }
    let Suggestion { available, best } = Gauges::read(&observed.text).suggest(selector);
    Check::fail(
        "streams",
        Cause::Environment,
        format!("{selector} matches nothing on the page; {available}"),
        fix("--streams", best, "name the series that count streams with --streams, or correct --metrics-url"),
    )
}

fn lazy(selector: &Selector, sum: Option<Sum>) -> Check {
    match sum {
        Some(sum) => Check::pass("lazy_streams", matched(selector, sum)),
        None => Check::skip("lazy_streams", format!("{selector} is not on the page and counts as zero until it is")),
    }
}

fn idle_streams(selector: &Selector, series: usize, observed: &Observed) -> Check {
    const NAME: &str = "idle_streams";
    if series > 0 {
        return Check::pass(NAME, format!("{selector} matches {series} of the counted series"));
    }
    let gauges = Gauges::read(&observed.text);
    let Suggestion { available, best } = if gauges.matches(&selector.to_string()) {
        Suggestion { available: "it matches others, which --streams does not count".to_owned(), best: None }
    } else {
        gauges.suggest(selector)
    };
    Check::fail(
        NAME,
        Cause::Environment,
        format!("{selector} matches none of the counted series, so none of them can be idle; {available}"),
        fix("--idle-streams", best, "name the counted series that can be idle with --idle-streams"),
    )
}

fn capacity(selector: &Selector, observed: &Observed) -> Check {
    const NAME: &str = "capacity";
    match observed.sums.capacity {
        Some(Sum { total: 0, .. }) => Check::pass(NAME, format!("{selector} is 0: the target accepts any number")),
        Some(Sum { total, .. }) => Check::pass(NAME, format!("{selector} is {total}")),
        None => Check::fail(
            NAME,
            Cause::Environment,
            format!("{selector} is not on the page, so --accept-below capacity never takes effect"),
            "set --accept-below to a number of streams",
        ),
    }
}

fn matched(selector: &Selector, sum: Sum) -> String {
    format!("{selector} matches {} series, whose sum is {}", sum.series, sum.total)
}

fn fix(flag: &str, intended: Option<String>, otherwise: &str) -> String {
    let suggested = |selector| format!("{selector} was probably intended: {flag} '{selector}'");
    intended.map_or_else(|| otherwise.to_owned(), suggested)
}
