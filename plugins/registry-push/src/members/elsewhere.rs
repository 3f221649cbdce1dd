//! Other registries than the one that is published to.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use granary_net::Http;
use granary_oci::RegistryHost;
use granary_plugin::{Context, Failure};
use granary_registry::Registry;
use granary_suite::connect_elsewhere;

/// One client for each of them, made when it is first wanted: what is read there shares tokens, the limit of
/// requests under way, and the pause that a registry asks for.
pub struct Elsewhere<'a> {
    context: &'a Context,
    http: &'a Http,
    concurrency: usize,
    clients: Mutex<BTreeMap<String, Registry>>,
}

impl<'a> Elsewhere<'a> {
    /// No client yet. `concurrency`: how many requests may be under way at each of them.
    pub fn new(context: &'a Context, http: &'a Http, concurrency: usize) -> Self {
        Elsewhere { context, http, concurrency, clients: Mutex::default() }
    }

    /// The client for a registry.
    ///
    /// # Errors
    /// With exit code 2, where an auth file cannot be read.
    pub fn registry(&self, host: &RegistryHost) -> Result<Registry, Failure> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(host.as_str()) {
            return Ok(client.clone());
        }
        let client = connect_elsewhere(host, self.context, self.http, self.concurrency)?;
        clients.insert(host.as_str().to_owned(), client.clone());
        Ok(client)
    }
}
