//! A client's socket, shared by hyper and the handler of a held call.
//!
//! hyper stops reading a socket once it has read anything after a request that has no response yet. It would then not
//! notice that the client disconnects.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use rustix::net::Shutdown;
use tokio::net::TcpStream;

/// How much a held client may send after its request, in bytes, before it is disconnected. A hook sends nothing.
const MAX_EXTRA_BYTES: usize = 64 * 1024;

/// A shared socket.
#[derive(Clone)]
pub(super) struct Socket(pub(super) Arc<TcpStream>);

impl Socket {
    /// Waits until the client has disconnected, or has sent more than [`MAX_EXTRA_BYTES`].
    pub(super) async fn hung_up(&self) {
        let mut received = 0;
        while received < MAX_EXTRA_BYTES {
            match self.0.readable().await.and_then(|()| self.0.try_read(&mut [0; 1024])) {
                Ok(0) => return,
                Ok(count) => received += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

impl Read for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; 2048];
        let length = chunk.len().min(buffer.remaining());
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(&mut chunk[..length]) {
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
