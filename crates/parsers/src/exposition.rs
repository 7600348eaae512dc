//! A strict parser of metrics pages that answers one question: how many streams there are, or that it is unknown.
//!
//! Parsers made for dashboards drop lines that they do not understand. Here a dropped line would be an uncounted
//! stream, and a wrong zero cuts its call. So any line that may belong to a selected series must be valid; the lines
//! of all other series are recognized by their names and skipped.
//!
//! Prometheus text 0.0.4 and `OpenMetrics` 1.0 are parsed as one dialect, with the quoted UTF-8 names of Prometheus 3.
//! The page is parsed as it arrives; only a line that spans two chunks is buffered.

mod error;
mod gauges;
mod names;
mod process;
mod sample;
mod sums;

use std::mem;

use memchr::memchr;

use crate::selector::Selector;
use error::excerpt;
pub use error::{Error, Reason};
pub use gauges::{Gauge, MAX_GAUGES, gauges};
use names::{LineKind, Names};
use process::ProcessReader;
pub use process::{Counter, MAX_COUNTERS, Process};
use sample::{Malformed, Sample};
pub use sums::Sum;
use sums::Sums;

/// Maximum size of a page, in bytes.
pub const MAX_PAGE: usize = 64 << 20;

/// Maximum length of a line of a selected series, in bytes.
pub const MAX_LINE: usize = 64 << 10;

/// Maximum number of matching series on one page.
pub const MAX_SERIES: usize = 10_000;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The format that the page was served as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, whose end only the transport can mark.
    Text,
    /// `OpenMetrics`, which must end with `# EOF`.
    OpenMetrics,
}

/// A page that is being received.
///
/// [`feed`](Self::feed) parses the bytes as they arrive, [`finish`](Self::finish) returns the sums.
#[derive(Debug)]
pub struct Page<'s> {
    format: Format,
    names: Names<'s>,
    sums: Sums<'s>,
    process: ProcessReader,
    /// The start of a line whose end has not arrived, at most one byte longer than [`MAX_LINE`].
    partial: Vec<u8>,
    /// The number of the current line, from one.
    line: u64,
    size: usize,
    ended: bool,
    error: Option<Error>,
}

impl<'s> Page<'s> {
    /// Starts a page.
    #[must_use]
    pub fn new(selectors: &'s [Selector], format: Format) -> Self {
        Self {
            format,
            names: Names::new(selectors),
            sums: Sums::new(selectors),
            process: ProcessReader::default(),
            partial: Vec::new(),
            line: 1,
            size: 0,
            ended: false,
            error: None,
        }
    }

    /// Sets the selectors of idle streams: every [`Sum`] counts the series that match one of them separately.
    #[must_use]
    pub fn with_idle_selectors(mut self, idle: &'s [Selector]) -> Self {
        self.sums.set_idle_selectors(idle);
        self
    }

