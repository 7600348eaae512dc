//! The hook server: the preStop hook, probes, status and metrics, over HTTP/1.1.
//!
//! Every answer comes from the event loop, so that a probe that succeeds proves that the loop turns. The kubelet never
//! looks at a hook's status code and stops waiting once it has read 10 KiB, so a held call is sent nothing until the
//! drain is over (kubernetes, `pkg/kubelet/lifecycle/handlers.go`).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::{error, warn};

use crate::machine::outcome::Trigger;
use crate::queue::{Event, Question};

/// How many connections may be open at once beside those of held callers; more wait to be accepted.
const CONNECTIONS: usize = 256;
/// How many held callers do not count as such connections, so that probes are answered beside them. With the above
/// this stays below 1024, a usual limit of descriptors.
const HELD: usize = 512;
/// How long a caller may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How large a request's head may be, in bytes.
const HEAD_SIZE: usize = 16 * 1024;

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
    socket.bind(address)?;
    socket.listen(1024)
}

/// The connections that may be open at once.
#[derive(Clone, Debug)]
pub struct Places {
    open: Arc<Semaphore>,
    held: Arc<Semaphore>,
}

/// The place of one connection: a held caller gives it to others, where it finds one among the held.
struct Place {
    places: Places,
    taken: Mutex<OwnedSemaphorePermit>,
}

impl Default for Places {
    fn default() -> Self {
        Self { open: Arc::new(Semaphore::new(CONNECTIONS)), held: Arc::new(Semaphore::new(HELD)) }
    }
}

impl Places {
    /// Waits until every connection is closed, so that answers that are on their way get out; `patience` at the longest.
    pub async fn wait_until_free(&self, patience: Duration) {
        let all = |places: usize| u32::try_from(places).unwrap_or(u32::MAX);
        let free = async { tokio::join!(self.open.acquire_many(all(CONNECTIONS)), self.held.acquire_many(all(HELD))) };
        drop(tokio::time::timeout(patience, free).await);
    }
}

impl Place {
    fn hold(&self) {
        if let (Ok(place), Ok(mut taken)) = (Arc::clone(&self.places.held).try_acquire_owned(), self.taken.lock()) {
            *taken = place;
        }
    }
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, queue: Queue, places: Places) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&places.open).acquire_owned().await else { return };
                let place = Place { places: places.clone(), taken: Mutex::new(place) };
                tokio::spawn(converse(stream, queue.clone(), place));
            }
            Err(error) => {
                // Out of descriptors, most likely: they come back when callers leave.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, queue: Queue, place: Place) {
    let (queue, place) = (&queue, &place);
    let service = service_fn(move |request| async move { Ok::<_, Infallible>(respond(&request, queue, place).await) });
    // Half-closed callers are gone: then hyper drops the call at once, and its place among the waiting is freed.
    let served = http1::Builder::new()
        .half_close(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

async fn respond(request: &Request<Incoming>, queue: &Queue, place: &Place) -> Answer {
    let reading = request.method() == Method::GET || request.method() == Method::HEAD;
    match request.uri().path() {
        "/prestop" if request.method() == Method::GET => {
            place.hold();
            prestop(request, queue).await
        }
        "/prestop" => not_allowed("GET"),
        "/readyz" | "/accepting" | "/livez" | "/status" | "/metrics" if !reading => not_allowed("GET, HEAD"),
        "/readyz" | "/accepting" => readiness(queue).await,
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
        _ => not_found(request),
    }
}

async fn prestop(request: &Request<Incoming>, queue: &Queue) -> Answer {
    let trigger = match request.uri().query() {
        Some("trigger=cli") => Trigger::Cli,
        Some(_) | None => Trigger::Hook,
    };
    let mut guard = HangupGuard(Some(queue));
    let outcome = ask(queue, |reply| Question::Prestop(trigger, reply)).await;
    guard.0 = None;
    let mut answer = match outcome {
        Some(outcome) => body(StatusCode::OK, "application/json", outcome + "\n"),
        None => leaving(),
    };
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Tells the loop when a held call is dropped, which is what hyper does when its caller leaves.
struct HangupGuard<'a>(Option<&'a Queue>);

impl Drop for HangupGuard<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.0 {
            // The loop also looks for callers that have left before it counts them, so a full queue does no harm.
            let _ = queue.try_send(Event::Question(Question::Hangup));
        }
    }
}

async fn readiness(queue: &Queue) -> Answer {
    match ask(queue, Question::Ready).await {
        Some(None) => text(StatusCode::OK, "ready"),
        Some(Some(reason)) => text(StatusCode::SERVICE_UNAVAILABLE, &reason),
        None => leaving(),
    }
}

async fn ask<T>(queue: &Queue, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    queue.send(Event::Question(question(reply))).await.ok()?;
    answer.await.ok()
}

fn not_found(request: &Request<Incoming>) -> Answer {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
    if agent.starts_with("kube-lifecycle/") {
        let path = request.uri().path();
        error!(
            path,
            "a hook called a path that does not exist, and the kubelet takes that for success; set it to /prestop"
        );
    }
    text(StatusCode::NOT_FOUND, "not found; there are /prestop /readyz /accepting /livez /status /metrics")
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed}"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
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
