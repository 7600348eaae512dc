//! Metrics pages: `lameduck_parsers::exposition` against a plain reader of the same pages, in whatever pieces they come.
#![no_main]

use std::sync::LazyLock;

use lameduck_parsers::exposition::{Error, Format, Page, Sum};
use lameduck_parsers::selector::Selector;
use lameduck_fuzz::line::Series;
use lameduck_fuzz::page::{self, PageSelectors};
use lameduck_fuzz::second;
use libfuzzer_sys::{Corpus, fuzz_target};

/// What is looked for on a page, both as lameduck reads it and as it is meant.
struct Set {
    wanted: &'static [PageSelectors],
    apart: &'static [PageSelectors],
    selectors: Vec<Selector>,
    apart_selectors: Vec<Selector>,
}

/// A selector of one name.
macro_rules! named {
    ($text:literal, $name:literal, $does:expr) => {
        PageSelectors { text: $text, name: Some($name), could: |name| name == $name.as_bytes(), does: $does }
    };
    ($name:literal) => {
        named!($name, $name, |_| true)
    };
}

const ENGINE: &[PageSelectors] = &[
    named!("engine_active_requests"),
    named!("engine_flux_used_streams"),
    named!("flux_used_streams"),
    named!("engine_max_active_requests"),
];

const IDLE: &[PageSelectors] = &[
    named!("engine_active_requests{kind=\"stream\"}", "engine_active_requests", |series| series.label("kind")
        == b"stream"),
    named!("flux_used_streams"),
];

const LABELS: &[PageSelectors] = &[
    named!("active"),
    named!("active{kind=\"a\",tier!=\"b\"}", "active", |series| series.label("kind") == b"a"
        && series.label("tier") != b"b"),
    named!("active{kind!~\"a|b\",tier=~\"a?b*\"}", "active", |series| {
        !matches!(series.label("kind"), b"a" | b"b") && is_a_then_bs(series.label("tier"))
    }),
    named!("a"),
];

const QUOTED: &[PageSelectors] = &[
    named!("{\"my.metric\"}", "my.metric", |_| true),
    named!("{\"my.metric\",\"odd label\"=\"\\n\"}", "my.metric", |series| series.label("odd label") == b"\n"),
    named!("{\"\\u00e9\"}", "\u{e9}", |_| true),
];

const OPEN: &[PageSelectors] = &[
    named!("active"),
    PageSelectors {
        text: "{__name__=~\"active.+\",tier!=\"\"}",
        name: None,
        could: |name| name.len() > 6 && name.starts_with(b"active"),
        does: |series| !series.label("tier").is_empty(),
    },
];

const NAMELESS: &[PageSelectors] =
    &[PageSelectors { text: "{kind=\"a\"}", name: None, could: |_| true, does: |series| series.label("kind") == b"a" }];

static SETS: LazyLock<[Set; 5]> = LazyLock::new(|| {
    [(ENGINE, IDLE), (LABELS, &LABELS[1..2]), (QUOTED, &QUOTED[1..2]), (OPEN, &OPEN[1..]), (NAMELESS, &[])].map(
        |(wanted, apart)| {
            let parse = |wanted: &[PageSelectors]| wanted.iter().map(|wanted| wanted.text.parse().unwrap()).collect();
            Set { wanted, apart, selectors: parse(wanted), apart_selectors: parse(apart) }
        },
    )
});

fn is_a_then_bs(text: &[u8]) -> bool {
    text.strip_prefix(b"a").unwrap_or(text).iter().all(|byte| *byte == b'b')
}

fn read<'a>(
    set: &Set,
    format: Format,
    whole: bool,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Option<Sum>>, Error> {
    let mut page = Page::new(&set.selectors, format).telling_apart(&set.apart_selectors);
    let mut refused = None;
    for piece in pieces {
        let fed = page.feed(piece);
        // What was refused on the way stays refused.
        assert!(refused.is_none() || refused == fed.clone().err());
        refused = fed.err();
    }
    let reading = page.finish(whole);
    assert!(refused.is_none() || refused.as_ref() == reading.as_ref().err());
    reading
}

/// Cuts a page into pieces of pseudorandom lengths; some are empty.
fn pieces(page: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (Some(page), u32::from(seed) | 1 << 20);
    std::iter::from_fn(move || {
        let left = rest?;
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = if seed == 0 { 1 } else { (state >> 24) as usize % (usize::from(seed) + 1) };
        let (piece, after) = left.split_at(length.min(left.len()));
        rest = (!after.is_empty()).then_some(after);
        Some(piece)
    })
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let [how, seed, page @ ..] = data else { return Corpus::Reject };
    let set = &SETS[usize::from(how & 7) % SETS.len()];
    let format = if how & 8 == 0 { Format::Text } else { Format::OpenMetrics };
    let whole = how & 16 == 0;

    let at_once = read(set, format, whole, std::iter::once(page));
    let in_pieces = read(set, format, whole, pieces(page, *seed));
    assert_eq!(at_once, in_pieces, "pieces make a difference");

    let plain = page::read(page, set.wanted, set.apart, format == Format::OpenMetrics, whole);
    match (&at_once, &plain) {
        (Ok(ours), Some(plain)) => assert!(is_same(ours, plain), "{ours:?}, and not {plain:?}"),
        (Err(_), None) => {}
        _ => panic!("{at_once:?}, and not {plain:?}"),
    }
    if how & 32 != 0
        && format == Format::Text
        && let (Ok(ours), true) = (&at_once, second::reads(page))
    {
        let does = |wanted: &PageSelectors, series: &Series| (wanted.could)(&series.name) && (wanted.does)(series);
        let theirs = second::sums(page, set.wanted, does);
        assert!(
            ours.iter().map(|sum| sum.map(|sum| sum.all)).eq(theirs.iter().copied()),
            "{ours:?}, and not {theirs:?}"
        );
    }
    Corpus::Keep
});

fn is_same(ours: &[Option<Sum>], plain: &[Option<page::Sum>]) -> bool {
    let plainly = |sum: &Sum| page::Sum { all: sum.all, others: sum.others, series: sum.series, apart: sum.apart };
    ours.iter().map(|sum| sum.as_ref().map(plainly)).eq(plain.iter().copied())
}
