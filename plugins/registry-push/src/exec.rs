//! A push, from bytes on disk to a candidate that can be seen.
//!
//! The order is DESIGN §7's: content, a look at every member's candidate tag, the set, then the tags,
//! the lead's last. Killed before the set nothing can be seen; killed after it, the next run adopts it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use futures_util::future::try_join_all;
use granary_oci::{Digest, Repository, Tag, TagOrDigest};
use granary_plugin::{Context, Failure, Kind, Outcome};
use granary_registry::Registry;
use granary_release::{
    CommitId, FoundSet, Member, NumberingError, ReleaseSet, TagKind, Version, VersionTags,
};
use granary_suite::{Records, check_list, registry_failure};

use crate::members::{Loaded, Loader};
use crate::plan::{Conflict, Decision, Facts, decide, leaves_alone, needs_stables, of_branch, tags};
use crate::report;
use crate::settings::Settings;

/// A push under way.
pub struct Push<'a> {
    /// The run.
    pub context: &'a Context,
    /// What it was asked to do.
    pub settings: &'a Settings,
    /// The registry.
    pub registry: &'a Registry,
    /// The sets in the lead's repository.
    pub records: &'a Records,
    /// Where the bytes come from.
    pub loader: Loader<'a>,
    /// What was built.
    pub commit: CommitId,
    /// Further tags, from setting and file.
    pub extra_tags: Vec<Tag>,
}

/// The tags that a member has to get.
struct Writes<'a> {
    member: &'a Member,
    tags: Vec<Tag>,
}

impl Writes<'_> {
    fn line(&self) -> String {
        line(&self.member.repository, &self.tags, &self.member.digest)
    }
}

