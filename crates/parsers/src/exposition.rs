//! A strict reader of metrics pages, for one purpose: to say how many streams there are, or that it cannot tell.
//!
//! Parsers made for dashboards drop what they do not understand. Here a dropped line would be a stream that nobody
//! counts, and a wrong zero cuts its call. So whatever looks like one of the wanted series must be sound, and no line
//! of another family is worth more than a glance.
//!
//! Prometheus text 0.0.4 and `OpenMetrics` 1.0 are read as one dialect, with the quoted UTF-8 names of Prometheus 3.
//! The page is read as it arrives; only a line that spans two pieces is held.

mod error;
mod names;
mod sample;
mod tally;

use std::mem;

use memchr::memchr;

use crate::selector::Selector;
use error::excerpt;
pub use error::{Error, Reason};
use names::{Names, Sort};
use sample::{Malformed, Sample};
use tally::StreamCount;
pub use tally::Sum;

/// The most bytes that a page may have.
pub const MAX_PAGE: usize = 64 << 20;

/// The most bytes that the line of a wanted series may have.
pub const MAX_LINE: usize = 64 << 10;

/// The most series that may match on one page.
pub const MAX_SERIES: usize = 10_000;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The format that the page was served as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, whose end only the transport can tell.
    Text,
    /// `OpenMetrics`, which must end with `# EOF`.
    OpenMetrics,
}

/// A page on its way in.
///
/// [`feed`](Self::feed) takes the bytes as they arrive, [`finish`](Self::finish) gives the reading.
#[derive(Debug)]
pub struct Page<'s> {
    format: Format,
    names: Names<'s>,
    tally: StreamCount<'s>,
    /// The start of a line whose end has not arrived, at most one byte longer than a line may be.
    partial: Vec<u8>,
    /// The number of the line being read.
    line: u64,
    size: usize,
    ended: bool,
    failed: Option<Error>,
}

impl<'s> Page<'s> {
    /// Starts a page.
    #[must_use]
    pub fn new(selectors: &'s [Selector], format: Format) -> Self {
        Self {
            format,
            names: Names::new(selectors),
            tally: StreamCount::new(selectors),
            partial: Vec::new(),
            line: 1,
            size: 0,
            ended: false,
            failed: None,
        }
    }

    /// Tells these series apart from the others in every sum.
    #[must_use]
    pub fn with_idle_selectors(mut self, idle: &'s [Selector]) -> Self {
        self.tally.set_idle_selectors(idle);
        self
    }

