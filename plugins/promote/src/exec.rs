//! A promotion, from what is asked to what is written.
//!
//! The order of decisions is the order of DESIGN §4: already done, then branch, superseded and evidence,
//! and only then the first write. The order of writes is that of [`writes`].

use futures_util::future::{join_all, try_join_all};
use granary_oci::{Digest, RawManifest, TagOrDigest};
use granary_plugin::{Context, Failure, Kind, Outcome};
use granary_registry::Registry;
use granary_release::{FoundSet, Standing, TagKind, TestRun, Verdict, standing};
use granary_suite::{Records, registry_failure};

use crate::facts::{Asked, Lookup, Wait, accepted_line};
use crate::plan::{Carried, Choice, Facts, Progress, Wanted, Write, choose, newest_beside, progress, writes};
use crate::refusal::{conflict, evidence_failure, nothing_published};
use crate::report;
use crate::settings::{OnSuperseded, Settings};

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
            report::record(self.context, &self.settings.registry, &target.choice);
            let version = target.choice.version;
            match progress(&target.choice, &target.facts.tags, &target.carried).map_err(conflict)? {
                Progress::Complete => {
                    let candidate = target.choice.set.set.candidate;
                    self.context.output.info(format_args!("{candidate} is promoted already, as {version}"));
                    report::record_tags(self.context, &target.choice);
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
            self.check_branch(&target.choice.set)?;
            if let Some(outcome) = self.superseded(&target).await? {
                return Ok(outcome);
            }
            if let Some(runs) = self.evidence(&target.choice.set, &mut wait).await? {
                self.context.output.info(format_args!("evidence accepted: {}", accepted_line(&runs)));
                report::record_evidence(self.context, &runs);
                break target;
            }
        };
        // Where gates, the claim and its list are decided (DESIGN §9): after evidence, before any write.
        let steps = writes(&target.choice, &target.carried);
        if self.context.common.dry_run {
            report::print_plan(self.context, &target.choice, &steps);
            return Ok(Outcome::Planned);
        }
        self.write(&target.choice, steps).await?;
        report::record_tags(self.context, &target.choice);
        report::print_summary(self.context, &target.choice);
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
        let choice = choose(&facts, self.wanted).map_err(conflict)?;
        let carried = match facts.carried.get(&choice.version).filter(|_| choice.begun) {
            Some(carried) => carried.clone(),
            None => self.lookup().carried(choice.version, &choice.set, &facts.tags).await?,
        };
        Ok(Target { facts, choice, carried })
    }

    fn lookup(&self) -> Lookup<'_> {
        Lookup { context: self.context, registry: self.registry, records: self.records }
    }

    /// Only commits of an allowed branch are promoted (DESIGN §4.12). Until forge and Git are asked, the
    /// branch is the one that the set records.
    fn check_branch(&self, found: &FoundSet) -> Result<(), Failure> {
        let branch = found.set.branch.as_deref();
        if self.settings.branches.iter().any(|pattern| pattern.matches(branch)) {
            return Ok(());
        }
        let allowed = self
            .settings
            .branches
            .iter()
            .map(granary_suite::BranchPattern::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        Err(match branch {
            Some(branch) => Failure::new(
                Kind::Refused,
                format!("refusing to promote {}: it comes from branch `{branch}`", found.set.candidate),
            )
            .hint(format!("`branches` allows {allowed}"))
            .refusing("branches", branch, allowed),
            None => Failure::new(
                Kind::Undecidable,
                format!("refusing to promote {}: its set records no branch", found.set.candidate),
            )
            .hint("it was published for a Git tag; `branches: \"*\"` allows commits of any branch")
            .refusing("branches", "no branch on record", allowed),
        })
    }

    /// Whether a newer candidate is stable already.
    async fn superseded(&self, target: &Target) -> Result<Option<Outcome>, Failure> {
        let Choice { version, set, .. } = &target.choice;
        let Some(newest) = newest_beside(*version, self.wanted, &target.facts.tags) else { return Ok(None) };
        let theirs = self.lookup().set_of_version(newest).await?;
        let standing = standing(&set.set, Some((newest, theirs.as_ref().map(|found| &found.set))));
        let (kind, found) = match standing {
            Standing::Newest => return Ok(None),
            Standing::Superseded { by, theirs, ours } => (
                Kind::Conflict,
                format!("{by} is newer: it was made from pipeline {theirs}, this candidate from {ours}"),
            ),
            Standing::Undecidable { reason } => (Kind::Undecidable, reason),
        };
        if self.settings.allow_older {
            self.context.output.warn(format_args!("allow_older: promoting although {found}"));
            return Ok(None);
        }
        if kind == Kind::Conflict && self.settings.on_superseded == OnSuperseded::Skip {
            self.context.output.info(format_args!("skipped, superseded: {found}"));
            return Ok(Some(Outcome::Skipped));
        }
        let candidate = set.set.candidate;
        let message = match kind {
            Kind::Conflict => format!("refusing to promote {candidate}: {found}"),
            _ => format!(
                "refusing to promote {candidate}: there is no telling whether it is the newest: {found}"
            ),
        };
        Err(Failure::new(kind, message).hint("`allow_older: true` promotes it all the same").refusing(
            "order",
            found,
            "a candidate newer than the newest stable version",
        ))
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
            // A set that this suite wrote is in hand already, byte for byte.
            let set = choice.set.set.to_manifest();
            if set.digest() == digest {
                return Ok((place.clone(), set));
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

/// The tags that every member has in the end; exported for the report.
pub fn version_tags(choice: &Choice) -> [granary_oci::Tag; 2] {
    [TagKind::Version(choice.version).tag(), TagKind::Validated(&choice.set.set.commit).tag()]
}
