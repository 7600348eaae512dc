//! Which invalid lines reject a page, and which are ignored.

use lameduck_parsers::exposition::Format;

use crate::parsers::{expected, first_sum, parse, parse_text, selectors};

/// The second line of a page, and the sum of the selector `active` on that page.
const LINES: &[(&str, Result<Option<u64>, &str>)] = &[
    ("active", Err("no value")),
    ("active ", Err("no value")),
    ("active{}", Err("no value")),
    ("active NaN", Err("value NaN is not a count")),
    ("active +Inf", Err("value +Inf is not a count")),
    ("active -Inf", Err("value -Inf is not a count")),
    ("active -1", Err("value -1 is not a count")),
    ("active -0", Ok(Some(0))),
    ("active -0.0", Ok(Some(0))),
    ("active -1e-400", Err("value -1e-400 is not a count")),
    ("active 0.5", Err("value 0.5 is not a count")),
    ("active 1e-400", Err("value 1e-400 is not a count")),
    ("active 9007199254740991", Ok(Some(9_007_199_254_740_991))),
    ("active 9007199254740992", Err("value 9007199254740992 is not a count")),
    ("active 1e400", Err("value 1e400 is not a number")),
    ("active{a=\"\0\"} 1", Err("a NUL byte")),
    ("{\"other\",a=\"\0\"} 1", Ok(None)),
    ("active 0e99", Ok(Some(0))),
    ("active\t3\t1\t#\t{}\t1\t", Ok(Some(3))),
    ("active\t3\t1\t#\t{}\t1\t2\t", Ok(Some(3))),
    ("active three", Err("value three is not a number")),
    ("active 0x10", Err("value 0x10 is not a number")),
    ("active 1_000", Err("value 1_000 is not a number")),
    ("active 3;", Err("value 3; is not a number")),
    ("active 3\r4", Err("value 3\\r4 is not a number")),
    ("active \"3\"", Err("value \\\"3\\\" is not a number")),
    ("active 3 soon", Err("soon is not a timestamp")),
    ("active 3 NaN", Err("NaN is not a timestamp")),
    ("active 3 1 2", Err("2 after the end of the sample")),
    ("active 3 1 # x", Err("malformed exemplar")),
    ("active 3 # {a=\"b\"", Err("malformed labels")),
    ("active 3 # {} 1 2 3", Err("malformed exemplar")),
    ("active 3 # {} 1 x", Err("x is not a timestamp")),
    ("active 3 # {}", Err("no value")),
    ("active 3 # {\"b\"} 1", Err("malformed exemplar")),
    ("active 3 # comment", Err("malformed exemplar")),
    ("active-x 3", Err("malformed metric name")),
    ("active.x 3", Err("malformed metric name")),
    ("activeé 3", Err("malformed metric name")),
    ("active\u{feff} 3", Err("malformed metric name")),
    ("active=3", Err("malformed metric name")),
    ("active\r 3", Err("malformed metric name")),
    ("active{\"active\"} 3", Err("malformed metric name")),
    ("active{a=\"b\" 3", Err("malformed labels")),
    ("active{a=\"b} 3", Err("malformed labels")),
    ("active{a=b} 3", Err("malformed labels")),
    ("active{a} 3", Err("malformed labels")),
    ("active{=\"b\"} 3", Err("malformed labels")),
    ("active{\"\"=\"b\"} 3", Err("malformed labels")),
    ("active{a:b=\"c\"} 3", Err("malformed labels")),
    ("active{5=\"c\"} 3", Err("malformed labels")),
    ("active{,} 3", Err("malformed labels")),
    ("active{a=\"b\",,} 3", Err("malformed labels")),
    ("active{a=\"b\" c=\"d\"} 3", Err("malformed labels")),
    ("active{a=~\"b\"} 3", Err("malformed labels")),
    ("active{a='b'} 3", Err("malformed labels")),
    ("active{__name__=\"b\"} 3", Err("malformed labels")),
    ("active{a=\"\\t\"} 3", Err("unknown escape in a quoted string")),
    ("active{a=\"b\\", Err("unknown escape in a quoted string")),
    ("active{a=\"b\",c=\"d\",a=\"\"} 3", Err("duplicate label a")),
    ("active{a=\"b\",\"a\"=\"b\"} 3", Err("duplicate label a")),
    ("{\"active\"} 3 x", Err("x is not a timestamp")),
    ("{\"active\",\"other\"} 3", Err("malformed metric name")),
    ("{\"other\",\"active\"} 3", Err("malformed metric name")),
    ("{\"\"} 3", Err("malformed metric name")),
    ("{a=\"b\"} 3", Err("malformed metric name")),
    ("{", Err("not Prometheus text (JSON?); is the path right?")),
    ("{\"active\": 3}", Err("not Prometheus text (JSON?); is the path right?")),
    ("{\"\\u00e9\" : [", Err("not Prometheus text (JSON?); is the path right?")),
    ("[{\"a\": 3}]", Err("not Prometheus text (JSON?); is the path right?")),
    ("{a", Err("malformed labels")),
    ("[INFO] started", Ok(None)),
    ("{active} 3", Err("malformed labels")),
    ("{\"other\"", Err("malformed labels")),
    ("{\"other\", a=b} 3", Ok(None)),
    ("{\"other\"} ???", Ok(None)),
    ("<html>", Err("not Prometheus text (HTML?); is the path right?")),
    (" \t<!DOCTYPE html>", Err("not Prometheus text (HTML?); is the path right?")),
    ("other{a=\"", Ok(None)),
    ("activeness 1 1 1", Ok(None)),
    ("inactive 1 1 1", Ok(None)),
];

