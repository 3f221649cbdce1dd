//! Release sets as they lie in the lead's repository.

use futures_util::future::try_join_all;
use granary_oci::{Digest, RawManifest, Repository, Tag, TagOrDigest};
use granary_plugin::{Failure, Kind};
use granary_registry::Registry;
use granary_release::{CommitId, FoundSet, TagKind, VersionTags};

use crate::failures::{registry_failure, set_failure};
use crate::subject::Subject;

/// How many sets of one commit are followed back. More rebuilds of one commit than that are a loop.
const MAX_LINEAGE: usize = 100;

/// The release sets in one repository.
#[derive(Clone)]
pub struct Records {
    registry: Registry,
    lead: Repository,
}

impl Records {
    /// The sets in the lead's repository.
    pub fn new(registry: Registry, lead: Repository) -> Self {
        Records { registry, lead }
    }

    /// The repository that they lie in.
    pub fn repository(&self) -> &Repository {
        &self.lead
    }

    /// Every tag of the repository, sorted out.
    ///
    /// # Errors
    /// If the list cannot be had whole.
    pub async fn tags(&self) -> Result<VersionTags, Failure> {
        let tags = self.registry.tags(&self.lead).await.map_err(registry_failure)?;
        Ok(VersionTags::read(&tags))
    }

    /// The set under a tag or digest; `None` where nothing is there.
    ///
    /// # Errors
    /// If the registry fails, or something else than a set is there.
    pub async fn set(&self, target: &TagOrDigest) -> Result<Option<FoundSet>, Failure> {
        let raw = self.registry.manifest(&self.lead, target).await.map_err(registry_failure)?;
        raw.map(|raw| FoundSet::read(raw).map_err(set_failure)).transpose()
    }

    /// The newest set of a commit.
    ///
    /// # Errors
    /// As [`Self::set`]; also if the set there is of another commit.
    pub async fn of_commit(&self, commit: &CommitId) -> Result<Option<FoundSet>, Failure> {
        let tag = TagKind::CommitSet(commit).tag();
        let found = self.set(&TagOrDigest::from(&tag)).await?;
        match found {
            Some(found) if found.set.commit != *commit => Err(self.wrong_commit(&tag, &found)),
            found => Ok(found),
        }
    }

    /// Writes a set under tags, one after the other. The content of the empty descriptor, which every
    /// such artifact names, is put there first.
    ///
    /// # Errors
    /// If the registry fails.
    pub async fn write(&self, found: &FoundSet, tags: &[Tag]) -> Result<(), Failure> {
        let write = async {
            self.registry.push_empty(&self.lead, false).await?;
            for tag in tags {
                self.registry.put_manifest(&self.lead, &TagOrDigest::from(tag), found.manifest()).await?;
            }
            Ok(())
        };
        write.await.map_err(registry_failure)
    }

    /// Every set of the commit of `newest`, newest first: a commit that is built again to other bytes
    /// gets a new set, which names the one it replaces.
    ///
    /// # Errors
    /// As [`Self::set`]; also if the chain is of several commits or does not end. A set that is gone
    /// ends the chain: retention may have taken it.
    pub async fn lineage(&self, newest: FoundSet) -> Result<Vec<FoundSet>, Failure> {
        let mut lineage = vec![newest];
        while let Some(earlier) = lineage.last().and_then(|found| found.set.replaces.clone()) {
            if lineage.len() == MAX_LINEAGE {
                let message = format!("more than {MAX_LINEAGE} sets of one commit replace each other");
                return Err(Failure::new(Kind::BadInput, message).hint("build the commit anew"));
            }
            let Some(found) = self.set(&TagOrDigest::from(&earlier)).await? else { break };
            if found.set.commit != lineage[0].set.commit {
                return Err(self.wrong_commit(&TagKind::CommitSet(&lineage[0].set.commit).tag(), &found));
            }
            lineage.push(found);
        }
        Ok(lineage)
    }

    /// What several tags name; `None` for each that is not there.
    ///
    /// # Errors
    /// If the registry fails.
    pub async fn digests(&self, tags: &[Tag]) -> Result<Vec<Option<Digest>>, Failure> {
        let look = |tag: &Tag| {
            let target = TagOrDigest::from(tag);
            async move { self.registry.head_manifest(&self.lead, &target).await }
        };
        let found = try_join_all(tags.iter().map(look)).await.map_err(registry_failure)?;
        Ok(found.into_iter().map(|found| found.map(|descriptor| descriptor.digest)).collect())
    }

