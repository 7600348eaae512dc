//! HTTP responses: the page, correct or broken, and plain texts.

use std::future;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::time::sleep;

use crate::args::{PageType, Role};
use crate::body::PageBody;
use crate::engine::Engine;
use crate::page::Page;

const HTML_TYPE: &str = "text/html; charset=utf-8";
const PLAIN_TYPE: &str = "text/plain; charset=utf-8";
const MAX_BODY_BYTES: usize = 1024;

/// The page in its current state.
pub(crate) async fn page(engine: &Engine) -> Response<PageBody> {
    let page = engine.page();
    match page {
        Page::Slow(duration) => sleep(duration).await,
        Page::Hang => future::pending().await,
        Page::Error => return plain(StatusCode::INTERNAL_SERVER_ERROR, "internal server error\n"),
        Page::Html => return response(StatusCode::OK, HTML_TYPE, PageBody::new(HTML)),
        Page::Ok
        | Page::Garbage
        | Page::Empty
        | Page::Truncated
        | Page::Aborted
        | Page::Nan
        | Page::Negative
        | Page::Frozen
        | Page::Says(_) => {}
    }
    let content_type = match (engine.args().role, engine.args().page.page_type) {
        (Role::Api, _) => "application/json",
        (Role::Engine, PageType::Openmetrics) => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        (Role::Engine, PageType::Text) => "text/plain; version=0.0.4; charset=utf-8",
    };
    response(StatusCode::OK, content_type, body(page, engine))
}

fn body(page: Page, engine: &Engine) -> PageBody {
    let text = engine.text();
    let padding = match engine.args().role {
        Role::Engine => engine.args().page.pad_page,
        Role::Api => 0,
    };
    match page {
        Page::Ok
        | Page::Slow(_)
        | Page::Hang
        | Page::Nan
        | Page::Negative
        | Page::Error
        | Page::Html
        | Page::Frozen
        | Page::Says(_) => PageBody::new(text).padded(padding),
        Page::Garbage => PageBody::new(GARBAGE),
        Page::Empty => PageBody::new(""),
        Page::Truncated => PageBody::new(cut_within_gauge(text)).padded(padding),
        Page::Aborted => PageBody::new(cut_within_gauge(text)).padded(padding).aborted(),
    }
}

/// Cuts the text at the worst place: within a line, when some of the kinds have been counted.
fn cut_within_gauge(mut text: String) -> String {
    let cut = text.find(r#"{kind="stream""#).or_else(|| text.find("stream_requests")).unwrap_or(0);
    text.truncate(cut);
    text
}

/// Changes the page to the state that the body names.
pub(crate) async fn change_page(body: Incoming, engine: &Engine) -> Response<PageBody> {
    let Ok(body) = Limited::new(body, MAX_BODY_BYTES).collect().await else {
        return plain(StatusCode::BAD_REQUEST, "cannot read the body\n");
    };
    match String::from_utf8_lossy(&body.to_bytes()).trim().parse() {
        Ok(page) => {
            engine.set_page(page);
            plain(StatusCode::OK, "ok\n")
        }
        Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

pub(crate) fn plain(status: StatusCode, text: impl Into<String>) -> Response<PageBody> {
    response(status, PLAIN_TYPE, PageBody::new(text.into()))
}

fn response(status: StatusCode, content_type: &'static str, body: PageBody) -> Response<PageBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

const HTML: &str =
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n<body>engine_active_requests 0</body></html>\n";

const GARBAGE: &[u8] =
    b"\x00\xff\xfe engine_active_requests{kind=\"stream\" 0\n}{{\"\"\r\n\x80\x81 = 0 0 0\n# TYPE\n{} 0\n";
