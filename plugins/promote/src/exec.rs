//! A promotion, from what is asked to what is written.
//!
//! The order of decisions is the order of DESIGN §4: already done, then superseded, then evidence, and
//! only then the first write. The order of writes is [`writes`]'.

use futures_util::future::try_join_all;
use granary_oci::{Digest, RawManifest, TagOrDigest};
use granary_plugin::{Context, Failure, Kind, Outcome};
use granary_registry::Registry;
use granary_release::{FoundSet, Standing, TagKind, Verdict, standing};
use granary_suite::{PipelineCommit, Records, registry_failure};

use crate::facts::{Asked, Lookup, Wait, accepted_line, evidence_failure};
use crate::plan::{
    Choice, Conflict, Facts, Progress, Wanted, Write, choose, newest_beside, progress, writes,
};
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
    carried: std::collections::BTreeMap<granary_oci::Repository, Digest>,
}

impl Promotion<'_> {
    /// Promotes.
    ///
    /// # Errors
    /// With the exit code of DESIGN §6; nothing is written unless everything is decided.
    pub async fn run(&self, asked: &Asked<'_>) -> Result<Outcome, Failure> {
        let mut wait = Wait::new(self.settings.wait_for_evidence);
        let target = loop {
            if let Some(facts) = self.lookup().facts(asked, self.wanted).await? {
                break self.target(facts).await?;
            }
            if !wait.again(self.context, "the commit to be published").await? {
                return Err(nothing_published(asked));
            }
        };
        report::record(self.context, &self.settings.registry, &target.choice);
        self.check_branch(&target.choice.set)?;
        let state = progress(&target.choice, &target.facts.tags, &target.carried).map_err(conflict)?;
        match state {
            Progress::Complete => {
                let line = format!(
                    "{} is promoted already, as {}",
                    target.choice.set.set.candidate, target.choice.version
                );
                self.context.output.info(line);
                return Ok(Outcome::Unchanged);
            }
            Progress::Begun => self.context.output.info(format_args!(
                "{} was let in by an earlier run that did not finish; finishing it without judging again",
                target.choice.version
            )),
            Progress::Untouched => {
                if let Some(outcome) = self.superseded(&target).await? {
                    return Ok(outcome);
                }
                self.require_evidence(&target.choice.set, &mut wait).await?;
            }
        }
        // Where gates, the claim and its list are decided (DESIGN §9): after evidence, before any write.
        let steps = writes(&target.choice, &target.facts.tags, &target.carried);
        if self.context.common.dry_run {
            report::print_plan(self.context, &target.choice, &steps);
            return Ok(Outcome::Planned);
        }
        self.write(&target.choice, steps).await?;
        report::record_tags(self.context, &target.choice);
        Ok(Outcome::Done)
    }

    async fn target(&self, facts: Facts) -> Result<Target, Failure> {
        let choice = choose(&facts, self.wanted).map_err(conflict)?;
        let carried = self.lookup().carried(&choice, &facts.tags).await?;
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
        let allowed =
            self.settings.branches.iter().map(granary_suite::BranchPattern::as_str).collect::<Vec<_>>().join(", ");
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
        let message = match kind {
            Kind::Conflict => format!("refusing to promote {}: {found}", set.set.candidate),
            _ => format!(
                "refusing to promote {}: there is no telling whether it is newer than what is stable",
                set.set.candidate
            ),
        };
        Err(Failure::new(kind, message)
            .hint(format!("found: {found}"))
            .hint("`allow_older: true` promotes it all the same")
            .refusing("order", found, "a candidate newer than the newest stable version"))
    }

    async fn require_evidence(&self, found: &FoundSet, wait: &mut Wait) -> Result<(), Failure> {
        loop {
            let verdict = self.lookup().evidence(found, self.keys, &self.settings.evidence).await?;
            match verdict {
                Verdict::Accepted(runs) => {
                    self.context.output.info(format_args!("evidence accepted: {}", accepted_line(&runs)));
                    report::record_evidence(self.context, &runs);
                    return Ok(());
                }
                Verdict::Rejected(rejection) => return Err(evidence_failure(found, rejection)),
                Verdict::Missing(rejection) => {
                    if !wait.again(self.context, "evidence").await? {
                        return Err(evidence_failure(found, rejection)
                            .hint("`log_level: debug` names the bundles that do not count, and why"));
                    }
                }
            }
        }
    }

    /// Writes the tags, step by step. Every manifest is in hand before the first tag is written.
    async fn write(&self, choice: &Choice, steps: Vec<Vec<Write>>) -> Result<(), Failure> {
        let manifests = self.manifests(choice, &steps).await?;
        for step in steps {
            self.context.stop.check()?;
            let put = step.into_iter().map(|write| self.put(write, &manifests));
            try_join_all(put).await?;
        }
        Ok(())
    }

    async fn put(
        &self,
        write: Write,
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
        let line = format!("{}:{} → {}", write.repository, write.tag, write.digest);
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
            let found =
                self.registry.manifest(place, &TagOrDigest::from(digest)).await.map_err(registry_failure)?;
            let raw = found.ok_or_else(|| {
                Failure::new(
                    Kind::BadInput,
                    format!("{place}@{digest} is not there, although {} names it", choice.set.digest),
                )
                .hint("the registry's garbage collection may have taken it; publish the commit anew")
            })?;
            Ok::<_, Failure>((place.clone(), raw))
        });
        try_join_all(fetch).await
    }
}

fn nothing_published(asked: &Asked<'_>) -> Failure {
    let message = match asked.pipeline {
        Some(pipeline) => format!("nothing is published for commit {}", pipeline.id),
        None => "nothing is published under that name".to_owned(),
    };
    let failure = Failure::new(Kind::Evidence, message.clone())
        .refusing("evidence", message, "a release set written by registry-push")
        .hint("registry-push publishes a commit; `wait_for_evidence` waits for a pipeline that still does");
    match asked.pipeline {
        Some(PipelineCommit { certain: false, .. }) => failure.hint(
            "on an annotated tag CI_COMMIT_SHA may name the tag object, and the workspace has no objects to tell: let the clone step run",
        ),
        _ => failure,
    }
}

fn conflict(error: Conflict) -> Failure {
    let hint = match &error {
        Conflict::OtherBytes { version, .. } => {
            format!("{version} stays as it is; a change needs a new commit")
        }
        Conflict::Taken { version, .. } => format!("choose another version than {version}"),
        Conflict::Published { version, .. } => {
            format!("{version} was not written by this suite, or for another set; use another version")
        }
        Conflict::Numbering { .. } => "`on_taken: next` takes the next free version".to_owned(),
    };
    Failure::new(Kind::Conflict, "refusing to promote").caused_by(error).hint(hint)
}

/// The tag that tells readers what was promoted; exported for the report.
pub fn version_tags(choice: &Choice) -> [granary_oci::Tag; 2] {
    [TagKind::Version(choice.version).tag(), TagKind::Validated(&choice.set.set.commit).tag()]
}
