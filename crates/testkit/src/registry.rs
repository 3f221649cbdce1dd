//! An OCI registry in this process: distribution-spec 1.1 in memory, with the vices of real servers on switches.
//!
//! It shares no code with Granary's client, so that a misreading of the spec in one is not confirmed by the other. It runs on a
//! thread of its own with its own runtime, on `127.0.0.1` and a free port, and stops when it is dropped: usable from
//! `#[tokio::test]`, from synchronous tests that spawn binaries, and from `cargo xtask demo`.
//!
//! ```
//! use granary_testkit::registry::{Action, Fault, Options, Registry};
//!
//! let registry = Registry::start(Options::docker_registry_2_8());
//! registry.fault(Fault::on("PUT", "/manifests/1.2.3", Action::ResetAfter));
//! let digest = registry.put_blob("team/app", b"layer".as_slice());
//! assert_eq!(digest.len(), "sha256:".len() + 64);
//! assert_eq!(registry.faults_left(), 1, "nobody pushed 1.2.3");
//! ```
//!
//! # What it refuses
//!
//! Real clients get no mercy: unknown children and blobs, digests that do not match, chunks out of order, a stale upload
//! `Location`, names and tags outside the grammar. The direct ways in ([`Registry::put_manifest`], [`Registry::put_blob`])
//! check nothing, so that a test can build what a broken server would hold.
//!
//! # Design
//!
//! * One thread, one queue: requests are numbered in the order in which their heads arrive, so "die at request k" means the same
//!   request in each run of a client that sends one at a time.
//! * A request's body is always read before it is answered, an unauthorised one too. Servers that answer early reset the
//!   connection at times, which is a fault to script ([`Action::ResetRequestAt`]) and not a coin to toss.
//! * Bodies are kept whole and every byte read is kept for [`Registry::saw_bytes`]: fine for megabytes, wrong for benchmarks.

mod auth;
mod blobs;
mod call;
mod content;
mod fault;
mod journal;
mod lists;
mod manifests;
mod options;
mod payload;
mod reply;
mod route;
mod server;
mod state;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

pub use fault::{Action, Fault, When};
pub use journal::Request;
pub use options::{Auth, LastPage, LinkStyle, Location, Options, Referrers};
pub use state::{RepositorySnapshot, Snapshot, State, sha256_digest};

use fault::Kill;
use server::Server;
use wire::{Slam, Stream, Wire};

/// A running registry; see the [module](self).
pub struct Registry {
    server: Arc<Server>,
    address: SocketAddr,
    ca_pem: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    /// Starts an empty registry.
    ///
    /// # Panics
    /// Where loopback has no free port or the process no thread to give.
    #[must_use]
    pub fn start(options: Options) -> Self {
        Self::start_with(options, State::default())
    }

    /// Starts a registry that already holds `state`; see [`Registry::clone_state`].
    ///
    /// # Panics
    /// As [`Registry::start`].
    #[must_use]
    pub fn start_with(options: Options, state: State) -> Self {
        Self::launch(options, Arc::new(Mutex::new(state)))
    }

    /// Starts a second server over the same content, with its own options, log and faults: a storage host behind
    /// [`Options::redirect_blobs`], or another name for the same registry.
    ///
    /// # Panics
    /// As [`Registry::start`].
    #[must_use]
    pub fn start_sharing(options: Options, other: &Self) -> Self {
        Self::launch(options, other.server.shared_state())
    }

