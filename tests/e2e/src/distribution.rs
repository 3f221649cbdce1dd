//! Distribution 3, the registry that most others are made of. Like 2.8 it has no referrers API and no `OCI-Tag`; its tag list comes
//! in pages.

use crate::docker_registry::{Access, PASSWORD, USER, serve};
use crate::registry::{Credentials, Registry};
use crate::server::Server;
use crate::tools;

/// A running registry that wants [`USER`] and [`PASSWORD`], gone with its data when it is dropped.
#[derive(Debug)]
pub struct Distribution {
    server: Server,
}

impl Distribution {
    /// Starts an empty registry and waits until it answers.
    ///
    /// # Panics
    /// Where it was not built or does not come up; with its log.
    #[must_use]
    pub fn start() -> Self {
        let command = || {
            let mut command = tools::command("registry");
            // It would look for a collector of traces on loopback.
            command.env("OTEL_TRACES_EXPORTER", "none");
            // One line per request, as the others have it.
            command.env("REGISTRY_LOG_LEVEL", "error");
            command
        };
        Self { server: serve("distribution", command, Access::Password) }
    }
}

impl Registry for Distribution {
    fn host(&self) -> String {
        self.server.host()
    }

    fn credentials(&self) -> Option<Credentials> {
        Some(Credentials { user: USER.to_owned(), password: PASSWORD.to_owned() })
    }
}
