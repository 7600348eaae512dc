//! The metrics page: one GET, read line by line as the bytes arrive.

use std::fmt;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use hyper::{Response, StatusCode};

use crate::edges::http::{self, Url};
use crate::machine::census::{Fault, FaultKind, Reading, Source};
use crate::readers::exposition::{Format, Page};
use crate::readers::selector::Selector;

const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// A metrics page and what is to be found on it.
#[derive(Clone, Debug)]
pub struct MetricsPage {
    url: Url,
    selectors: Vec<Selector>,
    /// How many of the selectors, from the first, are those of [`Source::Metrics`]; the others are lazy.
    steady: usize,
}

impl MetricsPage {
    /// A page at `url` with steady and lazy series.
    #[must_use]
    pub fn new(url: Url, steady: &[Selector], lazy: &[Selector]) -> Self {
        Self { url, selectors: [steady, lazy].concat(), steady: steady.len() }
    }

    /// The sources that this page is read for.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        let lazy = self.selectors.len() > self.steady;
        [(Source::Metrics, self.steady > 0), (Source::Lazy, lazy)]
            .into_iter()
            .filter_map(|(source, has)| has.then_some(source))
            .collect()
    }

    /// Reads the page, for at most `bound`; every source gets an answer.
    pub async fn read(&self, bound: Duration) -> Vec<(Source, Reading)> {
        let result = match tokio::time::timeout(bound, self.fetch()).await {
            Ok(result) => result,
            Err(_) => Err(fault(FaultKind::Unanswered, format!("no whole page within {bound:?}"))),
        };
        let counts = result.map_err(|fault| Fault { text: format!("{}: {}", self.url, fault.text), ..fault });
        let reading = |counts: &Result<Vec<Option<u64>>, Fault>, lazy: bool| match counts {
            Ok(counts) => {
                let (steady, rest) = counts.split_at(self.steady);
                Reading::Counts(if lazy { rest } else { steady }.to_vec())
            }
            Err(fault) => Reading::Unknown(fault.clone()),
        };
        self.sources().into_iter().map(|source| (source, reading(&counts, source == Source::Lazy))).collect()
    }

    async fn fetch(&self) -> Result<Vec<Option<u64>>, Fault> {
        let response = http::get(&self.url, ACCEPT).await.map_err(|error| match error {
            http::Error::Refused => fault(FaultKind::Refused, error),
            http::Error::Connect(_) | http::Error::Exchange(_) => fault(FaultKind::Unanswered, error),
        })?;
        let format = check(&response)?;
        // Chunked, or of a stated length: then hyper fails when the body ends too soon. Otherwise nothing tells.
        let framed = response.body().size_hint().exact().is_some() || is_chunked(response.headers());
        self.parse(response.into_body(), format, framed).await
    }

    async fn parse(&self, mut body: Incoming, format: Format, framed: bool) -> Result<Vec<Option<u64>>, Fault> {
        let unreadable = |error| fault(FaultKind::Unreadable, error);
        let mut page = Page::new(&self.selectors, format);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| fault(FaultKind::Unreadable, format!("page cut off: {error}")))?;
            if let Some(bytes) = frame.data_ref() {
                page.feed(bytes).map_err(unreadable)?;
            }
        }
        page.finish(framed).map_err(unreadable)
    }
}

fn check(response: &Response<Incoming>) -> Result<Format, Fault> {
    let status = response.status();
    if status != StatusCode::OK {
        return Err(fault(FaultKind::Unanswered, format!("status {status}, not 200 OK")));
    }
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let encoding = header(CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        return Err(fault(FaultKind::Unreadable, format!("Content-Encoding {encoding}, which was not asked for")));
    }
    let kind = header(CONTENT_TYPE).split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match kind.as_str() {
        "text/html" => Err(fault(FaultKind::Unreadable, "an HTML page, not metrics; is the path right?")),
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

fn fault(kind: FaultKind, text: impl fmt::Display) -> Fault {
    Fault { kind, text: format!("{text}") }
}
