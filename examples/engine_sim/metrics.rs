//! The metrics port: `GET /metrics`, and `PUT /page` to break and repair it.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::body::PageBody;
use crate::engine::Engine;
use crate::respond;

/// Serves until it is aborted, and its connections with it.
pub(crate) async fn serve(listener: TcpListener, engine: Rc<Engine>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    connections.spawn_local(serve_connection(tcp, Rc::clone(&engine)));
                }
                // Most likely out of descriptors: an immediate retry would only spin.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(tcp: TcpStream, engine: Rc<Engine>) {
    let service = service_fn(|request| answer(request, &engine));
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(tcp), service);
    // An error here is the end of the client's connection.
    let _ = connection.await;
}

async fn answer(request: Request<Incoming>, engine: &Engine) -> Result<Response<PageBody>, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => respond::page(engine).await,
        (&Method::PUT, "/page") => respond::change_page(request.into_body(), engine).await,
        (_, "/metrics" | "/page") => respond::plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"),
        _ => respond::plain(StatusCode::NOT_FOUND, "not found\n"),
    })
}
