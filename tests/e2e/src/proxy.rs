//! A proxy before a registry that counts requests, keeps their heads, delays them, answers some itself, and kills clients.
//!
//! It speaks HTTP/1.1 without TLS and one request per connection: each request is sent on, and answered, with
//! `Connection: close`. That costs the client connections and no requests, and requests are what is counted. `Host` stays what
//! the client sent, so the registry's `Location`s lead through the proxy again.

mod trap;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::registry::Registry;

pub use trap::Trap;

/// Longer than any head of client or registry.
const LONGEST_HEAD: usize = 64 * 1024;
/// A peer that is silent for so long has died.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer that the proxy gives in place of the registry's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 503, with a page that no registry would send.
    Unavailable,
    /// 429 with `Retry-After` in seconds.
    TooMany(u64),
}

impl Fault {
    fn answer(self) -> String {
        let (status, header, body) = match self {
            Self::Unavailable => ("503 Service Unavailable", String::new(), "<html>503</html>"),
            Self::TooMany(seconds) => {
                ("429 Too Many Requests", format!("Retry-After: {seconds}\r\n"), "slow down")
            }
        };
        let length = body.len();
        format!("HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    }

    fn status(self) -> u16 {
        match self {
            Self::Unavailable => 503,
            Self::TooMany(_) => 429,
        }
    }
}

/// A request that came, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `PUT`.
    pub method: String,
    /// `/v2/acme/app/manifests/1.2.3`, with its query.
    pub target: String,
    /// Everything up to the body, as it came.
    pub head: String,
    /// The status that the client got; 0 where the registry closed the connection.
    pub status: u16,
}

impl Seen {
    /// The tags that this request wrote: of a manifest put under a tag, or under its digest with `?tag=`.
    #[must_use]
    pub fn tags_written(&self) -> Vec<&str> {
        if self.method != "PUT" || self.status != 201 {
            return Vec::new();
        }
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let Some((_, name)) = path.split_once("/manifests/") else { return Vec::new() };
        match name.contains(':') {
            true => query.split('&').filter_map(|pair| pair.strip_prefix("tag=")).collect(),
            false => vec![name],
        }
    }

