//! The HTTP server: probes, metrics and outcomes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::{debug, warn};

/// How many connections are served at once.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may take to send a request head, and how long a connection may last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// A request for a page. If its reply is dropped, the loop has ended.
#[derive(Debug)]
pub struct PageRequest {
    /// Which page.
    pub page: Page,
    /// Where to send the answer.
    pub reply: oneshot::Sender<(bool, String)>,
}

/// A page of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Whether the loop runs.
    Liveness,
    /// Whether all pods are known.
    Readiness,
    /// The metrics.
    Metrics,
    /// The last outcomes.
    Outcomes,
}

impl Page {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/livez" => Some(Self::Liveness),
            "/readyz" => Some(Self::Readiness),
            "/metrics" => Some(Self::Metrics),
            "/outcomes" => Some(Self::Outcomes),
            _ => None,
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Liveness | Self::Readiness => "text/plain; charset=utf-8",
            Self::Metrics => "text/plain; version=0.0.4; charset=utf-8",
            Self::Outcomes => "application/json",
        }
    }
}

/// Serves connections until the task is dropped.
pub async fn serve(listener: TcpListener, queue: mpsc::Sender<PageRequest>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let connection = tokio::time::timeout(CONNECTION_TIMEOUT, serve_connection(stream, queue));
                    if connection.await.is_err() {
                        debug!("connection closed after {CONNECTION_TIMEOUT:?}");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, queue: mpsc::Sender<PageRequest>) {
    let queue = &queue;
    let service = service_fn(move |request| async move { Ok::<_, Infallible>(respond(&request, queue).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%error, "connection ended");
    }
}

async fn respond(request: &Request<Incoming>, queue: &mpsc::Sender<PageRequest>) -> Response<Full<Bytes>> {
    let Some(page) = Page::of(request.uri().path()) else {
        let paths = "not found; the paths are /livez /readyz /metrics /outcomes\n";
        return response(StatusCode::NOT_FOUND, Page::Liveness, paths.to_owned());
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return response(StatusCode::METHOD_NOT_ALLOWED, Page::Liveness, "only GET, HEAD\n".to_owned());
    }
    let (reply, answer) = oneshot::channel();
    let is_sent = queue.send(PageRequest { page, reply }).await.is_ok();
    match answer.await {
        Ok((is_ok, text)) if is_sent => {
            response(if is_ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, page, text)
        }
        Ok(_) | Err(_) => response(StatusCode::SERVICE_UNAVAILABLE, Page::Liveness, "shutting down\n".to_owned()),
    }
}

fn response(status: StatusCode, page: Page, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type()));
    response
}