    fn launch(options: Options, state: Arc<Mutex<State>>) -> Self {
        let listener = listen().expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (acceptor, ca_pem) = options.tls.then(tls::acceptor).unzip();
        let scheme = if options.tls { "https" } else { "http" };
        let server = Arc::new(Server::new(options, format!("{scheme}://{address}"), state));
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&server);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a current-thread runtime needs only a poller");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("the socket is non-blocking");
                tokio::select! {
                    () = accept(listener, shared, acceptor) => {}
                    _ = stopped => {}
                }
            });
            // Dropping the runtime drops every connection, those that hang included.
        };
        let thread = std::thread::Builder::new().name("registry".to_owned()).spawn(run);
        let thread = Some(thread.expect("the process can start a thread"));
        Self { server, address, ca_pem, stop: Some(stop), thread }
    }

    /// `127.0.0.1:PORT`, as the `registry` setting takes it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The port alone, for `localhost:PORT`: another host to a client, the same server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:PORT`, or `https` where TLS is on.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.base_url.clone()
    }

    /// The CA certificate to trust, in PEM.
    ///
    /// # Panics
    /// Where [`Options::tls`] is off.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.ca_pem.as_deref().expect("a registry without TLS has no CA")
    }

    /// Appends an entry to the script of faults.
    pub fn fault(&self, fault: Fault) {
        self.server.script().add(fault);
    }

    /// Strikes that have not happened: a test that ends with some did not test what it says. `usize::MAX` where one
    /// strikes for ever.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        self.server.script().strikes_left()
    }

    /// Forgets the script.
    pub fn clear_faults(&self) {
        self.server.script().clear();
    }

    /// At the `at`-th request from now (1 is the next) runs `deed`, which is to kill the client, and resets the connection.
    /// The request was carried out or not, as `when` says; all others are served. [`Leash::kill`](crate::process::Leash::kill)
    /// is the deed for a spawned binary. `deed` runs on the registry's thread.
    ///
    /// # Panics
    /// Where `at` is 0.
    pub fn kill_at(&self, at: usize, when: When, deed: impl FnOnce() + Send + 'static) {
        assert!(at > 0, "requests are counted from 1");
        *self.server.kill() = Some(Kill { countdown: at, when, deed: Box::new(deed) });
    }

    /// True while a [`Registry::kill_at`] waits for its request: after a whole run it means that the flow has fewer requests,
    /// and the loop over k is done.
    #[must_use]
    pub fn kill_pending(&self) -> bool {
        self.server.kill().is_some()
    }

    /// Takes a pending [`Registry::kill_at`] back.
    pub fn cancel_kill(&self) {
        *self.server.kill() = None;
    }

    /// Moves the clock that `Date` tells, by seconds; the past is negative. It lasts, and adds up.
    pub fn move_clock(&self, seconds: i64) {
        self.server.move_clock(seconds);
    }

    /// Every token that is out stops working now.
    pub fn expire_tokens(&self) {
        self.server.tokens().expire_all();
    }

    /// Every request since the start or the last [`Registry::clear_log`], in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.server.journal().requests().to_vec()
    }

    /// How many of [`Registry::requests`] satisfy `matching`.
    #[must_use]
    pub fn count(&self, matching: impl Fn(&Request) -> bool) -> usize {
        self.requests().iter().filter(|request| matching(request)).count()
    }

    /// Most requests that were in flight at once.
    #[must_use]
    pub fn peak_concurrency(&self) -> usize {
        self.server.journal().peak()
    }

    /// True where a client sent these bytes, in a head or a body, decrypted. A body sent in HTTP chunks is searched with its
    /// chunk marks in it.
    ///
    /// # Panics
    /// Where `needle` is empty.
    #[must_use]
    pub fn saw_bytes(&self, needle: &[u8]) -> bool {
        self.server.journal().saw_bytes(needle)
    }

    /// Forgets requests, bytes and the concurrency peak.
    pub fn clear_log(&self) {
        self.server.journal().clear();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread is gone already where it panicked; `join` says so.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the registry's thread panicked");
        }
    }
}

/// A socket on loopback whose connections hold little that nobody has read: where a fault cuts a request off
/// at byte n, the client has sent n bytes and its own buffer (4 MiB), not the tens of MiB that loopback's
/// receive window would grow to.
fn listen() -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(256 * 1024)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn accept(listener: TcpListener, server: Arc<Server>, acceptor: Option<TlsAcceptor>) {
    loop {
        // Out of descriptors or a client that left in the queue: the next one may fare better.
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        tokio::spawn(serve(tcp, Arc::clone(&server), acceptor.clone()));
    }
}

async fn serve(tcp: TcpStream, server: Arc<Server>, acceptor: Option<TlsAcceptor>) {
    // Nagle's wait would be measured as ours.
    let _ = tcp.set_nodelay(true);
    let stream = match acceptor {
        None => Stream::Plain(tcp),
        // A client that does not trust us ends here, and that is what its test wants.
        Some(acceptor) => match acceptor.accept(tcp).await {
            Ok(tls) => Stream::Tls(Box::new(tls)),
            Err(_) => return,
        },
    };
    let slam = Slam::default();
    let connection = server.journal().connect();
    let wire = Wire { stream, server: Arc::clone(&server), connection, slam: slam.clone() };
    let service = service_fn(move |request| Arc::clone(&server).answer(request, connection, slam.clone()));
    // A connection that ends in an error was slammed by us or left by the client; both are in the log.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(wire), service).await;
}
