//! The page reader against whole pages, hostile lines, cuts and limits, and a second opinion.

mod ends;
mod hostile;
mod limits;
mod properties;

use lameduck_parsers::exposition::{Error, Format, Page, Sum};
use lameduck_parsers::selector::Selector;

type Reading = Result<Vec<Option<u64>>, Error>;

const DEEPGRAM: &[u8] = include_bytes!("../fixtures/deepgram-engine.prom");
const DIALECT: &[u8] = include_bytes!("../fixtures/dialect.prom");
const HTML: &str = "line 1: looks like HTML, not like metrics";

#[test]
fn reads_a_page_of_the_engine() {
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
        assert_eq!(read(&selectors, format, true, &[DEEPGRAM]), Ok(sums.clone()));
    }
}

#[test]
fn reads_every_form_of_the_dialect() {
    let selectors = selectors(&["active", r#"{"active",form=~"quoted.*"}"#, "idle"]);
    assert_eq!(read(&selectors, Format::Text, true, &[DIALECT]), Ok(vec![Some(21), Some(3), Some(3)]));
}

#[test]
fn a_value_matters_only_where_the_labels_match() {
    for (page, outcome) in [
        ("active{kind=\"a\"} NaN\nactive{kind=\"b\"} 2\n", Ok(Some(2))),
        ("active{kind=\"a\"} x\nactive{kind=\"b\"} 2\n", Err("line 1: value x is not a number")),
        ("active{kind=\"a\"} 1\nactive{kind=\"a\"} 1\nactive{kind=\"b\"} 2\n", Ok(Some(2))),
        ("active{kind=\"b\"} 2\nactive{kind=\"b\"} NaN\n", Err("line 2: value NaN is not a count")),
    ] {
        assert_eq!(verdict(r#"active{kind="b"}"#, Format::Text, page), expected(outcome), "{page:?}");
    }
}

#[test]
fn equal_series_are_refused_however_they_are_written() {
    for (first, second) in [
        ("active", "active{}"),
        ("active", "active{a=\"\"}"),
        ("active", "{\"active\"}"),
        ("active{a=\"b\",c=\"d\"}", "active{ c=\"d\",\"a\"=\"b\", }"),
        ("active{a=\"\\n\"}", "{a=\"\\n\",\"active\"}"),
    ] {
        let outcome = verdict("active", Format::Text, &format!("{first} 1\n{second} 2\n"));
        assert_eq!(outcome, Err("line 2: a series of active is given twice".to_owned()), "{first} {second}");
    }
    assert_eq!(verdict("active", Format::Text, "active{a=\"bc\"} 1\nactive{ab=\"c\"} 2\n"), Ok(Some(3)));
}

#[test]
fn a_series_counts_once_for_each_selector() {
    let page = b"active{kind=\"a\"} 1\nactive{kind=\"b\"} 2\n";
    let selectors = selectors(&["active", r#"active{kind="b"}"#, "active"]);
    assert_eq!(read(&selectors, Format::Text, true, &[page]), Ok(vec![Some(3), Some(2), Some(3)]));
}

#[test]
fn some_series_are_told_apart_in_every_sum() {
    let page = b"active{kind=\"a\"} 1\nactive{kind=\"b\"} 2\nactive{kind=\"c\"} 4\nother 8\n";
    let (wanted, idle) = (selectors(&["active", "other"]), selectors(&[r#"active{kind="b"}"#, "active{kind='c'}"]));
    let mut reader = Page::new(&wanted, Format::Text).with_idle_selectors(&idle);
    reader.feed(page).unwrap();
    let sums = [
        Some(Sum { total: 7, non_idle: 1, series: 3, idle_series: 2 }),
        Some(Sum { total: 8, non_idle: 8, series: 1, idle_series: 0 }),
    ];
    assert_eq!(reader.finish(true).unwrap(), sums);
}

#[test]
fn an_error_is_returned_ever_after() {
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

fn read(selectors: &[Selector], format: Format, whole: bool, pieces: &[&[u8]]) -> Reading {
    let mut page = Page::new(selectors, format);
    let fed = pieces.iter().try_for_each(|piece| page.feed(piece));
    let sums = page.finish(whole);
    let reading = sums.map(|sums| sums.iter().map(|sum| sum.map(|sum| sum.total)).collect());
    // What was refused on the way must stay refused.
    assert!(fed.is_ok() || fed.err() == reading.as_ref().err().cloned());
    reading
}

fn verdict(selector: &str, format: Format, page: &str) -> Result<Option<u64>, String> {
    shown(read(&selectors(&[selector]), format, true, &[page.as_bytes()]))
}

fn shown(reading: Reading) -> Result<Option<u64>, String> {
    reading.map(|sums| sums[0]).map_err(|error| error.to_string())
}

fn expected(outcome: Result<Option<u64>, &str>) -> Result<Option<u64>, String> {
    outcome.map_err(str::to_owned)
}
