//! A test run, from the candidate under test to the evidence on it.
//!
//! Tags are resolved before the tests and again after them: if they moved in between, there is no
//! telling what was tested, and no evidence is made.

mod commands;
mod shares;

use futures_util::future::try_join_all;
use granary_attest::bundle::sign_statement;
use granary_attest::key::SigningKey;
use granary_attest::test_result::TEST_RESULT;
use granary_oci::{Platform, TagOrDigest};
use granary_plugin::{Context, Failure, Kind};
use granary_redact::{Redactor, Secret};
use granary_registry::Registry;
use granary_release::{FoundSet, Member, TagKind};
use granary_suite::{Records, attach_bundle, registry_failure};
use jiff::Timestamp;

use crate::plan::{Circumstances, Ran, is_under_test, older_than, own_platform, ran, statement, times};
use crate::report;
use crate::results::{Decision, Outcome, Verdict, decide};
use crate::settings::{Mode, Settings};

/// A test run under way.
pub struct TestRun<'a> {
    /// The run.
    pub context: &'a Context,
    /// What it was asked to do.
    pub settings: &'a Settings,
    /// The registry.
    pub registry: &'a Registry,
    /// The sets in the lead's repository.
    pub records: &'a Records,
    /// What is under test.
    pub found: FoundSet,
    /// What signs the evidence.
    pub key: Option<SigningKey>,
}

/// What the tests said, and when they ran if this step ran them.
struct Tested {
    outcome: Outcome,
    measured: Option<(Timestamp, Timestamp)>,
    /// What is wrong although the results may look fine.
    problems: Vec<String>,
}