impl Push<'_> {
    /// Publishes.
    ///
    /// # Errors
    /// With the exit code of DESIGN §6.
    pub async fn run(&self, scratch: &Path) -> Result<Outcome, Failure> {
        // A Git tag changes nothing about a commit that is published, so nothing need be read for it.
        let published = self.records.of_commit(&self.commit).await?;
        if let Some(found) = published.as_ref().filter(|found| leaves_alone(&self.settings.task, Some(found)))
        {
            self.context.output.info(format_args!(
                "commit {} is published already, as {}",
                self.commit, found.set.candidate
            ));
            report::subject(self.context, &self.settings.registry, found);
            return Ok(Outcome::Unchanged);
        }
        let loaded = self.loader.load(scratch).await?;
        let (decision, is_first) = self.decide(&loaded, published).await?;
        let (found, is_new) = match decision {
            Decision::Adopt(found) => (found, false),
            Decision::Publish(set) => (FoundSet::new(set), true),
        };
        report::subject(self.context, &self.settings.registry, &found);
        let present = self.look(&found, is_new, is_first).await?;
        let writes = self.writes(&found.set, &present);
        let mut set_tags = Vec::new();
        if is_new {
            set_tags.push(TagKind::CommitSet(&self.commit).tag());
        }
        if present.candidate_set.is_none() {
            set_tags.push(TagKind::CandidateSet(found.set.candidate).tag());
        }
        if self.context.common.dry_run {
            let mut lines = Vec::new();
            if !set_tags.is_empty() {
                lines.push(line(self.records.repository(), &set_tags, &found.digest));
            }
            let changed = writes.iter().filter(|write| !write.tags.is_empty());
            lines.extend(changed.map(Writes::line));
            report::plan(self.context, &found, is_new, &lines);
            return Ok(Outcome::Planned);
        }
        self.push_content(&loaded, &present, is_first).await?;
        self.write_set(&found, &set_tags).await?;
        let changed = self.write_tags(&loaded, writes).await? || !set_tags.is_empty();
        report::tags(self.context, &tags(&found.set, &self.extra_tags));
        report::summary(self.context, &found.set);
        Ok(match changed {
            true => Outcome::Done,
            false => {
                self.context.output.info(format_args!("{} is published already", found.set.candidate));
                Outcome::Unchanged
            }
        })
    }

    /// Also says whether the lead's repository is known not to exist yet.
    async fn decide(
        &self,
        loaded: &[Loaded],
        published: Option<FoundSet>,
    ) -> Result<(Decision, bool), Failure> {
        let members: Vec<Member> = loaded.iter().map(|loaded| loaded.member.clone()).collect();
        let ci = &self.context.ci;
        let branch = ci.branch.clone().or_else(|| self.settings.branch.clone());
        let ours = self.ours(published.as_ref(), branch.as_deref()).await?;
        let needed = needs_stables(&self.settings.task, &members, ours.as_ref());
        let (stables, is_first) = match needed {
            true => self.stables(published.is_some()).await?,
            false => (Vec::new(), false),
        };
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
        let decision = decide(&self.settings.task, &self.settings.numbering, &facts).map_err(conflict)?;
        Ok((decision, is_first))
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

    /// Every stable version, from the whole list: a failed listing is not an empty registry. Also whether
    /// the registry says that there is no repository of the lead: then nothing need be looked for in it,
    /// which is a request for every blob.
    async fn stables(&self, is_published: bool) -> Result<(Vec<Version>, bool), Failure> {
        let place = match &self.settings.stable_repo {
            Some(template) => {
                let lead = &self.settings.sources[0].name;
                template.repository(lead).map_err(|error| {
                    Failure::new(Kind::Settings, "`stable_repo` cannot be used").caused_by(error)
                })?
            }
            None => self.records.repository().clone(),
        };
        let tags = self.registry.existing_tags(&place).await.map_err(registry_failure)?;
        let is_leads = place == *self.records.repository();
        let is_first = tags.is_none() && is_leads;
        let tags = VersionTags::read(&tags.unwrap_or_default());
        if is_leads && is_published {
            check_list(&tags, &place, &TagKind::CommitSet(&self.commit).tag())?;
        }
        Ok((tags.stables, is_first))
    }

    /// Looks at what is there before anything is written: the candidate in every member's repository
    /// (other bytes: 11), and for a set that is adopted all its other tags.
    async fn look(&self, found: &FoundSet, is_new: bool, is_first: bool) -> Result<Present, Failure> {
        let candidate = TagKind::Candidate(found.set.candidate).tag();
        let wanted = tags(&found.set, &self.extra_tags);
        // The readers' tags of a new set are written whatever they named before: no need to look.
        let looked_at = |tag: &&Tag| **tag == candidate || !is_new;
        let mut places: Vec<(&Repository, &Tag)> = Vec::new();
        for member in &found.set.members {
            places.extend(wanted.iter().filter(looked_at).map(|tag| (&member.repository, tag)));
        }
        let candidate_set = TagKind::CandidateSet(found.set.candidate).tag();
        places.push((&found.set.lead().repository, &candidate_set));
        places.retain(|(place, _)| !is_first || *place != self.records.repository());
        let look = places.iter().map(|(place, tag)| {
            let target = TagOrDigest::from(*tag);
            // What must not move is read, not only asked for by HEAD: a HEAD's 404 has no body, and may come
            // from anything in between.
            let must_stay = **tag == candidate || **tag == candidate_set;
            async move {
                match must_stay {
                    true => Ok(self.registry.manifest(place, &target).await?.map(|raw| raw.descriptor())),
                    false => self.registry.head_manifest(place, &target).await,
                }
            }
        });
        // At the price of one round trip: a listing may lag behind, and a candidate must not move.
        let digests: Vec<_> = try_join_all(look).await.map_err(registry_failure)?;
        let mut present = Present::default();
        for ((place, tag), digest) in places.into_iter().zip(digests) {
            let Some(digest) = digest.map(|descriptor| descriptor.digest) else { continue };
            let wanted = match *tag == candidate_set {
                true => Some(&found.digest),
                false => found
                    .set
                    .members
                    .iter()
                    .find(|member| member.repository == *place)
                    .map(|member| &member.digest),
            };
            let versioned = *tag == candidate || *tag == candidate_set;
            match wanted {
                Some(wanted) if versioned && digest != *wanted => {
                    let (repository, tag, wanted) = (place.clone(), tag.clone(), wanted.clone());
                    return Err(conflict(Conflict::Published { repository, tag, found: digest, wanted }));
                }
                _ if *tag == candidate_set => present.candidate_set = Some(digest),
                _ => {
                    present.tags.insert((place.clone(), tag.clone()), digest);
                }
            }
        }
        Ok(present)
    }

    fn writes<'a>(&self, set: &'a ReleaseSet, present: &Present) -> Vec<Writes<'a>> {
        let wanted = tags(set, &self.extra_tags);
        let candidate = TagKind::Candidate(set.candidate).tag();
        let found = |member: &Member, tag: &Tag| present.tags.get(&(member.repository.clone(), tag.clone()));
        let missing = |member: &Member, tag: &Tag| match found(member, tag) {
            None => true,
            Some(digest) if *digest == member.digest => false,
            // A member that was tagged before keeps its further tags where they are: a newer commit has
            // moved them on since, and a restart of this one must not take them back.
            Some(_) => !(self.extra_tags.contains(tag) && found(member, &candidate).is_some()),
        };
        set.members
            .iter()
            .map(|member| Writes {
                member,
                tags: wanted.iter().filter(|tag| missing(member, tag)).cloned().collect(),
            })
            .collect()
    }

    /// Brings the content of the members in that no tag leads to yet.
    async fn push_content(
        &self,
        loaded: &[Loaded],
        present: &Present,
        is_first: bool,
    ) -> Result<(), Failure> {
        self.context.stop.check()?;
        let tagged = |member: &Member| {
            present
                .tags
                .iter()
                .any(|((place, _), digest)| *place == member.repository && *digest == member.digest)
        };
        let missing = loaded.iter().filter(|loaded| !tagged(&loaded.member)).map(|loaded| {
            let is_empty = is_first && loaded.member.repository == *self.records.repository();
            loaded.push(self.context, self.registry, is_empty)
        });
        try_join_all(missing).await?;
        Ok(())
    }

    /// Writes the record: first where the commit is looked up, so that a run killed in between is adopted.
    async fn write_set(&self, found: &FoundSet, set_tags: &[Tag]) -> Result<(), Failure> {
        self.context.stop.check()?;
        if set_tags.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        self.records.write(found, set_tags).await?;
        let line = line(self.records.repository(), set_tags, &found.digest);
        self.context.output.done_in(line, started.elapsed());
        Ok(())
    }

    /// Tags every member, the lead last: who sees the lead's candidate sees all of it.
    async fn write_tags(&self, loaded: &[Loaded], writes: Vec<Writes<'_>>) -> Result<bool, Failure> {
        let changed = writes.iter().any(|write| !write.tags.is_empty());
        let (lead, others): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|write| write.member.repository == *self.records.repository());
        for step in [others, lead] {
            self.context.stop.check()?;
            try_join_all(step.iter().map(|write| self.tag_member(loaded, write))).await?;
        }
        Ok(changed)
    }

    async fn tag_member(&self, loaded: &[Loaded], write: &Writes<'_>) -> Result<(), Failure> {
        if write.tags.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let top = loaded
            .iter()
            .find(|loaded| loaded.member.name == write.member.name)
            .map(Loaded::top)
            .expect("invariant: the members of the set are those that were loaded");
        let place = &write.member.repository;
        self.registry.put_tags(place, top, &write.tags).await.map_err(registry_failure)?;
        self.context.output.done_in(write.line(), started.elapsed());
        Ok(())
    }
}

/// What was found when looking, before the first write.
#[derive(Default)]
struct Present {
    tags: BTreeMap<(Repository, Tag), Digest>,
    candidate_set: Option<Digest>,
}

fn line(place: &Repository, tags: &[Tag], digest: &Digest) -> String {
    let names = tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ");
    format!("{place}:{names} → {digest}")
}

/// What a refusal to publish is called in the result file.
const RULE: &str = "candidate.immutable";

fn conflict(error: Conflict) -> Failure {
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
