//! The hook server: the preStop hook, probes, status and metrics, over HTTP/1.1.
//!
//! Every answer comes from the event loop, so that a probe that succeeds proves that the loop turns. The kubelet never
//! looks at a hook's status code and stops waiting once it has read 10 KiB, so a held call is sent nothing until the
//! drain is over (kubernetes, `pkg/kubelet/lifecycle/handlers.go`).

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use crate::queue::{Event, Question};
use lameduck_machine::result::Trigger;

use self::connection_slots::{ConnectionSlots, Place};
use self::socket::Socket;
use self::token::{TokenFile, is_loopback};

pub mod connection_slots;
mod socket;
pub mod token;

/// How long a caller may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How large a request's head may be, in bytes: the least that hyper allows.
const HEAD_SIZE: usize = 8 * 1024;
/// What the kernel may keep for each connection, in bytes, on its way in and out: it counts as the pod's memory.
const KERNEL_BUFFER: u32 = 16 * 1024;

/// How much of a wrong path is shown, in characters.
const PATH_SHOWN: usize = 100;

type Queue = mpsc::Sender<Event>;
type Answer = Response<Full<Bytes>>;

/// Binds the listener. An IPv6 address serves IPv4 too; where IPv6 is switched off, `[::]` becomes `0.0.0.0`.
///
/// # Errors
/// What the kernel says: the address is in use, not ours, or not permitted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let no_ipv6 = |error: &io::Error| {
        let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        matches!(code, Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL))
    };
    match listen(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && no_ipv6(&error) => {
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
    socket.set_recv_buffer_size(KERNEL_BUFFER)?;
    socket.set_send_buffer_size(KERNEL_BUFFER)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Whom callers meet: the way to the loop, and what a caller from another host must know.
#[derive(Debug)]
pub struct ServerState {
    /// The way to the loop.
    pub queue: Queue,
    /// The token that a hook call from another host must carry, if one is wanted.
    pub token: Option<TokenFile>,
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, desk: ServerState, places: ConnectionSlots) {
    let desk = Arc::new(desk);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(place) = places.take(peer.ip()).await else { return };
                tokio::spawn(converse(stream, peer.ip(), Arc::clone(&desk), place));
            }
            Err(error) => {
                // Out of descriptors, most likely: they come back when callers leave.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, peer: IpAddr, desk: Arc<ServerState>, place: Place) {
    let socket = Socket(Arc::new(stream));
    let caller = Caller { peer, socket: socket.clone(), place };
    let (desk, caller) = (&*desk, &caller);
    let service = service_fn(move |request| async move { Ok::<_, Infallible>(attend(&request, caller, desk).await) });
    // Half-closed callers are gone: then hyper drops the call at once, and its place among the waiting is freed.
    let connection = http1::Builder::new()
        .half_close(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(socket, service);
    // The connection comes first: what it has asked for already is answered.
    tokio::select! {
        biased;
        served = connection => if let Err(error) = served {
            debug!(%error, "connection ended");
        },
        () = caller.place.sent_away() => debug!(%peer, "a caller is sent away, to make place for others"),
    }
}

/// One who has connected.
struct Caller {
    peer: IpAddr,
    socket: Socket,
    place: Place,
}

async fn attend(request: &Request<Incoming>, caller: &Caller, desk: &ServerState) -> Answer {
    caller.place.is_served();
    if is_prestop(request) {
        caller.place.is_held();
        return last(prestop(request, caller, desk).await);
    }
    let answer = respond(request, &desk.queue).await;
    caller.place.is_silent();
    // Where a body ends is what proxies disagree about: what follows it is nobody's request.
    if request.body().is_end_stream() { answer } else { last(answer) }
}

fn is_prestop(request: &Request<Incoming>) -> bool {
    request.method() == Method::GET && request.uri().path() == "/prestop"
}

async fn respond(request: &Request<Incoming>, queue: &Queue) -> Answer {
    let reading = request.method() == Method::GET || request.method() == Method::HEAD;
    match request.uri().path() {
        "/prestop" => not_allowed("GET"),
        "/readyz" | "/accepting" | "/livez" | "/status" | "/metrics" if !reading => not_allowed("GET, HEAD"),
        "/readyz" => readiness(queue, Question::Ready, "ready").await,
        "/accepting" => readiness(queue, Question::Accepting, "accepting").await,
        "/livez" => match ask(queue, Question::Live).await {
            Some(()) => text(StatusCode::OK, "ok"),
            None => leaving(),
        },
        "/status" => match ask(queue, Question::Status).await {
            Some(status) => body(StatusCode::OK, "application/json", status + "\n"),
            None => leaving(),
        },
        "/metrics" => match ask(queue, Question::Metrics).await {
            Some(page) => body(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page),
            None => leaving(),
        },
        _ => not_found(request, queue),
    }
}

/// Holds the caller until the drain is over. One who may not ask for it is held all the same: the kubelet takes a
/// refusal for the hook's end, and goes on to its SIGTERM at once.
async fn prestop(request: &Request<Incoming>, caller: &Caller, desk: &ServerState) -> Answer {
    let trigger = match request.uri().query() {
        Some("trigger=cli") => Trigger::Cli,
        Some(_) | None => Trigger::Hook,
    };
    let mut guard = HangupGuard(Some(&desk.queue));
    let outcome = tokio::select! {
        outcome = hold(request, trigger, caller.peer, desk) => outcome,
        () = caller.socket.hung_up() => return leaving(),
    };
    guard.0 = None;
    match outcome {
        Some(Some(outcome)) => body(StatusCode::OK, "application/json", outcome + "\n"),
        Some(None) => text(StatusCode::SERVICE_UNAVAILABLE, "too many callers without the token wait already"),
        None => leaving(),
    }
}

/// The outcome, when there is one; `Some(None)` where too many wait already.
async fn hold(
    request: &Request<Incoming>,
    trigger: Trigger,
    peer: IpAddr,
    desk: &ServerState,
) -> Option<Option<String>> {
    if desk.may_ask(request.headers(), peer) {
        ask(&desk.queue, |reply| Question::Prestop(trigger, reply)).await.map(Some)
    } else {
        ask(&desk.queue, |reply| Question::Wait(peer, reply)).await
    }
}

impl ServerState {
    /// Whether a caller from there may ask for a drain.
    fn may_ask(&self, headers: &HeaderMap, peer: IpAddr) -> bool {
        let Some(token) = &self.token else { return true };
        is_loopback(peer) || token.authorizes(headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes))
    }
}

/// Tells the loop when a held call is dropped: its caller has left, or was sent away.
struct HangupGuard<'a>(Option<&'a Queue>);

impl Drop for HangupGuard<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.0 {
            // The loop also looks for callers that have left before it counts them, so a full queue does no harm.
            let _ = queue.try_send(Event::Question(Question::Hangup));
        }
    }
}

