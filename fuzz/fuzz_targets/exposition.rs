//! Metrics pages: `lameduck_parsers::exposition` against a reference parser, for any division into chunks.
//!
//! The first byte chooses selectors and format, the second the chunk lengths; the rest is the page.
#![no_main]

use std::sync::LazyLock;

use lameduck_fuzz::page::{self, ReferenceSelector};
use lameduck_fuzz::prometheus;
use lameduck_parsers::exposition::{Error, Format, MAX_COUNTERS, Page, Process, Sum, gauges};
use lameduck_parsers::selector::Selector;
use libfuzzer_sys::{Corpus, fuzz_target};

/// A set of selectors and idle selectors, for both parsers.
struct Set {
    reference: &'static [ReferenceSelector],
    reference_idle: &'static [ReferenceSelector],
    selectors: Vec<Selector>,
    idle: Vec<Selector>,
}

/// A selector with a fixed name.
macro_rules! named {
    ($text:literal, $name:literal, $labels_match:expr) => {
        ReferenceSelector {
            text: $text,
            prefix: Some($name),
            could_match: |name| name == $name.as_bytes(),
            labels_match: $labels_match,
        }
    };
    ($name:literal) => {
        named!($name, $name, |_| true)
    };
}

const ENGINE: &[ReferenceSelector] = &[
    named!("engine_active_requests"),
    named!("engine_flux_used_streams"),
    named!("flux_used_streams"),
    named!("engine_max_active_requests"),
];

const IDLE: &[ReferenceSelector] = &[
    named!("engine_active_requests{kind=\"stream\"}", "engine_active_requests", |series| series.label("kind")
        == b"stream"),
    named!("flux_used_streams"),
];

const LABELS: &[ReferenceSelector] = &[
    named!("active"),
    named!("active{kind=\"a\",tier!=\"b\"}", "active", |series| series.label("kind") == b"a"
        && series.label("tier") != b"b"),
    named!("active{kind!~\"a|b\",tier=~\"a?b*\"}", "active", |series| {
        !matches!(series.label("kind"), b"a" | b"b") && is_a_then_bs(series.label("tier"))
    }),
    named!("a"),
];

const QUOTED: &[ReferenceSelector] = &[
    named!("{\"my.metric\"}", "my.metric", |_| true),
    named!("{\"my.metric\",\"odd label\"=\"\\n\"}", "my.metric", |series| series.label("odd label") == b"\n"),
    named!("{\"\\u00e9\"}", "\u{e9}", |_| true),
];

const OPEN: &[ReferenceSelector] = &[
    named!("active"),
    ReferenceSelector {
        text: "{__name__=~\"active.+\",tier!=\"\"}",
        prefix: Some("active"),
        could_match: |name| name.len() > 6 && name.starts_with(b"active"),
        labels_match: |series| !series.label("tier").is_empty(),
    },
];

const NAMELESS: &[ReferenceSelector] = &[ReferenceSelector {
    text: "{kind=\"a\"}",
    prefix: None,
    could_match: |_| true,
    labels_match: |series| series.label("kind") == b"a",
}];

static SETS: LazyLock<[Set; 5]> = LazyLock::new(|| {
    [(ENGINE, IDLE), (LABELS, &LABELS[1..2]), (QUOTED, &QUOTED[1..2]), (OPEN, &OPEN[1..]), (NAMELESS, &[])].map(
        |(reference, reference_idle)| {
            let parse = |selectors: &[ReferenceSelector]| selectors.iter().map(|it| it.text.parse().unwrap()).collect();
            Set { reference, reference_idle, selectors: parse(reference), idle: parse(reference_idle) }
        },
    )
});

fn is_a_then_bs(text: &[u8]) -> bool {
    text.strip_prefix(b"a").unwrap_or(text).iter().all(|byte| *byte == b'b')
}

fn parse<'a>(
    set: &Set,
    format: Format,
    complete: bool,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> Result<(Vec<Option<Sum>>, Process), Error> {
    let mut page = Page::new(&set.selectors, format).with_idle_selectors(&set.idle);
    let mut first_error = None;
    for chunk in chunks {
        let fed = page.feed(chunk);
        // Every later call returns the first error.
        assert!(first_error.is_none() || first_error == fed.clone().err());
        first_error = fed.err();
    }
    let sums = page.finish_with_process(complete);
    assert!(first_error.is_none() || first_error.as_ref() == sums.as_ref().err());
    sums
}

/// Splits a page into chunks of pseudorandom lengths, some of them empty.
fn chunks(page: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (Some(page), u32::from(seed) | 1 << 20);
    std::iter::from_fn(move || {
        let left = rest?;
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = if seed == 0 { 1 } else { (state >> 24) as usize % (usize::from(seed) + 1) };
        let (chunk, after) = left.split_at(length.min(left.len()));
        rest = (!after.is_empty()).then_some(after);
        Some(chunk)
    })
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let [choices, seed, page @ ..] = data else { return Corpus::Reject };
    let set = &SETS[usize::from(choices & 7) % SETS.len()];
    let format = if choices & 8 == 0 { Format::Text } else { Format::OpenMetrics };
    let complete = choices & 16 == 0;

    let at_once = parse(set, format, complete, std::iter::once(page));
    let in_chunks = parse(set, format, complete, chunks(page, *seed));
    assert_eq!(at_once, in_chunks, "chunk boundaries make a difference");
    assert!(at_once.as_ref().map_or(0, |(_, process)| process.counters.len()) <= MAX_COUNTERS);
    let at_once = at_once.map(|(sums, _)| sums);

    let expected = page::parse(page, set.reference, set.reference_idle, format == Format::OpenMetrics, complete);
    assert_eq!(at_once.as_ref().ok(), expected.as_ref(), "{at_once:?}");
    if choices & 32 != 0
        && format == Format::Text
        && let (Ok(sums), true) = (&at_once, prometheus::supports(page))
    {
        let totals: Vec<_> = sums.iter().map(|sum| sum.map(|sum| sum.total)).collect();
        assert_eq!(totals, prometheus::sums(page, set.reference), "prometheus-parse disagrees");
    }
    for gauge in gauges(page) {
        let find = |label: &str| gauge.labels.iter().find(|(name, _)| name == label).map(|(_, value)| value.as_ref());
        assert!(gauge.selector().matches(&gauge.name, find), "{gauge:?}");
    }
    Corpus::Keep
});
