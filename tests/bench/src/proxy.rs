//! A proxy before a registry that counts requests and may delay them.
//!
//! For each connection of a client there is one to the registry, open as long: a client that keeps connections alive has the good
//! of it, one that does not pays for it. Bytes are passed on as they are, so `Host` stays the proxy's, and a registry that
//! builds its `Location` from it leads back through the proxy.

mod framing;
mod relay;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::log::Exchange;

/// What all proxies of a run saw, in the order of arrival.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    /// Raised with each `take`, so that a late answer is not written to another run's request.
    era: usize,
    exchanges: Vec<Exchange>,
    connections: usize,
}

/// Names one exchange of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    era: usize,
    position: usize,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Exchange> {
        let mut entries = self.lock();
        entries.era += 1;
        std::mem::take(&mut entries.exchanges)
    }

    pub(crate) fn connect(&self) -> usize {
        let mut entries = self.lock();
        entries.connections += 1;
        entries.connections
    }

    pub(crate) fn begin(&self, proxy: usize, connection: usize, method: &str, target: &str) -> Entry {
        let mut entries = self.lock();
        let (method, target) = (method.to_owned(), target.to_owned());
        let begin = Instant::now();
        let exchange =
            Exchange { proxy, connection, method, target, status: None, begin, end: None, up: 0, down: 0 };
        entries.exchanges.push(exchange);
        Entry { era: entries.era, position: entries.exchanges.len() - 1 }
    }

    pub(crate) fn change(&self, entry: Entry, change: impl FnOnce(&mut Exchange)) {
        let mut entries = self.lock();
        let known = entries.era == entry.era;
        if let Some(exchange) = entries.exchanges.get_mut(entry.position).filter(|_| known) {
            change(exchange);
        }
    }
}

/// What connections need to know.
#[derive(Debug)]
pub(crate) struct Shared {
    number: usize,
    log: Log,
    upstream: Mutex<SocketAddr>,
    delay: AtomicU64,
}

impl Shared {
    fn upstream(&self) -> SocketAddr {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.delay.load(Ordering::Relaxed))
    }
}

