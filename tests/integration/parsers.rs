//! The parser of metrics pages: complete pages, invalid lines, truncation, limits, and a second opinion.

mod ends;
mod hidden_series;
mod invalid_lines;
mod limits;
mod open_metrics;
mod properties;

use lameduck_parsers::exposition::{Error, Format, Page, Sum};
use lameduck_parsers::selector::Selector;

type Reading = Result<Vec<Option<u64>>, Error>;

const DEEPGRAM: &[u8] = include_bytes!("../fixtures/deepgram-engine.prom");
const DIALECT: &[u8] = include_bytes!("../fixtures/dialect.prom");
const HTML: &str = "line 1: not Prometheus text (HTML?); is the path right?";

#[test]
fn engine_page_is_parsed() {
    let selectors = selectors(&[
        "engine_active_requests",
        r#"engine_active_requests{kind="stream"}"#,
        r#"engine_active_requests{kind!~"stream|tts"}"#,
        r#"{__name__=~"engine_(active_requests|flux_used_streams)",kind!="batch"}"#,
        "engine_max_active_requests",
        "engine_flux_used_streams",
        "flux_used_streams",
        r#"engine_active_requests{kind="flux"}"#,
    ]);
    let sums = vec![Some(44), Some(37), Some(2), Some(54), Some(0), Some(12), None, None];
    for format in [Format::Text, Format::OpenMetrics] {
        assert_eq!(parse(&selectors, format, true, &[DEEPGRAM]), Ok(sums.clone()));
    }
}

#[test]
fn every_form_of_the_dialect_is_parsed() {
    let selectors = selectors(&["active", r#"{"active",form=~"quoted.*"}"#, "idle"]);
    assert_eq!(parse(&selectors, Format::Text, true, &[DIALECT]), Ok(vec![Some(21), Some(3), Some(3)]));
}

#[test]
fn values_of_unmatched_series_are_ignored() {
    for (page, outcome) in [
        ("active{kind=\"a\"} NaN\nactive{kind=\"b\"} 2\n", Ok(Some(2))),
        ("active{kind=\"a\"} x\nactive{kind=\"b\"} 2\n", Err("line 1: value x is not a number")),
        ("active{kind=\"a\"} 1\nactive{kind=\"a\"} 1\nactive{kind=\"b\"} 2\n", Ok(Some(2))),
        ("active{kind=\"b\"} 2\nactive{kind=\"b\"} NaN\n", Err("line 2: value NaN is not a count")),
    ] {
        assert_eq!(parse_text(r#"active{kind="b"}"#, page), expected(outcome), "{page:?}");
    }
}

#[test]
fn duplicate_series_are_rejected_in_any_notation() {
    for (first, second) in [
        ("active", "active{}"),
        ("active", "active{a=\"\"}"),
        ("active", "{\"active\"}"),
        ("active{a=\"b\",c=\"d\"}", "active{ c=\"d\",\"a\"=\"b\", }"),
        ("active{a=\"\\n\"}", "{a=\"\\n\",\"active\"}"),
    ] {
        let outcome = parse_text("active", &format!("{first} 1\n{second} 2\n"));
        assert_eq!(outcome, Err("line 2: duplicate series of active".to_owned()), "{first} {second}");
    }
    assert_eq!(parse_text("active", "active{a=\"bc\"} 1\nactive{ab=\"c\"} 2\n"), Ok(Some(3)));
}

#[test]
fn series_counts_once_per_selector() {
    let page = b"active{kind=\"a\"} 1\nactive{kind=\"b\"} 2\n";
    let selectors = selectors(&["active", r#"active{kind="b"}"#, "active"]);
    assert_eq!(parse(&selectors, Format::Text, true, &[page]), Ok(vec![Some(3), Some(2), Some(3)]));
}

#[test]
fn idle_series_are_summed_separately() {
    let page = b"active{kind=\"a\"} 1\nactive{kind=\"b\"} 2\nactive{kind=\"c\"} 4\nother 8\n";
    let (selected, idle) = (selectors(&["active", "other"]), selectors(&[r#"active{kind="b"}"#, "active{kind='c'}"]));
    let mut parser = Page::new(&selected, Format::Text).with_idle_selectors(&idle);
    parser.feed(page).unwrap();
    let sums = [
        Some(Sum { total: 7, non_idle: 1, series: 3, idle_series: 2 }),
        Some(Sum { total: 8, non_idle: 8, series: 1, idle_series: 0 }),
    ];
    assert_eq!(parser.finish(true).unwrap(), sums);
}

#[test]
fn first_error_is_returned_again() {
    let selectors = selectors(&["active"]);
    let mut page = Page::new(&selectors, Format::Text);
    let error = page.feed(b"active 1\nactive x\nactive NaN\n").unwrap_err();
    assert_eq!((error.line, error.to_string()), (2, "line 2: value x is not a number".to_owned()));
    assert_eq!(page.feed(b"active 3\n"), Err(error.clone()));
    assert_eq!(page.finish(true), Err(error));
}

fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn parse(selectors: &[Selector], format: Format, complete: bool, chunks: &[&[u8]]) -> Reading {
    let mut page = Page::new(selectors, format);
    let fed = chunks.iter().try_for_each(|chunk| page.feed(chunk));
    let sums = page.finish(complete);
    let reading = sums.map(|sums| sums.iter().map(|sum| sum.map(|sum| sum.total)).collect());
    // An error of `feed` must be returned by `finish` too.
    assert!(fed.is_ok() || fed.err() == reading.as_ref().err().cloned());
    reading
}

fn parse_text(selector: &str, page: &str) -> Result<Option<u64>, String> {
    first_sum(parse(&selectors(&[selector]), Format::Text, true, &[page.as_bytes()]))
}

fn first_sum(reading: Reading) -> Result<Option<u64>, String> {
    reading.map(|sums| sums[0]).map_err(|error| error.to_string())
}

fn expected(outcome: Result<Option<u64>, &str>) -> Result<Option<u64>, String> {
    outcome.map_err(str::to_owned)
}
