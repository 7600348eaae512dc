//! A caller's socket, which hyper reads and writes, and beside it the handler of a held call.
//!
//! hyper does not look at a socket again once it has read something behind a request that it has not answered, so it
//! would not notice that such a caller leaves.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use rustix::net::Shutdown;
use tokio::net::TcpStream;

/// How much a held caller may still send, in bytes, before it is taken for gone: a hook sends nothing.
const PATIENCE: usize = 64 * 1024;

/// A socket that both hold.
#[derive(Clone)]
pub(super) struct Socket(pub(super) Arc<TcpStream>);

impl Socket {
    /// Waits until the caller has left, or has sent more than anybody has to say.
    pub(super) async fn hung_up(&self) {
        let mut sent = 0;
        while sent < PATIENCE {
            match self.0.readable().await.and_then(|()| self.0.try_read(&mut [0; 1024])) {
                Ok(0) => return,
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

impl Read for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; 2048];
        let room = chunk.len().min(buffer.remaining());
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(&mut chunk[..room]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|count| buffer.put_slice(&chunk[..count]))),
            }
        }
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&self.0, Shutdown::Write).map_err(io::Error::from))
    }
}
