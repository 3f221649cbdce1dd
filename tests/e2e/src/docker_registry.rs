//! Debian's `docker-registry` (Distribution 2.8): the registry that is met most, with its gaps. No referrers API, no `OCI-Tag`,
//! tags in no order and all at once.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::openssl::PrivateCa;
use crate::programs;
use crate::registry::{Credentials, Registry};
use crate::server::{self, Server};

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
    server: Server,
    access: Access,
}

impl Registry for DockerRegistry {
    fn host(&self) -> String {
        self.server.host()
    }

    fn credentials(&self) -> Option<Credentials> {
        let (user, password) = (USER.to_owned(), PASSWORD.to_owned());
        (self.access == Access::Password).then_some(Credentials { user, password })
    }
}

impl DockerRegistry {
    /// Starts an empty registry and waits until it answers.
    ///
    /// # Panics
    /// Where `docker-registry` is not installed or does not come up; with its log.
    #[must_use]
    pub fn start(access: Access) -> Self {
        let command = || programs::command("docker-registry");
        Self { server: serve("docker-registry", command, access), access }
    }

    /// The same, over TLS with the certificate of a private CA, which must live as long.
    ///
    /// # Panics
    /// As [`DockerRegistry::start`].
    #[must_use]
    pub fn start_with_tls(access: Access, ca: &PrivateCa) -> Self {
        let prepare = |folder: &Path, port| {
            let serve = programs::command("docker-registry");
            configured(serve, folder, port, access, Some(ca.folder()))
        };
        // Nobody else has a certificate of this CA.
        let ready = |_: &Path, port| {
            let mut connect = programs::command("openssl");
            connect.args(["s_client", "-verify_return_error", "-verify_ip", "127.0.0.1", "-connect"]);
            connect.arg(format!("127.0.0.1:{port}")).arg("-CAfile").arg(ca.certificate());
            programs::end_of(&mut connect).success
        };
        Self { server: Server::start("docker-registry", prepare, ready), access }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.host()
    }

    /// What the registry has logged up to now, requests included.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Where it keeps manifests, blobs and tags, as files.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.server.folder().join("data")
    }

    /// Gives a manifest these tags, over one connection: thousands take seconds. For open registries without TLS.
    ///
    /// # Panics
    /// Where the registry refuses one.
    pub fn put_manifest(&self, repository: &str, tags: &[String], media_type: &str, manifest: &[u8]) {
        let mut stream = TcpStream::connect(self.host()).expect("the registry answers");
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
}

/// Runs Distribution without TLS, whichever version `command` starts: their configuration is the same.
pub(crate) fn serve(name: &'static str, command: impl Fn() -> Command, access: Access) -> Server {
    let prepare = |folder: &Path, port| configured(command(), folder, port, access, None);
    let ready =
        |folder: &Path, port| server::get(port, "/v2/").is_some_and(|answer| answer.contains(&mark(folder)));
    Server::start(name, prepare, ready)
}

/// Writes the configuration and adds it to the command.
fn configured(mut command: Command, folder: &Path, port: u16, access: Access, tls: Option<&Path>) -> Command {
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).expect("a temporary folder can be written");
    };
    write("config.yml", &config(folder, port, access, tls));
    write("htpasswd", HTPASSWD);
    command.arg("serve").arg(folder.join("config.yml"));
    command
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
        let (port, folder) = (registry.server.port(), registry.server.folder().to_owned());
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        drop(registry);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(!folder.exists());
    }
}
