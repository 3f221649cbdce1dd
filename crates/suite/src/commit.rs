//! Which commit a pipeline is about.

use std::path::Path;

use granary_git::{ObjectError, PeelError, StoreError, peel};
use granary_plugin::{Ci, Event, Failure, Kind};
use granary_release::CommitId;

/// The commit of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineCommit {
    /// Its id.
    pub id: CommitId,
    /// `false` where the id may be that of a tag object: on a Git tag, without the workspace's objects
    /// to look at. Nothing may be published under such an id; looking a release set up by it is
    /// harmless, since sets are only ever written under commits.
    pub certain: bool,
}

/// The commit of this pipeline, read through the tag object that Gitea names on annotated and signed
/// tags. `HEAD` is never asked: an earlier step could have moved it. `None` outside pipelines.
///
/// # Errors
/// With exit code 20, where the workspace's objects contradict themselves.
pub fn pipeline_commit(ci: &Ci, workspace: &Path) -> Result<Option<PipelineCommit>, Failure> {
    let Some(sha) = &ci.commit_sha else { return Ok(None) };
    let id: CommitId = sha.parse().map_err(|error: granary_release::ParseCommitError| {
        Failure::new(Kind::BadInput, "CI_COMMIT_SHA cannot be used").caused_by(error)
    })?;
    if !matches!(ci.event, Some(Event::Tag | Event::Release)) {
        return Ok(Some(PipelineCommit { id, certain: true }));
    }
    match peel(workspace, sha) {
        Ok(peeled) => {
            let id = peeled.commit.parse().map_err(|error: granary_release::ParseCommitError| {
                Failure::new(Kind::BadInput, "the Git tag's commit cannot be used").caused_by(error)
            })?;
            Ok(Some(PipelineCommit { id, certain: true }))
        }
        Err(
            PeelError::Store(StoreError::NoRepository { .. } | StoreError::Alternates { .. })
            | PeelError::Object(ObjectError::Missing { .. }),
        ) => Ok(Some(PipelineCommit { id, certain: false })),
        Err(error) => Err(Failure::new(Kind::BadInput, format!("cannot tell which commit {sha} is"))
            .caused_by(error)
            .hint("let the pipeline's own clone step run, and no step that changes .git after it")),
    }
}
