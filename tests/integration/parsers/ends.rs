//! Where a page begins and where it ends.

use lameduck_parsers::exposition::Format;

use crate::parsers::{DEEPGRAM, HTML, expected, read, selectors, shown, verdict};

#[test]
fn the_end_of_a_page_is_proved() {
    use Format::{OpenMetrics, Text};
    for (format, whole, page, outcome) in [
        (Text, true, "", Ok(None)),
        (Text, true, "active 1", Ok(Some(1))),
        (Text, true, "active", Err("line 1: no value")),
        (Text, false, "active 1", Err("line 1: cut off inside the line")),
        (Text, false, "active 1\nother", Err("line 2: cut off inside the line")),
        (Text, false, "active 1\n", Ok(Some(1))),
        (Text, true, "active 1\n# EOF\nactive{a=\"b\"} 2\n", Ok(Some(3))),
        (OpenMetrics, true, "", Err("line 1: cut off, for `# EOF` is missing")),
        (OpenMetrics, true, "active 1\n", Err("line 2: cut off, for `# EOF` is missing")),
        (OpenMetrics, true, "active 1\n# EOF", Ok(Some(1))),
        (OpenMetrics, false, "active 1\n# EOF", Err("line 2: cut off inside the line")),
        (OpenMetrics, false, "active 1\r\n# EOF\r\n", Ok(Some(1))),
        (OpenMetrics, true, "active 1\n# EOF\n\n", Err("line 3: the page goes on after `# EOF`")),
        (OpenMetrics, true, "active 1\n# EOF\nother 1\n", Err("line 3: the page goes on after `# EOF`")),
        (OpenMetrics, true, "active 1\n# EOF\n# HELP\n", Err("line 3: the page goes on after `# EOF`")),
        (OpenMetrics, true, "active 1\n# EOF\nother 1", Err("line 3: the page goes on after `# EOF`")),
        (OpenMetrics, true, "\u{feff}# EOF\n", Ok(None)),
        (OpenMetrics, true, "active 1\n# EOFF\n", Err("line 3: cut off, for `# EOF` is missing")),
        (OpenMetrics, true, "active 1\n # EOF\n", Err("line 3: cut off, for `# EOF` is missing")),
    ] {
        let reading = read(&selectors(&["active"]), format, whole, &[page.as_bytes()]);
        assert_eq!(shown(reading), expected(outcome), "{format:?} {whole} {page:?}");
    }
}

#[test]
fn every_cut_before_the_mark_of_the_end_is_an_error() {
    let selectors = selectors(&["engine_active_requests", "engine_flux_used_streams"]);
    let marked = DEEPGRAM.len() - 1;
    for cut in (0..marked).step_by(7).chain(marked - 80..marked) {
        for whole in [true, false] {
            assert!(read(&selectors, Format::OpenMetrics, whole, &[&DEEPGRAM[..cut]]).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn a_byte_order_mark_may_only_come_first() {
    assert_eq!(verdict("active", Format::Text, "\u{feff} active 1\n"), Ok(Some(1)));
    assert_eq!(verdict("active", Format::Text, "\u{feff}<html>\n"), expected(Err(HTML)));
    assert_eq!(verdict("active", Format::Text, "a 1\n\u{feff}active 1\n"), Ok(None));
}
