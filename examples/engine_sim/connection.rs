//! The port of the streams: the handshake of a WebSocket and, in front of engines, the status page.

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
use crate::stream::{Socket, Stream};
use crate::tally::Moment;

/// Port probes connect and say nothing: they must not hold up an exit for long.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// What a connection has come to by its requests.
struct Door {
    engine: Rc<Engine>,
    /// Whether it has asked for the page.
    asked: Cell<bool>,
    /// Its place as a stream, and the connection as soon as the answer is out.
    entry: RefCell<Option<(Slot, OnUpgrade)>>,
}

/// Serves a connection to its end. Once `stopping` says so, it takes no request after the one under way.
pub(crate) async fn serve(tcp: TcpStream, engine: Rc<Engine>, stopping: Receiver<bool>) {
    let accepted = now();
    let door = Door { engine, asked: Cell::default(), entry: RefCell::default() };
    door.converse(tcp, stopping).await;
    let Some((slot, socket)) = door.stream().await else { return };
    slot.engine().observe(slot.kind, Moment::Opened, accepted.elapsed());
    slot.engine().say(format_args!("stream {} opened kind={}", slot.id, slot.kind.name()));
    Stream::new(slot, socket).run().await;
}

impl Door {
    /// Answers requests until the connection ends or is a stream.
    async fn converse(&self, tcp: TcpStream, mut stopping: Receiver<bool>) {
        let service = service_fn(|request| self.answer(request));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(REQUEST_LIMIT);
        let mut connection = pin!(http.serve_connection(TokioIo::new(tcp), service).with_upgrades());
        // Whoever breaks off a conversation here has no claim to be heard.
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => {}
            _ = connection.as_mut() => return,
        }
        // Who was accepted in time may still become a stream, which hyper refuses after this.
        if self.asked.get() {
            connection.as_mut().graceful_shutdown();
        }
        let _ = timeout(REQUEST_LIMIT, connection).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<PageBody>, Infallible> {
        let is_page = matches!(request.uri().path(), "/v1/status" | "/page");
        if self.engine.args().role == Role::Engine || !is_page {
            return Ok(self.admit(request));
        }
        self.asked.set(true);
        Ok(match (request.method(), request.uri().path()) {
            (&Method::GET, "/v1/status") => respond::page(&self.engine).await,
            (&Method::PUT, "/page") => respond::change_page(request.into_body(), &self.engine).await,
            _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"),
        })
    }

    /// Lets a request in by its path, and keeps the place that it was given.
    fn admit(&self, request: Request<Incoming>) -> Response<PageBody> {
        let Some(kind) = Kind::of_path(request.uri().path()) else {
            return refusal(StatusCode::NOT_FOUND, "not found\n");
        };
        let response = match create_response_with_body(&request, || PageBody::new("")) {
            Ok(response) => response,
            Err(error) => return refusal(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        match self.engine.admit(kind) {
            Ok(slot) => {
                self.entry.replace(Some((slot, upgrade::on(request))));
                response
            }
            Err(Full) => refusal(StatusCode::SERVICE_UNAVAILABLE, "full\n"),
        }
    }

    /// The stream that it has become, if so.
    async fn stream(self) -> Option<(Slot, Socket)> {
        let (slot, upgrade) = self.entry.into_inner()?;
        let upgraded = TokioIo::new(upgrade.await.ok()?);
        // The default buffer of 128 KiB a stream is meant for heavier traffic than speech.
        let config = WebSocketConfig::default().read_buffer_size(8 * 1024).max_message_size(Some(1 << 20));
        Some((slot, WebSocketStream::from_raw_socket(upgraded, Side::Server, Some(config)).await))
    }
}

/// Ends the connection, too: no stream is going to come of it.
fn refusal(status: StatusCode, text: impl Into<String>) -> Response<PageBody> {
    let mut response = respond::plain(status, text);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
