//! The response with a metrics page.

use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use hyper::http::response::Parts;
use tokio::net::TcpStream;

use crate::io::http::exchange::Exchange;
use crate::io::http::{self, AfterResponse, Url};
use lameduck_machine::reading::ReadError;
use lameduck_parsers::exposition::Format;

use super::invalid;

const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// The response with a metrics page, whose body is still arriving.
#[derive(Debug)]
pub struct PageResponse {
    exchange: Exchange,
    /// The format of the page, by its `Content-Type`.
    pub format: Format,
    /// Whether the transport detects a truncated body.
    pub framed: bool,
    /// How many bytes have arrived since other tasks could run.
    bytes_at_once: usize,
}

/// After how many bytes other tasks run: a long page must not delay a deadline.
const MAX_BYTES_AT_ONCE: usize = 16 * 1024;

impl PageResponse {
    /// Requests the page at `url` over a connection of its own. There is no timeout: the caller sets one.
    ///
    /// # Errors
    /// Fails if there is no response with a metrics page.
    pub async fn get(url: &Url) -> Result<Self, ReadError> {
        let stream = http::connect(url).await.map_err(|error| http::read_error(&error))?;
        Self::request(stream, url, AfterResponse::Close).await
    }

    /// Requests the page over this connection.
    pub(super) async fn request(stream: TcpStream, url: &Url, after: AfterResponse) -> Result<Self, ReadError> {
        let exchange = http::get_over(stream, url, ACCEPT, after).await.map_err(|error| http::read_error(&error))?;
        let format = check(&exchange.head)?;
        // With a chunked body or a known length, hyper fails if the body ends too soon. Otherwise nothing detects that.
        let framed = exchange.body_size().is_some() || is_chunked(&exchange.head.headers);
        Ok(Self { exchange, format, framed, bytes_at_once: 0 })
    }

    /// The next chunk of the page; `None` at its end.
    ///
    /// # Errors
    /// Fails if the page is truncated.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        if self.bytes_at_once >= MAX_BYTES_AT_ONCE {
            self.bytes_at_once = 0;
            tokio::task::yield_now().await;
        }
        let truncated = |error| invalid(format!("page is truncated: {error}"));
        let chunk = self.exchange.next().await.map_err(truncated)?;
        self.bytes_at_once += chunk.as_ref().map_or(0, Bytes::len);
        Ok(chunk)
    }

    /// The connection, if another request can be sent over it.
    pub(super) fn into_idle(self) -> Option<TcpStream> {
        self.exchange.into_idle()
    }
}

/// Checks that the response is a page, and returns its format.
fn check(response: &Parts) -> Result<Format, ReadError> {
    http::check_status(response.status)?;
    let header = |name| response.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let encoding = header(CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        return Err(invalid(format!("unsupported Content-Encoding {encoding}")));
    }
    let content_type = header(CONTENT_TYPE).split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match content_type.as_str() {
        "text/html" => Err(invalid("an HTML page, not metrics; is the path right?")),
        "application/openmetrics-text" => Ok(Format::OpenMetrics),
        _ => Ok(Format::Text),
    }
}

/// Whether the body is chunked, so that its end is marked (RFC 9112, section 6.1: `chunked` is the last coding).
fn is_chunked(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(TRANSFER_ENCODING).iter().next_back().and_then(|value| value.to_str().ok());
    codings
        .and_then(|codings| codings.rsplit(',').next())
        .is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
}
