//! What has to be read from the registry before anything can be decided, as few requests as possible
//! and as many at once as the next question allows.

use std::collections::BTreeMap;

use futures_util::future::{OptionFuture, try_join_all};
use granary_attest::trust::TrustedKey;
use granary_oci::{Tag, TagOrDigest};
use granary_plugin::{Context, Failure, Kind, StepResult};
use granary_release::claim::Wanted;
use granary_release::{EvidenceRules, FoundSet, TagKind, TestRun, Verdict, Version, VersionTags, judge};
use granary_suite::{
    PipelineCommit, Records, Subject, check_list, collect_test_runs, registry_failure, target_failure,
};
use jiff::Timestamp;

use crate::admission::Rules;
use crate::places::{Carried, Place, Places, Side};
use crate::plan::{Facts, Holder, Lists, versions_to_look_up};
use crate::sites::Sites;
use crate::verify::at;

/// Where a promotion looks things up.
pub struct Lookup<'a> {
    /// The run.
    pub context: &'a Context,
    /// The registries.
    pub sites: &'a Sites,
    /// Who may be promoted.
    pub admission: &'a Rules,
}

/// What is there of one version.
#[derive(Clone, Debug)]
pub struct Look {
    /// What lies under its `set-<X.Y.Z>`.
    pub holder: Option<Holder>,
    /// What the members carry, on both sides.
    pub carried: Carried,
}

/// What the run is about, as far as settings, pipeline and the steps before tell.
pub struct Clues<'a> {
    /// What settings say.
    pub subject: &'a Subject,
    /// The pipeline's commit.
    pub pipeline: Option<&'a PipelineCommit>,
    /// What the step before says.
    pub previous: Option<&'a StepResult>,
}

