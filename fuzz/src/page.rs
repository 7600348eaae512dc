//! A whole metrics page, line by line.

use crate::line::{self, Line, Series};

/// A selector, written down by hand: whether a name could match, and whether a series does.
pub struct Wanted {
    /// As lameduck reads it.
    pub text: &'static str,
    /// The only name that it can match, if it names one.
    pub name: Option<&'static str>,
    /// Whether a name can match.
    pub could: fn(&[u8]) -> bool,
    /// Whether a series matches, given that its name can.
    pub does: fn(&Series) -> bool,
}

/// A sum: of all matching series, of those not told apart, and how many there are of either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub all: u64,
    pub others: u64,
    pub series: usize,
    pub apart: usize,
}

/// Reads a page; `None` where it must be refused.
#[must_use]
pub fn read(
    page: &[u8],
    wanted: &[Wanted],
    apart: &[Wanted],
    open_metrics: bool,
    whole: bool,
) -> Option<Vec<Option<Sum>>> {
    let (mut sums, mut seen, mut ended) = (vec![None; wanted.len()], Vec::new(), false);
    let mut rest = page;
    while !rest.is_empty() {
        let newline = rest.iter().position(|byte| *byte == b'\n');
        if ended || newline.is_none() && !whole {
            return None;
        }
        let full = &rest[..newline.unwrap_or(rest.len())];
        rest = &rest[newline.map_or(rest.len(), |newline| newline + 1)..];
        let is_first = full.as_ptr() == page.as_ptr();
        let full = full.strip_suffix(b"\r").unwrap_or(full);
        let full = full.strip_prefix("\u{feff}".as_bytes()).filter(|_| is_first).unwrap_or(full);
        ended = open_metrics && full == b"# EOF";
        sample(unindented(full), wanted, apart, &mut sums, &mut seen)?;
    }
    (ended || !open_metrics).then_some(sums)
}

fn sample(
    line: &[u8],
    wanted: &[Wanted],
    apart: &[Wanted],
    sums: &mut [Option<Sum>],
    seen: &mut Vec<Series>,
) -> Option<()> {
    let could = |name: &[u8]| wanted.iter().any(|wanted| (wanted.could)(name));
    match line.first() {
        None | Some(b'#') => return Some(()),
        Some(b'<') => return None,
        Some(b'{') => {}
        Some(_) if !may_be_wanted(line, wanted, could) => return Some(()),
        Some(_) => {}
    }
    let (series, value) = match line::read(line) {
        Line::Sample(series, value) => (series, value),
        Line::Flawed(Some(name)) if !could(&name) => return Some(()),
        Line::Flawed(_) => return None,
    };
    let does = |wanted: &Wanted| (wanted.could)(&series.name) && (wanted.does)(&series);
    let is_apart = apart.iter().any(does);
    let mut count = None;
    for (_, sum) in wanted.iter().zip(sums).filter(|(wanted, _)| does(wanted)) {
        count = count.or_else(|| line::count(value));
        let (count, sum) = (count?, sum.get_or_insert_default());
        sum.all += count;
        sum.others += if is_apart { 0 } else { count };
        sum.series += 1;
        sum.apart += usize::from(is_apart);
    }
    if count.is_some() {
        if seen.contains(&series) {
            return None;
        }
        seen.push(series);
    }
    Some(())
}

/// Whether a line could be one of a wanted series, by the name that it begins with.
fn may_be_wanted(line: &[u8], wanted: &[Wanted], could: impl Fn(&[u8]) -> bool) -> bool {
    let begins = |name: &str| {
        line.strip_prefix(name.as_bytes())
            .is_some_and(|rest| !rest.first().is_some_and(|next| line::is_name_byte(*next)))
    };
    if wanted.iter().filter_map(|wanted| wanted.name).any(begins) {
        return true;
    }
    let name = line.split(|byte| !line::is_name_byte(*byte)).next().unwrap_or_default();
    let is_open = wanted.iter().any(|wanted| wanted.name.is_none());
    is_open && (name.is_empty() || name[0].is_ascii_digit() || could(name))
}

fn unindented(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    &line[start..]
}
