//! What journeys and readers know of a running registry, whichever it is.

use std::fmt::Debug;

/// A user and what the registry takes as the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password or token.
    pub password: String,
}

/// A running registry on loopback, without TLS unless it says so.
pub trait Registry: Debug + Send + Sync {
    /// `127.0.0.1:PORT`.
    fn host(&self) -> String;

    /// Who may read and write, where not everybody may.
    fn credentials(&self) -> Option<Credentials> {
        None
    }
}
