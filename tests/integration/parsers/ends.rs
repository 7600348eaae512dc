//! The byte order mark at the start of a page, and the proof of its end.

use lameduck_parsers::exposition::Format;

use crate::parsers::{DEEPGRAM, HTML, expected, first_sum, parse, parse_text, selectors};

#[test]
fn page_without_proven_end_is_rejected() {
    use Format::{OpenMetrics, Text};
    for (format, complete, page, outcome) in [
        (Text, true, "", Ok(None)),
        (Text, true, "active 1", Ok(Some(1))),
        (Text, true, "active", Err("line 1: no value")),
        (Text, false, "active 1", Err("line 1: truncated inside the line")),
        (Text, true, "active{kind=\"a\"} 1", Ok(Some(1))),
        (Text, false, "active{kind=\"a\"} 1", Err("line 1: truncated inside the line")),
        (Text, false, "{\"active\": 1}", Err("line 1: not Prometheus text (JSON?); is the path right?")),
        (Text, false, "active 1\nother", Err("line 2: truncated inside the line")),
        (Text, false, "active 1\n", Ok(Some(1))),
        (Text, true, "active 1\n# EOF\nactive{a=\"b\"} 2\n", Ok(Some(3))),
        (OpenMetrics, true, "", Err("line 1: truncated: `# EOF` is missing")),
        (OpenMetrics, true, "active 1\n", Err("line 2: truncated: `# EOF` is missing")),
        (OpenMetrics, true, "active 1\n# EOF", Ok(Some(1))),
        (OpenMetrics, false, "active 1\n# EOF", Err("line 2: truncated inside the line")),
        (OpenMetrics, false, "active 1\r\n# EOF\r\n", Ok(Some(1))),
        (OpenMetrics, true, "active 1\n# EOF\n\n", Err("line 3: the page continues after `# EOF`")),
        (OpenMetrics, true, "active 1\n# EOF\nother 1\n", Err("line 3: the page continues after `# EOF`")),
        (OpenMetrics, true, "active 1\n# EOF\n# HELP\n", Err("line 3: the page continues after `# EOF`")),
        (OpenMetrics, true, "active 1\n# EOF\nother 1", Err("line 3: the page continues after `# EOF`")),
        (OpenMetrics, true, "\u{feff}# EOF\n", Ok(None)),
        (OpenMetrics, true, "active 1\n# EOFF\n", Err("line 3: truncated: `# EOF` is missing")),
        (OpenMetrics, true, "active 1\n # EOF\n", Err("line 3: truncated: `# EOF` is missing")),
    ] {
        let reading = parse(&selectors(&["active"]), format, complete, &[page.as_bytes()]);
        assert_eq!(first_sum(reading), expected(outcome), "{format:?} {complete} {page:?}");
    }
}

#[test]
fn truncation_before_eof_is_always_an_error() {
    let selectors = selectors(&["engine_active_requests", "engine_flux_used_streams"]);
    let eof = DEEPGRAM.len() - 1;
    for cut in (0..eof).step_by(7).chain(eof - 80..eof) {
        for complete in [true, false] {
            assert!(parse(&selectors, Format::OpenMetrics, complete, &[&DEEPGRAM[..cut]]).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn byte_order_mark_is_valid_only_at_the_start() {
    assert_eq!(parse_text("active", "\u{feff} active 1\n"), Ok(Some(1)));
    assert_eq!(parse_text("active", "\u{feff}<html>\n"), expected(Err(HTML)));
    let hidden =
        "line 2: invalid line that contains active (malformed metric name); is a newline missing before active?";
    assert_eq!(parse_text("active", "a 1\n\u{feff}active 1\n"), expected(Err(hidden)));
    assert_eq!(parse_text("active", "a 1\n\u{feff}b 1\n"), Ok(None));
}
