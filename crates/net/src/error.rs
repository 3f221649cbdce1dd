//! What can go wrong on the way to an answer. An answer with an error status is not an error here.

use std::path::PathBuf;
use std::time::Duration;

use granary_redact::SafeUrl;
use reqwest::Method;
use thiserror::Error;

use crate::retry::Verdict;

/// Why no client could be built.
#[derive(Debug, Error)]
pub enum HttpSetupError {
    /// A given CA is no PEM certificate.
    #[error("CA certificate {index} is not a PEM certificate: {reason}")]
    CaCertificate {
        /// Which of the given ones, counted from 1.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The system's certificates could not be read.
    #[error("certificate store {path} cannot be read: {reason}")]
    CertificateStore {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A minimal image without certificates, and none given.
    #[error("no certificate authority is known: the system has no bundle and none was given")]
    NoCertificateAuthority,
    /// A proxy URL that is none. The URL is not shown, it may hold a password.
    #[error("the {scheme} proxy is not a URL")]
    Proxy {
        /// `http` or `https`.
        scheme: &'static str,
    },
    /// The HTTP library refused the set-up.
    #[error("the HTTP client cannot be set up")]
    Client {
        /// What it said.
        #[source]
        source: reqwest::Error,
    },
    /// The TLS library refused the set-up.
    #[error("TLS cannot be set up")]
    Tls {
        /// What it said.
        #[source]
        source: rustls::Error,
    },
}

/// Why a request got no answer, or not the whole of it.
#[derive(Debug, Error)]
pub enum HttpError {
    /// No client for this kind of URL.
    #[error("{method} {url} cannot be sent")]
    Setup {
        /// Request method.
        method: Method,
        /// Where it went.
        url: SafeUrl,
        /// Why not.
        #[source]
        source: HttpSetupError,
    },
    /// No connection: refused, no route, no such host.
    #[error("{method} {url}: no connection")]
    Connect {
        /// Request method.
        method: Method,
        /// Where it went.
        url: SafeUrl,
        /// What the layers below said.
        #[source]
        source: reqwest::Error,
    },
    /// The peer's certificate or its TLS was not acceptable.
    #[error("{method} {url}: the TLS handshake failed")]
    Tls {
        /// Request method.
        method: Method,
        /// Where it went.
        url: SafeUrl,
        /// What the layers below said.
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke, or what came over it was not HTTP.
    #[error("{method} {url}: the connection broke before the answer was complete")]
    Interrupted {
        /// Request method.
        method: Method,
        /// Where it went.
        url: SafeUrl,
        /// What the layers below said.
        #[source]
        source: reqwest::Error,
    },
    /// Silence for longer than the idle time-out.
    #[error("{method} {url}: nothing moved for {} s", .idle.as_secs())]
    Idle {
        /// Request method.
        method: Method,
        /// Where it went.
        url: SafeUrl,
        /// The time-out.
        idle: Duration,
    },
    /// The total time was used up.
    #[error("{method} {url}: the total time allowed was used up")]
    Deadline {
        /// Request method.
        method: Method,
        /// Where it went.
        url: SafeUrl,
    },
    /// The request body could not be produced.
    #[error("{method} {url}: the content to send cannot be read")]
    Source {
        /// Request method.
        method: Method,
        /// Where it went.
        url: SafeUrl,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// More came than the caller takes.
    #[error("{method} {url}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// Request method.
        method: Method,
        /// Where it went.
        url: SafeUrl,
        /// The bound in bytes.
        limit: u64,
    },
    /// A redirect that is not followed.
    #[error("{method} {url}: refusing the redirect: {reason}")]
    Redirect {
        /// Request method.
        method: Method,
        /// Where it went.
        url: SafeUrl,
        /// Why it is refused, with the target where that helps.
        reason: String,
    },
}

impl HttpError {
    /// Whether the same request, sent again, may fare better.
    pub fn verdict(&self) -> Verdict {
        match self {
            HttpError::Connect { .. } | HttpError::Interrupted { .. } | HttpError::Idle { .. } => {
                Verdict::Retry
            }
            HttpError::Setup { .. }
            | HttpError::Tls { .. }
            | HttpError::Deadline { .. }
            | HttpError::Source { .. }
            | HttpError::TooLarge { .. }
            | HttpError::Redirect { .. } => Verdict::Fatal,
        }
    }

    /// Sorts an error of the HTTP library by its whole chain of causes: it calls a refused certificate
    /// and a refused connection the same ("connect"), and only the first is hopeless.
    pub(crate) fn from_library(error: reqwest::Error, method: &Method, url: SafeUrl) -> Self {
        let method = method.clone();
        // The library's text repeats the URL with its query; ours is the redacted one.
        let source = error.without_url();
        match () {
            () if caused_by_tls(&source) => HttpError::Tls { method, url, source },
            () if source.is_connect() => HttpError::Connect { method, url, source },
            () => HttpError::Interrupted { method, url, source },
        }
    }
}

/// Whether a TLS error lies anywhere below. `io::Error` hides its payload from `source()` where it
/// was made by `io::Error::new`, so it is opened by hand.
fn caused_by_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut current = Some(error);
    while let Some(cause) = current {
        if cause.is::<rustls::Error>() {
            return true;
        }
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        current = match inner {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    false
}
