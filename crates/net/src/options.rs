//! What a client is built from. Every value is an argument: this crate reads no environment.

use std::path::PathBuf;
use std::time::Duration;

use granary_redact::Secret;

/// How long a TCP and TLS handshake may take. A pod whose DNS is still coming up needs some seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection may be silent while nothing of the request body moves either. Registries on
/// object stores copy a blob when it is committed: 5–11 s for 700 MB have been seen, so minutes for
/// the largest.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Proxies, as `*_PROXY` would name them. Secrets, because a proxy URL may carry a password.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `http://` URLs.
    pub http: Option<Secret>,
    /// For `https://` URLs.
    pub https: Option<Secret>,
    /// Hosts that are reached directly: names, `.suffixes`, addresses, CIDR ranges, comma-separated.
    pub no_proxy: Option<String>,
}

/// What [`Http::new`](crate::Http::new) takes.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// PEM files' content (each may hold several certificates), trusted beside the system's.
    pub ca_certificates: Vec<Vec<u8>>,
    /// Replaces the system's bundle, as `SSL_CERT_FILE` does.
    pub ssl_cert_file: Option<PathBuf>,
    /// Replaces the system's bundle, as `SSL_CERT_DIR` does.
    pub ssl_cert_dir: Option<PathBuf>,
    /// Accept any server certificate.
    pub skip_verify: bool,
    /// Proxies; none unless given.
    pub proxies: Proxies,
    /// Bound on a handshake.
    pub connect_timeout: Duration,
    /// Bound on silence: neither did the request body move nor did an answer arrive.
    pub idle_timeout: Duration,
    /// Value of `User-Agent`.
    pub user_agent: String,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            ca_certificates: Vec::new(),
            ssl_cert_file: None,
            ssl_cert_dir: None,
            skip_verify: false,
            proxies: Proxies::default(),
            connect_timeout: CONNECT_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            user_agent: concat!("granary/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
