//! Limits on the size of pages and lines and on the number of series.

use std::fmt::Write;

use lameduck_parsers::exposition::{Format, MAX_LINE, MAX_PAGE, MAX_SERIES, Page};

use crate::parsers::{HTML, expected, first_sum, parse, parse_text, selectors};

#[test]
fn number_of_matching_series_is_limited() {
    let mut page = String::new();
    for series in 0..MAX_SERIES {
        writeln!(page, "active{{id=\"{series}\"}} 1").unwrap();
    }
    assert_eq!(parse_text("active", &page), Ok(Some(MAX_SERIES as u64)));
    page.push_str("active 1\n");
    assert_eq!(parse_text("active", &page), Err("line 10001: more than 10000 series match".to_owned()));
}

#[test]
fn sum_beyond_64_bits_is_rejected() {
    let mut page = String::new();
    for series in 0..2049 {
        writeln!(page, "active{{id=\"{series}\"}} 9007199254740991").unwrap();
    }
    let outcome = parse_text("active", &page);
    assert_eq!(outcome, Err("line 2049: the sum does not fit into 64 bits".to_owned()));
}

#[test]
fn long_lines_are_rejected_where_they_could_matter() {
    let long = "x".repeat(MAX_LINE);
    let fill = |start: &str, end: &str| format!("{start}{}{end}", &long[start.len() + end.len()..]);
    for (line, outcome) in [
        (fill("active{a=\"", "\"} 1"), Ok(Some(1))),
        (fill("active{a=\"", "\"} 1") + " ", Err("line 1: longer than 64 KiB")),
        (format!("active{{a=\"x{}\"}} 1", long.replace('x', "é")), Err("line 1: longer than 64 KiB")),
        (format!("{{\"active\",a=\"{long}\"}} 1"), Err("line 1: longer than 64 KiB")),
        (format!("{{\"other\",a=\"{long}\"}} 1"), Ok(None)),
        (format!("{{a=\"{long}\",\"other\"}} 1"), Err("line 1: longer than 64 KiB")),
        (format!("{}active 1", " ".repeat(MAX_LINE)), Err("line 1: longer than 64 KiB")),
        (format!("<{long}"), Err(HTML)),
        (format!("# {long}"), Ok(None)),
        (format!("other{{a=\"{long}\"}} 1"), Ok(None)),
        (format!("active_{long} 1"), Ok(None)),
    ] {
        let expected = expected(outcome);
        assert_eq!(parse_text("active", &line), expected, "{}", &line[..20]);
        let chunks: Vec<&[u8]> = line.as_bytes().chunks(1000).collect();
        assert_eq!(first_sum(parse(&selectors(&["active"]), Format::Text, true, &chunks)), expected, "{}", &line[..20]);
    }
}

#[test]
fn unterminated_long_line_is_rejected_immediately() {
    let selectors = selectors(&["active"]);
    let mut page = Page::new(&selectors, Format::Text);
    assert_eq!(page.feed(b"active{a="), Ok(()));
    assert_eq!(page.feed(&vec![b'x'; MAX_LINE - 9]), Ok(()));
    assert_eq!(page.feed(b"x").unwrap_err().to_string(), "line 1: longer than 64 KiB");
}

#[test]
fn open_selector_rejects_name_longer_than_a_line() {
    let page = format!("a{}", "b".repeat(MAX_LINE));
    assert_eq!(parse_text(r#"{__name__=~"a.*c"}"#, &page), expected(Err("line 1: longer than 64 KiB")));
}

#[test]
fn page_size_is_limited() {
    let selectors = selectors(&["active"]);
    let mut page = Page::new(&selectors, Format::Text);
    let chunk = "# comment\n".repeat(1 << 16);
    let chunks = MAX_PAGE / chunk.len();
    for _ in 0..chunks {
        assert_eq!(page.feed(chunk.as_bytes()), Ok(()));
    }
    assert_eq!(page.feed(&chunk.as_bytes()[..MAX_PAGE % chunk.len()]), Ok(()));
    assert!(page.feed(b"\n").unwrap_err().to_string().ends_with("the page is longer than 64 MiB"));
}

#[test]
fn errors_quote_only_an_excerpt() {
    let outcome = parse_text("active", &format!("active {}\n", "\u{7}é".repeat(3000)));
    assert!(outcome.unwrap_err().len() < 200);
}
