//! What only `OpenMetrics` permits: other escapes, and several points of a series.

use lameduck_parsers::exposition::{Format, Page, Sum};

use crate::parsers::{Reading, expected, first_sum, parse, selectors};

fn sum(format: Format, page: &str) -> Reading {
    parse(&selectors(&["active"]), format, true, &[page.as_bytes()])
}

#[test]
fn undefined_escape_stands_for_itself() {
    let page = "active{path=\"C:\\Windows\\d\"} 2\n# EOF\n";
    assert_eq!(first_sum(sum(Format::OpenMetrics, page)), Ok(Some(2)));
    let text = first_sum(sum(Format::Text, page));
    assert_eq!(text, expected(Err("line 1: unknown escape in a quoted string")));
    let selectors = selectors(&[r#"active{path="C:\\Windows\\d"}"#, r#"active{path="C:Windowsd"}"#]);
    assert_eq!(parse(&selectors, Format::OpenMetrics, true, &[page.as_bytes()]), Ok(vec![Some(2), None]));
}

#[test]
fn last_point_of_a_series_counts() {
    for (points, outcome) in [
        ("active 1 1\nactive 2 2\n", Ok(Some(2))),
        ("active 5 1\nactive 0 1.5\n", Ok(Some(0))),
        ("active{a=\"b\"} 1 1\nactive 4\nactive{a=\"b\"} 2 2\nactive{a=\"b\"} 3 3\n", Ok(Some(7))),
        ("active 2 2\nactive 1 1\n", Err("line 2: duplicate series of active")),
        ("active 1 1\nactive 2 1\n", Err("line 2: duplicate series of active")),
        ("active 1\nactive 2 2\n", Err("line 2: duplicate series of active")),
        ("active 1 1\nactive 2\n", Err("line 2: duplicate series of active")),
    ] {
        let reading = first_sum(sum(Format::OpenMetrics, &format!("{points}# EOF\n")));
        assert_eq!(reading, expected(outcome), "{points:?}");
        assert!(sum(Format::Text, points).is_err(), "{points:?}");
    }
}

#[test]
fn samples_may_not_be_indented() {
    let page = " other 1\n\tactive 2\n# EOF\n";
    assert_eq!(first_sum(sum(Format::OpenMetrics, page)), expected(Err("line 2: malformed metric name")));
    assert_eq!(first_sum(sum(Format::Text, page)), Ok(Some(2)));
}

#[test]
fn earlier_points_count_for_no_sum() {
    let selected = selectors(&["active", r#"active{kind="b"}"#]);
    let idle = selectors(&[r#"active{kind="b"}"#]);
    let mut page = Page::new(&selected, Format::OpenMetrics).with_idle_selectors(&idle);
    page.feed(
        b"active{kind=\"a\"} 8 1\nactive{kind=\"b\"} 4 1\nactive{kind=\"a\"} 1 2\nactive{kind=\"b\"} 2 2\n# EOF\n",
    )
    .unwrap();
    let sums = [
        Some(Sum { total: 3, non_idle: 1, series: 2, idle_series: 1 }),
        Some(Sum { total: 2, non_idle: 0, series: 1, idle_series: 1 }),
    ];
    assert_eq!(page.finish(true).unwrap(), sums);
}
