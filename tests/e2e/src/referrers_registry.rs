//! go-containerregistry's own registry: it has the referrers API, knows no mounts across repositories (it answers 202 and wants
//! the bytes), and keeps everything in memory.

use std::path::Path;

use crate::registry::Registry;
use crate::server::{self, Server};
use crate::tools;

/// A running registry for everybody, gone when it is dropped.
#[derive(Debug)]
pub struct ReferrersRegistry {
    server: Server,
}

impl ReferrersRegistry {
    /// Starts an empty registry and waits until it answers.
    ///
    /// # Panics
    /// Where it was not built or does not come up; with its log.
    #[must_use]
    pub fn start() -> Self {
        let prepare = |_: &Path, port: u16| {
            let mut command = tools::command("referrers-registry");
            command.arg(format!("127.0.0.1:{port}"));
            command
        };
        // The log says so before anybody else could have the port.
        let ready = |folder: &Path, port| {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            log.contains("listening on") && server::get(port, "/v2/").is_some()
        };
        Self { server: Server::start("referrers-registry", prepare, ready) }
    }
}

impl Registry for ReferrersRegistry {
    fn host(&self) -> String {
        self.server.host()
    }
}
