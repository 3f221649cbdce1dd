//! What has to be read from the registry before anything can be decided, as few requests as possible
//! and as many at once as the next question allows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use granary_attest::trust::TrustedKey;
use granary_oci::{Digest, Repository, Tag, TagOrDigest};
use granary_plugin::output::seconds;
use granary_plugin::{Context, Failure, Kind, StepResult};
use granary_registry::Registry;
use granary_release::{EvidenceRules, FoundSet, TagKind, TestRun, Verdict, Version, judge};
use granary_suite::{PipelineCommit, Records, Subject, check_list, collect_test_runs, registry_failure};

use crate::admission::Rules;
use crate::plan::{Carried, Facts, Holder, Wanted, versions_to_look_up};

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
    /// Who may be promoted.
    pub admission: &'a Rules,
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
        let (mut tags, found) = tokio::try_join!(self.records.tags(), self.asked_set(asked))?;
        let Some(Selected { mut found, named, newest }) = found else { return Ok(None) };
        if let Some(newest) = &newest {
            let commit_set = TagKind::CommitSet(&newest.set.commit).tag();
            // The set may have been written between the two answers.
            if !tags.has(&commit_set) {
                tags = self.records.tags().await?;
            }
            check_list(&tags, self.records.repository(), &commit_set)?;
        }
        // As for the lead: one token for each repository that reads and writes.
        for member in &found.set.members {
            self.registry.announce_writes(&member.repository, &[]);
        }
        let lineage = self.lineage(&found, newest).await?;
        if !named {
            // Somebody may have pushed the same commit to a branch of their own since.
            let admissible = |earlier: &&FoundSet| self.admission.refuse_branch(&earlier.set).is_none();
            found = lineage.iter().find(admissible).unwrap_or(&found).clone();
        }
        let versions = versions_to_look_up(&lineage, &tags, wanted);
        let (version_sets, carried) = (BTreeMap::new(), BTreeMap::new());
        let mut facts = Facts { asked: found, named, lineage, tags, version_sets, carried };
        self.look_up(&mut facts, &versions).await?;
        if facts.promoted().is_none() && facts.tags.has(&TagKind::Validated(&facts.asked.set.commit).tag()) {
            // The commit was promoted, or one that shares seven digits with it: retention may have taken what
            // would lead from its sets to its version.
            let rest: Vec<Version> =
                facts.tags.sets.iter().copied().filter(|version| !versions.contains(version)).collect();
            self.look_up(&mut facts, &rest).await?;
        }
        Ok(Some(facts))
    }

    /// Reads whose these versions are, and what the members carry of those that are this commit's.
    async fn look_up(&self, facts: &mut Facts, versions: &[Version]) -> Result<(), Failure> {
        let holders = try_join_all(versions.iter().map(|&version| self.holder(version))).await?;
        for (&version, holder) in versions.iter().zip(holders) {
            let holder = holder.ok_or_else(|| self.listed_but_absent(&TagKind::VersionSet(version).tag()))?;
            facts.version_sets.insert(version, holder);
        }
        let own = versions.iter().filter_map(|&version| Some((version, facts.own_set(version)?)));
        let looks = own.map(|(version, found)| async move {
            self.carried(version, found).await.map(|carried| (version, carried))
        });
        let carried: Vec<(Version, Carried)> = try_join_all(looks).await?;
        facts.carried.extend(carried);
        Ok(())
    }

    /// A tag that the list has and a read has not: one of the two answers is not the registry's, and nothing
    /// may be written by it.
    pub fn listed_but_absent(&self, tag: &Tag) -> Failure {
        let lead = self.records.repository();
        let message = format!(
            "refusing to promote by answers that contradict each other: {lead} lists {tag}, and says that it is not there"
        );
        Failure::new(Kind::Unavailable, message).hint(
            "a cache or proxy in front of the registry may answer for it; run it again when it does not",
        )
    }

    /// The set that is asked for.
    async fn asked_set(&self, asked: &Asked<'_>) -> Result<Option<Selected>, Failure> {
        let commit = asked.pipeline.map(|pipeline| &pipeline.id);
        if let (Some(digest), Some(commit)) =
            (asked.previous.and_then(|previous| previous.set.as_ref()), commit)
        {
            let newest = self.records.of_commit(commit).await?;
            let found = match &newest {
                Some(newest) if newest.digest.as_str() == digest => newest.clone(),
                _ => self.records.named_by_step_before(digest, Some(commit)).await?,
            };
            return Ok(Some(Selected { found, named: true, newest }));
        }
        let by_commit = matches!(asked.subject, Subject::Pipeline | Subject::Commit(_));
        let found = self.records.select(asked.subject, commit).await?;
        Ok(match found {
            Some(found) if by_commit => Some(Selected { newest: Some(found.clone()), found, named: false }),
            Some(found) => {
                let newest = self.records.of_commit(&found.set.commit).await?;
                Some(Selected { found, named: true, newest })
            }
            None => None,
        })
    }

    /// Every set of the commit, newest first. A set that was named may be an older one, or one that was
    /// pushed and replaced while its tests ran.
    async fn lineage(&self, asked: &FoundSet, newest: Option<FoundSet>) -> Result<Vec<FoundSet>, Failure> {
        let mut lineage = self.records.lineage(newest.unwrap_or_else(|| asked.clone())).await?;
        if !lineage.iter().any(|found| found.digest == asked.digest) {
            lineage.extend(self.records.lineage(asked.clone()).await?);
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
            self.registry.manifest(self.records.repository(), &target).await.map_err(registry_failure)?;
        Ok(raw.map(|raw| Holder { digest: raw.digest().clone(), found: FoundSet::read(raw).ok() }))
    }

    /// What the members' tags of a version name, where there are any.
    ///
    /// # Errors
    /// If the registry fails.
    pub async fn carried(&self, version: Version, found: &FoundSet) -> Result<Carried, Failure> {
        let target = TagOrDigest::from(TagKind::Version(version).tag());
        // Read, not only asked for by HEAD: a HEAD's 404 has no body, and may come from anything in between.
        let look = |place: &Repository| {
            let (place, target) = (place.clone(), target.clone());
            async move {
                let found = self.registry.manifest(&place, &target).await?;
                Ok(found.map(|raw| (place, raw.digest().clone())))
            }
        };
        let members = found.set.members.iter().map(|member| &member.repository);
        let found: Vec<Option<(Repository, Digest)>> =
            try_join_all(members.map(look)).await.map_err(registry_failure)?;
        Ok(found.into_iter().flatten().collect())
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

/// The set that is asked for, and what is known about its commit.
struct Selected {
    found: FoundSet,
    /// Named by a setting or by the step before, not looked up by commit.
    named: bool,
    /// What `set-<40 hex>` points to.
    newest: Option<FoundSet>,
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
            run.passed.len(),
            run.environment,
            run.key,
            run.finished_on.strftime("%Y-%m-%dT%H:%M:%SZ")
        )
    };
    runs.iter().map(one).collect::<Vec<_>>().join("; ")
}
