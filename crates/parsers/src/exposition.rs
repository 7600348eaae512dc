//! A strict parser of metrics pages that answers one question: how many streams there are, or that it is unknown.
//!
//! Parsers made for dashboards drop lines that they do not understand. Here a dropped line would be an uncounted
//! stream, and a wrong zero cuts its call. So any line that may belong to a selected series must be valid. All other
//! lines are recognized by their names and skipped, unless the name of a selected series occurs in them: two lines may
//! have lost the newline between them, so such a line must be valid too.
//!
//! Prometheus text 0.0.4 and `OpenMetrics` 1.0 are parsed as one dialect, with the quoted UTF-8 names of Prometheus 3.
//! The page is parsed as it arrives; only a line that spans two chunks is buffered.

mod error;
mod gauges;
mod metadata;
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
use sample::{Escapes, Malformed, Sample};
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
    /// The last bytes of a line that is longer than that.
    tail: Vec<u8>,
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
            sums: Sums::new(selectors, format),
            process: ProcessReader::default(),
            partial: Vec::new(),
            tail: Vec::new(),
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

    fn parse_lines(&mut self, chunk: &[u8]) -> Result<(), Reason> {
        self.names.start_chunk();
        let mut start = 0;
        loop {
            if self.partial.is_empty() && !self.ended {
                start = self.skip_irrelevant(chunk, start);
            }
            let rest = &chunk[start..];
            let Some(end) = memchr(b'\n', rest) else { return self.buffer(rest) };
            self.end_line(&rest[..end])?;
            self.line += 1;
            start += end + 1;
        }
    }

    /// Skips the lines that cannot matter, which are nearly all, without parsing them. Returns where the next line starts.
    fn skip_irrelevant(&mut self, chunk: &[u8], mut start: usize) -> usize {
        let needle = self.names.next_needle(chunk, start);
        while let Some(length) = memchr(b'\n', &chunk[start..])
            && start + length <= needle
            && let line = &chunk[start..start + length]
            && self.names.is_irrelevant(line)
            && !self.process.wants(line)
        {
            self.line += 1;
            start += length + 1;
        }
        start
    }

    /// Parses a line whose end has arrived; its start may be in the buffer.
    fn end_line(&mut self, rest: &[u8]) -> Result<(), Reason> {
        if self.partial.is_empty() {
            return self.parse_line(rest);
        }
        self.buffer(rest)?;
        self.parse_partial()?;
        self.partial.clear();
        self.tail.clear();
        Ok(())
    }

    /// Buffers the start of a line, and parses it as soon as the line is too long.
    fn buffer(&mut self, start: &[u8]) -> Result<(), Reason> {
        if self.ended && !start.is_empty() {
            return Err(Reason::AfterEof);
        }
        let room = MAX_LINE + 1 - self.partial.len();
        let (start, rest) = start.split_at(start.len().min(room));
        self.partial.extend_from_slice(start);
        if room > 0 && start.len() == room {
            self.parse_partial()?;
            self.tail.extend_from_slice(&self.partial[self.partial.len() - self.names.overlap().min(MAX_LINE)..]);
        }
        self.search_rest(rest)
    }

    /// Searches what follows the start of a line that is too long.
    fn search_rest(&mut self, rest: &[u8]) -> Result<(), Reason> {
        if rest.is_empty() || self.is_comment(&self.partial) {
            return Ok(());
        }
        self.tail.extend_from_slice(rest);
        if self.names.may_occur_in(&self.tail) {
            return Err(Reason::LineTooLong);
        }
        self.tail.drain(..self.tail.len().saturating_sub(self.names.overlap()));
        Ok(())
    }

    fn parse_partial(&mut self) -> Result<(), Reason> {
        let partial = mem::take(&mut self.partial);
        let parsed = self.parse_line(&partial);
        self.partial = partial;
        parsed
    }

    fn parse_end(&mut self, complete: bool) -> Result<(), Reason> {
        if !self.partial.is_empty() {
            let parsed = self.parse_partial();
            if matches!(parsed, Err(Reason::Html | Reason::Json)) {
                return parsed;
            }
            if !complete {
                return Err(Reason::Truncated);
            }
            parsed?;
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
            return self.parse_long_line(line);
        }
        let line = self.strip_bom(line.strip_suffix(b"\r").unwrap_or(line));
        let start = trim_start(line);
        self.process.read(start);
        let is_indented = start.len() < line.len();
        match self.names.classify(start) {
            LineKind::Other => Ok(()),
            LineKind::Comment => {
                self.ended = self.format == Format::OpenMetrics && line == b"# EOF";
                Ok(())
            }
            LineKind::Html => Err(Reason::Html),
            LineKind::Json => Err(Reason::Json),
            // The name of such a series starts with the blanks for Prometheus, and the specification forbids them.
            LineKind::Relevant if is_indented && self.format == Format::OpenMetrics => Err(Reason::InvalidName),
            LineKind::Suspicious if start[0] == b'#' => Err(self.hidden_in(start, Reason::InvalidMetadata)),
            LineKind::Suspicious => self.sample(start, None).map(drop).map_err(|cause| self.hidden_in(start, cause)),
            LineKind::Relevant => self.sample(start, None)?.map_or(Ok(()), |sample| self.sums.add(&sample)),
        }
    }

    /// Decides whether a line that is too long may be skipped.
    fn parse_long_line(&mut self, line: &[u8]) -> Result<(), Reason> {
        let (start, rest) = line.split_at(MAX_LINE);
        let start = trim_start(self.strip_bom(start));
        match self.names.classify(start) {
            LineKind::Comment => return Ok(()),
            LineKind::Html => return Err(Reason::Html),
            LineKind::Json => return Err(Reason::Json),
            LineKind::Relevant => drop(self.sample(start, Some(Reason::LineTooLong))?),
            LineKind::Suspicious => return Err(Reason::LineTooLong),
            LineKind::Other if self.names.is_incomplete(start) => return Err(Reason::LineTooLong),
            LineKind::Other => {}
        }
        let overlap = self.names.overlap().min(MAX_LINE);
        let is_hidden = self.names.may_occur_in(&line[MAX_LINE - overlap..]) && !rest.is_empty();
        if is_hidden { Err(Reason::LineTooLong) } else { Ok(()) }
    }

    /// Returns the error of an invalid line of another series.
    fn hidden_in(&self, line: &[u8], cause: Reason) -> Reason {
        match self.names.found_in(line) {
            Some(name) => Reason::HiddenSeries { name: excerpt(name), cause: Box::new(cause) },
            None => cause,
        }
    }

    /// Parses a line that must be valid, unless it surely belongs to another series. `defect` is an error that `line`
    /// itself does not show.
    fn sample<'l>(&self, line: &'l [u8], defect: Option<Reason>) -> Result<Option<Sample<'l>>, Reason> {
        let (text, defect) = match str::from_utf8(line) {
            Ok(text) if text.contains('\0') => (text, defect.or(Some(Reason::Nul))),
            Ok(text) => (text, defect),
            Err(_) => (line.utf8_chunks().next().map_or("", |chunk| chunk.valid()), defect.or(Some(Reason::NotUtf8))),
        };
        let (name, reason) = match (Sample::parse(text, self.format.escapes()), defect) {
            (Ok(sample), None) => return Ok(Some(sample)),
            (Ok(sample), Some(defect)) => (Some(sample.name), defect),
            (Err(Malformed { quoted_name, reason }), defect) => (quoted_name, defect.unwrap_or(reason)),
        };
        let is_of_other_series = name.is_some_and(|name| !self.names.could_match(&name));
        if is_of_other_series && !self.names.may_occur_in(line) { Ok(None) } else { Err(reason) }
    }

    /// Returns whether this start of a line is that of a comment.
    fn is_comment(&self, start: &[u8]) -> bool {
        trim_start(self.strip_bom(start)).starts_with(b"#")
    }

    /// Strips the byte order mark that the first line may start with.
    fn strip_bom<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.line == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line }
    }
}

impl Format {
    /// Returns which escapes a quoted string may have.
    const fn escapes(self) -> Escapes {
        match self {
            Self::Text => Escapes::Defined,
            Self::OpenMetrics => Escapes::Any,
        }
    }
}

fn trim_start(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = line {
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests;
