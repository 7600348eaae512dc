//! The metrics page: whether it answers, and what the selectors find on it.

use std::slice;
use std::time::Duration;

use super::gauges::{Gauges, Suggestion};
use super::ports::streams;
use super::report::{Cause, Check};
use crate::io::http::Url;
use crate::io::page::{PageResponse, PageSelectors};
use crate::settings::Settings;
use lameduck_machine::policy::AcceptLimit;
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind};
use lameduck_parsers::exposition::{Error, Page, Sum};
use lameduck_parsers::selector::Selector;

/// How much of the page is kept to advise on, in bytes: the sidecar's container may have no memory to spare.
const KEPT: usize = 256 * 1024;

/// What was seen on the page.
struct Seen {
    steady: Vec<Option<Sum>>,
    lazy: Vec<Option<Sum>>,
    capacity: Option<Sum>,
    /// For each selector of idle streams, how many of the counted series it matches.
    idle: Vec<usize>,
    /// The page as far as it was kept, up to the end of a line.
    text: Vec<u8>,
}

/// Whether the page answers and the selectors match.
pub(super) async fn check(settings: &Settings) -> Vec<Check> {
    let Some((url, wanted)) = &settings.sources.page else {
        return vec![Check::open("page", "none is set: the streams are counted otherwise")];
    };
    match look(url, wanted, settings.plan.scrape_timeout).await {
        Ok(seen) => judge(settings, url, wanted, &seen),
        Err(fault) => unread(url, wanted, &fault),
    }
}

async fn look(url: &Url, wanted: &PageSelectors, bound: Duration) -> Result<Seen, ReadError> {
    let late = || Err(ReadError::new(ReadErrorKind::NoResponse, format!("no whole page within {bound:?}")));
    tokio::time::timeout(bound, fetch(url, wanted)).await.unwrap_or_else(|_| late())
}

/// Reads the page as the sidecar does; once more, beside it, for each selector of idle streams.
async fn fetch(url: &Url, wanted: &PageSelectors) -> Result<Seen, ReadError> {
    let unreadable = |error: Error| ReadError::new(ReadErrorKind::Invalid, error);
    let counted = [&wanted.eager[..], &wanted.lazy].concat();
    let selectors: Vec<Selector> = counted.iter().chain(&wanted.capacity).cloned().collect();
    let mut answer = PageResponse::get(url).await?;
    let mut page = Page::new(&selectors, answer.format);
    let apart = |idle| Page::new(&counted, answer.format).with_idle_selectors(slice::from_ref(idle));
    let mut idles: Vec<Page<'_>> = wanted.idle.iter().map(apart).collect();
    let mut text = Vec::new();
    while let Some(bytes) = answer.next().await? {
        for page in idles.iter_mut().chain([&mut page]) {
            page.feed(&bytes).map_err(unreadable)?;
        }
        text.extend_from_slice(&bytes[..bytes.len().min(KEPT - text.len())]);
    }
    let mut sums = page.finish(answer.framed).map_err(unreadable)?;
    let capacity = sums.split_off(counted.len()).pop().flatten();
    let lazy = sums.split_off(wanted.eager.len());
    let mut idle = Vec::new();
    for page in idles {
        let sums = page.finish(answer.framed).map_err(unreadable)?;
        idle.push(sums.into_iter().flatten().map(|sum| sum.idle_series).sum());
    }
    text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    Ok(Seen { steady: sums, lazy, capacity, idle, text })
}

fn unread(url: &Url, wanted: &PageSelectors, fault: &ReadError) -> Vec<Check> {
    let mend = match fault.kind {
        ReadErrorKind::ConnectionRefused => "wait until the target serves its page, or correct --metrics-url",
        ReadErrorKind::NoResponse => "correct --metrics-url; if it answers but slowly, lengthen --scrape-timeout",
        ReadErrorKind::Invalid => "name a page of Prometheus or OpenMetrics text with --metrics-url",
    };
    let mut checks = vec![Check::amiss("page", Cause::Environment, format!("{url}: {}", fault.message), mend)];
    checks
        .extend(wanted.eager.iter().map(|it| Check::open("streams", format!("{it}: there is no page to find it on"))));
    checks
}

