//! What can go wrong with a registry, and which kind of trouble it is.

mod problem;

use std::fmt;

use granary_net::{HttpError, StatusCode, Verdict, classify_status};
use granary_oci::{FallbackError, ManifestError, RegistryHost, Repository, Tag};
use thiserror::Error;

use crate::auth::AuthError;
use crate::blob_source::SourceError;
use crate::said::Said;
pub use problem::ProtocolProblem;

/// What was being done, for people: `pushing manifest host/acme/app:1.2.3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// In the present participle: `pushing manifest`.
    pub doing: &'static str,
    /// The registry.
    pub host: RegistryHost,
    /// The repository.
    pub repository: Repository,
    /// `:tag`, `@digest` or nothing.
    pub target: String,
    /// Whether it would change something there.
    pub writes: bool,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}{}", self.doing, self.host, self.repository, self.target)
    }
}

/// The kind of trouble, from which a plugin takes its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No answer, or "not now", after all retries.
    Unavailable,
    /// Not authenticated, or not permitted.
    Auth,
    /// What was to be read does not exist.
    NotFound,
    /// The registry will not take this write: quota, protection, immutable tag, unsupported content.
    Refused,
    /// The registry does not keep to the protocol, or what it says does not fit together.
    Protocol,
    /// Something on this side: a file, a digest in it, the set-up.
    Local,
}

/// A failed registry operation.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// No answer, after all retries.
    #[error("{operation}: no usable answer")]
    Unreachable {
        /// What was being done.
        operation: Box<Operation>,
        /// Why.
        #[source]
        source: Box<HttpError>,
    },
    /// An answer that is not the wanted one.
    #[error("{operation}: the registry answered {status}{said}")]
    Status {
        /// What was being done.
        operation: Box<Operation>,
        /// The status.
        status: StatusCode,
        /// The registry's reason.
        said: Box<Said>,
    },
    /// No way to authenticate, or it was not accepted.
    #[error("{operation}: authentication failed")]
    Auth {
        /// What was being done.
        operation: Box<Operation>,
        /// Why.
        #[source]
        source: Box<AuthError>,
    },
    /// The answer breaks the protocol.
    #[error("{operation}: {problem}")]
    Protocol {
        /// What was being done.
        operation: Box<Operation>,
        /// What is wrong with the answer.
        problem: Box<ProtocolProblem>,
    },
    /// What came as a manifest is none.
    #[error("{operation}: not a usable manifest")]
    Manifest {
        /// What was being done.
        operation: Box<Operation>,
        /// Why.
        #[source]
        source: Box<ManifestError>,
    },
    /// Something that others refer to is not there.
    #[error("{operation}: it does not exist")]
    Missing {
        /// What was being done.
        operation: Box<Operation>,
    },
    /// The fallback index cannot be read or written.
    #[error("{operation}: referrers cannot be kept")]
    Fallback {
        /// What was being done.
        operation: Box<Operation>,
        /// Why.
        #[source]
        source: Box<FallbackError>,
    },
    /// Other writers kept overwriting the fallback index.
    #[error("{operation}: the fallback index was overwritten by others {attempts} times in a row")]
    Contended {
        /// What was being done.
        operation: Box<Operation>,
        /// How often it was tried.
        attempts: u32,
    },
    /// An upload that the registry goes on refusing to continue, however often it is begun.
    #[error("{operation}: the upload does not get beyond byte {at}")]
    Stalled {
        /// What was being done.
        operation: Box<Operation>,
        /// How much the registry has taken.
        at: u64,
        /// Its last answer.
        #[source]
        source: Box<RegistryError>,
    },
    /// Some tags could not be written.
    #[error("{operation}: not all tags were written (written: {}; not: {})", listed(.written), listed(.missing))]
    Tags {
        /// What was being done.
        operation: Box<Operation>,
        /// Those that name the manifest now.
        written: Vec<Tag>,
        /// Those of which that is not known.
        missing: Vec<Tag>,
        /// Why, for the first of them.
        #[source]
        source: Box<RegistryError>,
    },
    /// The content to push cannot be had.
    #[error("{operation}: the content cannot be used")]
    Source {
        /// What was being done.
        operation: Box<Operation>,
        /// Why.
        #[source]
        source: Box<SourceError>,
    },
}

