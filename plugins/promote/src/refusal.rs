//! What a run says when the answer is no: message, hint, and the record for the result file.

use granary_oci::Repository;
use granary_plugin::{Failure, Kind};
use granary_release::{FoundSet, Rejection};
use granary_suite::{PipelineCommit, Subject};

use crate::admission::Admission;
use crate::facts::Asked;
use crate::plan::Conflict;

/// A rejection as a failure with exit code 14.
pub fn evidence_failure(found: &FoundSet, rejection: Rejection) -> Failure {
    let message = format!("refusing to promote {}: {}", found.set.candidate, rejection.found);
    Failure::new(Kind::Evidence, message).hint(format!("needed: {}", rejection.needed)).refusing(
        rejection.rule,
        rejection.found,
        rejection.needed,
    )
}

/// A set that may not become a version, whatever its evidence says: exit code 10, 11 or 15.
pub fn not_admitted(found: &FoundSet, admission: Admission) -> Failure {
    let candidate = found.set.candidate;
    let older = "`allow_older: true` promotes it all the same";
    let newest = "a candidate newer than the newest stable version";
    match admission {
        Admission::WrongBranch { branch, allowed } => Failure::new(
            Kind::Refused,
            format!("refusing to promote {candidate}: it comes from branch `{branch}`"),
        )
        .hint(format!("`branches` allows {allowed}"))
        .refusing("branches", branch, allowed),
        Admission::NoBranch { allowed } => Failure::new(
            Kind::Undecidable,
            format!("refusing to promote {candidate}: its set records no branch"),
        )
        .hint("it was published for a Git tag; `branches: \"*\"` allows commits of any branch")
        .refusing("branches", "no branch on record", allowed),
        Admission::OrderUnknown(found) => {
            let message = format!(
                "refusing to promote {candidate}: there is no telling whether it is the newest: {found}"
            );
            Failure::new(Kind::Undecidable, message).hint(older).refusing("order", found, newest)
        }
        Admission::Superseded(found) | Admission::Skip(found) | Admission::GoAlthough(found) => {
            Failure::new(Kind::Conflict, format!("refusing to promote {candidate}: {found}"))
                .hint(older)
                .refusing("order", found, newest)
        }
        Admission::Go => unreachable!("a set that may go is not refused"),
    }
}

/// No set where one was asked for, exit code 14: it may only not be there yet.
pub fn nothing_published(asked: &Asked<'_>, lead: &Repository) -> Failure {
    let what = match (asked.subject, asked.pipeline) {
        (Subject::Pipeline, Some(pipeline)) => format!("commit {}", pipeline.id),
        (Subject::Pipeline, None) => "this run".to_owned(),
        (Subject::Commit(commit), _) => format!("commit `{commit}`"),
        (Subject::Candidate(candidate), _) => format!("candidate {candidate}"),
        (Subject::Digest(digest), _) => digest.to_string(),
        (Subject::Tag(tag), _) => format!("tag `{tag}`"),
    };
    let message = format!("{lead} has nothing published for {what}");
    let failure = Failure::new(Kind::Evidence, message.clone())
        .refusing("evidence", message, "a release set written by registry-push")
        .hint("registry-push publishes a commit; `wait_for_evidence` waits for a pipeline that still does");
    match (asked.subject, asked.pipeline) {
        (Subject::Pipeline, Some(PipelineCommit { certain: false, .. })) => failure.hint(
            "on an annotated tag CI_COMMIT_SHA may name the tag object, and the workspace has no objects to tell: let the clone step run",
        ),
        _ => failure,
    }
}

/// A version that cannot be given, exit code 11.
pub fn conflict(error: Conflict) -> Failure {
    let (needed, hint) = match &error {
        Conflict::OtherBytes { version, promoted, .. } => {
            (promoted.to_string(), format!("{version} stays as it is; a change needs a new commit"))
        }
        Conflict::Taken { version, .. } => {
            ("a version that is free".to_owned(), format!("choose another version than {version}"))
        }
        Conflict::Published { version, wanted, .. } => (
            wanted.to_string(),
            format!(
                "{version} was written by somebody else; give another with `as_version`, or remove that tag"
            ),
        ),
        Conflict::Numbering { .. } => {
            ("a version that is free".to_owned(), "`on_taken: next` takes the next free version".to_owned())
        }
    };
    let found = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    Failure::new(Kind::Conflict, "refusing to promote")
        .caused_by(error)
        .hint(hint)
        .refusing("version", found, needed)
}
