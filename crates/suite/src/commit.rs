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

#[cfg(test)]
mod tests {
    use std::fs;

    use granary_plugin::Env;
    use granary_testkit::git::Repository;

    use super::*;

    fn ci(event: &str, sha: &str) -> Ci {
        let pairs = [("CI", "woodpecker"), ("CI_PIPELINE_EVENT", event), ("CI_COMMIT_SHA", sha)];
        Ci::read(&Env::from_pairs(pairs)).0
    }

    fn loose(repository: &Repository, id: &str) -> std::path::PathBuf {
        repository.path().join(".git/objects").join(&id[..2]).join(&id[2..])
    }

    #[test]
    fn a_tag_is_read_through_where_the_workspace_has_it() {
        let mut repository = Repository::new();
        let commit = repository.commit("README", "hello\n", "first");
        let tag = repository.annotated_tag("v1.2.3", "release");
        // Somebody moved HEAD: it has no say.
        repository.commit("README", "moved\n", "second");
        let elsewhere = tempfile::tempdir().unwrap();
        let (here, nowhere) = (repository.path(), elsewhere.path());
        let table = [
            ("push", &commit, here, &commit, true),
            ("push", &commit, nowhere, &commit, true),
            ("tag", &tag, here, &commit, true),
            ("release", &tag, here, &commit, true),
            ("tag", &commit, here, &commit, true),
            ("tag", &tag, nowhere, &tag, false),
            ("release", &commit, nowhere, &commit, false),
        ];
        for (event, sha, workspace, id, certain) in table {
            let found = pipeline_commit(&ci(event, sha), workspace).unwrap();
            let expected = PipelineCommit { id: id.parse().unwrap(), certain };
            assert_eq!(found, Some(expected), "{event} of {sha} in {}", workspace.display());
        }
        assert_eq!(pipeline_commit(&Ci::default(), here).unwrap(), None, "by hand");

        // A shallow clone that has not fetched the tag does not know either.
        fs::remove_file(loose(&repository, &tag)).unwrap();
        let found = pipeline_commit(&ci("tag", &tag), repository.path()).unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.certain), (tag.as_str(), false));
    }

    /// Not "uncertain": whoever put another object there wants another commit to be published.
    #[test]
    fn a_workspace_that_contradicts_itself_is_not_believed() {
        let mut repository = Repository::new();
        repository.commit("README", "hello\n", "first");
        let tag = repository.annotated_tag("v1.2.3", "release");
        let other = repository.commit("README", "other\n", "second");
        fs::remove_file(loose(&repository, &tag)).unwrap();
        fs::copy(loose(&repository, &other), loose(&repository, &tag)).unwrap();
        let failure = pipeline_commit(&ci("tag", &tag), repository.path()).unwrap_err();
        assert_eq!(failure.kind().code(), 20);
        assert_eq!(
            failure.render().lines().take(2).collect::<Vec<_>>(),
            [
                format!("error: cannot tell which commit {tag} is"),
                format!("  cause 1: object {tag} is corrupt: its content does not have that hash"),
            ]
        );
        assert!(pipeline_commit(&ci("push", &tag), repository.path()).unwrap().unwrap().certain);
    }
}