    /// Parses the next chunk of the page.
    ///
    /// # Errors
    ///
    /// Returns the first error of the page as soon as it has arrived, and the same error from every later call.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.unless_failed(|page| page.parse_chunk(chunk))
    }

    /// Returns, for each selector, the sum of its series, or `None` if no series on the page matched.
    ///
    /// `complete` means that the transport proved the body complete. Without that proof a line without its newline
    /// counts as truncated; a text page that was cut between two lines goes unnoticed.
    ///
    /// # Errors
    ///
    /// Fails if any chunk had an error, or if the end of the page is missing.
    pub fn finish(self, complete: bool) -> Result<Vec<Option<Sum>>, Error> {
        self.finish_with_process(complete).map(|(sums, _)| sums)
    }

    /// Returns the sums as [`finish`](Self::finish) does, and what the page says about the process that served it.
    ///
    /// # Errors
    ///
    /// Fails if any chunk had an error, or if the end of the page is missing.
    pub fn finish_with_process(mut self, complete: bool) -> Result<(Vec<Option<Sum>>, Process), Error> {
        self.unless_failed(|page| page.parse_end(complete))?;
        Ok((self.sums.into_vec(), self.process.finish()))
    }

    fn unless_failed(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Reason>) -> Result<(), Error> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        step(self).map_err(|reason| self.error.insert(Error { line: self.line, reason }).clone())
    }

    fn parse_chunk(&mut self, chunk: &[u8]) -> Result<(), Reason> {
        let room = MAX_PAGE - self.size;
        self.size += chunk.len().min(room);
        self.parse_lines(&chunk[..chunk.len().min(room)])?;
        if chunk.len() > room { Err(Reason::PageTooLong) } else { Ok(()) }
    }

    fn parse_lines(&mut self, mut chunk: &[u8]) -> Result<(), Reason> {
        loop {
            if self.partial.is_empty() && !self.ended {
                chunk = self.skip_irrelevant(chunk);
            }
            let Some(end) = memchr(b'\n', chunk) else { return self.buffer(chunk) };
            self.end_line(&chunk[..end])?;
            self.line += 1;
            chunk = &chunk[end + 1..];
        }
    }

    /// Skips the lines that cannot matter, which are nearly all, without parsing them.
    fn skip_irrelevant<'a>(&mut self, mut chunk: &'a [u8]) -> &'a [u8] {
        while let Some(end) = memchr(b'\n', chunk)
            && self.names.is_irrelevant(&chunk[..end])
            && !self.process.wants(&chunk[..end])
        {
            self.line += 1;
            chunk = &chunk[end + 1..];
        }
        chunk
    }

    /// Parses a line whose end has arrived; its start may be in the buffer.
    fn end_line(&mut self, rest: &[u8]) -> Result<(), Reason> {
        if self.partial.is_empty() {
            return self.parse_line(rest);
        }
        self.buffer(rest)?;
        self.parse_partial()?;
        self.partial.clear();
        Ok(())
    }

    /// Buffers the start of a line, and parses it as soon as the line is too long.
    fn buffer(&mut self, start: &[u8]) -> Result<(), Reason> {
        if self.ended && !start.is_empty() {
            return Err(Reason::AfterEof);
        }
        let room = MAX_LINE + 1 - self.partial.len();
        self.partial.extend_from_slice(&start[..start.len().min(room)]);
        if room > 0 && start.len() >= room { self.parse_partial() } else { Ok(()) }
    }

    fn parse_partial(&mut self) -> Result<(), Reason> {
        let partial = mem::take(&mut self.partial);
        let parsed = self.parse_line(&partial);
        self.partial = partial;
        parsed
    }

    fn parse_end(&mut self, complete: bool) -> Result<(), Reason> {
        if !self.partial.is_empty() {
            if !complete {
                return Err(Reason::Truncated);
            }
            self.parse_partial()?;
        }
        match self.format {
            Format::OpenMetrics if !self.ended => Err(Reason::MissingEof),
            Format::OpenMetrics | Format::Text => Ok(()),
        }
    }

    fn parse_line(&mut self, line: &[u8]) -> Result<(), Reason> {
        if self.ended {
            return Err(Reason::AfterEof);
        }
        if line.len() > MAX_LINE {
            return self.parse_long_line(trim_start(self.strip_bom(&line[..MAX_LINE])));
        }
        let line = self.strip_bom(line.strip_suffix(b"\r").unwrap_or(line));
        let start = trim_start(line);
        self.process.read(start);
        match self.names.classify(start) {
            LineKind::Other => Ok(()),
            LineKind::Comment => {
                self.ended = self.format == Format::OpenMetrics && line == b"# EOF";
                Ok(())
            }
            LineKind::Html => Err(Reason::Html),
            LineKind::Relevant => self.add_sample(start, None),
        }
    }

    /// Decides from its start whether a line that is too long may be skipped.
    fn parse_long_line(&mut self, start: &[u8]) -> Result<(), Reason> {
        match self.names.classify(start) {
            LineKind::Html => Err(Reason::Html),
            LineKind::Relevant => self.add_sample(start, Some(Reason::LineTooLong)),
            LineKind::Other if self.names.is_incomplete(start) => Err(Reason::LineTooLong),
            LineKind::Comment | LineKind::Other => Ok(()),
        }
    }

    /// Parses a line that may belong to a selected series; `defect` is an error that `line` itself does not show.
    fn add_sample(&mut self, line: &[u8], defect: Option<Reason>) -> Result<(), Reason> {
        let (text, defect) = match str::from_utf8(line) {
            Ok(text) => (text, defect),
            Err(_) => (line.utf8_chunks().next().map_or("", |chunk| chunk.valid()), defect.or(Some(Reason::NotUtf8))),
        };
        match (Sample::parse(text), defect) {
            (Ok(sample), None) => self.sums.add(&sample),
            (Ok(sample), Some(_)) if !self.names.could_match(&sample.name) => Ok(()),
            (Ok(_), Some(defect)) => Err(defect),
            (Err(Malformed { quoted_name: Some(name), .. }), _) if !self.names.could_match(&name) => Ok(()),
            (Err(malformed), defect) => Err(defect.unwrap_or(malformed.reason)),
        }
    }

    /// Strips the byte order mark that the first line may start with.
    fn strip_bom<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.line == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line }
    }
}

fn trim_start(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = line {
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmatched_selector_is_none_not_zero() {
        let selectors = ["active", "idle"].map(|text| text.parse().unwrap());
        let mut page = Page::new(&selectors, Format::Text);
        assert_eq!(page.feed(b"idle 0\n"), Ok(()));
        assert_eq!(page.finish(true), Ok(vec![None, Some(Sum { series: 1, ..Sum::default() })]));
    }

    #[test]
    fn lines_may_span_chunks() {
        let selectors = ["active".parse().unwrap()];
        let mut page = Page::new(&selectors, Format::OpenMetrics);
        for chunk in ["act", "", "ive 1", "2\nother", " 3\n# E", "OF\n"] {
            assert_eq!(page.feed(chunk.as_bytes()), Ok(()), "{chunk}");
        }
        assert_eq!(page.finish(false), Ok(vec![Some(Sum { total: 12, non_idle: 12, series: 1, idle_series: 0 })]));
    }

    #[test]
    fn first_byte_after_eof_is_an_error() {
        let mut page = Page::new(&[], Format::OpenMetrics);
        assert_eq!(page.feed(b"# EOF\n"), Ok(()));
        assert_eq!(page.feed(b""), Ok(()));
        assert_eq!(page.feed(b"x"), Err(Error { line: 2, reason: Reason::AfterEof }));
    }

    #[test]
    fn buffer_is_limited_to_one_line() {
        let mut page = Page::new(&[], Format::Text);
        for _ in 0..8 {
            assert_eq!(page.feed(&vec![b'x'; MAX_LINE]), Ok(()));
        }
        assert_eq!(page.partial.len(), MAX_LINE + 1);
        assert_eq!(page.feed(b"\n"), Ok(()));
        assert_eq!((page.partial.len(), page.line), (0, 2));
    }
}