impl RegistryError {
    /// The kind of trouble.
    pub fn class(&self) -> Class {
        match self {
            RegistryError::Unreachable { source, .. } => class_of_http(source),
            RegistryError::Status { operation, status, said } => {
                class_of_status(*status, said, operation.writes)
            }
            RegistryError::Auth { source, .. } => source.class(),
            RegistryError::Protocol { problem, .. } => match **problem {
                ProtocolProblem::NotAReferrer { .. } => Class::Local,
                ProtocolProblem::TagElsewhere { .. } => Class::Refused,
                _ => Class::Protocol,
            },
            RegistryError::Manifest { .. } | RegistryError::Fallback { .. } => Class::Protocol,
            RegistryError::Missing { .. } => Class::NotFound,
            RegistryError::Contended { .. } | RegistryError::Stalled { .. } => Class::Unavailable,
            RegistryError::Tags { source, .. } => source.class(),
            RegistryError::Source { source, .. } => source.class(),
        }
    }

    /// Whether a manifest was refused because something that it names is not there.
    pub fn misses_blob(&self) -> bool {
        match self {
            RegistryError::Tags { source, .. } => source.misses_blob(),
            RegistryError::Status { said, .. } => said.misses_blob(),
            _ => false,
        }
    }

    /// The status of the answer that this error is about, if there was one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            RegistryError::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the registry says that what it holds is not what it was told.
    pub(crate) fn is_wrong_content(&self) -> bool {
        let codes = ["DIGEST_INVALID", "SIZE_INVALID"];
        matches!(self, RegistryError::Status { said, .. } if codes.iter().any(|code| said.has_code(code)))
    }

    /// What was being done.
    pub fn operation(&self) -> &Operation {
        match self {
            RegistryError::Unreachable { operation, .. }
            | RegistryError::Status { operation, .. }
            | RegistryError::Auth { operation, .. }
            | RegistryError::Protocol { operation, .. }
            | RegistryError::Manifest { operation, .. }
            | RegistryError::Missing { operation }
            | RegistryError::Fallback { operation, .. }
            | RegistryError::Contended { operation, .. }
            | RegistryError::Stalled { operation, .. }
            | RegistryError::Tags { operation, .. }
            | RegistryError::Source { operation, .. } => operation,
        }
    }
}

/// Tags for people.
fn listed(tags: &[Tag]) -> String {
    match tags.is_empty() {
        true => "none".to_owned(),
        false => tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", "),
    }
}

pub(crate) fn class_of_http(error: &HttpError) -> Class {
    match error {
        HttpError::Setup { .. } | HttpError::Source { .. } => Class::Local,
        HttpError::TooLarge { .. } | HttpError::Redirect { .. } => Class::Protocol,
        HttpError::Connect { .. }
        | HttpError::Tls { .. }
        | HttpError::Interrupted { .. }
        | HttpError::Idle { .. }
        | HttpError::Deadline { .. } => Class::Unavailable,
    }
}

/// A 403 says "not you" in most registries and "quota" or "immutable" in some (Harbor's quota is a 403
/// DENIED): the text decides, since changing the password does not help against a quota.
fn class_of_status(status: StatusCode, said: &Said, writes: bool) -> Class {
    if classify_status(status) == Verdict::Retry {
        return Class::Unavailable;
    }
    match (status.as_u16(), writes) {
        (401, _) | (403, false) => Class::Auth,
        (403, true) if said.mentions(&["quota", "limit", "immutable", "protected", "exists"]) => {
            Class::Refused
        }
        (403, true) if said.has_code("DENIED") || said.has_code("UNAUTHORIZED") => Class::Auth,
        (404, false) => Class::NotFound,
        (400..=499 | 507, true) => Class::Refused,
        _ => Class::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_redact::Redactor;

    #[test]
    fn status_classes() {
        let envelope = |code: &str, message: &str| {
            format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#)
        };
        let table = [
            (503, true, String::new(), Class::Unavailable),
            (429, false, String::new(), Class::Unavailable),
            (401, true, String::new(), Class::Auth),
            (403, false, String::new(), Class::Auth),
            (403, true, envelope("DENIED", "requested access to the resource is denied"), Class::Auth),
            (403, true, envelope("DENIED", "storage quota exceeded"), Class::Refused),
            (403, true, "blocked by policy".to_owned(), Class::Refused),
            (404, false, envelope("NAME_UNKNOWN", "x"), Class::NotFound),
            (404, true, envelope("NAME_UNKNOWN", "x"), Class::Refused),
            (405, true, String::new(), Class::Refused),
            (409, true, String::new(), Class::Refused),
            (412, true, String::new(), Class::Refused),
            (400, true, envelope("MANIFEST_INVALID", "nested"), Class::Refused),
            (400, false, String::new(), Class::Protocol),
            (302, false, String::new(), Class::Protocol),
            (501, true, String::new(), Class::Protocol),
        ];
        for (status, writes, body, expected) in table {
            let said = Said::read(body.as_bytes(), &Redactor::new());
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(class_of_status(status, &said, writes), expected, "{status} {writes} {body}");
        }
    }
}
