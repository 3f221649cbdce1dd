//! Why nothing can be published, as a failure with its exit code.

use granary_plugin::{Failure, Kind};
use granary_release::NumberingError;

use crate::plan::Conflict;

/// What a refusal to publish is called in the result file.
const RULE: &str = "candidate.immutable";

/// Maps a conflict to its exit code, with what can be done about it.
pub(super) fn conflict(error: Conflict) -> Failure {
    let failure = |kind| Failure::new(kind, "refusing to publish");
    match &error {
        Conflict::Numbering(NumberingError::NotAbove { highest, .. }) => {
            failure(Kind::Settings).hint(format!("set `base_version` above {highest}, or leave it out"))
        }
        Conflict::Numbering(_) => {
            failure(Kind::Conflict).hint("no version is left: somebody has published a number near 2^64")
        }
        Conflict::Published { found, wanted, .. } => failure(Kind::Conflict)
            .refusing(RULE, found.to_string(), wanted.to_string())
            .hint("a new pipeline gets a new number; by hand give another `rc_number`"),
    }
    .caused_by(error)
}
