//! Pages: never another sum than Prometheus, never an absence where Prometheus finds series.

use lameduck_parsers::exposition::{Error, Format, Page, Reason};
use lameduck_parsers::selector::Selector;

use crate::BATCH;
use crate::filter::{Filter, push};
use crate::random::Random;

/// How often each page is compared whole, in both formats and with various selectors.
pub const WHOLE: u64 = 20;

/// How many lines a mutant has at most.
const MAX_LINES: usize = 12;

/// What mutants get inserted.
const SCRAPS: &[&str] = &[
    "active",
    "engine_active_requests",
    " 1",
    " 0",
    "{",
    "}",
    "\"",
    "\\",
    "\\\"",
    "\\n",
    "\\d",
    "kind=\"a\"",
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "<",
    "#",
    "# ",
    "# EOF\n",
    "# TYPE active gauge\n",
    "# HELP a b",
    ",",
    "=",
    "1",
    "-0.0",
    "1e3",
    "é",
    "\u{0}",
    "NaN",
    "+Inf",
    "-",
    ".",
    "\u{feff}",
    " 1700000000",
    " 2",
    " # {a=\"b\"} 1",
    "active 1",
    "active{a=\"b\"} 2\n",
    "{\"active\"} 3\n",
    "{\"active\",a=\"c\"} 3\n",
];

struct Item {
    page: Vec<u8>,
    format: Format,
    selector: String,
    /// A text that each matching series has in its line; empty if there is none.
    needle: String,
}

/// Compares every page as it is.
pub fn compare_whole(filter: &mut Filter, sources: &[Vec<u8>]) -> Vec<String> {
    let mut random = Random::new(u64::MAX);
    let items = sources.iter().flat_map(|source| (0..WHOLE).map(move |_| source.clone()));
    let items: Vec<_> = items.map(|page| item(page, &mut random)).collect();
    items.chunks(100).flat_map(|items| compare(filter, items)).collect()
}

/// Compares a batch of mutants.
pub fn compare_mutants(filter: &mut Filter, sources: &[Vec<u8>], random: &mut Random) -> Vec<String> {
    let items: Vec<_> = (0..BATCH).map(|_| mutant(sources, random)).collect();
    compare(filter, &items)
}

fn mutant(sources: &[Vec<u8>], random: &mut Random) -> Item {
    let source = &sources[random.below(sources.len())];
    let lines: Vec<&[u8]> = source.split_inclusive(|byte| *byte == b'\n').collect();
    let start = random.below(lines.len());
    let end = lines.len().min(start + 1 + random.below(MAX_LINES));
    let mut item = item(lines[start..end].concat(), random);
    if item.format == Format::OpenMetrics && !item.page.ends_with(b"# EOF\n") {
        item.page.extend(b"# EOF\n");
    }
    for _ in 0..random.below(4) {
        mutate(&mut item.page, random);
    }
    item
}

fn mutate(page: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(page.len() + 1);
    let end = page.len().min(at + random.below(12));
    match random.below(6) {
        0 => drop(page.drain(at..end)),
        1 => {
            let copy = page[at..end].to_vec();
            let to = random.below(page.len() + 1);
            page.splice(to..to, copy);
        }
        // Lose a newline.
        2 => {
            if let Some(newline) = page[at..].iter().position(|byte| *byte == b'\n') {
                page.remove(at + newline);
            }
        }
        3 if at < page.len() => page[at] = random.next().to_le_bytes()[0],
        _ => drop(page.splice(at..at, random.pick(SCRAPS).bytes())),
    }
}

