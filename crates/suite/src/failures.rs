//! From library errors to exit codes, once for all plugins.

use granary_plugin::{Failure, Kind};
use granary_registry::{Class, RegistryError};
use granary_release::SetError;

/// Maps a registry error to its exit code, with what can be done about it.
pub fn registry_failure(error: RegistryError) -> Failure {
    let what = error.operation().to_string();
    let (kind, hint) = match error.class() {
        Class::Unavailable => {
            (Kind::Unavailable, "run it again when the registry answers; nothing is half-written")
        }
        Class::Auth => {
            (Kind::Unauthorized, "check `username` and `password`, and what that user may do there")
        }
        Class::Refused => {
            (Kind::RemoteRefused, "the registry's own words above say which rule or quota it was")
        }
        Class::NotFound => {
            (Kind::BadInput, "check `registry` and `repo`; something that was there a moment ago is gone")
        }
        Class::Protocol => {
            (Kind::BadInput, "check `registry`: is it a registry, and is no proxy answering in its place?")
        }
        Class::Local => {
            (Kind::BadInput, "the source, the certificate or the file named above has to be mended")
        }
    };
    Failure::new(kind, format!("failed while {what}")).caused_by(error).hint(hint)
}

/// Maps something that is no release set.
pub fn set_failure(error: SetError) -> Failure {
    Failure::new(Kind::BadInput, "a release set cannot be read").caused_by(error).hint(
        "only registry-push writes `set-` tags; whoever wrote this one can be found in the registry's log",
    )
}