    /// True for a request that may change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.status, self.method, self.target)
    }
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    latency: Duration,
    faults: Mutex<VecDeque<Fault>>,
    trap: Mutex<Option<Trap>>,
    seen: Mutex<Vec<Seen>>,
    under_way: AtomicUsize,
    stopping: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running proxy; gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy before this registry that delays each request by `latency`.
    ///
    /// # Panics
    /// Where loopback has no free port.
    #[must_use]
    pub fn start(registry: &dyn Registry, latency: Duration) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            upstream: registry.host(),
            latency,
            faults: Mutex::default(),
            trap: Mutex::default(),
            seen: Mutex::default(),
            under_way: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                if own.stopping.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let own = Arc::clone(&own);
                own.under_way.fetch_add(1, Ordering::SeqCst);
                // Ends with its connection; a client that was killed has closed it.
                thread::spawn(move || own.serve(client));
            }
        });
        Self { shared, address, thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The next requests get these answers, one each; those after them reach the registry.
    pub fn faults(&self, faults: &[Fault]) {
        lock(&self.shared.faults).extend(faults);
    }

    /// Sets a trap in place of any other.
    pub fn set_trap(&self, trap: &Trap) {
        *lock(&self.shared.trap) = Some(trap.clone());
    }

    /// Faults that nobody has met yet.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        lock(&self.shared.faults).len()
    }

    /// Waits until nothing is under way: what a client had sent before it was killed has reached the registry, or never will.
    ///
    /// # Panics
    /// Where that takes longer than any exchange may.
    pub fn settle(&self) {
        let started = Instant::now();
        // Connections that the kernel has accepted and the thread has not seen yet.
        thread::sleep(Duration::from_millis(10));
        while self.shared.under_way.load(Ordering::SeqCst) > 0 {
            assert!(started.elapsed() < 2 * PATIENCE, "a client still talks to the proxy");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What came since the last call, in the order of the answers.
    #[must_use]
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.shared.seen))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) {
        // A connection that breaks is the client's to notice, and the test's through it.
        let _ = self.exchange(client);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }

    fn exchange(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        let (head, begun) = read_head(&mut client)?;
        let mut first = head.split([' ', '\r']).map(str::to_owned);
        let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        thread::sleep(self.latency);
        let fault = lock(&self.faults).pop_front();
        let write = !matches!(method.as_str(), "GET" | "HEAD");
        let trap = lock(&self.trap).clone().filter(|trap| write && trap.springs());
        let note = |status| lock(&self.seen).push(Seen { method, target, head: head.clone(), status });
        if let Some(fault) = fault {
            // To the end, or closing would reset the connection before the answer is read.
            let body = content_length(&head).saturating_sub(begun.len() as u64);
            io::copy(&mut (&mut client).take(body), &mut io::sink())?;
            note(fault.status());
            return client.write_all(fault.answer().as_bytes());
        }
        if let Some(trap) = trap.as_ref().filter(|trap| !trap.arrives()) {
            trap.kill();
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut server = TcpStream::connect(&self.upstream)?;
        server.set_read_timeout(Some(PATIENCE))?;
        server.write_all(closing(&head).as_bytes())?;
        server.write_all(&begun)?;
        let body = content_length(&head).saturating_sub(begun.len() as u64);
        if io::copy(&mut (&mut client).take(body), &mut server)? < body {
            // The client was killed; the registry sees what it would have seen.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer = read_head(&mut server);
        let status = answer.as_ref().ok().and_then(|(head, _)| head.split(' ').nth(1)?.parse().ok());
        note(status.unwrap_or_default());
        let (answer, begun) = answer?;
        if let Some(trap) = trap {
            trap.kill();
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        client.write_all(answer.as_bytes())?;
        client.write_all(&begun)?;
        io::copy(&mut server, &mut client)?;
        client.shutdown(Shutdown::Both)
    }
}

/// The head with its empty line, and what was read of the body along with it.
fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = read.split_off(end + 4);
            let head =
                String::from_utf8(read).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            return Ok((head, body));
        }
        if read.len() > LONGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value.trim())
}

/// How long the body is. Chunked ones are not built: no client here sends any, and one that did would be seen to hang.
fn content_length(head: &str) -> u64 {
    header(head, "content-length").and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// The same head with `Connection: close`.
fn closing(head: &str) -> String {
    let kept = head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let mut text = kept.collect::<Vec<_>>().join("\r\n");
    text.push_str("\r\nConnection: close\r\n\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_seen_in_path_and_query() {
        let seen = |target: &str, status| Seen {
            method: "PUT".to_owned(),
            target: target.to_owned(),
            head: String::new(),
            status,
        };
        assert_eq!(seen("/v2/a/b/manifests/1.2.3", 201).tags_written(), ["1.2.3"]);
        assert_eq!(seen("/v2/a/b/manifests/sha256:12?tag=x&tag=1.0.0", 201).tags_written(), ["x", "1.0.0"]);
        assert_eq!(seen("/v2/a/b/manifests/sha256:12", 201).tags_written(), [""; 0]);
        assert_eq!(seen("/v2/a/b/manifests/1.2.3", 503).tags_written(), [""; 0]);
        assert_eq!(seen("/v2/a/b/blobs/uploads/1?digest=sha256:12", 201).tags_written(), [""; 0]);
    }

    #[test]
    fn heads_are_sent_on_with_one_change() {
        let head = "PUT /v2/ HTTP/1.1\r\nHost: a\r\nconnection: keep-alive\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(
            closing(head),
            "PUT /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nConnection: close\r\n\r\n"
        );
        assert_eq!((content_length(head), header(head, "HOST")), (12, Some("a")));
    }
}