    /// Reads the next piece of the page.
    ///
    /// # Errors
    ///
    /// The first fault is returned as soon as it has arrived, and again ever after.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.guard(|page| page.pieces(piece))
    }

    /// Returns, for each selector, the sum of its series, or `None` when nothing on the page matched it.
    ///
    /// `whole` says that the transport proved the body complete. Without that proof a line without its newline counts
    /// as cut off; a text page that stopped between two lines does not show it.
    ///
    /// # Errors
    ///
    /// A page with a fault, or without its end, has no reading.
    pub fn finish(mut self, whole: bool) -> Result<Vec<Option<Sum>>, Error> {
        self.guard(|page| page.end(whole))?;
        Ok(self.tally.into_sums())
    }

    fn guard(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Reason>) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        step(self).map_err(|reason| self.failed.insert(Error { line: self.line, reason }).clone())
    }

    fn pieces(&mut self, piece: &[u8]) -> Result<(), Reason> {
        let room = MAX_PAGE - self.size;
        self.size += piece.len().min(room);
        self.lines(&piece[..piece.len().min(room)])?;
        if piece.len() > room { Err(Reason::PageTooLong) } else { Ok(()) }
    }

    fn lines(&mut self, mut piece: &[u8]) -> Result<(), Reason> {
        loop {
            if self.partial.is_empty() && !self.ended {
                piece = self.skip_foreign(piece);
            }
            let Some(end) = memchr(b'\n', piece) else { return self.hold(piece) };
            self.full_line(&piece[..end])?;
            self.line += 1;
            piece = &piece[end + 1..];
        }
    }

    /// Passes over the lines that cannot matter, which are nearly all, as fast as they can be told.
    fn skip_foreign<'a>(&mut self, mut piece: &'a [u8]) -> &'a [u8] {
        while let Some(end) = memchr(b'\n', piece)
            && self.names.is_foreign(&piece[..end])
        {
            self.line += 1;
            piece = &piece[end + 1..];
        }
        piece
    }

    fn full_line(&mut self, line: &[u8]) -> Result<(), Reason> {
        if self.partial.is_empty() {
            return self.line(line);
        }
        self.hold(line)?;
        self.judge_held()?;
        self.partial.clear();
        Ok(())
    }

    /// Keeps the start of a line, and judges the line as soon as it is too long.
    fn hold(&mut self, start: &[u8]) -> Result<(), Reason> {
        if self.ended && !start.is_empty() {
            return Err(Reason::AfterEof);
        }
        let room = MAX_LINE + 1 - self.partial.len();
        self.partial.extend_from_slice(&start[..start.len().min(room)]);
        if room > 0 && start.len() >= room { self.judge_held() } else { Ok(()) }
    }

    fn judge_held(&mut self) -> Result<(), Reason> {
        let held = mem::take(&mut self.partial);
        let judged = self.line(&held);
        self.partial = held;
        judged
    }

    fn end(&mut self, whole: bool) -> Result<(), Reason> {
        if !self.partial.is_empty() {
            if !whole {
                return Err(Reason::CutOff);
            }
            self.judge_held()?;
        }
        match self.format {
            Format::OpenMetrics if !self.ended => Err(Reason::NoEof),
            Format::OpenMetrics | Format::Text => Ok(()),
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Reason> {
        if self.ended {
            return Err(Reason::AfterEof);
        }
        if line.len() > MAX_LINE {
            return self.long_line(trim(self.unmark(&line[..MAX_LINE])));
        }
        let line = self.unmark(line.strip_suffix(b"\r").unwrap_or(line));
        let start = trim(line);
        match self.names.sort(start) {
            Sort::Other => Ok(()),
            Sort::Comment => {
                self.ended = self.format == Format::OpenMetrics && line == b"# EOF";
                Ok(())
            }
            Sort::Html => Err(Reason::Html),
            Sort::Wanted => self.sample(start, None),
        }
    }

    /// Judges a line too long by its start.
    fn long_line(&mut self, start: &[u8]) -> Result<(), Reason> {
        match self.names.sort(start) {
            Sort::Html => Err(Reason::Html),
            Sort::Wanted => self.sample(start, Some(Reason::LineTooLong)),
            Sort::Other if self.names.is_unknown(start) => Err(Reason::LineTooLong),
            Sort::Comment | Sort::Other => Ok(()),
        }
    }

    /// Reads a line that seems to be wanted; `flaw` is what is wrong with it beyond the text at hand.
    fn sample(&mut self, line: &[u8], flaw: Option<Reason>) -> Result<(), Reason> {
        let (text, flaw) = match str::from_utf8(line) {
            Ok(text) => (text, flaw),
            Err(_) => (line.utf8_chunks().next().map_or("", |chunk| chunk.valid()), flaw.or(Some(Reason::NotUtf8))),
        };
        match (Sample::parse(text), flaw) {
            (Ok(sample), None) => self.tally.add(&sample),
            (Ok(sample), Some(_)) if !self.names.wants(&sample.name) => Ok(()),
            (Ok(_), Some(flaw)) => Err(flaw),
            (Err(Malformed { quoted_name: Some(name), .. }), _) if !self.names.wants(&name) => Ok(()),
            (Err(malformed), flaw) => Err(flaw.unwrap_or(malformed.reason)),
        }
    }

    /// Strips the byte order mark that a first line may carry.
    fn unmark<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.line == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line }
    }
}

fn trim(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = line {
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_without_series_is_not_zero() {
        let selectors = ["active", "idle"].map(|text| text.parse().unwrap());
        let mut page = Page::new(&selectors, Format::Text);
        assert_eq!(page.feed(b"idle 0\n"), Ok(()));
        assert_eq!(page.finish(true), Ok(vec![None, Some(Sum { series: 1, ..Sum::default() })]));
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        let selectors = ["active".parse().unwrap()];
        let mut page = Page::new(&selectors, Format::OpenMetrics);
        for piece in ["act", "", "ive 1", "2\nother", " 3\n# E", "OF\n"] {
            assert_eq!(page.feed(piece.as_bytes()), Ok(()), "{piece}");
        }
        assert_eq!(page.finish(false), Ok(vec![Some(Sum { total: 12, non_idle: 12, series: 1, idle_series: 0 })]));
    }

    #[test]
    fn the_first_byte_after_the_end_is_refused_at_once() {
        let mut page = Page::new(&[], Format::OpenMetrics);
        assert_eq!(page.feed(b"# EOF\n"), Ok(()));
        assert_eq!(page.feed(b""), Ok(()));
        assert_eq!(page.feed(b"x"), Err(Error { line: 2, reason: Reason::AfterEof }));
    }

    #[test]
    fn no_more_is_held_than_a_line_may_have() {
        let mut page = Page::new(&[], Format::Text);
        for _ in 0..8 {
            assert_eq!(page.feed(&vec![b'x'; MAX_LINE]), Ok(()));
        }
        assert_eq!(page.partial.len(), MAX_LINE + 1);
        assert_eq!(page.feed(b"\n"), Ok(()));
        assert_eq!((page.partial.len(), page.line), (0, 2));
    }
}
