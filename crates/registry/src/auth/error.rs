//! Why authentication failed.

use granary_net::{HttpError, StatusCode};
use granary_oci::RegistryHost;
use granary_redact::SafeUrl;
use thiserror::Error;

use crate::credentials::CredentialError;
use crate::error::{Class, class_of_http};
use crate::said::Said;

/// Why authentication failed.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The registry wants to know who is there, and nobody told us.
    #[error("{host} asks for credentials and none are given for it{said}")]
    NoCredentials {
        /// The registry.
        host: RegistryHost,
        /// Its words.
        said: Box<Said>,
    },
    /// The credentials are known and not accepted.
    #[error("the credentials{} were refused with {status}{said}", .username.as_ref().map(|name| format!(" of `{name}`")).unwrap_or_default())]
    Rejected {
        /// Who we said we are.
        username: Option<String>,
        /// The answer.
        status: StatusCode,
        /// The server's words.
        said: Box<Said>,
    },
    /// A fresh token is not accepted, or none is given out without credentials: permission is missing.
    #[error("no permission for {scopes}{said}")]
    Insufficient {
        /// What it was asked for.
        scopes: String,
        /// The registry's words.
        said: Box<Said>,
    },
    /// Credentials would travel in the clear.
    #[error(
        "refusing to send credentials to {host} over plain HTTP: only a registry on this machine may be spoken to so"
    )]
    PlainHttp {
        /// The registry.
        host: RegistryHost,
    },
    /// The registry names a token server that is not to be trusted.
    #[error("refusing to ask {realm} for a token: {reason}")]
    Realm {
        /// The token server.
        realm: SafeUrl,
        /// Why not.
        reason: &'static str,
    },
    /// The token server gave no answer.
    #[error("the token server gave no usable answer")]
    TokenServer {
        /// Why.
        #[source]
        source: Box<HttpError>,
    },
    /// The token server answered with something else.
    #[error("the token server {realm} answered {status}{said}")]
    TokenStatus {
        /// The token server.
        realm: SafeUrl,
        /// The status.
        status: StatusCode,
        /// Its words.
        said: Box<Said>,
    },
    /// The token server answered 200 without a token.
    #[error("the token server {realm} sent no token")]
    NoToken {
        /// The token server.
        realm: SafeUrl,
    },
    /// The registry wants something that is not spoken here.
    #[error("the registry asks for `{schemes}`, only Basic and Bearer are supported")]
    Scheme {
        /// What it asks for.
        schemes: String,
    },
    /// An identity token works with token servers only.
    #[error("the registry asks for Basic, an identity token cannot be used for that")]
    TokenNotUsable,
    /// Line breaks or the like in a password or token.
    #[error("the credentials hold characters that cannot be sent")]
    Unsendable,
    /// An auth file or helper failed.
    #[error("the credentials cannot be read")]
    Credentials {
        /// Why.
        #[source]
        source: Box<CredentialError>,
    },
}

impl AuthError {
    /// Whether a server that was asked for something said no, as opposed to not answering or to our not
    /// asking: for less the answer may be another.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            AuthError::Rejected { .. } | AuthError::Insufficient { .. } => true,
            AuthError::TokenStatus { status, .. } => status.is_client_error(),
            _ => false,
        }
    }

    /// The kind of trouble.
    pub fn class(&self) -> Class {
        match self {
            AuthError::NoCredentials { .. }
            | AuthError::Rejected { .. }
            | AuthError::Insufficient { .. }
            | AuthError::TokenNotUsable
            | AuthError::PlainHttp { .. } => Class::Auth,
            AuthError::Realm { .. } | AuthError::NoToken { .. } | AuthError::Scheme { .. } => Class::Protocol,
            AuthError::TokenServer { source } => class_of_http(source),
            AuthError::TokenStatus { .. } => Class::Unavailable,
            AuthError::Unsendable | AuthError::Credentials { .. } => Class::Local,
        }
    }
}
