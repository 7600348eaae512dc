//! From an accepted connection to a stream: the WebSocket handshake.

use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::clock::now;
use crate::engine::{Engine, Full, Slot};
use crate::kind::Kind;
use crate::stream::Stream;
use crate::tally::Moment;

/// Port probes connect and say nothing: they must not hold up an exit for long.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Lets a request in by its path, and keeps the place that it was given.
struct Door<'a> {
    engine: &'a Rc<Engine>,
    slot: &'a mut Option<Slot>,
}

impl Callback for Door<'_> {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        let kind = Kind::of_path(request.uri().path()).ok_or_else(|| refusal(StatusCode::NOT_FOUND))?;
        let slot = self.engine.admit(kind).map_err(|Full| refusal(StatusCode::SERVICE_UNAVAILABLE))?;
        *self.slot = Some(slot);
        Ok(response)
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve(tcp: TcpStream, engine: Rc<Engine>) {
    let accepted = now();
    let Some((slot, socket)) = shake_hands(tcp, &engine).await else { return };
    engine.observe(slot.kind, Moment::Opened, accepted.elapsed());
    engine.say(format_args!("stream {} opened kind={}", slot.id, slot.kind.name()));
    Stream::new(slot, socket).run().await;
}

async fn shake_hands(tcp: TcpStream, engine: &Rc<Engine>) -> Option<(Slot, WebSocketStream<TcpStream>)> {
    let mut slot = None;
    let door = Door { engine, slot: &mut slot };
    // The default buffer of 128 KiB a stream is meant for heavier traffic than speech.
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024).max_message_size(Some(1 << 20));
    let handshake = accept_hdr_async_with_config(tcp, door, Some(config));
    let socket = timeout(HANDSHAKE_LIMIT, handshake).await.ok()?.ok()?;
    Some((slot?, socket))
}

fn refusal(status: StatusCode) -> ErrorResponse {
    let mut response = ErrorResponse::new(None);
    *response.status_mut() = status;
    response
}