impl TestRun<'_> {
    /// Tests.
    ///
    /// # Errors
    /// With exit code 13 if the tests failed, and the others of DESIGN §6.
    pub async fn run(&self) -> Result<(), Failure> {
        let (ran, platforms) = {
            let (tags, parts) = (self.check_tags(Moment::Before), self.what_runs());
            tokio::try_join!(tags, parts)?.1
        };
        if self.context.common.dry_run {
            report::plan(self.context, self.settings, &self.found, self.words()?.as_deref());
            return Ok(());
        }
        let tested = match self.test().await {
            Ok(tested) => tested,
            Err(failure) => {
                self.attest_that_nothing_counts(&ran, platforms, &failure).await;
                return Err(failure);
            }
        };
        if let Some(named) = &tested.outcome.named_digest
            && !is_under_test(named, &self.found, &ran)
        {
            return Err(Failure::new(
                Kind::BadInput,
                format!("the results are about {named}, which is not under test"),
            )
            .hint(format!(
                "under test is set {}; remove results that an earlier run left",
                self.found.digest
            )));
        }
        let mut decision = decide(&tested.outcome, &self.settings.rules);
        tested.problems.iter().for_each(|problem| decision.object(problem));
        let took = tested.measured.map(|(started, finished)| finished.duration_since(started));
        report::tests(self.context, &tested.outcome, &decision, took.and_then(|took| took.try_into().ok()));
        self.context.stop.check()?;
        // In mode `report` the tests ran before the first look, which is the one after them already.
        if matches!(self.settings.mode, Mode::Run(_)) {
            self.check_tags(Moment::After).await?;
        }
        self.attest(&ran, platforms, &decision, &tested).await?;
        match decision.result {
            Verdict::Passed => Ok(()),
            Verdict::Failed => Err(report::failure(&decision)),
        }
    }

    async fn test(&self) -> Result<Tested, Failure> {
        match &self.settings.mode {
            Mode::Run(commands) => self.run_commands(commands).await,
            Mode::Report => self.report(),
        }
    }

    /// Reads what an earlier step's tests left. Results that are older than the candidate are about another.
    fn report(&self) -> Result<Tested, Failure> {
        let outcome = self.read_results()?;
        let created = self.found.set.created;
        if let Some(when) = older_than(created, outcome.finished, self.oldest_file(), self.context.now()) {
            let message =
                format!("the results are from {when}, before the candidate was published on {created}");
            return Err(Failure::new(Kind::Tests, message)
                .hint("results of an earlier run count for nothing; let the tests write them anew"));
        }
        Ok(Tested { outcome, measured: None, problems: Vec::new() })
    }

    /// Says under signature that the tests did not run to an end, where it is known: an earlier PASSED for
    /// the same bytes must not stand for a run that crashed. What stopped the run stays the news.
    async fn attest_that_nothing_counts(&self, ran: &[Ran], platforms: Vec<Platform>, failure: &Failure) {
        if self.key.is_none() || !matches!(failure.kind(), Kind::Tests | Kind::BadInput) {
            return;
        }
        let decision = Decision {
            result: Verdict::Failed,
            passed: Vec::new(),
            failed: Vec::new(),
            skipped: Vec::new(),
            problems: vec![failure.to_string()],
        };
        let nothing = Tested { outcome: Outcome::default(), measured: None, problems: Vec::new() };
        if let Err(unsigned) = self.attest(ran, platforms, &decision, &nothing).await {
            self.context.output.warn(format_args!("no evidence of this failure is attached: {unsigned}"));
        }
    }

    /// Every member's candidate tag must name what the set says.
    async fn check_tags(&self, moment: Moment) -> Result<(), Failure> {
        let tag = TagKind::Candidate(self.found.set.candidate).tag();
        let look = self.found.set.members.iter().map(|member| {
            let target = TagOrDigest::from(&tag);
            async move {
                let found = self.registry.head_manifest(&member.repository, &target).await;
                found.map(|found| (member, found)).map_err(registry_failure)
            }
        });
        for (member, found) in try_join_all(look).await? {
            let found = found.map(|descriptor| descriptor.digest);
            if found.as_ref() != Some(&member.digest) {
                let hint = match (&found, moment) {
                    (None, Moment::Before) => {
                        "run registry-push again: it finishes a candidate that it began"
                    }
                    _ => {
                        "candidates never move: find out who pushed to that tag, and publish the commit anew"
                    }
                };
                let there = found.map_or("not there".to_owned(), |digest| digest.to_string());
                let message =
                    format!("{}:{tag} is {there}, the set says {}", member.repository, member.digest);
                let refusal = match moment {
                    Moment::Before => "refusing to test a candidate whose tags do not fit",
                    Moment::After => "refusing to vouch for a candidate that changed while it was tested",
                };
                return Err(Failure::new(Kind::Conflict, format!("{refusal}: {message}"))
                    .hint(hint)
                    .refusing("candidate.tags", there, member.digest.to_string()));
            }
        }
        Ok(())
    }

    /// The manifests that run on the platforms in question, and those platforms; none where an index has
    /// nothing for this step's own: then the tests ran somewhere that nobody has named.
    async fn what_runs(&self) -> Result<(Vec<Ran>, Vec<Platform>), Failure> {
        let indexes = self
            .found
            .set
            .members
            .iter()
            .filter(|member| granary_oci::media_type::is_index(&member.media_type));
        let parts = indexes.map(|member| self.parts_of(member));
        let parts = try_join_all(parts).await?;
        let platforms = if parts.iter().all(Option::is_some) { self.platforms() } else { Vec::new() };
        Ok((parts.into_iter().flatten().flatten().collect(), platforms))
    }

    async fn parts_of(&self, member: &Member) -> Result<Option<Vec<Ran>>, Failure> {
        let target = TagOrDigest::from(&member.digest);
        let raw = self.registry.manifest(&member.repository, &target).await.map_err(registry_failure)?;
        let unusable = || {
            Failure::new(Kind::BadInput, format!("{}@{} cannot be read", member.repository, member.digest))
        };
        let raw = raw.ok_or_else(|| unusable().hint("it is not there; run registry-push again"))?;
        let manifest = raw.parse().map_err(|error| unusable().caused_by(error))?;
        match ran(&member.name, &member.digest, manifest, &self.platforms()) {
            Ok(parts) => Ok(Some(parts)),
            Err(error) if self.settings.platforms.is_empty() => {
                self.context.output.warn(format_args!(
                    "{error}, and `platforms` does not say which was tested: evidence will name none"
                ));
                Ok(None)
            }
            Err(error) => Err(Failure::new(Kind::Settings, "`platforms` cannot be what ran")
                .caused_by(error)
                .hint("name the platforms that the tests ran")),
        }
    }

    fn platforms(&self) -> Vec<Platform> {
        match self.settings.platforms.as_slice() {
            [] => vec![own_platform()],
            given => given.to_vec(),
        }
    }

    /// Signs what was decided, also that tests failed: promote's wait ends with it.
    async fn attest(
        &self,
        ran: &[Ran],
        platforms: Vec<Platform>,
        decision: &Decision,
        tested: &Tested,
    ) -> Result<(), Failure> {
        let Some(key) = &self.key else {
            self.context.output.info("no evidence: a step with `mode: report` and `signing_key` makes it");
            return Ok(());
        };
        let (started_on, finished_on) = times(&tested.outcome, tested.measured, self.context.now());
        let circumstances = Circumstances {
            environment: self.settings.test_environment.clone(),
            url: self.context.ci.pipeline_url.clone(),
            started_on,
            finished_on,
            platforms,
            key_exposed: matches!(self.settings.mode, Mode::Run(_)),
        };
        let unsigned = |error: Box<dyn std::error::Error + Send + Sync>| {
            Failure::new(Kind::Unexpected, "the evidence cannot be made").caused_by(error)
        };
        // Everybody can read evidence. A test may have a secret in its name: its parameters, mostly.
        let mut redactor = Redactor::new();
        if let Mode::Run(commands) = &self.settings.mode {
            commands.env.values().for_each(|value| redactor.add(&Secret::new(value.clone())));
        }
        let public = |names: &[String]| {
            names.iter().map(|name| redactor.clean(&self.context.output.redacted(name))).collect()
        };
        let decision = &Decision {
            passed: public(&decision.passed),
            failed: public(&decision.failed),
            ..decision.clone()
        };
        let statement =
            statement(&self.found, ran, decision, &circumstances).map_err(|error| unsigned(error.into()))?;
        let bundle = sign_statement(&statement, key).map_err(|error| unsigned(error.into()))?;
        let places = self.places();
        let attach = places.iter().map(|(repository, subjects)| {
            let now = self.context.now();
            attach_bundle(self.registry, repository, subjects, TEST_RESULT, bundle.clone(), now)
        });
        let attached = try_join_all(attach).await?.concat();
        let subjects = places.iter().flat_map(|(repository, subjects)| {
            subjects.iter().map(move |subject| format!("{repository}@{}", subject.digest))
        });
        let attached: Vec<_> = subjects.zip(attached).collect();
        report::evidence(self.context, decision, &attached, &key.public_key().hint());
        Ok(())
    }

    /// Where evidence goes: to the set and the lead, and with `attach: all` to every member.
    fn places(&self) -> Vec<(granary_oci::Repository, Vec<granary_oci::Descriptor>)> {
        let set = &self.found.set;
        let lead = set.lead();
        let set_descriptor = self.found.manifest().descriptor();
        let mut places = vec![(lead.repository.clone(), vec![set_descriptor, lead.descriptor()])];
        if self.settings.attach_to_all {
            let others = set.members.iter().filter(|member| member.repository != lead.repository);
            places.extend(others.map(|member| (member.repository.clone(), vec![member.descriptor()])));
        }
        places
    }
}

/// When the tags are looked at.
#[derive(Clone, Copy)]
enum Moment {
    Before,
    After,
}
