//! The responses of the hook server.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

pub(super) type HttpResponse = Response<Full<Bytes>>;

/// The response if the event loop has ended.
pub(super) fn shutting_down() -> HttpResponse {
    text(StatusCode::SERVICE_UNAVAILABLE, "shutting down")
}

pub(super) fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The same response, after which the connection is closed.
pub(super) fn with_connection_close(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

pub(super) fn json(content: &str) -> HttpResponse {
    build(StatusCode::OK, "application/json", format!("{content}\n"))
}

pub(super) fn metrics(page: String) -> HttpResponse {
    build(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page)
}

pub(super) fn text(status: StatusCode, line: &str) -> HttpResponse {
    build(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

fn build(status: StatusCode, content_type: &'static str, content: String) -> HttpResponse {
    let mut response = Response::new(Full::new(Bytes::from(content)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
