//! A promotion, from what is asked to what is written.
//!
//! The order of decisions is the order of DESIGN §4: already done, then branch, superseded and evidence,
//! and only then the first write. The order of writes is that of [`writes`].

use futures_util::future::{join_all, try_join_all};
use granary_oci::{Digest, RawManifest, TagOrDigest};
use granary_plugin::{Context, Failure, Kind, Outcome};
use granary_registry::Registry;
use granary_release::{FoundSet, TagKind, TestRun, Verdict, standing};
use granary_suite::{Records, registry_failure};

use crate::admission::Admission;
use crate::facts::{Asked, Lookup, Wait, accepted_line};
use crate::plan::{
    Carried, Choice, Conflict, Facts, Progress, Wanted, Write, check_same_bytes, choose, newest_beside,
    progress, writes,
};
use crate::refusal::{conflict, evidence_failure, not_admitted, nothing_published};
use crate::report;
use crate::settings::Settings;

/// A promotion under way.
pub struct Promotion<'a> {
    /// The run.
    pub context: &'a Context,
    /// What it was asked to do.
    pub settings: &'a Settings,
    /// Which version is asked for.
    pub wanted: Wanted,
    /// The keys whose evidence counts.
    pub keys: &'a [granary_attest::trust::TrustedKey],
    /// The registry.
    pub registry: &'a Registry,
    /// The sets in the lead's repository.
    pub records: &'a Records,
}

/// What a decision needs to know of the version that it is about.
struct Target {
    facts: Facts,
    choice: Choice,
    carried: Carried,
}

