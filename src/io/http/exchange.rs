//! One request and its response. The connection can be used again afterwards.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http_body_util::Empty;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::header::CONNECTION;
use hyper::http::response::Parts;
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::unconstrained;

use super::Error;

/// A response whose body is still arriving.
///
/// The same task reads the body and performs the connection's I/O: a task for the connection alone would cost further
/// wake-ups for each part of the body.
#[derive(Debug)]
pub struct Exchange {
    /// The status line and the headers.
    pub head: Parts,
    /// The body.
    body: Incoming,
    /// Whether the whole body has arrived.
    is_complete: bool,
    driver: Driver,
    /// Without a sender, the connection would end.
    _sender: SendRequest<Empty<Bytes>>,
}

/// Performs the I/O of a connection.
#[derive(Debug)]
struct Driver {
    connection: Connection<TokioIo<TcpStream>, Empty<Bytes>>,
    has_ended: bool,
}

impl Driver {
    /// Performs I/O, and then polls a future that waits for nothing else. `None` if the connection has ended before.
    fn poll<T>(&mut self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<Option<T>> {
        if !self.has_ended {
            // An error is passed on to the future.
            self.has_ended = self.connection.poll_without_shutdown(cx).is_ready();
        }
        // Only I/O makes progress, so the connection wakes this task.
        match poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.has_ended => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Exchange {
    /// Sends a request, and returns before the body of the response has arrived.
    ///
    /// # Errors
    /// Fails if there is no HTTP response.
    pub async fn start(stream: TcpStream, request: Request<Empty<Bytes>>) -> Result<Self, Error> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::Exchange)?;
        let mut driver = Driver { connection, has_ended: false };
        // Tokio's budget would make it wait for a wake-up that nothing but I/O causes.
        let mut response = pin!(unconstrained(sender.send_request(request)));
        let result = poll_fn(|cx| driver.poll(cx, |cx| response.as_mut().poll(cx))).await;
        let (head, body) = match result {
            Some(Ok(response)) => response.into_parts(),
            Some(Err(error)) => return Err(Error::Exchange(error)),
            None => return Err(Error::Closed),
        };
        Ok(Self { head, body, is_complete: false, driver, _sender: sender })
    }

    /// The size of the body, if the headers contain it.
    #[must_use]
    pub fn body_size(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next part of the body; `None` at its end.
    ///
    /// # Errors
    /// Fails if the body is truncated.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Self { body, driver, .. } = self;
            match poll_fn(|cx| driver.poll(cx, |cx| Pin::new(&mut *body).poll_frame(cx))).await {
                Some(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Some(Err(error))) => return Err(Error::Body(error)),
                Some(None) => {
                    self.is_complete = true;
                    return Ok(None);
                }
                None => return Err(Error::Closed),
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// Fails if the body is truncated, or has more than `max_bytes`.
    pub async fn read_all(mut self, max_bytes: usize) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            if bytes.len() > max_bytes - all.len() {
                return Err(Error::TooLong(max_bytes));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    /// The connection, if another request can be sent over it: the response has been read to its end, the server sent
    /// nothing after it, and does not close the connection.
    #[must_use]
    pub fn into_idle(self) -> Option<TcpStream> {
        let closes = self.head.headers.get_all(CONNECTION).iter().any(|value| {
            let mut options = value.as_bytes().split(|byte| *byte == b',');
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
        });
        if !self.is_complete || closes || self.head.version != Version::HTTP_11 || self.driver.has_ended {
            return None;
        }
        let parts = self.driver.connection.into_parts();
        parts.read_buf.is_empty().then(|| parts.io.into_inner())
    }
}
