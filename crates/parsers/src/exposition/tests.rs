use super::*;

#[test]
fn unmatched_selector_is_none_not_zero() {
    let selectors = ["active", "idle"].map(|text| text.parse().unwrap());
    let mut page = Page::new(&selectors, Format::Text);
    assert_eq!(page.feed(b"idle 0\n"), Ok(()));
    assert_eq!(page.finish(true), Ok(vec![None, Some(Sum { series: 1, ..Sum::default() })]));
}

#[test]
fn lines_may_span_chunks() {
    let selectors = ["active".parse().unwrap()];
    let mut page = Page::new(&selectors, Format::OpenMetrics);
    for chunk in ["act", "", "ive 1", "2\nother", " 3\n# E", "OF\n"] {
        assert_eq!(page.feed(chunk.as_bytes()), Ok(()), "{chunk}");
    }
    assert_eq!(page.finish(false), Ok(vec![Some(Sum { total: 12, non_idle: 12, series: 1, idle_series: 0 })]));
}

#[test]
fn first_byte_after_eof_is_an_error() {
    let mut page = Page::new(&[], Format::OpenMetrics);
    assert_eq!(page.feed(b"# EOF\n"), Ok(()));
    assert_eq!(page.feed(b""), Ok(()));
    assert_eq!(page.feed(b"x"), Err(Error { line: 2, reason: Reason::AfterEof }));
}

#[test]
fn buffer_is_limited_to_one_line() {
    let mut page = Page::new(&[], Format::Text);
    for _ in 0..8 {
        assert_eq!(page.feed(&vec![b'x'; MAX_LINE]), Ok(()));
    }
    assert_eq!(page.partial.len(), MAX_LINE + 1);
    assert_eq!(page.feed(b"\n"), Ok(()));
    assert_eq!((page.partial.len(), page.line), (0, 2));
}