#[test]
fn invalid_lines_are_never_dropped() {
    for (line, outcome) in LINES {
        let outcome = outcome.map_err(|reason| format!("line 2: {reason}"));
        assert_eq!(parse_text("active", &format!("# a page\n{line}\n")), outcome, "{line}");
    }
}

#[test]
fn without_literal_start_of_name_every_line_must_be_valid() {
    for (page, outcome) in [
        ("a 1\nb 2\n", Ok(Some(3))),
        ("a 1\nb NaN\n", Err("line 2: value NaN is not a count")),
        ("a 1\nc NaN 1\n", Ok(Some(1))),
        ("a 1\nc ???\n", Err("line 2: value ??? is not a number")),
        ("a 1\n\n# c\n{\"c\" ???\n", Err("line 4: malformed labels")),
        ("a 1\n5xx 2\n", Err("line 2: malformed metric name")),
        ("a 1\n\u{0} 2\n", Err("line 2: a NUL byte")),
        ("a-b 1\n", Err("line 1: malformed metric name")),
    ] {
        assert_eq!(parse_text(r#"{__name__=~"a|b"}"#, page), expected(outcome), "{page:?}");
    }
}

#[test]
fn invalid_utf8_is_rejected_where_it_could_matter() {
    for (page, outcome) in [
        (&b"active{a=\"\xff\"} 1\n"[..], Err("line 1: not UTF-8")),
        (b"active 1 \xff\n", Err("line 1: not UTF-8")),
        (b"{\"act\xffive\"} 1\n", Err("line 1: not UTF-8")),
        (b"{\"other\",a=\"\xff\"} 1\n", Ok(None)),
        (b"{\"other\"} 1 # \xff\n", Ok(None)),
        (b"{\"other\"} 1\xff\n", Ok(None)),
        (b"{\"active\"} 1\xff\n", Err("line 1: not UTF-8")),
        (b"other{a=\"\xff\"} 1\n\xff\n", Ok(None)),
    ] {
        assert_eq!(first_sum(parse(&selectors(&["active"]), Format::Text, true, &[page])), expected(outcome));
    }
}
