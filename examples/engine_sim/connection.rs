//! The port of the streams: the WebSocket handshake and, for an API, the status page.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{self, OnUpgrade};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch::Receiver;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role as Side, WebSocketConfig};

use crate::args::Role;
use crate::body::PageBody;
use crate::clock::now;
use crate::engine::{Engine, Full, Slot};
use crate::kind::Kind;
use crate::respond;
use crate::statistics::Moment;
use crate::stream::{Socket, Stream};

/// Port probes connect and send nothing: they must not delay the exit for long.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// What the requests on a connection have led to.
struct ConnectionState {
    engine: Rc<Engine>,
    /// Whether the page was requested.
    page_requested: Cell<bool>,
    /// The stream's slot, and its connection once the handshake has been answered.
    upgrade: RefCell<Option<(Slot, OnUpgrade)>>,
}

/// Serves a connection to its end. Once `stopping` is true, it accepts no request after the current one.
pub(crate) async fn serve(tcp: TcpStream, engine: Rc<Engine>, stopping: Receiver<bool>) {
    let accepted = now();
    let state = ConnectionState { engine, page_requested: Cell::default(), upgrade: RefCell::default() };
    state.serve_http(tcp, stopping).await;
    let Some((slot, socket)) = state.into_stream().await else { return };
    slot.engine().observe(slot.kind, Moment::Opened, accepted.elapsed());
    slot.engine().log(format_args!("stream {} opened kind={}", slot.id, slot.kind.name()));
    Stream::new(slot, socket).run().await;
}

impl ConnectionState {
    /// Answers requests until the connection ends or becomes a stream.
    async fn serve_http(&self, tcp: TcpStream, mut stopping: Receiver<bool>) {
        let service = service_fn(|request| self.answer(request));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(REQUEST_LIMIT);
        let mut connection = pin!(http.serve_connection(TokioIo::new(tcp), service).with_upgrades());
        // An error here is the end of the client's connection.
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => {}
            _ = connection.as_mut() => return,
        }
        // A connection accepted in time may still become a stream, which hyper would refuse after a graceful shutdown.
        if self.page_requested.get() {
            connection.as_mut().graceful_shutdown();
        }
        let _ = timeout(REQUEST_LIMIT, connection).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<PageBody>, Infallible> {
        let is_page = matches!(request.uri().path(), "/v1/status" | "/page");
        if self.engine.args().role == Role::Engine || !is_page {
            return Ok(self.admit(request));
        }
        self.page_requested.set(true);
        Ok(match (request.method(), request.uri().path()) {
            (&Method::GET, "/v1/status") => respond::page(&self.engine).await,
            (&Method::PUT, "/page") => respond::change_page(request.into_body(), &self.engine).await,
            _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"),
        })
    }

    /// Admits a request by its path, and keeps the slot that it gets.
    fn admit(&self, request: Request<Incoming>) -> Response<PageBody> {
        let Some(kind) = Kind::from_path(request.uri().path()) else {
            return refusal(StatusCode::NOT_FOUND, "not found\n");
        };
        let response = match create_response_with_body(&request, || PageBody::new("")) {
            Ok(response) => response,
            Err(error) => return refusal(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        match self.engine.admit(kind) {
            Ok(slot) => {
                self.upgrade.replace(Some((slot, upgrade::on(request))));
                response
            }
            Err(Full) => refusal(StatusCode::SERVICE_UNAVAILABLE, "full\n"),
        }
    }

    /// The stream that the connection has become, if any.
    async fn into_stream(self) -> Option<(Slot, Socket)> {
        let (slot, upgrade) = self.upgrade.into_inner()?;
        let upgraded = TokioIo::new(upgrade.await.ok()?);
        // The default buffer of 128 KiB a stream is meant for heavier traffic than speech.
        let config = WebSocketConfig::default().read_buffer_size(8 * 1024).max_message_size(Some(1 << 20));
        Some((slot, WebSocketStream::from_raw_socket(upgraded, Side::Server, Some(config)).await))
    }
}

/// A response that also ends the connection.
fn refusal(status: StatusCode, text: impl Into<String>) -> Response<PageBody> {
    let mut response = respond::plain(status, text);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
