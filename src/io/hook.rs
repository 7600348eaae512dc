//! The hook server: the preStop hook, probes, status and metrics, over HTTP/1.1.
//!
//! Every response comes from the event loop, so a successful probe proves that the loop runs. The kubelet ignores a
//! hook's status code and stops waiting after 10 KiB of response, so a held call is sent nothing until the drain is over
//! (kubernetes, `pkg/kubelet/lifecycle/handlers.go`).

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request as HttpRequest, StatusCode};
use hyper_util::rt::TokioTimer;
use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use crate::queue::{Event, HookCall, HookReply, Request};
use lameduck_machine::io::CallKind;

use self::connection_slots::{ConnectionSlots, Slot};
use self::response::{HttpResponse, json, method_not_allowed, metrics, shutting_down, text, with_connection_close};
use self::socket::Socket;
use self::token::{TokenFile, is_loopback};

pub mod connection_slots;
mod deadline;
mod response;
mod socket;
pub mod token;

/// How long a client may take to send a request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of a request head, in bytes. hyper allows no lower limit.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// The size of each of the kernel's two buffers per connection, in bytes. They count as the pod's memory.
const KERNEL_BUFFER_BYTES: u32 = 16 * 1024;
/// How much of an unknown path is logged, in characters.
const MAX_PATH_CHARS: usize = 100;

type Queue = mpsc::Sender<Event>;

/// Binds the listener. An IPv6 address serves IPv4 too; if IPv6 is disabled, `[::]` becomes `0.0.0.0`.
///
/// # Errors
/// Returns the kernel's error: the address is in use, not local, or not permitted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let ipv6_is_disabled =
        |error: &io::Error| matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL));
    match listen(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && ipv6_is_disabled(&error) => {
            listen(SocketAddr::from(([0, 0, 0, 0], address.port())))
        }
        result => result,
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES)?;
    socket.set_send_buffer_size(KERNEL_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// What all connections of the server share.
#[derive(Debug)]
pub struct ServerState {
    /// The queue of the event loop.
    pub queue: Queue,
    /// The tokens for hook calls from other hosts, if they need one.
    pub token: Option<TokenFile>,
}

/// Accepts and serves connections until the task is dropped.
pub async fn serve(listener: TcpListener, state: ServerState, slots: ConnectionSlots) {
    let state = Arc::new(state);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(slot) = slots.acquire(peer.ip()).await else { return };
                tokio::spawn(serve_connection(stream, peer.ip(), Arc::clone(&state), slot));
            }
            Err(error) => {
                // Most likely out of file descriptors: some are free again when clients disconnect.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, peer: IpAddr, state: Arc<ServerState>, slot: Slot) {
    let socket = Socket(Arc::new(stream));
    let client = Client { peer, socket: socket.clone(), slot };
    let (state, client) = (&*state, &client);
    let service = service_fn(move |request| async move { Ok::<_, Infallible>(handle(request, client, state).await) });
    // Without half-close, hyper drops a call as soon as its client disconnects. That ends a held hook call.
    let connection = http1::Builder::new()
        .half_close(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(socket, service);
    // The connection is polled first: a request that has already arrived gets its response.
    tokio::select! {
        biased;
        result = connection => if let Err(error) = result {
            debug!(%error, "connection ended");
        },
        () = client.slot.evicted() => debug!(%peer, "connection evicted: all slots are taken"),
    }
}

/// A connected client.
struct Client {
    peer: IpAddr,
    socket: Socket,
    slot: Slot,
}

async fn handle(request: HttpRequest<Incoming>, client: &Client, state: &ServerState) -> HttpResponse {
    client.slot.mark_responding();
    if is_prestop(&request) {
        client.slot.mark_held();
        return with_connection_close(prestop(&request, client, state).await);
    }
    let response = match request.uri().path() {
        "/cancel" => cancel(&request, client, state).await,
        "/deadline" => {
            let response = deadline::shorten(request, state).await;
            client.slot.mark_idle();
            return with_connection_close(response);
        }
        _ => respond(&request, &state.queue).await,
    };
    client.slot.mark_idle();
    // Proxies disagree about where a body ends, so nothing after a body is taken for a request.
    if request.body().is_end_stream() { response } else { with_connection_close(response) }
}

fn is_prestop(request: &HttpRequest<Incoming>) -> bool {
    request.method() == Method::GET && request.uri().path() == "/prestop"
}

async fn respond(request: &HttpRequest<Incoming>, queue: &Queue) -> HttpResponse {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    match request.uri().path() {
        "/prestop" => method_not_allowed("GET"),
        "/readyz" | "/accepting" | "/livez" | "/status" | "/metrics" if !is_read => method_not_allowed("GET, HEAD"),
        "/readyz" => readiness(queue, Request::Readiness, "ready").await,
        "/accepting" => readiness(queue, Request::Accepting, "accepting").await,
        "/livez" => {
            let reply = query(queue, Request::Liveness).await;
            reply.map_or_else(shutting_down, |()| text(StatusCode::OK, "ok"))
        }
        "/status" => query(queue, Request::Status).await.map_or_else(shutting_down, |status| json(&status.to_json())),
        "/metrics" => query(queue, Request::Metrics).await.map_or_else(shutting_down, metrics),
        _ => not_found(request, queue),
    }
}

/// Holds the caller until the drain is over. Unauthorized callers are held too, not rejected: the kubelet would take a
/// rejection for the end of the hook, and send SIGTERM at once.
async fn prestop(request: &HttpRequest<Incoming>, client: &Client, state: &ServerState) -> HttpResponse {
    let mut guard = HangupGuard(Some(&state.queue));
    let reply = tokio::select! {
        reply = state.call_hook(request, client.peer) => reply,
        () = client.socket.hung_up() => return shutting_down(),
    };
    guard.0 = None;
    match reply {
        Some(HookReply::Finished(outcome)) => json(&outcome.to_json()),
        Some(HookReply::TooManyUnauthorized) => {
            text(StatusCode::SERVICE_UNAVAILABLE, "too many callers without the token are held already")
        }
        Some(HookReply::Cancelled) => text(StatusCode::CONFLICT, "the drain was cancelled"),
        Some(HookReply::NotCancelled(reason)) => text(StatusCode::CONFLICT, reason),
        None => shutting_down(),
    }
}

/// Cancels the drain that a user has started.
async fn cancel(request: &HttpRequest<Incoming>, client: &Client, state: &ServerState) -> HttpResponse {
    if request.method() != Method::POST {
        return method_not_allowed("POST");
    }
    if !state.is_authorized(request.headers(), client.peer) {
        return text(StatusCode::FORBIDDEN, "the header `Authorization: Bearer …` with the token is missing or wrong");
    }
    match query(&state.queue, Request::Cancel).await {
        Some(HookReply::Cancelled) => text(StatusCode::OK, "the drain was cancelled: new streams are accepted again"),
        Some(HookReply::NotCancelled(reason)) => text(StatusCode::CONFLICT, reason),
        Some(HookReply::Finished(_) | HookReply::TooManyUnauthorized) | None => shutting_down(),
    }
}

impl ServerState {
    /// Starts the drain if the caller is authorized, and waits for the answer in any case; `None` if the loop has ended.
    async fn call_hook(&self, request: &HttpRequest<Incoming>, peer: IpAddr) -> Option<HookReply> {
        let kind = match request.uri().query() {
            _ if !self.is_authorized(request.headers(), peer) => CallKind::Unauthorized,
            Some("trigger=cli") => CallKind::Person,
            Some(_) | None => CallKind::Hook,
        };
        let call = |reply| Request::Hook(HookCall { kind, peer: Some(peer), made_at: None, reply });
        query(&self.queue, call).await
    }

    /// Whether a caller from `peer` may start a drain.
    fn is_authorized(&self, headers: &HeaderMap, peer: IpAddr) -> bool {
        let Some(token) = &self.token else { return true };
        is_loopback(peer) || token.authorizes(headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes))
    }
}

/// Notifies the event loop when a held call is dropped: its client has disconnected or was evicted.
struct HangupGuard<'a>(Option<&'a Queue>);

