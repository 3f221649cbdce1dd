//! What it means that content could not be read or sent, and what can be done about it.

use granary_oci::RegistryHost;
use granary_plugin::{Failure, Kind};
use granary_registry::{Class, PlanError, RegistryError, TransferError};
use granary_suite::registry_failure;

use crate::source::SourceError;

/// Maps a failed push of content. Nothing has been tagged.
pub(super) fn transfer_failure(error: TransferError) -> Failure {
    match error {
        TransferError::Registry(error) if error.class() == Class::Local => {
            Failure::new(Kind::BadInput, "the source is not what it says")
                .caused_by(error)
                .hint("build it again; nothing was tagged")
        }
        TransferError::Registry(error) => registry_failure(error),
        TransferError::Plan(error @ PlanError::NestedIndex { .. }) => {
            Failure::new(Kind::BadInput, "refusing to publish what the registry does not take")
                .caused_by(error)
                .hint("build one index of all platforms, or choose another registry; nothing was sent")
        }
        TransferError::Plan(error) => plan_failure(error),
    }
}

/// What a failure of another registry means than `ours`, which the credentials among the settings are for.
pub fn elsewhere_failure(error: RegistryError, ours: &RegistryHost) -> Failure {
    match error.class() {
        Class::Auth => {
            Failure::new(Kind::Unauthorized, "refusing to publish").caused_by(error).hint(format!(
                "`username` and `password` are for {ours} alone: for other registries use an auth file (DOCKER_CONFIG)"
            ))
        }
        _ => registry_failure(error),
    }
}

fn plan_failure(error: PlanError) -> Failure {
    Failure::new(Kind::BadInput, "the source is not complete")
        .caused_by(error)
        .hint("build it again; nothing was sent")
}

/// Maps a source that cannot be read.
pub(super) fn source_failure(error: SourceError) -> Failure {
    let kind = if error.is_setting() { Kind::Settings } else { Kind::BadInput };
    let hint = match kind {
        Kind::Settings => "check `sources`: paths are relative to the step's folder",
        _ => "build it again; nothing was sent",
    };
    Failure::new(kind, "refusing to publish").caused_by(error).hint(hint)
}
