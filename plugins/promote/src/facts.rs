//! What has to be read from the registry before anything can be decided, as few requests as possible
//! and as many at once as the next question allows.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use granary_attest::trust::TrustedKey;
use granary_oci::{Digest, Repository, TagOrDigest};
use granary_plugin::output::seconds;
use granary_plugin::{Context, Failure, StepResult};
use granary_registry::Registry;
use granary_release::{EvidenceRules, FoundSet, TagKind, TestRun, Verdict, Version, VersionTags, judge};
use granary_suite::{PipelineCommit, Records, Subject, collect_test_runs, registry_failure};

use crate::plan::{Carried, Facts, Wanted, versions_to_look_up};

/// How often a wait asks again. A pipeline step takes seconds to minutes; asking more often would only
/// load the registry.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Where a promotion looks things up.
pub struct Lookup<'a> {
    /// The run.
    pub context: &'a Context,
    /// The registry.
    pub registry: &'a Registry,
    /// The sets in the lead's repository.
    pub records: &'a Records,
}

/// What the run is about, as far as settings, pipeline and the steps before tell.
pub struct Asked<'a> {
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
    pub async fn facts(&self, asked: &Asked<'_>, wanted: Wanted) -> Result<Option<Facts>, Failure> {
        let (tags, found) = tokio::try_join!(self.records.tags(), self.asked_set(asked))?;
        let Some((asked_set, named)) = found else { return Ok(None) };
        // As for the lead: one token for each repository that reads and writes.
        for member in &asked_set.set.members {
            self.registry.announce_writes(&member.repository, &[]);
        }
        let lineage = self.lineage(&asked_set, named).await?;
        let versions = versions_to_look_up(&lineage, &tags, wanted);
        let set_tags: Vec<_> = versions.iter().map(|&version| TagKind::VersionSet(version).tag()).collect();
        let digests = self.records.digests(&set_tags).await?;
        let version_sets = versions
            .into_iter()
            .zip(digests)
            .filter_map(|(version, digest)| Some((version, digest?)))
            .collect();
        let carried = std::collections::BTreeMap::new();
        let mut facts = Facts { asked: asked_set, named, lineage, tags, version_sets, carried };
        let own: Vec<_> = facts
            .version_sets
            .keys()
            .filter_map(|&version| Some((version, facts.own_set(version)?.clone())))
            .collect();
        let looks = own.iter().map(|(version, found)| self.carried(*version, found, &facts.tags));
        let carried = try_join_all(looks).await?;
        facts.carried = own.iter().map(|(version, _)| *version).zip(carried).collect();
        Ok(Some(facts))
    }

    /// The set that is asked for, and whether it was named rather than looked up by commit.
    async fn asked_set(&self, asked: &Asked<'_>) -> Result<Option<(FoundSet, bool)>, Failure> {
        let commit = asked.pipeline.map(|pipeline| &pipeline.id);
        if let Some(digest) = asked.previous.and_then(|previous| previous.set.as_ref()) {
            return self.records.named_by_step_before(digest, commit).await.map(|found| Some((found, true)));
        }
        let named = !matches!(asked.subject, Subject::Pipeline | Subject::Commit(_));
        Ok(self.records.select(asked.subject, commit).await?.map(|found| (found, named)))
    }

    /// Every set of the commit. A set that was named may be an older one, or one that was pushed and
    /// replaced while its tests ran.
    async fn lineage(&self, asked: &FoundSet, named: bool) -> Result<Vec<FoundSet>, Failure> {
        let newest = match named {
            true => self.records.of_commit(&asked.set.commit).await?,
            false => None,
        };
        let mut lineage = self.records.lineage(newest.unwrap_or_else(|| asked.clone())).await?;
        if !lineage.iter().any(|found| found.digest == asked.digest) {
            lineage.extend(self.records.lineage(asked.clone()).await?);
        }
        Ok(lineage)
    }

    /// What the members' tags of a version name, where there are any.
    ///
    /// # Errors
    /// If the registry fails.
    pub async fn carried(
        &self,
        version: Version,
        found: &FoundSet,
        tags: &VersionTags,
    ) -> Result<Carried, Failure> {
        let tag = TagKind::Version(version).tag();
        let target = TagOrDigest::from(&tag);
        let lead = self.records.repository();
        let members = found.set.members.iter();
        // The list has told already whether the lead has it.
        let looked_at =
            members.map(|member| &member.repository).filter(|place| *place != lead || tags.has(&tag));
        let look = |place: &Repository| {
            let (place, target) = (place.clone(), target.clone());
            async move {
                let found = self.registry.head_manifest(&place, &target).await?;
                Ok(found.map(|descriptor| (place, descriptor.digest)))
            }
        };
        let found: Vec<Option<(Repository, Digest)>> =
            try_join_all(looked_at.map(look)).await.map_err(registry_failure)?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The set that a version was made from; `None` where this suite did not publish it.
    ///
    /// # Errors
    /// If the registry fails.
    pub async fn set_of_version(&self, version: Version) -> Result<Option<FoundSet>, Failure> {
        self.records.set(&TagOrDigest::from(TagKind::VersionSet(version).tag())).await
    }

    /// What the evidence for a set says.
    ///
    /// # Errors
    /// If the registry fails.
    pub async fn evidence(
        &self,
        found: &FoundSet,
        keys: &[TrustedKey],
        rules: &EvidenceRules,
    ) -> Result<Verdict, Failure> {
        let collected =
            collect_test_runs(self.registry, self.records.repository(), &found.digest, keys).await?;
        for reason in &collected.ignored {
            self.context.output.debug(format_args!("evidence that does not count: {reason}"));
        }
        Ok(judge(&found.digest, &found.set, &collected.runs, rules, self.context.now()))
    }
}

/// A bounded wait for what another pipeline is still doing.
pub struct Wait {
    limit: Duration,
    until: Instant,
    told: bool,
}

impl Wait {
    /// A wait of at most `limit`, begun now.
    pub fn new(limit: Duration) -> Self {
        Wait { limit, until: Instant::now() + limit, told: false }
    }

    /// Waits until it is time to ask again; `false` once the wait is over.
    ///
    /// # Errors
    /// If the run is stopped.
    pub async fn again(&mut self, context: &Context, what: &str) -> Result<bool, Failure> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        if !self.told {
            context.output.info(format_args!("waiting for {what}, at most {}", seconds(self.limit)));
            self.told = true;
        }
        tokio::select! {
            stopped = context.stop.requested() => Err(stopped.into()),
            () = tokio::time::sleep(ASK_AGAIN.min(left)) => Ok(true),
        }
    }
}

/// What is said of the evidence that let a set in.
pub fn accepted_line(runs: &[TestRun]) -> String {
    let one = |run: &TestRun| {
        format!(
            "{} passed in `{}`, signed by `{}`, finished {}",
            run.passed,
            run.environment,
            run.key,
            run.finished_on.strftime("%Y-%m-%dT%H:%M:%SZ")
        )
    };
    runs.iter().map(one).collect::<Vec<_>>().join("; ")
}