    /// The set that a setting selects; `None` where nothing is published for it yet. `pipeline` is the
    /// commit of the pipeline, where there is one.
    ///
    /// # Errors
    /// If the selection is ambiguous, or names something that is no release set and belongs to none.
    pub async fn select(
        &self,
        subject: &Subject,
        pipeline: Option<&CommitId>,
    ) -> Result<Option<FoundSet>, Failure> {
        match subject {
            Subject::Pipeline => match pipeline {
                Some(commit) => self.of_commit(commit).await,
                None => Ok(None),
            },
            Subject::Commit(prefix) => match prefix.parse::<CommitId>() {
                Ok(commit) => self.of_commit(&commit).await,
                Err(_) => match self.commit_by_prefix(prefix).await? {
                    Some(commit) => self.of_commit(&commit).await,
                    None => Ok(None),
                },
            },
            Subject::Candidate(candidate) => {
                self.set(&TagOrDigest::from(TagKind::CandidateSet(*candidate).tag())).await
            }
            Subject::Digest(digest) => self.by_content(&TagOrDigest::from(digest), pipeline).await,
            Subject::Tag(tag) => self.by_content(&TagOrDigest::from(tag), pipeline).await,
        }
    }

    /// The set that the result file of a step before names, believed as far as the registry bears it out.
    ///
    /// # Errors
    /// With exit code 20, if it is not there or of another commit.
    pub async fn named_by_step_before(
        &self,
        digest: &str,
        commit: Option<&CommitId>,
    ) -> Result<FoundSet, Failure> {
        let unusable = |reason: String| {
            Failure::new(
                Kind::BadInput,
                format!("the result of the step before names set {digest}, {reason}"),
            )
            .hint("let registry-push run in this pipeline, with the same `registry` and `repo`")
        };
        let parsed: Digest = digest.parse().map_err(|_| unusable("which is no digest".to_owned()))?;
        let found = self.set(&TagOrDigest::from(&parsed)).await?;
        let found = found.ok_or_else(|| unusable(format!("which is not in {}", self.lead)))?;
        match commit {
            Some(commit) if found.set.commit != *commit => {
                Err(unusable(format!("which is of commit {}", found.set.commit)))
            }
            _ => Ok(found),
        }
    }

    async fn commit_by_prefix(&self, prefix: &str) -> Result<Option<CommitId>, Failure> {
        let tags = self.tags().await?;
        let matching: Vec<&CommitId> =
            tags.commits.iter().filter(|commit| commit.as_str().starts_with(prefix)).collect();
        match matching.as_slice() {
            [] => Ok(None),
            [commit] => Ok(Some((*commit).clone())),
            several => {
                let list = several.iter().map(|commit| commit.as_str()).collect::<Vec<_>>().join(", ");
                Err(Failure::new(Kind::Settings, format!("commit `{prefix}` is ambiguous: {list}"))
                    .hint("give more digits"))
            }
        }
    }

    /// A set by itself, or by a member that the pipeline's commit was published as.
    async fn by_content(
        &self,
        target: &TagOrDigest,
        pipeline: Option<&CommitId>,
    ) -> Result<Option<FoundSet>, Failure> {
        let Some(raw) = self.registry.manifest(&self.lead, target).await.map_err(registry_failure)? else {
            return Ok(None);
        };
        if is_set(&raw) {
            return FoundSet::read(raw).map(Some).map_err(set_failure);
        }
        let lineage = match pipeline {
            Some(commit) => match self.of_commit(commit).await? {
                Some(newest) => self.lineage(newest).await?,
                None => Vec::new(),
            },
            None => Vec::new(),
        };
        let names = |found: &FoundSet| found.set.members.iter().any(|member| member.digest == *raw.digest());
        lineage.into_iter().find(names).map(Some).ok_or_else(|| {
            Failure::new(
                Kind::Settings,
                format!("`candidate` {target} is not a release set, nor in one of this pipeline's commit"),
            )
            .hint("give the candidate's version, X.Y.Z-rc.N, or the digest of its release set")
        })
    }

    fn wrong_commit(&self, tag: &Tag, found: &FoundSet) -> Failure {
        let message = format!("{}:{tag} leads to a set of commit {}", self.lead, found.set.commit);
        Failure::new(Kind::BadInput, message)
            .hint("only registry-push writes `set-` tags; somebody else has moved this one")
    }
}

/// Checks a tag list against a tag that was read a moment ago: a list that lacks it is not the whole list,
/// and to number by it would be to publish below what is there (DESIGN §4.7).
///
/// # Errors
/// With exit code 12: it may be whole again later.
pub fn check_list(tags: &VersionTags, repository: &Repository, seen: &Tag) -> Result<(), Failure> {
    if tags.has(seen) {
        return Ok(());
    }
    let message = format!(
        "refusing to number by a tag list that is not whole: {repository} has {seen}, and the list lacks it"
    );
    Err(Failure::new(Kind::Unavailable, message)
        .hint("a cache or proxy in front of the registry may answer for it; run it again when it does not"))
}

fn is_set(raw: &RawManifest) -> bool {
    raw.parse()
        .is_ok_and(|manifest| manifest.artifact_type.as_deref() == Some(granary_release::SET_ARTIFACT_TYPE))
}