impl Lookup<'_> {
    /// The facts about the set that is asked for, or `None` while nothing is published.
    ///
    /// # Errors
    /// If the registry fails or its records contradict each other.
    pub async fn facts(&self, clues: &Clues<'_>, wanted: Wanted) -> Result<Option<Facts>, Failure> {
        let (mut lists, found) = tokio::try_join!(self.lists(), self.asked_set(clues))?;
        let Some(Selected { mut found, named, newest }) = found else { return Ok(None) };
        if let Some(newest) = &newest {
            let commit_set = TagKind::CommitSet(&newest.set.commit).tag();
            // The set may have been written between the two answers.
            if !lists.tags.has(&commit_set) {
                lists = self.lists().await?;
            }
            check_list(&lists.tags, self.sites.lead(), &commit_set)?;
        }
        // As for the lead: one token for each repository that reads and writes.
        self.sites.announce(&self.sites.places(&found.set)?);
        let lineage = self.lineage(&found, newest).await?;
        if !named {
            // Somebody may have pushed the same commit to a branch of their own since.
            let admissible = |earlier: &&FoundSet| self.admission.refuse_branch(&earlier.set).is_none();
            found = lineage.iter().find(admissible).unwrap_or(&found).clone();
        }
        let versions = versions_to_look_up(&lineage, &lists.tags, wanted);
        let (version_sets, carried) = (BTreeMap::new(), BTreeMap::new());
        let mut facts = Facts { asked: found, named, lineage, lists, version_sets, carried };
        self.look_up(&mut facts, &versions).await?;
        let validated = TagKind::Validated(&facts.asked.set.commit).tag();
        if facts.promoted().is_none() && facts.lists.tags.has(&validated) {
            // The commit was promoted, or one that shares seven digits with it: retention may have taken what
            // would lead from its sets to its version.
            let unread = |version: &Version| !versions.contains(version);
            let rest: Vec<Version> = facts.lists.tags.sets.iter().copied().filter(unread).collect();
            self.look_up(&mut facts, &rest).await?;
        }
        Ok(Some(facts))
    }

    /// All tags of the lead's repositories.
    ///
    /// # Errors
    /// If one of the lists cannot be had whole.
    pub async fn lists(&self) -> Result<Lists, Failure> {
        let target = self.sites.target.as_ref().map(|target| async {
            let tags = target.registry.existing_tags(&target.lead).await.map_err(target_failure)?;
            Ok(tags.map(|tags| VersionTags::read(&tags)))
        });
        let target = async { OptionFuture::from(target).await.transpose() };
        let (tags, target) = tokio::try_join!(self.records().tags(), target)?;
        Ok(Lists { tags, target })
    }

    fn records(&self) -> &Records {
        &self.sites.records
    }

    /// Reads whose these versions are, and what the members carry of those that are this commit's.
    async fn look_up(&self, facts: &mut Facts, versions: &[Version]) -> Result<(), Failure> {
        let holders = try_join_all(versions.iter().map(|&version| self.holder(version))).await?;
        for (&version, holder) in versions.iter().zip(holders) {
            let set = TagKind::VersionSet(version).tag();
            let holder = holder.ok_or_else(|| self.listed_but_absent(Side::Candidate, &set))?;
            facts.version_sets.insert(version, holder);
        }
        let own = versions.iter().filter_map(|&version| Some((version, facts.own_set(version)?)));
        let looks = own.map(|(version, found)| async move {
            let places = self.sites.places(&found.set)?;
            self.carried(version, &places).await.map(|carried| (version, carried))
        });
        let carried: Vec<(Version, Carried)> = try_join_all(looks).await?;
        facts.carried.extend(carried);
        Ok(())
    }

    /// A tag that the list has and a read has not: one of the two answers is not the registry's, and nothing
    /// may be written by it.
    pub fn listed_but_absent(&self, side: Side, tag: &Tag) -> Failure {
        let repository = match (side, &self.sites.target) {
            (Side::Target, Some(target)) => target.lead.clone(),
            _ => self.sites.lead().clone(),
        };
        let lead = self.sites.name(&Place { side, repository });
        let message = format!(
            "refusing to promote by answers that contradict each other: {lead} lists {tag}, and says that it is not there"
        );
        Failure::new(Kind::Unavailable, message).hint(
            "a cache or proxy in front of the registry may answer for it; run it again when it does not",
        )
    }

    /// The set that is asked for.
    async fn asked_set(&self, clues: &Clues<'_>) -> Result<Option<Selected>, Failure> {
        let commit = clues.pipeline.map(|pipeline| &pipeline.id);
        if let (Some(digest), Some(commit)) =
            (clues.previous.and_then(|previous| previous.set.as_ref()), commit)
        {
            let newest = self.records().of_commit(commit).await?;
            let found = match &newest {
                Some(newest) if newest.digest.as_str() == digest => newest.clone(),
                _ => self.records().named_by_step_before(digest, Some(commit)).await?,
            };
            return Ok(Some(Selected { found, named: true, newest }));
        }
        let by_commit = matches!(clues.subject, Subject::Pipeline | Subject::Commit(_));
        let found = self.records().select(clues.subject, commit).await?;
        Ok(match found {
            Some(found) if by_commit => Some(Selected { newest: Some(found.clone()), found, named: false }),
            Some(found) => {
                let newest = self.records().of_commit(&found.set.commit).await?;
                Some(Selected { found, named: true, newest })
            }
            None => None,
        })
    }

    /// Every set of the commit, newest first. A set that was named may be an older one, or one that was
    /// pushed and replaced while its tests ran.
    async fn lineage(&self, asked: &FoundSet, newest: Option<FoundSet>) -> Result<Vec<FoundSet>, Failure> {
        let mut lineage = self.records().lineage(newest.unwrap_or_else(|| asked.clone())).await?;
        if !lineage.iter().any(|found| found.digest == asked.digest) {
            lineage.extend(self.records().lineage(asked.clone()).await?);
        }
        Ok(lineage)
    }

    /// What lies under `set-<X.Y.Z>`; something that is no release set holds the version all the same.
    ///
    /// # Errors
    /// If the registry fails.
    pub async fn holder(&self, version: Version) -> Result<Option<Holder>, Failure> {
        let target = TagOrDigest::from(TagKind::VersionSet(version).tag());
        let raw =
            self.sites.candidates.manifest(self.sites.lead(), &target).await.map_err(registry_failure)?;
        Ok(raw.map(|raw| Holder { digest: raw.digest().clone(), found: FoundSet::read(raw).ok() }))
    }

    /// What the members' tags of a version name, where there are any.
    ///
    /// # Errors
    /// If a registry fails.
    async fn carried(&self, version: Version, places: &Places) -> Result<Carried, Failure> {
        let target = TagOrDigest::from(TagKind::Version(version).tag());
        // Read, not only asked for by HEAD: a HEAD's 404 has no body, and may come from anything in between.
        let look = |place: Place| {
            let target = target.clone();
            async move {
                let found = self.sites.registry(place.side).manifest(&place.repository, &target).await;
                let found = found.map_err(place.side.failure())?;
                Ok::<_, Failure>(found.map(|raw| (place, raw.digest().clone())))
            }
        };
        let found = try_join_all(places.all().map(|(place, _)| look(place))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// What there is of a version: whose it is, and who carries it. `lists` may be older than that, but what
    /// they have must be there.
    ///
    /// # Errors
    /// If a registry fails, or its answers contradict each other.
    pub async fn look(&self, version: Version, places: &Places, lists: &Lists) -> Result<Look, Failure> {
        let look = self.peek(version, places).await?;
        self.check_listed(version, places, lists, &look)?;
        Ok(look)
    }

    /// The same without a list to compare it with.
    ///
    /// # Errors
    /// If a registry fails.
    pub async fn peek(&self, version: Version, places: &Places) -> Result<Look, Failure> {
        let (mut holder, carried) = tokio::try_join!(self.holder(version), self.carried(version, places))?;
        if holder.is_none() && !carried.is_empty() {
            // Another run may have published between the two answers; it says whose the version is first.
            holder = self.holder(version).await?;
        }
        Ok(Look { holder, carried })
    }

    /// Compares a look with lists from before it.
    ///
    /// # Errors
    /// If they have what was not there.
    pub fn check_listed(
        &self,
        version: Version,
        places: &Places,
        lists: &Lists,
        look: &Look,
    ) -> Result<(), Failure> {
        let set = TagKind::VersionSet(version).tag();
        if look.holder.is_none() && lists.tags.has(&set) {
            return Err(self.listed_but_absent(Side::Candidate, &set));
        }
        let tag = TagKind::Version(version).tag();
        for (side, tags) in [(Side::Candidate, Some(&lists.tags)), (Side::Target, lists.target_tags())] {
            let carries = places.lead().on(side).is_none_or(|place| look.carried.contains_key(&place));
            if !carries && tags.is_some_and(|tags| tags.has(&tag)) {
                return Err(self.listed_but_absent(side, &tag));
            }
        }
        Ok(())
    }

    /// What the evidence for a set says, and the time as of which it does.
    ///
    /// # Errors
    /// If the registry fails.
    pub async fn evidence(
        &self,
        found: &FoundSet,
        keys: &[TrustedKey],
        rules: &EvidenceRules,
    ) -> Result<(Verdict, Timestamp), Failure> {
        let collected =
            collect_test_runs(&self.sites.candidates, self.sites.lead(), &found.digest, keys).await?;
        for reason in &collected.ignored {
            self.context.output.debug(format_args!("evidence that does not count: {reason}"));
        }
        let now = self.context.now();
        Ok((judge(&found.digest, &found.set, &collected.runs, rules, now), now))
    }
}

/// The set that is asked for, and what is known about its commit.
struct Selected {
    found: FoundSet,
    /// Named by a setting or by the step before, not looked up by commit.
    named: bool,
    /// What `set-<40 hex>` points to.
    newest: Option<FoundSet>,
}

/// What is said of the evidence that let a set in.
pub fn accepted_line(runs: &[TestRun]) -> String {
    let one = |run: &TestRun| {
        let warned = match run.warned.as_slice() {
            [] => String::new(),
            warned => format!(" and {} with a warning ({})", warned.len(), warned.join(", ")),
        };
        let attempts = if run.attempts > 1 { format!(", attempt {}", run.attempts) } else { String::new() };
        let exposed = if run.key_exposed { " (the tests could read that key)" } else { "" };
        format!(
            "{} passed{warned} in `{}`{attempts}, signed by `{}`{exposed}, finished {}",
            run.passed.len(),
            run.environment,
            run.key,
            at(run.finished_on)
        )
    };
    runs.iter().map(one).collect::<Vec<_>>().join("; ")
}
