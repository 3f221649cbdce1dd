//! A server that runs for one test: its process, port, temporary folder and log.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Most answer within a tenth of a second on an idle machine, Gitea within five.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often a port may be snatched away between being found free and being used.
const PORT_ATTEMPTS: usize = 5;
/// Who is silent for so long does not answer.
const SILENCE: Duration = Duration::from_secs(5);
/// Lines of the log that a failure shows.
const LAST_LINES: usize = 200;
/// Bytes of an answer that are read.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// A running server with its data, both gone when it is dropped.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// Starts a server and waits until it answers. `prepare` gets an empty folder and a free port, writes what the server reads,
    /// and returns the command that runs it. `ready` is asked, again and again, whether *this* server answers: between being
    /// found free and being used, the port may have become another journey's.
    ///
    /// # Panics
    /// Where it does not come up; with its log.
    #[must_use]
    pub fn start(
        name: &'static str,
        prepare: impl Fn(&Path, u16) -> Command,
        ready: impl Fn(&Path, u16) -> bool,
    ) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            let mut server = Self::launch(name, &prepare);
            if server.comes_up(&ready) {
                return server;
            }
        }
        panic!("{name} found its port in use, {PORT_ATTEMPTS} times")
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the server has said up to now.
    ///
    /// # Panics
    /// Where the log cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(log_of(self.folder.path())).expect("the log was created with the server");
        String::from_utf8_lossy(&log).into_owned()
    }

    fn launch(name: &'static str, prepare: impl Fn(&Path, u16) -> Command) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("granary-{name}-")).tempdir();
        let folder = folder.expect("a temporary folder");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        drop(listener);
        let mut command = prepare(folder.path(), port);
        let log = File::create(log_of(folder.path())).expect("a temporary folder can be written");
        command.stdout(log.try_clone().expect("a file can be opened twice")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { name, child, port, folder }
    }

    /// Waits for the first answer; false where the port was snatched away.
    fn comes_up(&mut self, ready: impl Fn(&Path, u16) -> bool) -> bool {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if let Some(status) = self.child.try_wait().expect("a child of ours can be waited for") {
                let log = self.log();
                assert!(log.contains("address already in use"), "{} ended: {status}\n{log}", self.name);
                return false;
            }
            if ready(self.folder.path(), self.port) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} does not answer after {START_LIMIT:?}\n{}", self.name, self.log())
    }
}

impl Drop for Server {
    #[expect(
        clippy::print_stderr,
        reason = "what the server said belongs to the failure that is being reported"
    )]
    fn drop(&mut self) {
        // They write blobs to their place by rename; there is nothing that a gentler end would save.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            eprintln!("--- {} at {}, its last words\n{}", self.name, self.host(), last.join("\n"));
        }
    }
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// The answer to a GET over plain HTTP, head and body, or `None` where nobody answers.
#[must_use]
pub fn get(port: u16, target: &str) -> Option<String> {
    ask(&format!("127.0.0.1:{port}"), "GET", target, &[], b"")
}

/// The answer to any request over plain HTTP, head and body, or `None` where nobody answers.
#[must_use]
pub fn ask(host: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(SILENCE)).ok()?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head =
        format!("{method} {target} HTTP/1.0\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}
