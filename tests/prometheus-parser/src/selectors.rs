//! Selectors: the same are valid, and they match the same series.

use lameduck_parsers::selector::{Reason, Selector};

use crate::BATCH;
use crate::filter::{Filter, push};
use crate::random::Random;

/// How many series each selector is tried on.
const SERIES: usize = 8;

/// Parts of regular expressions.
const PATTERNS: &[&str] = &[
    "a",
    "b",
    "k",
    "s",
    "K",
    "S",
    "1",
    "_",
    "-",
    " ",
    ",",
    ".",
    ".*",
    ".+",
    "a*",
    "b?",
    "b+?",
    "a{2}",
    "a{1,2}",
    "a{1, 2}",
    "a{1 }",
    "a{02}",
    "a{1,01}",
    "a{,2}",
    "a{2,}",
    "a{0}",
    "{",
    "}",
    "]",
    "[ab]",
    "[^ab]",
    "[a-c]",
    "[]-a-c]",
    "[--[:word:]]",
    "[[:alpha:]]",
    "[[:^alpha:]]",
    "[[:space:]]",
    "[a&&b]",
    "[a-]",
    "[^]a]",
    "[\\w-]",
    "[^\\W_]",
    "[\\s]",
    "[\\-\\]]",
    "[[a]",
    "\\s",
    "\\S",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\b",
    "\\B",
    "\\.",
    "\\<",
    "\\>",
    "\\_",
    "\\-",
    "\\x41",
    "\\x{e9}",
    "\\v",
    "\\n",
    "\\t",
    "\\a",
    "\\A",
    "\\z",
    "\\Z",
    "\\1",
    "\\pL",
    "\\q",
    "\\",
    "(",
    ")",
    "(a|b)",
    "(?:a|b)",
    "(?i)",
    "(?i:k)",
    "(?-i)",
    "(?s)",
    "(?-s)",
    "(?m)",
    "(?U)",
    "(?x)",
    "(?P<n>a)",
    "(?<n>b)",
    "(?=a)",
    "(?",
    "|",
    "^",
    "$",
    "*",
    "+",
    "?",
    "{2}",
    "{1,2}",
    "é",
    "É",
    "ſ",
    "\u{212a}",
    "\n",
];

/// Parts of values.
const VALUES: &[&str] = &[
    "a", "b", "c", "k", "K", "s", "S", "ſ", "\u{212a}", "1", "2", "_", "-", " ", ",", ".", "{", "}", "]", "[", ":",
    "&", "a{1, 2}", "a{1 }", "a{02}", "a{1,01}", "a{,2}", "\u{b}", "\t", "\n", "é", "É", "A", "w", "<", ">", "\\",
];

/// Parts of selectors.
const SELECTORS: &[&str] = &[
    "m",
    "m",
    "up",
    "a:b",
    "_x",
    "{",
    "{",
    "{",
    "}",
    "}",
    ",",
    ",",
    "=",
    "!=",
    "=~",
    "!~",
    "\"a\"",
    "'b'",
    "`c`",
    "\"\"",
    "\"m\"",
    "a",
    "b",
    "__name__",
    "\"\\x41\"",
    "\"\\u00e9\"",
    "\"\\q\"",
    "'\\''",
    "\"\\377\"",
    " ",
    "\n",
    "\t",
    "5",
    "é",
    ".",
    "[5m]",
    " offset 5m",
    " @ 1",
    "(",
    ")",
    "#",
    "sum",
    "by",
    "inf",
    "nan",
    "offset",
    "bool",
    "start",
    "end",
    "\"é\"",
    "\"a b\"",
];

type Series = Vec<(&'static str, String)>;

/// Compares a batch of selectors.
pub fn compare(filter: &mut Filter, random: &mut Random) -> Vec<String> {
    let items: Vec<(String, Vec<Series>)> =
        (0..BATCH).map(|_| (selector(random), (0..SERIES).map(|_| series(random)).collect())).collect();
    let mut request = b"S".to_vec();
    for (selector, all_series) in &items {
        push(&mut request, selector.as_bytes());
        request.push(u8::try_from(all_series.len()).expect("few series"));
        for series in all_series {
            request.push(u8::try_from(series.len()).expect("few labels"));
            for (label, value) in series {
                push(&mut request, label.as_bytes());
                push(&mut request, value.as_bytes());
            }
        }
    }
    let answers = filter.ask(&request);
    let answers = answers.chunks_exact(1 + SERIES);
    items.iter().zip(answers).filter_map(|((selector, series), answer)| difference(selector, series, answer)).collect()
}

fn difference(text: &str, all_series: &[Series], answer: &[u8]) -> Option<String> {
    let is_valid = answer[0] == 1;
    let selector = match text.parse::<Selector>() {
        Ok(selector) if is_valid => selector,
        Ok(_) => return Some(format!("{text:?} is invalid for Prometheus only")),
        Err(error) if is_valid && !may_be_stricter(text, &error.reason) => {
            return Some(format!("{text:?} is valid for Prometheus only: {error}"));
        }
        Err(_) => return None,
    };
    let differing = all_series.iter().zip(&answer[1..]).find(|(series, is_match)| {
        let find = |name: &str| series.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_str());
        selector.matches(find("__name__").unwrap_or_default(), find) != (**is_match == 1)
    })?;
    Some(format!("{text:?} on {:?}: Prometheus says {}", differing.0, differing.1))
}

/// Returns whether a selector may be rejected for this reason that is valid for Prometheus.
fn may_be_stricter(text: &str, reason: &Reason) -> bool {
    match reason {
        // Comments.
        _ if text.contains('#') => true,
        // Features that are not supported, and the limit on the size.
        Reason::InvalidPattern(message) => message.contains("support") || message.contains("size"),
        // A string that is not UTF-8 matches no page.
        Reason::NotUtf8 => true,
        // A page shows one moment.
        Reason::NotInstant(_) => true,
        _ => false,
    }
}

fn selector(random: &mut Random) -> String {
    if random.below(4) == 0 {
        return (0..=random.below(8)).map(|_| random.pick(SELECTORS)).collect();
    }
    let matcher = |random: &mut Random| {
        let pattern: String = (0..=random.below(5)).map(|_| random.pick(PATTERNS)).collect();
        let label = random.pick(&["a", "b", "\"c d\""]);
        let operator = random.pick(&["=~", "=~", "!~", "="]);
        let quoted = if random.below(2) == 0 {
            format!("`{pattern}`")
        } else {
            format!("\"{}\"", pattern.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
        };
        format!("{label}{operator}{quoted}")
    };
    let matchers: Vec<String> = (0..=random.below(2)).map(|_| matcher(random)).collect();
    format!("{}{{{}}}", random.pick(&["m", "", "up"]), matchers.join(","))
}

fn series(random: &mut Random) -> Series {
    let mut series = vec![("__name__", random.pick(&["m", "m", "up", "a:b"]).to_owned())];
    for label in ["a", "b", "c d"] {
        if random.below(4) > 0 {
            series.push((label, (0..random.below(4)).map(|_| random.pick(VALUES)).collect()));
        }
    }
    series
}
