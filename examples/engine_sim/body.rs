//! A response body that generates its padding while it is sent, so that a huge page needs no memory.

use std::fmt::Write;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

const CHUNK_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct PageBody {
    padding: u64,
    families: u64,
    text: Option<Bytes>,
    end: End,
}

/// What comes after the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Proper,
    /// A pause in which the text is sent, then the abort.
    AbortAfterPause,
    Abort,
}

impl PageBody {
    pub(crate) fn new(text: impl Into<Bytes>) -> Self {
        Self { padding: 0, families: 0, text: Some(text.into()), end: End::Proper }
    }

    /// Puts about this many bytes of other families before the text.
    pub(crate) fn padded(self, bytes: u64) -> Self {
        Self { padding: bytes, ..self }
    }

    /// Ends the connection before the end of the body.
    pub(crate) fn aborted(self) -> Self {
        Self { end: End::AbortAfterPause, ..self }
    }

    fn padding_chunk(&mut self) -> Bytes {
        let wanted = usize::try_from(self.padding).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut chunk = String::with_capacity(CHUNK_BYTES + 256);
        while chunk.len() < wanted {
            let name = format!("padding_{}", self.families);
            let _ = write!(chunk, "# HELP {name} Nothing.\n# TYPE {name} gauge\n{name}{{of=\"nothing\"}} 1\n");
            self.families += 1;
        }
        self.padding = self.padding.saturating_sub(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        chunk.into()
    }
}

impl Body for PageBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.padding > 0 {
            return Poll::Ready(Some(Ok(Frame::data(self.padding_chunk()))));
        }
        if let Some(text) = self.text.take() {
            return Poll::Ready(Some(Ok(Frame::data(text))));
        }
        match self.end {
            End::Proper => Poll::Ready(None),
            End::AbortAfterPause => {
                self.end = End::Abort;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            End::Abort => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.text.as_ref().map_or(0, Bytes::len);
        match (self.end, u64::try_from(length)) {
            (End::Proper, Ok(length)) if self.padding == 0 => SizeHint::with_exact(length),
            _ => SizeHint::default(),
        }
    }
}
