//! A response body that can break off.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::wire::Slam;

/// Time for the bytes before a reset to leave: hyper drops what it has buffered when a body fails.
const FLUSH: Duration = Duration::from_millis(30);

/// All the bytes at once, then the end or a slammed connection.
pub(crate) struct Payload {
    bytes: Option<Bytes>,
    length: u64,
    reset: Option<(Pin<Box<Sleep>>, Slam)>,
}

impl Payload {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Self { bytes: Some(bytes), length, reset: None }
    }

    /// Announces all of `bytes`, sends the first `keep` of them, and resets.
    pub(crate) fn broken(bytes: &Bytes, keep: usize, slam: Slam) -> Self {
        let reset = Some((Box::pin(tokio::time::sleep(FLUSH)), slam));
        Self { bytes: Some(bytes.slice(..keep.min(bytes.len()))), length: bytes.len() as u64, reset }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.bytes.take().filter(|bytes| !bytes.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &mut self.reset {
            None => Poll::Ready(None),
            Some((flush, slam)) => match flush.as_mut().poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => Poll::Ready(Some(Err(slam.now()))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.reset.is_none() && self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
