//! What a run says when the answer is no: message, hint, and the record for the result file.

use std::error::Error;

use granary_oci::{Repository, Tag};
use granary_plugin::{Failure, Kind, with_causes};
use granary_release::claim::{ClaimConflict, ClaimError};
use granary_release::{FoundSet, Rejection, Version};
use granary_suite::{PipelineCommit, Subject};

use crate::admission::NotAllowed;
use crate::facts::Clues;
use crate::plan::{Conflict, Lists};
use crate::verify::at;

/// A rejection as a failure with exit code 14.
pub fn evidence_failure(found: &FoundSet, rejection: Rejection) -> Failure {
    let message = format!("refusing to promote {}: {}", found.set.candidate, rejection.found);
    Failure::new(Kind::Evidence, message).hint(format!("needed: {}", rejection.needed)).refusing(
        rejection.rule,
        rejection.found,
        rejection.needed,
    )
}

/// A negative control that was not refused, exit code 16.
pub fn let_in(found: &FoundSet, why: String) -> Failure {
    let candidate = found.set.candidate;
    let message = format!(
        "the negative control passed: {candidate}, which must be refused, would become a version: {why}"
    );
    Failure::new(Kind::NegativeControl, message)
        .hint("promote nothing until it is clear why: `trusted_keys`, the rules of evidence, the tests themselves")
        .refusing("negative_control", why, "a refusal for its evidence or its branch")
}

/// A set that may not become a version, whatever its evidence says: exit code 10 or 15.
pub fn not_admitted(found: &FoundSet, refused: NotAllowed) -> Failure {
    let candidate = found.set.candidate;
    match refused {
        NotAllowed::WrongBranch { branch, allowed } => Failure::new(
            Kind::Refused,
            format!("refusing to promote {candidate}: it comes from branch `{branch}`"),
        )
        .hint(format!("`branches` allows {allowed}"))
        .refusing("branches", branch, allowed),
        NotAllowed::NoBranch { allowed } => Failure::new(
            Kind::Undecidable,
            format!("refusing to promote {candidate}: its set records no branch"),
        )
        .hint("it was published for a Git tag; `branches: \"*\"` allows commits of any branch")
        .refusing("branches", "no branch on record", allowed),
    }
}

/// A signature that nobody would look at any more, exit code 10.
pub fn hidden_signature(place: &str, tag: &Tag) -> Failure {
    let found = format!("{place} has {tag}, and Flux ignores that once a bundle is there");
    Failure::new(Kind::Refused, format!("refusing to promote: {found}"))
        .hint("sign with cosign 3, which writes bundles; `protect_sig: false` makes this a warning")
        .refusing("protect_sig", found, "no signature of cosign 2 beside a bundle")
}

const OLDER: &str = "`allow_older: true` promotes it all the same";
const NEWEST: &str = "a candidate newer than the newest stable version";

/// A newer candidate has a version or is about to, exit code 11.
pub fn superseded(set: &FoundSet, found: String) -> Failure {
    let message = format!("refusing to promote {}: {found}", set.set.candidate);
    Failure::new(Kind::Conflict, message).hint(OLDER).refusing("order", found, NEWEST)
}

/// There is no telling whether a candidate is the newest, exit code 15.
pub fn order_unknown(set: &FoundSet, found: String) -> Failure {
    let candidate = set.set.candidate;
    let message =
        format!("refusing to promote {candidate}: there is no telling whether it is the newest: {found}");
    Failure::new(Kind::Undecidable, message).hint(OLDER).refusing("order", found, NEWEST)
}