/// A running proxy; gone, with all its connections, when dropped.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy on loopback before `upstream`, without delay. `number` is what its exchanges are marked with.
    ///
    /// # Errors
    /// Where loopback has no free port or the process no thread to give.
    pub fn start(number: usize, upstream: SocketAddr, log: &Log) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (upstream, delay) = (Mutex::new(upstream), AtomicU64::new(0));
        let shared = Arc::new(Shared { number, log: log.clone(), upstream, delay });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let own = Arc::clone(&shared);
        let serve = move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = relay::accept(listener, own) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(serve)?;
        Ok(Self { shared, address, stop: Some(stop), thread: Some(thread) })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// New connections go here.
    pub fn lead_to(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// From now on each request waits so long, in whole milliseconds, before the registry gets it.
    pub fn delay(&self, delay: Duration) {
        self.shared.delay.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use granary_testkit::registry::{Location, Options, Registry};

    use super::*;
    use crate::log::Summary;

    fn start() -> (Registry, Log, Proxy) {
        let registry = Registry::start(Options { upload_location: Location::Path, ..Options::default() });
        let log = Log::default();
        let proxy = Proxy::start(0, SocketAddr::from(([127, 0, 0, 1], registry.port())), &log).unwrap();
        (registry, log, proxy)
    }

    /// Sends a request over an open connection and returns status line, headers and body.
    fn ask(stream: &mut TcpStream, head: &str, body: &[u8]) -> String {
        stream.write_all(&[head.as_bytes(), b"\r\n\r\n", body].concat()).unwrap();
        let mut answer = Vec::new();
        while framing::head_end(&answer).is_none() {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        let text = String::from_utf8(answer).unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        if !head.starts_with("HEAD") {
            stream.read_exact(&mut body).unwrap();
        }
        text + &String::from_utf8_lossy(&body)
    }

    #[test]
    fn every_request_is_counted_once_and_connections_are_the_clients_own() {
        let (registry, log, proxy) = start();
        let digest = registry.put_blob("a", b"layer".as_slice());
        let mut one = TcpStream::connect(proxy.address).unwrap();
        let head = format!("HEAD /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x");
        assert!(ask(&mut one, &head, b"").contains("content-length: 5\r\n"));
        let get = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x");
        assert!(ask(&mut one, &get, b"").ends_with("\r\n\r\nlayer"));
        let mut two = TcpStream::connect(proxy.address).unwrap();
        assert!(ask(&mut two, &get, b"").ends_with("layer"));
        let exchanges = log.take();
        let summary = Summary::of(&exchanges);
        assert_eq!((summary.requests, summary.connections, summary.down), (3, 2, 10));
        assert_eq!(summary.depth, 3, "each began after the one before");
        assert_eq!(exchanges.iter().map(|exchange| exchange.status).collect::<Vec<_>>(), [Some(200); 3]);
        // The registry saw what the proxy counted, over as many connections.
        let seen = registry.requests();
        assert_eq!(seen.iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 1, 2]);
        assert!(log.take().is_empty());
    }

    #[test]
    fn chunked_uploads_arrive_whole_and_the_connection_goes_on() {
        let (registry, log, proxy) = start();
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        let opened =
            ask(&mut stream, "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0", b"");
        let session = |answer: &str| {
            let lines = answer.lines();
            let mut found =
                lines.filter_map(|line| line.split_once(": ")).filter(|(name, _)| *name == "location");
            found.next().unwrap().1.to_owned()
        };
        let location = session(&opened);
        let patch = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked");
        let patched = ask(&mut stream, &patch, b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
        assert!(patched.starts_with("HTTP/1.1 202"), "{patched}");
        let digest = granary_testkit::registry::sha256_digest(b"hello world");
        let location = session(&patched);
        let joint = if location.contains('?') { '&' } else { '?' };
        let put = format!("PUT {location}{joint}digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 0");
        let done = ask(&mut stream, &put, b"");
        assert!(done.starts_with("HTTP/1.1 201"), "{done}");
        assert_eq!(registry.blob("a", &digest).unwrap(), "hello world");
        let methods: Vec<String> = log.take().into_iter().map(|exchange| exchange.kind()).collect();
        assert_eq!(methods, ["POST upload", "PATCH upload", "PUT upload"]);
    }

    #[test]
    fn a_client_that_tries_tls_first_is_told_off_by_the_registry_and_not_counted() {
        let (_registry, log, proxy) = start();
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // The beginning of a ClientHello.
        stream.write_all(&[&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3][..], &[7; 194][..]].concat()).unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        assert!(!matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock), "no waiting");
        assert!(log.take().is_empty());
    }

    #[test]
    fn a_delay_is_for_each_request_and_requests_at_once_wait_together() {
        let (registry, log, proxy) = start();
        registry.put_blob("a", b"layer".as_slice());
        proxy.delay(Duration::from_millis(50));
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut stream = TcpStream::connect(proxy.address).unwrap();
                    for _ in 0..2 {
                        let _ = ask(&mut stream, "GET /v2/ HTTP/1.1\r\nHost: x", b"");
                    }
                });
            }
        });
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(100), "{took:?}");
        let summary = Summary::of(&log.take());
        assert_eq!((summary.requests, summary.depth, summary.at_once), (8, 2, 4));
    }

    #[test]
    fn a_connection_that_the_registry_breaks_is_broken_for_the_client() {
        let (registry, log, proxy) = start();
        registry.fault(granary_testkit::registry::Fault::on(
            "GET",
            "/v2/",
            granary_testkit::registry::Action::ResetBefore,
        ));
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // An end or a reset, but no answer, and no waiting for one.
        let read = stream.read_to_end(&mut answer);
        assert!(
            answer.is_empty() && !matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        );
        let exchanges = log.take();
        assert_eq!((exchanges.len(), exchanges[0].status), (1, None));
    }

    #[test]
    fn a_big_body_passes_in_both_directions() {
        let (registry, log, proxy) = start();
        let bytes = granary_testkit::image::random_bytes(1, 8 << 20);
        let digest = registry.put_blob("a", bytes);
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        let get = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(get.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let start = framing::head_end(&answer).unwrap();
        let body = answer.split_off(start);
        assert_eq!(granary_testkit::registry::sha256_digest(&body), digest);
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        let post = format!(
            "POST /v2/b/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: {}",
            body.len()
        );
        assert!(ask(&mut stream, &post, &body).starts_with("HTTP/1.1 201"));
        let summary = Summary::of(&log.take());
        assert_eq!((summary.up, summary.down), (8 << 20, 8 << 20));
    }
}
