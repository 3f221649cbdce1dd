//! What has to be known before anything can be decided, asked for all at once.

use std::path::Path;

use futures_util::future::try_join;
use granary_oci::{Repository, Tag};
use granary_plugin::{Failure, Kind};
use granary_release::{FoundSet, TagKind, Version, VersionTags};
use granary_suite::{check_list, registry_failure};

use super::{Push, conflict, members};
use crate::members::{Loaded, elsewhere_failure};
use crate::plan::{Decision, Facts, Task, decide, needs_stables, of_branch};
use crate::settings::StableRepo;

/// What was found.
pub(super) struct Known {
    /// What `set-<40 hex>` of the commit says.
    pub published: Option<FoundSet>,
    /// The members; none, where the commit is left alone anyway.
    pub loaded: Vec<Loaded>,
    /// All tags of the lead's repository, where they were asked for; within, `None` where there is no such
    /// repository yet.
    pub lead_tags: Option<Option<Vec<Tag>>>,
    /// The stable versions of `stable_repo`.
    pub stables: Vec<Version>,
}

impl Push<'_> {
    /// Reads the sources, the commit's set and the tags at once. A rerun of what is published has asked
    /// for the tags in vain; everybody else is a round trip ahead.
    pub(super) async fn known(&self, scratch: &Path) -> Result<Known, Failure> {
        let published = self.records.of_commit(&self.commit);
        let mut known = Known { published: None, loaded: Vec::new(), lead_tags: None, stables: Vec::new() };
        match self.settings.task {
            Task::Next => {
                let both = async {
                    match self.loader.mounts() {
                        // One token is good for both repositories, once it is there.
                        true => Ok((published.await?, self.loader.load(scratch).await?)),
                        false => try_join(published, self.loader.load(scratch)).await,
                    }
                };
                let ((published, loaded), (lead, stables)) = try_join(both, self.lists()).await?;
                known = Known { published, loaded, lead_tags: Some(lead), stables };
            }
            Task::For(_) => {
                // If it is published, nothing else need be read.
                known.published = published.await?;
                if known.published.is_none() {
                    known.loaded = self.loader.load(scratch).await?;
                }
            }
            Task::Exactly(_) | Task::Skip(_) => {
                (known.published, known.loaded) = try_join(published, self.loader.load(scratch)).await?;
            }
        }
        Ok(known)
    }

    /// Both lists, whole: a failed listing is not an empty registry.
    async fn lists(&self) -> Result<(Option<Vec<Tag>>, Vec<Version>), Failure> {
        let lead = self.records.repository();
        let of_lead = async { self.registry.existing_tags(lead).await.map_err(registry_failure) };
        try_join(of_lead, self.production()).await
    }

    /// The stable versions of `stable_repo`. Promotion writes a version there first and then beside the
    /// candidate, so either of the two may be behind for a moment.
    async fn production(&self) -> Result<Vec<Version>, Failure> {
        let Some(StableRepo { host, repo }) = &self.settings.stable_repo else { return Ok(Vec::new()) };
        let place: Repository = repo
            .repository(&self.settings.sources[0].name)
            .map_err(|error| Failure::new(Kind::Settings, "`stable_repo` cannot be used").caused_by(error))?;
        let tags = if host != self.registry.host() {
            let production = self.elsewhere.registry(host)?;
            let tags = production.tags(&place).await;
            tags.map_err(|error| elsewhere_failure(error, self.registry.host()))?
        } else if place == *self.records.repository() {
            return Ok(Vec::new());
        } else {
            self.registry.tags(&place).await.map_err(registry_failure)?
        };
        Ok(VersionTags::read(&tags).stables)
    }

    /// Decides which candidate the bytes are.
    pub(super) async fn decision(
        &self,
        loaded: &[Loaded],
        published: Option<FoundSet>,
        lead_tags: Option<&Option<Vec<Tag>>>,
        mut stables: Vec<Version>,
    ) -> Result<Decision, Failure> {
        let members = members(loaded);
        let ci = &self.context.ci;
        let branch = ci.branch.clone().or_else(|| self.settings.branch.clone());
        let ours = self.ours(published.as_ref(), branch.as_deref()).await?;
        if let (true, Some(tags)) = (needs_stables(&self.settings.task, &members, ours.as_ref()), lead_tags) {
            let tags = tags.as_deref().unwrap_or_default();
            stables.extend(self.stables(tags, published.is_some()).await?);
        }
        let facts = Facts {
            commit: self.commit.clone(),
            branch,
            order: ci.order_number(),
            pipeline_url: ci.pipeline_url.clone(),
            now: self.context.now(),
            members,
            published,
            ours,
            stables,
        };
        decide(&self.settings.task, &self.settings.numbering, &facts).map_err(conflict)
    }

    /// The stable versions of the lead's repository. If the commit is published, the list has its set.
    async fn stables(&self, tags: &[Tag], is_published: bool) -> Result<Vec<Version>, Failure> {
        let tags = VersionTags::read(tags);
        let set = TagKind::CommitSet(&self.commit).tag();
        if !is_published || tags.has(&set) {
            return Ok(tags.stables);
        }
        // List and set were asked for at the same moment, and it may have been written just then.
        let tags = self.records.tags().await?;
        check_list(&tags, self.records.repository(), &set)?;
        Ok(tags.stables)
    }

    /// The set of this run's branch among those that the commit was published as. One request and no more,
    /// unless another branch has published the same commit since.
    async fn ours(
        &self,
        newest: Option<&FoundSet>,
        branch: Option<&str>,
    ) -> Result<Option<FoundSet>, Failure> {
        let Some(newest) = newest else { return Ok(None) };
        if let Some(found) = of_branch(std::slice::from_ref(newest), branch) {
            return Ok(Some(found.clone()));
        }
        let lineage = self.records.lineage(newest.clone()).await?;
        Ok(of_branch(&lineage, branch).cloned())
    }
}