fn judge(settings: &Settings, url: &Url, wanted: &PageSelectors, seen: &Seen) -> Vec<Check> {
    let mut checks = vec![Check::well("page", format!("{url} answers: {}", total(seen)))];
    checks.extend(wanted.eager.iter().zip(&seen.steady).map(|(selector, sum)| steady(selector, *sum, seen)));
    checks.extend(wanted.lazy.iter().zip(&seen.lazy).map(|(selector, sum)| lazy(selector, *sum)));
    let ends_drain = settings.sources.idleness.ends_drain;
    // Lazy series that are not there have been told of already.
    let untold = |(selector, series): &(&Selector, &usize)| **series > 0 || !wanted.lazy.contains(selector);
    let idle = wanted.idle.iter().zip(&seen.idle).filter(untold);
    checks.extend(idle.map(|(selector, series)| idle_streams(selector, *series, seen).where_needed(ends_drain)));
    if let (Some(AcceptLimit::Capacity), Some(selector)) = (settings.sources.accept_below, &wanted.capacity) {
        checks.push(capacity(selector, seen));
    }
    checks
}

/// How many streams the page counts, as the sidecar does: nobody knows while a selector matches nothing.
fn total(seen: &Seen) -> String {
    let sum = |sums: &[Option<Sum>]| sums.iter().flatten().fold(0_u64, |total, sum| total.saturating_add(sum.total));
    if seen.steady.contains(&None) {
        return "streams unknown, for a selector matches nothing".to_owned();
    }
    // The lazy ones are another witness to the same streams.
    streams(Count::of(sum(&seen.steady).max(sum(&seen.lazy))))
}

fn steady(selector: &Selector, sum: Option<Sum>, seen: &Seen) -> Check {
    match sum {
        Some(sum) => Check::well("streams", matched(selector, sum)),
        None => missing("streams", "--streams", selector, seen),
    }
}

fn lazy(selector: &Selector, sum: Option<Sum>) -> Check {
    match sum {
        Some(sum) => Check::well("lazy_streams", matched(selector, sum)),
        None => Check::open("lazy_streams", format!("{selector} is not on the page: zero until it was")),
    }
}

fn idle_streams(selector: &Selector, series: usize, seen: &Seen) -> Check {
    const NAME: &str = "idle_streams";
    if series > 0 {
        return Check::well(NAME, format!("{selector} matches {} of the counted ones", plural(series)));
    }
    let gauges = Gauges::read(&seen.text);
    let Suggestion { available, best } = if gauges.matches(&selector.to_string()) {
        Suggestion { available: "it matches others, which --streams does not count".to_owned(), best: None }
    } else {
        gauges.suggest(selector)
    };
    Check::amiss(
        NAME,
        Cause::Environment,
        format!("{selector} matches none of the counted series, so that none of them can be idle; {available}"),
        mend("--idle-streams", best, "say with --idle-streams which of the counted series can be idle"),
    )
}

fn capacity(selector: &Selector, seen: &Seen) -> Check {
    match seen.capacity {
        Some(Sum { total: 0, .. }) => Check::well("capacity", format!("{selector} is 0: the target takes any number")),
        Some(Sum { total, .. }) => Check::well("capacity", format!("{selector} is {total}")),
        None => Check::amiss(
            "capacity",
            Cause::Environment,
            format!("{selector} is not on the page, so that --accept-below capacity never refuses"),
            "write the number of streams as --accept-below",
        ),
    }
}

fn matched(selector: &Selector, sum: Sum) -> String {
    format!("{selector} matches {}, whose sum is {}", plural(sum.series), sum.total)
}

fn missing(name: &'static str, flag: &str, selector: &Selector, seen: &Seen) -> Check {
    let Suggestion { available, best } = Gauges::read(&seen.text).suggest(selector);
    let otherwise = format!("name what counts the streams with {flag}, or correct --metrics-url");
    Check::amiss(
        name,
        Cause::Environment,
        format!("{selector} matches nothing on the page; {available}"),
        mend(flag, best, &otherwise),
    )
}

fn mend(flag: &str, meant: Option<String>, otherwise: &str) -> String {
    meant.map_or_else(|| otherwise.to_owned(), |meant| format!("probably {meant} was meant: {flag} '{meant}'"))
}

fn plural(series: usize) -> String {
    // The plural is the same word.
    format!("{series} series")
}
