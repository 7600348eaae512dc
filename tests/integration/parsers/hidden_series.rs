//! A selected series is never hidden in the line of another one.

use lameduck_parsers::exposition::{Format, MAX_LINE};
use proptest::prelude::*;

use crate::parsers::{expected, first_sum, parse, parse_text, selectors};

/// The first line of a page, and why it is invalid. Each contains `active` after the start of another line.
const INVALID: &[(&str, &str)] = &[
    ("up 1active{kind=\"a\"} 3", "value 1active{kind=\\\"a\\\"} is not a number"),
    ("up{a=\"b\"} 1active 3", "value 1active is not a number"),
    ("up 1 2active 3", "2active is not a timestamp"),
    ("up 1 active 3", "active is not a timestamp"),
    ("up 1 2 active 3", "active 3 after the end of the sample"),
    ("up 1 # {} 1active 3", "value 1active is not a number"),
    ("up{a=\"active 3", "malformed labels"),
    ("up{a=\"b\",active 3", "malformed labels"),
    ("up{a=\"b\"}} active 3", "value } is not a number"),
    ("other.active 3", "malformed metric name"),
    ("up 1\ractive 3", "value 1\\ractive is not a number"),
    ("1active 3", "malformed metric name"),
    ("-active 3", "malformed metric name"),
    ("=active 3", "malformed metric name"),
    ("\0active 3", "a NUL byte"),
    ("inactive 1active 3", "value 1active is not a number"),
    ("{\"up\"} 1active 3", "value 1active is not a number"),
    ("# TYPE up gaugeactive 3", "malformed metadata"),
    ("# TYPE up gauge active 3", "malformed metadata"),
    ("# UNIT up secondsactive 3", "malformed metadata"),
];

/// Lines that contain the name of the metric, and are valid.
const VALID: &[&str] = &[
    "# HELP up Is it active?",
    "# HELP active The number of active streams.",
    "# TYPE active gauge",
    "# active 3",
    "#active 3",
    "# UNIT active active",
    "inactive 3",
    "active_total 3",
    "inactive_active 3",
    "up{active=\"true\"} 1",
    "up{path=\"/active\"} 1",
    "up{path=\"active 3\",a=\"\\\"active 3\"} 1 2",
    "up 1 # {active=\"x\"} 1",
    "{\"other.active\"} 3",
    "{\"other\"} ???",
    "{\"up\",path=\"active\"} 3",
    // Invalid, but the name is only the start or the end of the line's own name.
    "inactive ???",
    "activeness{",
];

#[test]
fn invalid_line_with_selected_name_is_an_error() {
    for (line, cause) in INVALID {
        let page = format!("{line}\nactive{{kind=\"b\"}} 0\n");
        let outcome = parse_text("active", &page).unwrap_err();
        assert!(outcome.starts_with("line 1: ") && outcome.contains(cause), "{line:?}: {outcome}");
        let is_named = outcome.ends_with("is a newline missing before active?");
        assert!(is_named || line.starts_with('{'), "{line:?}: {outcome}");
    }
    let outcome = parse_text("active", "up 1active 3\nactive 0\n");
    let error = "line 1: invalid line that contains active (value 1active is not a number); \
        is a newline missing before active?";
    assert_eq!(outcome, expected(Err(error)));
}

#[test]
fn selectors_by_pattern_or_label_find_hidden_series_too() {
    for selector in
        [r#"{__name__=~"active.*"}"#, r#"{__name__=~".*tive"}"#, r#"{kind=~".+"}"#, r#"{"active",kind!="x"}"#]
    {
        for (line, _) in INVALID.iter().filter(|(line, _)| !line.starts_with('#')) {
            let page = format!("{line}\nactive{{kind=\"b\"}} 0\n");
            assert!(parse_text(selector, &page).is_err(), "{selector} on {line:?}");
        }
    }
}

#[test]
fn valid_lines_may_contain_the_selected_name() {
    for line in VALID {
        assert_eq!(parse_text("active", &format!("{line}\nactive{{kind=\"b\"}} 2\n")), Ok(Some(2)), "{line:?}");
    }
}

#[test]
fn chunk_boundaries_hide_no_series() {
    let selectors = selectors(&["active"]);
    for (line, _) in INVALID {
        let page = format!("a 1\n{line}\nactive{{kind=\"b\"}} 0\n");
        let at_once = parse(&selectors, Format::Text, true, &[page.as_bytes()]);
        for cut in 0..page.len() {
            let (start, end) = page.as_bytes().split_at(cut);
            assert_eq!(parse(&selectors, Format::Text, true, &[start, end]), at_once, "{line:?} cut at {cut}");
        }
    }
}

#[test]
fn long_lines_hide_no_series() {
    let selectors = selectors(&["active"]);
    let long = "x".repeat(MAX_LINE);
    for (line, is_valid) in [
        (format!("up{{a=\"{long}\"}} 1active 3"), false),
        (format!("up{{a=\"{long}active\"}} 1"), false),
        (format!("up{{a=\"{}\"}} 1active 3", &long[12..]), false),
        (format!("up{{a=\"{long}{long}\"}} 1activ"), true),
        (format!("# HELP up {long} active"), true),
    ] {
        let page = format!("{line}\nactive 2\n");
        let outcome = if is_valid { Ok(Some(2)) } else { Err("line 1: longer than 64 KiB") };
        for size in [1, 3, 1000, MAX_LINE, MAX_LINE + 1, page.len()] {
            let chunks: Vec<_> = page.as_bytes().chunks(size).collect();
            let reading = first_sum(parse(&selectors, Format::Text, true, &chunks));
            assert_eq!(reading, expected(outcome), "…{} in chunks of {size}", &line[line.len() - 20..]);
        }
    }
}

proptest! {
    /// Without any newline between them, the lines of a page are never read as fewer streams.
    #[test]
    fn lost_newline_never_lowers_the_sum(
        lines in prop::collection::vec(0..5_usize, 1..8),
        lost in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let line = |(at, kind): (usize, &usize)| match kind {
            0 => format!("up{{id=\"{at}\"}} 1"),
            1 => format!("active{{id=\"{at}\"}} 3"),
            2 => format!("{{\"active\",id=\"{at}\"}} 3 1"),
            3 => "# TYPE up gauge".to_owned(),
            _ => format!("other{{path=\"/active\",id=\"{at}\"}} 0.5 1"),
        };
        let lines: Vec<_> = lines.iter().enumerate().map(line).collect();
        let lost = lost.index(lines.len());
        let page: String = lines.iter().enumerate().map(|(at, line)| if at == lost { line.clone() } else { format!("{line}\n") }).collect();
        let (start, end) = page.as_bytes().split_at(cut.index(page.len() + 1));
        let sum = |page: &[&[u8]]| first_sum(parse(&selectors(&["active"]), Format::Text, true, page));
        let whole = sum(&[format!("{}\n", lines.join("\n")).as_bytes()]);
        let glued = sum(&[start, end]);
        prop_assert!(glued.is_err() || glued == whole, "{page:?}: {glued:?}, not {whole:?}");
    }
}
