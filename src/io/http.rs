//! An HTTP client for requests without a body.

pub mod exchange;
pub mod kept;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use tokio::net::TcpStream;

use exchange::Exchange;
use lameduck_machine::reading::{ReadError, ReadErrorKind};

/// The URL of a page: `http://host[:port]/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// The page at `path` of a host and port.
    #[must_use]
    pub fn new(host: &str, port: u16, path: &str) -> Self {
        Self { host: host.to_owned(), port, path: path.to_owned() }
    }

    /// The same host and port, another path.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{error}; write e.g. http://127.0.0.1:9991/metrics"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err("https is not supported: the page is read inside the pod, over http://".into()),
            Some(_) | None => return Err("must begin with http://, e.g. http://127.0.0.1:9991/metrics".into()),
        }
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or("has no host; write e.g. http://127.0.0.1:9991/metrics")?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("must not contain a user name: the page is read without authentication".into());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self::new(host, port_of(&uri)?, path))
    }
}

/// The port as it is written. [`Uri::port`] ignores a port that is out of range.
fn port_of(uri: &Uri) -> Result<u16, String> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let after_host = authority.rsplit(']').next().unwrap_or("");
    match after_host.rsplit_once(':') {
        None | Some((_, "")) => Ok(80),
        Some((_, port)) => {
            let number = port.parse().ok().filter(|number| *number != 0);
            number.ok_or_else(|| format!("port {port} is not a number from 1 to 65535"))
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

/// Why there is no response.
#[derive(Debug)]
pub enum Error {
    /// Nothing listens on the port.
    Refused,
    /// The connection failed for another reason.
    Connect(io::Error),
    /// The connection broke, or the response is not HTTP.
    Exchange(hyper::Error),
    /// The body of the response is truncated.
    Body(hyper::Error),
    /// The server closed the connection.
    Closed,
    /// The response has more bytes than this.
    TooLong(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => write!(f, "connection refused"),
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Exchange(error) => write!(f, "no response: {error}"),
            Self::Body(error) => write!(f, "{error}"),
            Self::Closed => write!(f, "the server closed the connection"),
            Self::TooLong(max_bytes) => write!(f, "the response is longer than {max_bytes} bytes"),
        }
    }
}

impl std::error::Error for Error {}

/// The same error as that of a source.
#[must_use]
pub fn read_error(error: &Error) -> ReadError {
    match error {
        Error::Refused => ReadError::new(ReadErrorKind::ConnectionRefused, error),
        Error::Connect(_) | Error::Exchange(_) | Error::Body(_) | Error::Closed | Error::TooLong(_) => {
            ReadError::new(ReadErrorKind::NoResponse, error)
        }
    }
}

/// What happens to a connection after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterResponse {
    /// The server is asked to close it.
    Close,
    /// It may stay open for another request.
    KeepOpen,
}

/// Sends a GET request, and returns the response before its body has arrived. Redirects are not followed. There is no
/// timeout: the caller sets one.
///
/// # Errors
/// Fails if there is no HTTP response.
pub async fn get(url: &Url, accept: &'static str) -> Result<Exchange, Error> {
    let stream = connect(url).await?;
    get_over(stream, url, accept, AfterResponse::Close).await
}

/// Sends a POST request without a body.
///
/// # Errors
/// Fails if there is no HTTP response.
pub async fn post(url: &Url) -> Result<Exchange, Error> {
    let request = build_request(Method::POST, url, "*/*", AfterResponse::Close);
    Exchange::start(connect(url).await?, request).await
}

/// Sends a GET request over this connection.
///
/// # Errors
/// Fails if there is no HTTP response.
pub async fn get_over(
    stream: TcpStream,
    url: &Url,
    accept: &'static str,
    after: AfterResponse,
) -> Result<Exchange, Error> {
    Exchange::start(stream, build_request(Method::GET, url, accept, after)).await
}

/// Connects to the URL's host and port.
///
/// # Errors
/// Fails if there is no connection.
pub async fn connect(url: &Url) -> Result<TcpStream, Error> {
    TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|error| {
        let refused = error.kind() == io::ErrorKind::ConnectionRefused;
        if refused { Error::Refused } else { Error::Connect(error) }
    })
}

/// Connects to the page of a source. The reader of the socket table must know this connection: it is not a stream.
///
/// # Errors
/// Fails if there is no connection within `timeout`.
pub async fn connect_timeout(url: &Url, timeout: Duration) -> Result<TcpStream, ReadError> {
    match tokio::time::timeout(timeout, connect(url)).await {
        Ok(connection) => connection.map_err(|error| read_error(&error)),
        Err(_) => Err(ReadError::new(ReadErrorKind::NoResponse, format!("no connection within {timeout:?}"))),
    }
}

/// Runs `read` on the page of a source for at most `timeout`. The error's message names the URL.
///
/// # Errors
/// Fails if `read` fails or takes too long.
pub async fn with_timeout<T>(
    url: &Url,
    timeout: Duration,
    read: impl Future<Output = Result<T, ReadError>>,
) -> Result<T, ReadError> {
    let elapsed = || Err(ReadError::new(ReadErrorKind::NoResponse, format!("no complete response within {timeout:?}")));
    let result = tokio::time::timeout(timeout, read).await.unwrap_or_else(|_| elapsed());
    result.map_err(|error| ReadError { message: format!("{url}: {}", error.message), ..error })
}

/// Checks that a source's response has status 200.
///
/// # Errors
/// Fails with every other status.
pub fn check_status(status: StatusCode) -> Result<(), ReadError> {
    match status {
        StatusCode::OK => Ok(()),
        status => Err(ReadError::new(ReadErrorKind::NoResponse, format!("status {status}, not 200 OK"))),
    }
}

fn build_request(method: Method, url: &Url, accept: &'static str, after: AfterResponse) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = method;
    // The path and the authority come from a parsed URL or from this crate, so neither fallback is ever used.
    *request.uri_mut() = url.path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&url.authority()).unwrap_or(HeaderValue::from_static("localhost")));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("lameduck/", env!("CARGO_PKG_VERSION"))));
    if after == AfterResponse::Close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_parsed_and_displayed() {
        let url: Url = "http://127.0.0.1:9991/metrics?x=1".parse().unwrap();
        assert_eq!(url, Url::new("127.0.0.1", 9991, "/metrics?x=1"));
        assert_eq!("http://[::1]:9/".parse::<Url>().unwrap().to_string(), "http://[::1]:9/");
        assert_eq!("http://[::1]".parse::<Url>().unwrap().to_string(), "http://[::1]:80/");
        assert_eq!("http://engine".parse::<Url>().unwrap(), Url::new("engine", 80, "/"));
    }

    #[test]
    fn invalid_url_is_rejected_with_fix() {
        for (text, reason) in [
            ("https://127.0.0.1/metrics", "https is not supported"),
            ("127.0.0.1:9991/metrics", "http://"),
            ("/metrics", "must begin with http://"),
            ("", "http://"),
            ("http://127.0.0.1:0/", "port 0 is not"),
            ("http://[::1]:70000/", "port 70000 is not"),
            ("http://user:secret@127.0.0.1/", "must not contain a user name"),
            ("http://127.0.0.1:99999/metrics", "port 99999 is not a number from 1 to 65535"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
