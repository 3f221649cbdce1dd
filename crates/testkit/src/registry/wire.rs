//! One connection: plain or TLS, with a copy of every byte that the client sent, and a way to slam it.
//!
//! A slammed connection is closed with `SO_LINGER` 0, so the client's kernel gets a RST and not the FIN of a
//! polite server: `connection reset by peer` is another code path than `unexpected end of file`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::server::Server;

/// Lets a request slam the connection that it came on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slam(Arc<AtomicBool>);

impl Slam {
    /// Marks the connection; it dies when hyper lets go of it, which the returned error makes it do.
    pub(crate) fn now(&self) -> io::Error {
        self.0.store(true, Ordering::Relaxed);
        io::Error::from(io::ErrorKind::ConnectionReset)
    }
}

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

pub(crate) struct Wire {
    pub(crate) stream: Stream,
    pub(crate) server: Arc<Server>,
    pub(crate) connection: usize,
    pub(crate) slam: Slam,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.slam.0.load(Ordering::Relaxed) {
            // Fails only on a socket that is already gone, which is what was wanted.
            let _ = self.stream.tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            self.server.journal().read(self.connection, &buf.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A FIN, or TLS's close_notify, would tell the client that this was meant.
        if self.slam.0.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