/// Why the version cannot be had, exit code 11.
pub fn claim_conflict(ours: &FoundSet, lists: &Lists, error: ClaimConflict) -> Failure {
    let free = "a version that nobody else has or claims";
    if let ClaimConflict::Numbering(source) = error {
        return conflict(Conflict::Numbering { candidate: ours.set.candidate, source });
    }
    let (needed, hint) = match &error {
        ClaimConflict::Numbering(_) | ClaimConflict::Crowded { .. } => {
            (free, "run it again when the others are through".to_owned())
        }
        ClaimConflict::Held { version, .. } => return taken(*version, error),
        // Not another run, but its end.
        ClaimConflict::OwnCommit { commit, version, set } if lists.shows(*version) => {
            let (commit, version) = (commit.clone(), *version);
            let (promoted, asked) = (set.clone(), ours.digest.clone());
            return conflict(Conflict::OtherBytes { commit, version, promoted, asked });
        }
        ClaimConflict::Claimed { version, until, .. } => (
            free,
            format!(
                "wait for that run; if it has died, its claim lapses at {}, and {version} is free then",
                at(*until)
            ),
        ),
        ClaimConflict::OwnCommit { version, .. } => (
            "one run for each commit",
            format!(
                "wait for the other run and run this one again; if it has died, its claim to {version} lapses an hour after it began"
            ),
        ),
        ClaimConflict::OutOfTime { .. } => (
            "30 minutes from the first claim to the last tag",
            "run it again: it claims the version anew and continues where this run stopped".to_owned(),
        ),
    };
    refused("claim", error, needed, hint)
}

/// A manifest under a claim's tag that is none, exit code 20: whose the version is cannot be said.
pub fn claim_failure(lead: &Repository, error: ClaimError) -> Failure {
    Failure::new(Kind::BadInput, format!("a claim in {lead} cannot be read"))
        .caused_by(error)
        .hint("only promote writes `claim-` tags; remove this one when no promotion runs, and look up in the registry's log who wrote it")
}

/// No set where one was asked for, exit code 14: it may only not be there yet.
pub fn nothing_published(clues: &Clues<'_>, lead: &Repository) -> Failure {
    let what = clues.subject.told(clues.pipeline.map(|pipeline| &pipeline.id));
    let message = format!("{lead} has nothing published for {what}");
    let failure = Failure::new(Kind::Evidence, message.clone())
        .refusing("evidence", message, "a release set written by registry-push")
        .hint("registry-push publishes a commit; `wait_for_evidence` waits for a pipeline that still does")
        .hint("if it is published elsewhere: `repo` and `lead` say in which repository the sets lie");
    match (clues.subject, clues.pipeline) {
        (Subject::Pipeline, Some(PipelineCommit { certain: false, .. })) => failure.hint(
            "on an annotated tag CI_COMMIT_SHA may name the tag object, and the workspace has no objects to tell: let the clone step run",
        ),
        _ => failure,
    }
}

/// A version that cannot be given, exit code 11.
pub fn conflict(error: Conflict) -> Failure {
    match &error {
        Conflict::OtherBytes { version, promoted, .. } => {
            let (needed, hint) =
                (promoted.to_string(), format!("{version} stays as it is; a change needs a new commit"));
            refused("version", error, &needed, hint)
        }
        Conflict::Taken { version, .. } => taken(*version, error),
        Conflict::Published { version, wanted, .. } => {
            let hint = format!(
                "{version} was written by somebody else; give another with `as_version`, or remove that tag"
            );
            let needed = wanted.to_string();
            refused("version", error, &needed, hint)
        }
        Conflict::Numbering { .. } => {
            let hint = "`on_taken: next` takes the next free version".to_owned();
            refused("version", error, "a version that is free", hint)
        }
    }
}

fn taken(version: Version, error: impl Error + Send + Sync + 'static) -> Failure {
    refused("version", error, "a version that is free", format!("choose another version than {version}"))
}

fn refused(rule: &str, error: impl Error + Send + Sync + 'static, needed: &str, hint: String) -> Failure {
    let found = with_causes(&error);
    Failure::new(Kind::Conflict, "refusing to promote")
        .caused_by(error)
        .hint(hint)
        .refusing(rule, found, needed)
}
