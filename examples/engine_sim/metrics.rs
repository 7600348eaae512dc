//! The metrics port: `GET /metrics`, and `PUT /page` to break and mend it.

use std::convert::Infallible;
use std::future;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::args::PageType;
use crate::body::PageBody;
use crate::engine::Engine;
use crate::page::Page;

const HTML_TYPE: &str = "text/html; charset=utf-8";
const PLAIN_TYPE: &str = "text/plain; charset=utf-8";
const LONGEST_WORD: usize = 1024;

/// Serves until it is aborted, and its connections with it.
pub(crate) async fn serve(listener: TcpListener, engine: Rc<Engine>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    connections.spawn_local(converse(tcp, Rc::clone(&engine)));
                }
                // Out of file descriptors, most likely: trying again at once would only spin.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(tcp: TcpStream, engine: Rc<Engine>) {
    let service = service_fn(|request| answer(request, &engine));
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(tcp), service);
    // Whoever breaks off a conversation here has no claim to be heard.
    let _ = connection.await;
}

async fn answer(request: Request<Incoming>, engine: &Engine) -> Result<Response<PageBody>, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => metrics(engine).await,
        (&Method::PUT, "/page") => change_page(request.into_body(), engine).await,
        (_, "/metrics" | "/page") => plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"),
        _ => plain(StatusCode::NOT_FOUND, "not found\n"),
    })
}

async fn metrics(engine: &Engine) -> Response<PageBody> {
    let page = engine.page();
    match page {
        Page::Slow(duration) => sleep(duration).await,
        Page::Hang => future::pending().await,
        Page::Error => return plain(StatusCode::INTERNAL_SERVER_ERROR, "internal server error\n"),
        Page::Html => return response(StatusCode::OK, HTML_TYPE, PageBody::new(HTML)),
        Page::Ok | Page::Garbage | Page::Empty | Page::Truncated | Page::Aborted | Page::Nan | Page::Negative => {}
    }
    let content_type = match engine.args().page.page_type {
        PageType::Openmetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        PageType::Text => "text/plain; version=0.0.4; charset=utf-8",
    };
    response(StatusCode::OK, content_type, exposition(page, engine))
}

fn exposition(page: Page, engine: &Engine) -> PageBody {
    let text = engine.exposition();
    let padding = engine.args().page.pad_page;
    match page {
        Page::Ok | Page::Slow(_) | Page::Hang | Page::Nan | Page::Negative | Page::Error | Page::Html => {
            PageBody::new(text).padded(padding)
        }
        Page::Garbage => PageBody::new(GARBAGE),
        Page::Empty => PageBody::new(""),
        Page::Truncated => PageBody::new(cut_within_gauge(text)).padded(padding),
        Page::Aborted => PageBody::new(cut_within_gauge(text)).padded(padding).breaking_off(),
    }
}

/// Ends the text where it hurts most: after some of the kinds, in the middle of a line.
fn cut_within_gauge(mut text: String) -> String {
    let cut = text.find(r#"{kind="stream""#).unwrap_or(0);
    text.truncate(cut);
    text
}

async fn change_page(body: Incoming, engine: &Engine) -> Response<PageBody> {
    let Ok(body) = Limited::new(body, LONGEST_WORD).collect().await else {
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

fn plain(status: StatusCode, text: impl Into<String>) -> Response<PageBody> {
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
