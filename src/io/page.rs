//! The metrics page: one GET, read line by line as the bytes arrive.

use std::fmt;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use hyper::{Response, StatusCode};
use tokio::net::TcpStream;

use crate::io::http::{self, Url};
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_parsers::exposition::{Format, Page, Sum};
use lameduck_parsers::selector::Selector;

const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// A metrics page and what is to be found on it.
#[derive(Clone, Debug)]
pub struct MetricsPage {
    url: Url,
    /// The steady ones, the lazy ones, and the one of the limit, if it is looked for.
    selectors: Vec<Selector>,
    steady: usize,
    lazy: usize,
    /// Which streams can be idle at all.
    idle: Vec<Selector>,
}

/// What is to be found on a page.
#[derive(Clone, Debug, Default)]
pub struct PageSelectors {
    /// The series that are there from the start.
    pub eager: Vec<Selector>,
    /// The series that appear with the first request.
    pub lazy: Vec<Selector>,
    /// Which of both count streams that can be idle.
    pub idle: Vec<Selector>,
    /// The series that tells the target's own limit.
    pub capacity: Option<Selector>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct PageReadings {
    /// Every source's answer.
    pub readings: Vec<(Source, Reading)>,
    /// The target's own limit of streams, where it is looked for and told.
    pub capacity: Option<u64>,
}

impl MetricsPage {
    /// The page at `url`.
    #[must_use]
    pub fn new(url: Url, wanted: PageSelectors) -> Self {
        let PageSelectors { eager: steady, lazy, idle, capacity } = wanted;
        let (steadies, lazies) = (steady.len(), lazy.len());
        let selectors = steady.into_iter().chain(lazy).chain(capacity).collect();
        Self { url, selectors, steady: steadies, lazy: lazies, idle }
    }

    /// The sources that this page is read for.
    fn sources(&self) -> Vec<Source> {
        [(Source::Metrics, self.steady > 0), (Source::Lazy, self.lazy > 0)]
            .into_iter()
            .filter_map(|(source, has)| has.then_some(source))
            .collect()
    }

    /// Where it is.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Reads the page over this connection, for at most `bound`; every source gets an answer.
    pub async fn read(&self, connection: Result<TcpStream, ReadError>, bound: Duration) -> PageReadings {
        let result = match tokio::time::timeout(bound, self.fetch(connection)).await {
            Ok(result) => result,
            Err(_) => Err(ReadError::new(ReadErrorKind::NoResponse, format!("no whole page within {bound:?}"))),
        };
        let sums = result.map_err(|fault| ReadError { message: format!("{}: {}", self.url, fault.message), ..fault });
        let reading = |source| match &sums {
            Ok(sums) => Reading::Counts(self.part_of(source, sums).iter().map(|sum| sum.map(count)).collect()),
            Err(fault) => Reading::Unknown(fault.clone()),
        };
        PageReadings {
            readings: self.sources().into_iter().map(|source| (source, reading(source))).collect(),
            capacity: sums.ok().and_then(|sums| sums.get(self.steady + self.lazy).copied()?).map(|sum| sum.total),
        }
    }

    fn part_of<'a>(&self, source: Source, sums: &'a [Option<Sum>]) -> &'a [Option<Sum>] {
        match source {
            Source::Metrics => &sums[..self.steady],
            Source::Lazy => &sums[self.steady..self.steady + self.lazy],
            Source::Sockets | Source::Status => &[],
        }
    }

    async fn fetch(&self, connection: Result<TcpStream, ReadError>) -> Result<Vec<Option<Sum>>, ReadError> {
        let mut answer = PageResponse::over(connection?, &self.url).await?;
        let mut page = Page::new(&self.selectors, answer.format).with_idle_selectors(&self.idle);
        while let Some(bytes) = answer.next().await? {
            page.feed(&bytes).map_err(unreadable)?;
        }
        page.finish(answer.framed).map_err(unreadable)
    }
}

/// A metrics page on its way in.
#[derive(Debug)]
pub struct PageResponse {
    body: Incoming,
    /// The format that it is served as.
    pub format: Format,
    /// Whether the transport tells a whole body from one that was cut off.
    pub framed: bool,
}

impl PageResponse {
    /// Asks for the page at `url`.
    ///
    /// # Errors
    /// Says why there is none. There is no timeout here: the caller has the bound.
    pub async fn get(url: &Url) -> Result<Self, ReadError> {
        Self::over(http::connect(url).await.map_err(|error| http::read_error(&error))?, url).await
    }

    async fn over(stream: TcpStream, url: &Url) -> Result<Self, ReadError> {
        let response = http::request(stream, url, ACCEPT).await.map_err(|error| http::read_error(&error))?;
        let format = check(&response)?;
        // Chunked, or of a stated length: then hyper fails when the body ends too soon. Otherwise nothing tells.
        let framed = response.body().size_hint().exact().is_some() || is_chunked(response.headers());
        Ok(Self { body: response.into_body(), format, framed })
    }

    /// The next piece of the page; `None` at its end.
    ///
    /// # Errors
    /// Fails where the page is cut off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| unreadable(format!("page cut off: {error}")))?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

fn unreadable(error: impl fmt::Display) -> ReadError {
    ReadError::new(ReadErrorKind::Invalid, error)
}

/// A series that is told apart can be idle; the others work without receiving a byte, for all that is known.
const fn count(sum: Sum) -> Count {
    Count { streams: sum.total, never_idle: sum.non_idle }
}

fn check(response: &Response<Incoming>) -> Result<Format, ReadError> {
    let status = response.status();
    if status != StatusCode::OK {
        return Err(ReadError::new(ReadErrorKind::NoResponse, format!("status {status}, not 200 OK")));
    }
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let encoding = header(CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        return Err(ReadError::new(
            ReadErrorKind::Invalid,
            format!("Content-Encoding {encoding}, which was not asked for"),
        ));
    }
    let kind = header(CONTENT_TYPE).split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match kind.as_str() {
        "text/html" => Err(ReadError::new(ReadErrorKind::Invalid, "an HTML page, not metrics; is the path right?")),
        "application/openmetrics-text" => Ok(Format::OpenMetrics),
        _ => Ok(Format::Text),
    }
}

/// Whether the body's end is marked (RFC 9112, 6.1: `chunked` comes last).
fn is_chunked(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(TRANSFER_ENCODING).iter().next_back().and_then(|value| value.to_str().ok());
    codings
        .and_then(|codings| codings.rsplit(',').next())
        .is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
}