impl Promotion<'_> {
    /// Promotes.
    ///
    /// # Errors
    /// With the exit code of DESIGN §6; nothing is written unless everything is decided.
    pub async fn run(&self, asked: &Asked<'_>) -> Result<Outcome, Failure> {
        let mut wait = Wait::new(self.settings.wait_for_evidence);
        let target = loop {
            let target = self.target(asked, &mut wait).await?;
            report::subject(self.context, &self.settings.registry, &target.choice);
            let version = target.choice.version;
            match progress(&target.choice, &target.facts.tags, &target.carried).map_err(conflict)? {
                Progress::Complete => {
                    let candidate = target.choice.set.set.candidate;
                    self.context.output.info(format_args!("{candidate} is promoted already, as {version}"));
                    report::tags(self.context, &target.choice);
                    return Ok(Outcome::Unchanged);
                }
                Progress::Begun => {
                    self.context.output.info(format_args!(
                        "{version} was let in by an earlier run that did not finish; finishing it without judging again"
                    ));
                    break target;
                }
                Progress::Untouched => {}
            }
            if let Some(outcome) = self.admit(&target).await? {
                return Ok(outcome);
            }
            if let Some(runs) = self.evidence(&target.choice.set, &mut wait).await? {
                self.context.output.info(format_args!("evidence accepted: {}", accepted_line(&runs)));
                report::evidence(self.context, &runs);
                break target;
            }
        };
        // Where gates, the claim and its list are decided (DESIGN §9): after evidence, before any write.
        let steps = writes(&target.choice, &target.carried);
        if self.context.common.dry_run {
            report::plan(self.context, &target.choice, &steps);
            return Ok(Outcome::Planned);
        }
        self.write(&target.choice, steps).await?;
        report::tags(self.context, &target.choice);
        report::summary(self.context, &target.choice);
        Ok(Outcome::Done)
    }

    /// What is asked for, once it is published.
    async fn target(&self, asked: &Asked<'_>, wait: &mut Wait) -> Result<Target, Failure> {
        let facts = loop {
            match self.lookup().facts(asked, self.wanted).await? {
                Some(facts) => break facts,
                None if wait.again(self.context, "the commit to be published").await? => {}
                None => return Err(nothing_published(asked, self.records.repository())),
            }
        };
        let mut choice = choose(&facts, self.wanted).map_err(conflict)?;
        let known = facts.carried.get(&choice.version).filter(|_| choice.begun);
        let carried = match known {
            Some(carried) => carried.clone(),
            // The list may be older than the last promotion: what is about to be written is looked at itself.
            None => {
                let lookup = self.lookup();
                let (holder, carried) = tokio::try_join!(
                    lookup.holder(choice.version),
                    lookup.carried(choice.version, &choice.set)
                )?;
                choice.begun = match holder {
                    Some(holder) if holder.digest != choice.set.digest => {
                        let (version, holder) = (choice.version, holder.digest);
                        return Err(conflict(Conflict::Taken { version, holder }));
                    }
                    holder => holder.is_some(),
                };
                let tag = TagKind::Version(choice.version).tag();
                if facts.tags.has(&tag) && !carried.contains_key(self.records.repository()) {
                    return Err(self.lookup().listed_but_absent(&tag));
                }
                carried
            }
        };
        Ok(Target { facts, choice, carried })
    }

    fn lookup(&self) -> Lookup<'_> {
        let admission = &self.settings.admission;
        Lookup { context: self.context, registry: self.registry, records: self.records, admission }
    }

    /// Branch and order, in that order: the one needs no request. `Some` ends the run without an error.
    async fn admit(&self, target: &Target) -> Result<Option<Outcome>, Failure> {
        let Choice { version, set, .. } = &target.choice;
        let rules = &self.settings.admission;
        if let Some(refused) = rules.refuse_branch(&set.set) {
            return Err(not_admitted(set, refused));
        }
        let Some(newest) = newest_beside(*version, self.wanted, &target.facts.tags) else { return Ok(None) };
        let theirs = self.lookup().holder(newest).await?.and_then(|holder| holder.found);
        check_same_bytes(set, newest, theirs.as_ref()).map_err(conflict)?;
        let standing = standing(&set.set, Some((newest, theirs.as_ref().map(|found| &found.set))));
        match rules.admit(standing) {
            Admission::Go => Ok(None),
            Admission::GoAlthough(found) => {
                self.context.output.warn(format_args!("allow_older: promoting although {found}"));
                Ok(None)
            }
            Admission::Skip(found) => {
                self.context.output.info(format_args!("skipped, superseded: {found}"));
                Ok(Some(Outcome::Skipped))
            }
            refused => Err(not_admitted(set, refused)),
        }
    }

    /// The test runs that let a set in. `None` where they had to be waited for: by then everything that
    /// was read before is old, and others may have taken the version or overtaken the candidate.
    async fn evidence(&self, found: &FoundSet, wait: &mut Wait) -> Result<Option<Vec<TestRun>>, Failure> {
        let mut waited = false;
        loop {
            match self.lookup().evidence(found, self.keys, &self.settings.evidence).await? {
                Verdict::Accepted(_) if waited => return Ok(None),
                Verdict::Accepted(runs) => return Ok(Some(runs)),
                Verdict::Rejected(rejection) => return Err(evidence_failure(found, rejection)),
                Verdict::Missing(rejection) => {
                    waited = wait.again(self.context, "evidence").await?;
                    if !waited {
                        return Err(evidence_failure(found, rejection)
                            .hint("`log_level: debug` names the bundles that do not count, and why"));
                    }
                }
            }
        }
    }

    /// Writes the tags, step by step. Every manifest is in hand before the first tag is written. What was
    /// begun is seen through before a step fails, so that the log says what is there and what is not.
    async fn write(&self, choice: &Choice, steps: Vec<Vec<Write>>) -> Result<(), Failure> {
        let manifests = self.manifests(choice, &steps).await?;
        for (number, step) in steps.iter().enumerate() {
            self.context.stop.check()?;
            let ends = join_all(step.iter().map(|write| self.put(write, &manifests))).await;
            let failed = step.iter().zip(&ends).filter(|(_, end)| end.is_err()).map(|(write, _)| write);
            let left: Vec<String> =
                failed.chain(steps[number + 1..].iter().flatten()).map(report::place).collect();
            if let Some(failure) = ends.into_iter().find_map(Result::err) {
                return Err(failure
                    .hint(format!("not written: {}; run it again, it continues there", left.join(", "))));
            }
        }
        Ok(())
    }

    async fn put(
        &self,
        write: &Write,
        manifests: &[(granary_oci::Repository, RawManifest)],
    ) -> Result<(), Failure> {
        let started = std::time::Instant::now();
        let manifest = manifests
            .iter()
            .find_map(|(place, raw)| {
                (*place == write.repository && *raw.digest() == write.digest).then_some(raw)
            })
            .expect("invariant: manifests() fetched what the steps name");
        self.registry
            .put_manifest(&write.repository, &TagOrDigest::from(&write.tag), manifest)
            .await
            .map_err(registry_failure)?;
        let line = format!("{} → {}", report::place(write), write.digest);
        self.context.output.done_in(line, started.elapsed());
        Ok(())
    }

    /// The bytes of everything that will be tagged, by digest: what is promoted is what was tested.
    async fn manifests(
        &self,
        choice: &Choice,
        steps: &[Vec<Write>],
    ) -> Result<Vec<(granary_oci::Repository, RawManifest)>, Failure> {
        let mut needed: Vec<(&granary_oci::Repository, &Digest)> =
            steps.iter().flatten().map(|write| (&write.repository, &write.digest)).collect();
        needed.sort();
        needed.dedup();
        let fetch = needed.into_iter().map(|(place, digest)| async move {
            if *digest == choice.set.digest {
                return Ok((place.clone(), choice.set.manifest().clone()));
            }
            let found =
                self.registry.manifest(place, &TagOrDigest::from(digest)).await.map_err(registry_failure)?;
            let raw = found.ok_or_else(|| {
                Failure::new(
                    Kind::BadInput,
                    format!(
                        "{place}@{digest} is not there, although release set {} names it",
                        choice.set.digest
                    ),
                )
                .hint("the registry's garbage collection may have taken it; publish the commit anew")
            })?;
            Ok::<_, Failure>((place.clone(), raw))
        });
        try_join_all(fetch).await
    }
}
