//! One connection of a client and the one to the registry that belongs to it: two loops, requests one way, answers the other.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::framing::{Body, Head, LONGEST_HEAD, head_end};
use super::{Entry, Shared};

/// Bytes per read. A gibibyte is four thousand of them.
const PIECE: usize = 256 * 1024;

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let shared = Arc::clone(&shared);
                // A connection that breaks is the client's to notice.
                tokio::spawn(async move { relay(client, &shared).await.ok() });
            }
            // Out of descriptors, or a client that left in the queue: the next one may fare better.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A request that waits for its answer; none for bytes that are no request.
struct Pending(Option<(Entry, String)>);

async fn relay(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let connection = shared.log.connect();
    let server = TcpStream::connect(shared.upstream()).await?;
    // Nagle's wait would be measured as the client's.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (announce, pending) = mpsc::unbounded_channel();
    let answers = answers(Incoming::new(from_server), to_client, pending, shared);
    let requests = requests(Incoming::new(from_client), to_server, announce, shared, connection);
    tokio::pin!(answers, requests);
    tokio::select! {
        // The registry is done with this connection, and so is the client.
        ended = &mut answers => ended,
        // The client sends nothing more, or the registry reads nothing more; what was answered still has to get back.
        _ = &mut requests => answers.await,
    }
}

async fn requests(
    mut client: Incoming,
    mut server: OwnedWriteHalf,
    announce: mpsc::UnboundedSender<Pending>,
    shared: &Shared,
    connection: usize,
) -> io::Result<()> {
    while let Some(length) = client.head().await? {
        if !client.buffer[0].is_ascii_uppercase() {
            // skopeo tries TLS first. What a server of plain HTTP says to that is the server's business.
            let _ = announce.send(Pending(None));
            server.write_all(&client.buffer).await?;
            tokio::io::copy(&mut client.half, &mut server).await?;
            break;
        }
        let head = Head::parse(&client.buffer[..length]);
        let [method, target, _] = &head.words;
        let entry = shared.log.begin(shared.number, connection, method, target);
        let delay = shared.delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        // Who reads the answers is gone only when the registry has closed the connection.
        let _ = announce.send(Pending(Some((entry, method.clone()))));
        let sent = client.pass_on(length, head.request_body(), &mut server, || {}).await;
        shared.log.change(entry, |exchange| exchange.up = *sent.as_ref().unwrap_or(&0));
        sent?;
    }
    server.shutdown().await
}

async fn answers(
    mut server: Incoming,
    mut client: OwnedWriteHalf,
    mut pending: mpsc::UnboundedReceiver<Pending>,
    shared: &Shared,
) -> io::Result<()> {
    while let Some(length) = server.head().await? {
        let head = Head::parse(&server.buffer[..length]);
        let status = head.status();
        if length == 0 {
            // An alert or noise; nothing that a client of HTTP would wait for.
            break;
        }
        if matches!(status, Some(100..=199)) {
            server.pass_on(length, Body::Length(0), &mut client, || {}).await?;
            continue;
        }
        let Some(Pending(request)) = pending.recv().await else { break };
        let Some((entry, method)) = request else {
            server.pass_on(length, head.answer_body(""), &mut client, || {}).await?;
            continue;
        };
        let ended = || shared.log.change(entry, |exchange| exchange.end = Some(Instant::now()));
        let body = head.answer_body(&method);
        shared.log.change(entry, |exchange| exchange.status = status);
        let received = server.pass_on(length, body, &mut client, ended).await?;
        shared.log.change(entry, |exchange| exchange.down = received);
    }
    client.shutdown().await
}

/// The reading side of a connection, with what was read and not passed on yet.
struct Incoming {
    half: OwnedReadHalf,
    buffer: BytesMut,
}

impl Incoming {
    fn new(half: OwnedReadHalf) -> Self {
        Self { half, buffer: BytesMut::with_capacity(PIECE) }
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        self.buffer.reserve(PIECE);
        self.half.read_buf(&mut self.buffer).await
    }

    /// Reads until there is a head, and says how long it is; 0 for what cannot become one. `None` where the connection ends
    /// before.
    async fn head(&mut self) -> io::Result<Option<usize>> {
        loop {
            if self.buffer.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
                return Ok(Some(0));
            }
            if let Some(length) = head_end(&self.buffer) {
                return Ok(Some(length));
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.read_more().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Passes on a head of this length and the body after it. `complete` is called when all of it has been read, before the last
    /// of it is written. Returns the bytes of the body.
    async fn pass_on(
        &mut self,
        head: usize,
        mut body: Body,
        to: &mut OwnedWriteHalf,
        complete: impl FnOnce(),
    ) -> io::Result<u64> {
        let mut before = head;
        let mut total = 0;
        loop {
            let (count, mut done) = body.accept(&self.buffer[before..]);
            let mut closed = false;
            if !done && before + count == 0 {
                closed = self.read_more().await? == 0;
                if !closed {
                    continue;
                }
                done = body == Body::UntilClose;
            }
            if done {
                complete();
                to.write_all(&self.buffer[..before + count]).await?;
                self.buffer.advance(before + count);
                return Ok(total + count as u64);
            }
            if closed {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.write_all(&self.buffer[..before + count]).await?;
            self.buffer.advance(before + count);
            total += count as u64;
            before = 0;
        }
    }
}