impl Drop for HangupGuard<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.0 {
            // A full queue does no harm: the loop also checks for disconnected callers before it counts them.
            let _ = queue.try_send(Event::Request(Request::Hangup));
        }
    }
}

/// Where the loop sends the reason why the pod is not ready; `None` if it is.
type NotReadyReply = oneshot::Sender<Option<String>>;

async fn readiness(queue: &Queue, request: fn(NotReadyReply) -> Request, ok: &str) -> HttpResponse {
    match query(queue, request).await {
        Some(None) => text(StatusCode::OK, ok),
        Some(Some(reason)) => text(StatusCode::SERVICE_UNAVAILABLE, &reason),
        None => shutting_down(),
    }
}

/// Sends a request to the event loop and waits for its reply; `None` if the loop has ended.
async fn query<T>(queue: &Queue, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
    let (sender, reply) = oneshot::channel();
    queue.send(Event::Request(request(sender))).await.ok()?;
    reply.await.ok()
}

fn not_found(request: &HttpRequest<Incoming>, queue: &Queue) -> HttpResponse {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
    if agent.starts_with("kube-lifecycle/") {
        let path = request.uri().path().chars().take(MAX_PATH_CHARS).collect();
        // If the queue is full, this is not important enough to wait.
        let _ = queue.try_send(Event::Request(Request::UnknownHookPath(path)));
    }
    text(
        StatusCode::NOT_FOUND,
        "not found; the paths are /prestop /cancel /deadline /readyz /accepting /livez /status /metrics",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_caller_needs_token_to_start_drain() {
        let path = std::env::temp_dir().join(format!("lameduck-server-state-{}", std::process::id()));
        std::fs::write(&path, "token").unwrap();
        let state = |token| ServerState { queue: mpsc::channel(1).0, token };
        let with_token = state(Some(TokenFile::open(&path).unwrap()));
        let header = |value| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        let [remote, local] = ["10.0.0.7", "127.0.0.1"].map(|peer| peer.parse::<IpAddr>().unwrap());
        assert!(!with_token.is_authorized(&HeaderMap::new(), remote));
        assert!(!with_token.is_authorized(&header("Bearer toke"), remote));
        assert!(with_token.is_authorized(&header("Bearer token"), remote));
        assert!(with_token.is_authorized(&HeaderMap::new(), local));
        assert!(state(None).is_authorized(&HeaderMap::new(), remote));
    }
}
