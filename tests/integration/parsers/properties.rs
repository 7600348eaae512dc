//! Properties of all pages and selectors.

use std::collections::BTreeMap;
use std::fmt::Write;

use lameduck_parsers::exposition::Format;
use lameduck_parsers::selector::Selector;
use proptest::prelude::*;

use crate::parsers::{parse, selectors};

proptest! {
    #[test]
    fn chunk_boundaries_make_no_difference(
        selectors in selector_sets(),
        page in page(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        format in format(),
        complete: bool,
    ) {
        let at_once = parse(&selectors, format, complete, &[&page]);
        prop_assert_eq!(&parse(&selectors, format, complete, &chunks(&page, &cuts)), &at_once);
        let bytes: Vec<&[u8]> = page.chunks(1).collect();
        prop_assert_eq!(&parse(&selectors, format, complete, &bytes), &at_once);
    }

    #[test]
    fn no_bytes_panic(
        selectors in selector_sets(),
        page in prop::collection::vec(any::<u8>(), 0..200),
        format in format(),
    ) {
        let _ = parse(&selectors, format, true, &[&page]);
    }

    #[test]
    fn no_selector_panics_and_display_round_trips(text in r#"[a-z_:{}=!~"'`,.\\ \[(|*+)\]]{0,20}|\PC{0,20}"#) {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
        }
    }

    #[test]
    fn label_order_makes_no_difference(
        selectors in selector_sets(),
        (sorted, shuffled) in labels().prop_flat_map(|labels| {
            let pairs: Vec<_> = labels.into_iter().collect();
            (Just(pairs.clone()), Just(pairs).prop_shuffle())
        }),
    ) {
        let (sorted, shuffled) = (line("active", &sorted, 3), line("active", &shuffled, 3));
        let sums = |page: &str| parse(&selectors, Format::Text, true, &[page.as_bytes()]);
        prop_assert_eq!(sums(&sorted), sums(&shuffled));
        let duplicate = sums(&format!("{sorted}{shuffled}")).unwrap_err();
        prop_assert_eq!(duplicate.to_string(), "line 2: duplicate series of active");
    }

    #[test]
    fn sums_equal_those_of_prometheus_parse(
        selectors in selector_sets(),
        series in prop::collection::btree_map((name(), labels()), 0..1_000_000_u64, 0..30),
        typed: bool,
        timed: bool,
    ) {
        let page = plain_page(&series, typed, timed);
        let scrape = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let theirs: Vec<_> = selectors.iter().map(|selector| their_sum(&scrape, selector)).collect();
        prop_assert_eq!(parse(&selectors, Format::Text, true, &[page.as_bytes()]), Ok(theirs));
    }
}

/// With fixed names only, most lines are skipped unparsed; with an open selector, every line is parsed.
fn selector_sets() -> impl Strategy<Value = Vec<Selector>> {
    let fixed = ["active", r#"active{kind="a"}"#, r#"active{kind!~"a|b",tier=~"a?b*"}"#, r#"active_total{le!=""}"#];
    let open = ["active", r#"{__name__=~"active.+",tier!=""}"#];
    prop_oneof![Just(selectors(&fixed)), Just(selectors(&open))]
}

fn chunks<'a>(page: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(page.len() + 1)).collect();
    at.extend([0, page.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &page[ends[0]..ends[1]]).collect()
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)]
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["active", "active_total", "activ", "other"]).prop_map(str::to_owned)
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let label = prop::sample::select(vec!["kind", "tier", "le", "kin", "zone"]).prop_map(str::to_owned);
    prop::collection::btree_map(label, "[a-c]{1,2}", 0..4)
}

/// Lines of distinct series.
const LINES: &[&str] = &[
    "active{id=\"N\"} N\n",
    "active{kind=\"a\",id=\"N\"} N\r\n",
    "{\"active\",kind=\"N\"} 3 # {} 1\n",
    " active_total{tier=\"N\",le=\"\"} N\n",
    "other{a=\"N\"} N\n",
    "{\"other\", N=} 1\n",
    "# TYPE active gauge\n",
    "\n",
];

/// Parts of lines, most of which make a page invalid.
const SCRAPS: &[&str] = &[
    "active", "{", "}", "\"", "\\", "kind=", " ", "\t", "\r", "\n", "<", "#", "# EOF", "# EOF\n", ",", "1", "é", "NaN",
    "-", "\u{feff}",
];

/// Joins lines with a few scraps among them.
fn page() -> impl Strategy<Value = Vec<u8>> {
    let line =
        (prop::sample::select(LINES), 0..500_u32).prop_map(|(line, n)| line.replace('N', &n.to_string()).into_bytes());
    let scrap = prop::sample::select(SCRAPS).prop_map(|scrap| scrap.as_bytes().to_vec());
    let bytes = prop::collection::vec(any::<u8>(), 1..4);
    prop::collection::vec(prop_oneof![8 => line, 2 => scrap, 1 => bytes], 0..12).prop_map(|parts| parts.concat())
}

fn plain_page(series: &BTreeMap<(String, BTreeMap<String, String>), u64>, typed: bool, timed: bool) -> String {
    let mut page = String::new();
    for ((name, labels), value) in series {
        if typed {
            writeln!(page, "# HELP {name} A gauge.\n# TYPE {name} gauge").unwrap();
        }
        let pairs: Vec<_> = labels.clone().into_iter().collect();
        let line = line(name, &pairs, *value);
        page.push_str(&if timed { line.replace('\n', " 1700000000000\n") } else { line });
    }
    page
}

fn line(name: &str, labels: &[(String, String)], value: u64) -> String {
    let pairs: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    // prometheus-parse does not accept empty braces.
    let braces = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
    format!("{name}{braces} {value}\n")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the values are small whole numbers")]
fn their_sum(scrape: &prometheus_parse::Scrape, selector: &Selector) -> Option<u64> {
    use prometheus_parse::Value::{Counter, Gauge, Histogram, Summary, Untyped};
    let matching =
        scrape.samples.iter().filter(|sample| selector.matches(&sample.metric, |label| sample.labels.get(label)));
    let values: Vec<u64> = matching
        .map(|sample| match &sample.value {
            Counter(value) | Gauge(value) | Untyped(value) => *value as u64,
            Histogram(_) | Summary(_) => panic!("only gauges were written"),
        })
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}