/// Chooses a format and a selector of a series of this page.
fn item(page: Vec<u8>, random: &mut Random) -> Item {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b':';
    let names: Vec<&[u8]> = page
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| !is_name(byte)).next())
        .filter(|name| name.first().is_some_and(|first| !first.is_ascii_digit()))
        .collect();
    let name = names.get(random.below(names.len())).copied().unwrap_or(b"active");
    let name = String::from_utf8_lossy(name).into_owned();
    let start = &name[..1 + random.below(name.len())];
    let (selector, needle) = match random.below(8) {
        0 => (format!("{{\"{name}\",a!=\"b\"}}"), name.as_str()),
        1 => (format!("{{__name__=\"{name}\",kind!~\"a|b\"}}"), name.as_str()),
        2 => (format!("{{__name__=~\"{start}.+\"}}"), start),
        3 => (format!("{{__name__=~\".*{start}.*\"}}"), ""),
        4 => ("{kind=~\".+\"}".to_owned(), ""),
        5 => ("{__name__=~\"(?i)ACTIVE.*\",a=\"\"}".to_owned(), ""),
        _ => (format!("{{__name__=\"{name}\"}}"), name.as_str()),
    };
    let needle = needle.to_owned();
    let format = if random.below(2) == 0 { Format::Text } else { Format::OpenMetrics };
    Item { page, format, selector, needle }
}

fn compare(filter: &mut Filter, items: &[Item]) -> Vec<String> {
    let mut request = b"P".to_vec();
    for item in items {
        request.push(if item.format == Format::Text { b'T' } else { b'O' });
        push(&mut request, item.selector.as_bytes());
        push(&mut request, item.needle.as_bytes());
        push(&mut request, &item.page);
    }
    let answers = filter.ask(&request);
    let answers = answers.chunks_exact(13).map(Answer::parse);
    items.iter().zip(answers).filter_map(|(item, answer)| difference(item, &answer)).collect()
}

/// What Prometheus says about a page.
#[derive(Debug)]
struct Answer {
    validity: Validity,
    series: u32,
    sum: f64,
}

#[derive(Debug, PartialEq)]
enum Validity {
    Valid,
    /// The page is invalid, but no invalid line can hide a selected series.
    InvalidElsewhere,
    Invalid,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let validity = match bytes[0] {
            0 => Validity::Valid,
            1 => Validity::InvalidElsewhere,
            _ => Validity::Invalid,
        };
        let (series, sum) = bytes[1..].split_at(4);
        Self {
            validity,
            series: u32::from_le_bytes(series.try_into().expect("four bytes")),
            sum: f64::from_le_bytes(sum.try_into().expect("eight bytes")),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "both lose the same")]
fn difference(item: &Item, answer: &Answer) -> Option<String> {
    let ours = parse(item);
    let agrees = match &ours {
        Ok(_) if answer.validity == Validity::Invalid => false,
        Ok(Some(sum)) => answer.series > 0 && *sum as f64 == answer.sum,
        Ok(None) => answer.series == 0,
        Err(error) => answer.validity != Validity::Valid || may_be_stricter(&error.reason, item.format),
    };
    let Item { page, format, selector, .. } = item;
    let page = String::from_utf8_lossy(page);
    (!agrees).then(|| format!("{selector} on {format:?} {page:?}\n  lameduck: {ours:?}\n  Prometheus: {answer:?}"))
}

fn parse(item: &Item) -> Result<Option<u64>, Error> {
    let selectors = [item.selector.parse::<Selector>().expect("the selectors are valid")];
    let mut page = Page::new(&selectors, item.format);
    page.feed(&item.page)?;
    Ok(page.finish(true)?[0].map(|sum| sum.total))
}

/// Returns whether this reason makes a page unknown that is valid for Prometheus.
fn may_be_stricter(reason: &Reason, format: Format) -> bool {
    match reason {
        // A number of streams is a whole number. A series has one value.
        Reason::NotACount(_) | Reason::Overflow | Reason::DuplicateSeries(_) => true,
        // The limits.
        Reason::LineTooLong | Reason::PageTooLong | Reason::TooManySeries => true,
        // Nothing may follow the end of an OpenMetrics page, and an empty page has none.
        Reason::AfterEof | Reason::MissingEof => format == Format::OpenMetrics,
        // There are commas between labels, no newline in a string, and a blank or brace after the name.
        Reason::InvalidLabels | Reason::InvalidName => true,
        // The text format has three escapes: expfmt rejects others, the server's parser does not.
        Reason::InvalidEscape => format == Format::Text,
        // A unit is one word.
        Reason::InvalidMetadata => true,
        Reason::HiddenSeries { cause, .. } => may_be_stricter(cause, format),
        _ => false,
    }
}
