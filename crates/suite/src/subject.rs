//! Which release set a run is about, as settings say it.

use granary_oci::{Digest, Tag};
use granary_plugin::{Ci, Reader};
use granary_release::{Candidate, CommitId};

/// What a run is about, before anything was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// What this pipeline is about: what the steps before say, else its commit.
    Pipeline,
    /// A commit, by 7 to 40 digits.
    Commit(String),
    /// A candidate by version.
    Candidate(Candidate),
    /// By digest: of the release set, or of one of its members.
    Digest(Digest),
    /// By tag: of the release set, or of one of its members.
    Tag(Tag),
}

impl Subject {
    /// What was asked for, in the middle of a sentence; `pipeline` is the commit of the pipeline, where there
    /// is one.
    pub fn told(&self, pipeline: Option<&CommitId>) -> String {
        match (self, pipeline) {
            (Subject::Pipeline, Some(commit)) => format!("commit {commit}"),
            (Subject::Pipeline, None) => "this run".to_owned(),
            (Subject::Commit(commit), _) => format!("commit `{commit}`"),
            (Subject::Candidate(candidate), _) => format!("candidate {candidate}"),
            (Subject::Digest(digest), _) => digest.to_string(),
            (Subject::Tag(tag), _) => format!("tag `{tag}`"),
        }
    }

    /// Reads `candidate` and, where the plugin has it, `commit`.
    pub fn resolve(reader: &mut Reader<'_>, ci: &Ci, has_commit: bool) -> Option<Self> {
        let commit = if has_commit { reader.commit_like("commit") } else { None };
        let candidate = reader.version_like("candidate").map(|text| text.trim().to_owned());
        match (commit, candidate) {
            (Some(_), Some(_)) => {
                reader.reject("candidate", "`commit` is set as well", "one of the two");
                None
            }
            (Some(commit), None) => Some(Subject::Commit(commit)),
            (None, Some(text)) => match (text.parse(), text.parse(), text.parse()) {
                (Ok(candidate), _, _) => Some(Subject::Candidate(candidate)),
                (_, Ok(digest), _) => Some(Subject::Digest(digest)),
                (_, _, Ok(tag)) => Some(Subject::Tag(tag)),
                _ => {
                    reader.reject(
                        "candidate",
                        "no candidate, tag or digest",
                        "`X.Y.Z-rc.N`, a tag or `sha256:…`",
                    );
                    None
                }
            },
            (None, None) if ci.commit_sha.is_some() => Some(Subject::Pipeline),
            (None, None) => {
                reader.require::<()>(if has_commit { "commit" } else { "candidate" }, None);
                None
            }
        }
    }
}
