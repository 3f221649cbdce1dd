//! From library errors to exit codes, once for all plugins.

use std::error::Error;
use std::fmt;

use granary_net::HttpError;
use granary_plugin::{Failure, Kind};
use granary_registry::{Class, RegistryError};
use granary_release::SetError;

/// What a person may have to mend about one registry: the hints that name its settings.
struct Hints {
    credentials: &'static str,
    gone: &'static str,
    no_registry: &'static str,
}

const REGISTRY: Hints = Hints {
    credentials: "check `username` and `password`, and what that user may do there",
    gone: "check `registry` and `repo`; something that was there a moment ago is gone",
    no_registry: "check `registry`: is it a registry, and is no proxy answering in its place?",
};

const TARGET: Hints = Hints {
    credentials: "check `target_username` and `target_password` (where they are not set: `username` and `password` on the same \
                  host, else the auth file), and what that user may do there",
    gone: "check `target_registry` and `target_repo`; something that was there a moment ago is gone",
    no_registry: "check `target_registry`: is it a registry, and is no proxy answering in its place?",
};

/// Maps an error of the registry of the settings to its exit code, with what can be done about it.
pub fn registry_failure(error: RegistryError) -> Failure {
    failure(error, &REGISTRY)
}

/// The same for the registry that is promoted to. What went wrong with reading the source of a copy is not its.
pub fn target_failure(error: RegistryError) -> Failure {
    let is_source = matches!(error, RegistryError::Source { .. });
    failure(error, if is_source { &REGISTRY } else { &TARGET })
}

fn failure(error: RegistryError, hints: &Hints) -> Failure {
    let (kind, hint) = match error.class() {
        Class::Unavailable if is_tls(&error) => (
            Kind::Unavailable,
            "if the registry's certificate comes from a private CA, give that CA's as `ca_cert`: PEM text, or a path",
        ),
        Class::Unavailable => (
            Kind::Unavailable,
            "run it again when the registry answers: what is complete there is not sent again, a blob that was cut off is sent from its start",
        ),
        Class::Auth => (Kind::Unauthorized, hints.credentials),
        Class::Refused if error.misses_blob() => (
            Kind::RemoteRefused,
            "the registry has lost content below a manifest that it still has: delete that manifest there, and publish anew",
        ),
        Class::Refused => {
            (Kind::RemoteRefused, "the registry's own words above say which rule or quota it was")
        }
        Class::NotFound => (Kind::BadInput, hints.gone),
        Class::Protocol => (Kind::BadInput, hints.no_registry),
        Class::Local => {
            (Kind::BadInput, "the source, the certificate or the file named above has to be mended")
        }
    };
    let failure = Failure::new(kind, error.to_string()).hint(hint);
    match error.source() {
        Some(_) => failure.caused_by(Cause(error)),
        None => failure,
    }
}

/// What lies below a registry error, whose own words are the failure's message already.
#[derive(Debug)]
struct Cause(RegistryError);

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().map_or(Ok(()), |source| fmt::Display::fmt(source, formatter))
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source().and_then(Error::source)
    }
}

/// True where the peer was reached and its TLS was not acceptable: waiting does not help.
fn is_tls(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Unreachable { source, .. } if matches!(**source, HttpError::Tls { .. }))
}

/// Maps something that is no release set.
pub fn set_failure(error: SetError) -> Failure {
    Failure::new(Kind::BadInput, "a release set cannot be read").caused_by(error).hint(
        "only registry-push writes `set-` tags; whoever wrote this one can be found in the registry's log",
    )
}
