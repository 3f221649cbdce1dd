//! Debian's `docker-registry` (Distribution 2.8): the registry that is met most, with its gaps. No referrers API, no `OCI-Tag`,
//! tags in no order and all at once.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::openssl::PrivateCa;
use crate::programs;

/// It answers within a tenth of a second on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How often a port may be snatched away between being found free and being used.
const PORT_ATTEMPTS: usize = 5;

/// Bytes of an answer that are read.
const LONGEST_ANSWER: u64 = 4096;

/// The user of [`Access::Password`].
pub const USER: &str = "ci";
/// The password of [`USER`]; `data/htpasswd` was made of it with `htpasswd -nbB -C 5`.
pub const PASSWORD: &str = "journey-password";

const HTPASSWD: &str = include_str!("../data/htpasswd");

/// Who may use the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// [`USER`] with [`PASSWORD`], by Basic authentication.
    Password,
}

/// A running registry with its data, both gone when it is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    port: u16,
    folder: TempDir,
    access: Access,
    ca: Option<PathBuf>,
}

impl DockerRegistry {
    /// Starts an empty registry and waits until it answers.
    ///
    /// # Panics
    /// Where `docker-registry` is not installed or does not come up; with its log.
    #[must_use]
    pub fn start(access: Access) -> Self {
        Self::start_any(access, None)
    }

    /// The same, over TLS with the certificate of a private CA, which must live as long.
    ///
    /// # Panics
    /// As [`DockerRegistry::start`].
    #[must_use]
    pub fn start_with_tls(access: Access, ca: &PrivateCa) -> Self {
        Self::start_any(access, Some(ca))
    }

    fn start_any(access: Access, ca: Option<&PrivateCa>) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            let mut registry = Self::launch(access, ca);
            if registry.comes_up() {
                return registry;
            }
        }
        panic!("docker-registry found its port in use, {PORT_ATTEMPTS} times")
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What the registry has logged up to now, requests included.
    ///
    /// # Panics
    /// Where the log cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("the log was created with the registry")
    }

    /// True where it wants [`USER`] and [`PASSWORD`].
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.access == Access::Password
    }

    /// Gives a manifest these tags, over one connection: thousands take seconds. For open registries without TLS.
    ///
    /// # Panics
    /// Where the registry refuses one.
    pub fn put_manifest(&self, repository: &str, tags: &[String], media_type: &str, manifest: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the registry answers");
        for tag in tags {
            let (host, length) = (self.host(), manifest.len());
            let head = format!(
                "PUT /v2/{repository}/manifests/{tag} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {media_type}\r\n\
                 Content-Length: {length}\r\n\r\n"
            );
            // In one write: Nagle would wait 40 ms between two, a minute in all.
            stream.write_all(&[head.as_bytes(), manifest].concat()).expect("the registry reads");
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("the registry answers");
                answer.extend(byte);
            }
            let answer = String::from_utf8_lossy(&answer);
            assert!(
                answer.starts_with("HTTP/1.1 201 ") && answer.contains("Content-Length: 0\r\n"),
                "{tag}: {answer}"
            );
        }
    }

    fn launch(access: Access, ca: Option<&PrivateCa>) -> Self {
        let folder =
            tempfile::Builder::new().prefix("granary-registry-").tempdir().expect("a temporary folder");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        drop(listener);
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("a temporary folder can be written");
        };
        write("config.yml", &config(folder.path(), port, access, ca.map(PrivateCa::folder)));
        write("htpasswd", HTPASSWD);
        let log = File::create(folder.path().join("log")).expect("a temporary folder can be written");
        let child = programs::command("docker-registry")
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .stdout(log.try_clone().expect("a file can be opened twice"))
            .stderr(log)
            .spawn()
            .expect("docker-registry can be started");
        Self { child, port, folder, access, ca: ca.map(PrivateCa::certificate) }
    }

    /// Waits for the first answer; false where the port was snatched away.
    fn comes_up(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if let Some(status) = self.child.try_wait().expect("a child of ours can be waited for") {
                let log = self.log();
                assert!(log.contains("address already in use"), "docker-registry ended: {status}\n{log}");
                return false;
            }
            if self.answers() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("docker-registry does not answer after {START_LIMIT:?}\n{}", self.log())
    }

    /// True where *this* server answers: between being found free and being used, the port may have become another journey's.
    fn answers(&self) -> bool {
        if let Some(ca) = &self.ca {
            // Nobody else has a certificate of this CA.
            let mut connect = programs::command("openssl");
            connect.args([
                "s_client",
                "-verify_return_error",
                "-verify_ip",
                "127.0.0.1",
                "-connect",
                &self.host(),
            ]);
            return programs::end_of(connect.arg("-CAfile").arg(ca)).success;
        }
        let head = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.take(LONGEST_ANSWER).read_to_string(&mut answer)?;
            Ok(answer)
        });
        head.is_ok_and(|head| head.contains(&mark(self.folder.path())))
    }
}

impl Drop for DockerRegistry {
    #[expect(
        clippy::print_stderr,
        reason = "what the server said belongs to the failure that is being reported"
    )]
    fn drop(&mut self) {
        // It writes blobs to their place by rename; there is nothing that a gentler end would save.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- docker-registry at {}\n{}", self.host(), self.log());
        }
    }
}

/// What a server says in each answer's header `X-Journey`: the name of its own folder.
fn mark(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().display().to_string()
}

fn config(folder: &Path, port: u16, access: Access, tls: Option<&Path>) -> String {
    let mark = mark(folder);
    let folder = folder.display();
    let auth = match access {
        Access::Open => String::new(),
        Access::Password => format!("auth:\n  htpasswd:\n    realm: journeys\n    path: {folder}/htpasswd\n"),
    };
    let tls = tls.map(Path::display).map_or_else(String::new, |tls| {
        format!("  tls:\n    certificate: {tls}/server.pem\n    key: {tls}/server-key.pem\n")
    });
    format!(
        "version: 0.1\n\
         log:\n  level: info\n\
         storage:\n  filesystem:\n    rootdirectory: {folder}/data\n  delete:\n    enabled: true\n\
         http:\n  addr: 127.0.0.1:{port}\n  headers:\n    X-Journey: [{mark}]\n\
         {tls}{auth}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_it_is_gone() {
        let registry = DockerRegistry::start(Access::Open);
        let (port, folder) = (registry.port, registry.folder.path().to_owned());
        assert!(registry.answers());
        drop(registry);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(!folder.exists());
    }
}