type WhyNot = oneshot::Sender<Option<String>>;

async fn readiness(queue: &Queue, question: fn(WhyNot) -> Question, yes: &str) -> Answer {
    match ask(queue, question).await {
        Some(None) => text(StatusCode::OK, yes),
        Some(Some(reason)) => text(StatusCode::SERVICE_UNAVAILABLE, &reason),
        None => leaving(),
    }
}

async fn ask<T>(queue: &Queue, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    queue.send(Event::Question(question(reply))).await.ok()?;
    answer.await.ok()
}

fn not_found(request: &Request<Incoming>, queue: &Queue) -> Answer {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
    if agent.starts_with("kube-lifecycle/") {
        let path = request.uri().path().chars().take(PATH_SHOWN).collect();
        // A full queue has more to do than to tell of this.
        let _ = queue.try_send(Event::Question(Question::Astray(path)));
    }
    text(StatusCode::NOT_FOUND, "not found; there are /prestop /readyz /accepting /livez /status /metrics")
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed}"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// The same answer, after which the connection is closed.
fn last(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn leaving() -> Answer {
    text(StatusCode::SERVICE_UNAVAILABLE, "leaving")
}

fn text(status: StatusCode, line: &str) -> Answer {
    body(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

fn body(status: StatusCode, kind: &'static str, content: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(content)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_may_ask_for_a_drain_with_the_token_alone() {
        let path = std::env::temp_dir().join(format!("lameduck-desk-{}", std::process::id()));
        std::fs::write(&path, "token").unwrap();
        let desk = |token| ServerState { queue: mpsc::channel(1).0, token };
        let guarded = desk(Some(TokenFile::open(&path).unwrap()));
        let with = |value| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        let [stranger, own] = ["10.0.0.7", "127.0.0.1"].map(|peer| peer.parse::<IpAddr>().unwrap());
        assert!(!guarded.may_ask(&HeaderMap::new(), stranger));
        assert!(!guarded.may_ask(&with("Bearer toke"), stranger));
        assert!(guarded.may_ask(&with("Bearer token"), stranger));
        assert!(guarded.may_ask(&HeaderMap::new(), own));
        assert!(desk(None).may_ask(&HeaderMap::new(), stranger));
    }
}
