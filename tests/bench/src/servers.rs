//! The registries to measure on: each on loopback, with its own folder, stopped when dropped.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use granary_testkit::registry::{Location, Options, Registry};
use tempfile::TempDir;

/// It answers within a tenth of a second on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How often a port may be snatched away between being found free and being used.
const PORT_ATTEMPTS: usize = 5;
/// Longer than a server needs to notice that its port is taken.
const SETTLING: Duration = Duration::from_millis(50);

/// Which registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Debian's docker-registry 2.8: mounts, no referrers API, on disk.
    Docker,
    /// go-containerregistry's: referrers API, no mounts (202), in memory.
    Ggcr,
    /// The test registry of this workspace: mounts, referrers API and `OCI-Tag`. No real server here has all three.
    Testkit,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Docker, Self::Ggcr, Self::Testkit];

    /// For the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker-registry",
            Self::Ggcr => "ggcr (referrers API, no mounts)",
            Self::Testkit => "granary-testkit (in process: referrers API, mounts, OCI-Tag)",
        }
    }
}

/// Why there is no registry.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program is not installed.
    #[error("{program} is not installed")]
    Missing {
        /// The program.
        program: &'static str,
    },
    /// Files or sockets.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not answer.
    #[error("{program} does not come up: {log}")]
    Silent {
        /// The program.
        program: &'static str,
        /// What it logged.
        log: String,
    },
}

/// A running registry.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    running: Running,
}

enum Running {
    Process { child: Child, _folder: TempDir },
    InProcess { _registry: Registry },
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Process { .. } => "a process",
            Self::InProcess { .. } => "in this process",
        })
    }
}

impl Server {
    /// Starts an empty registry; `locate` finds programs.
    ///
    /// # Errors
    /// Where it is not installed, or does not come up.
    pub fn start(kind: Kind, locate: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, ServerError> {
        let program = match kind {
            Kind::Docker => "docker-registry",
            Kind::Ggcr => "referrers-registry",
            Kind::Testkit => return Self::in_process(),
        };
        let path = locate(program).ok_or(ServerError::Missing { program })?;
        let mut log = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let started =
                Self::process(kind, &path).map_err(|source| ServerError::Start { program, source })?;
            match started {
                Ok(server) => return Ok(server),
                Err(said) => log = said,
            }
        }
        Err(ServerError::Silent { program, log })
    }

    fn in_process() -> Result<Self, ServerError> {
        // Absolute locations would lead around the proxy.
        let registry = Registry::start(Options { upload_location: Location::Path, ..Options::default() });
        let address = SocketAddr::from(([127, 0, 0, 1], registry.port()));
        Ok(Self { address, running: Running::InProcess { _registry: registry } })
    }

    /// The server, or what it logged where it did not come up.
    fn process(kind: Kind, path: &Path) -> io::Result<Result<Self, String>> {
        let folder = tempfile::Builder::new().prefix("granary-bench-registry-").tempdir()?;
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let mut command = Command::new(path);
        if kind == Kind::Docker {
            let config = folder.path().join("config.yml");
            std::fs::write(&config, docker_config(&folder.path().join("data"), address))?;
            command.arg("serve").arg(config);
        } else {
            command.arg(address.to_string());
        }
        let log = folder.path().join("log");
        let file = File::create(&log)?;
        command.env_clear().stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn()?;
        let mut server = Self { address, running: Running::Process { child, _folder: folder } };
        if server.comes_up()? {
            return Ok(Ok(server));
        }
        Ok(Err(std::fs::read_to_string(&log).unwrap_or_default()))
    }

    fn comes_up(&mut self) -> io::Result<bool> {
        let Running::Process { child, .. } = &mut self.running else { return Ok(true) };
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if TcpStream::connect(self.address).is_ok() {
                // Somebody else's server would have made ours end.
                std::thread::sleep(SETTLING);
                return Ok(child.try_wait()?.is_none());
            }
            if child.try_wait()?.is_some() {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(false)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Running::Process { child, .. } = &mut self.running {
            // Its data is thrown away with it; there is nothing that a gentler end would save.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn docker_config(data: &Path, address: SocketAddr) -> String {
    format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
         rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n",
        data.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let error = Server::start(Kind::Docker, |_| None).unwrap_err();
        assert_eq!(error.to_string(), "docker-registry is not installed");
    }

    #[test]
    fn one_that_does_not_come_up_is_an_error_with_its_log() {
        let error = Server::start(Kind::Ggcr, |_| Some("/bin/ls".into())).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("referrers-registry does not come up: ") && text.contains("127.0.0.1"),
            "{text}"
        );
    }
}
