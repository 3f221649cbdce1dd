//! A test run, from the candidate under test to the evidence on it.
//!
//! Tags are resolved before the tests and again after them: if they moved in between, there is no
//! telling what was tested, and no evidence is made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_util::future::try_join_all;
use granary_attest::bundle::sign_statement;
use granary_attest::key::SigningKey;
use granary_oci::TagOrDigest;
use granary_plugin::{Context, Failure, Kind};
use granary_redact::{Redactor, Secret};
use granary_registry::Registry;
use granary_release::{FoundSet, Member, TagKind};
use granary_suite::{Records, attach_bundle, registry_failure};
use jiff::Timestamp;

use crate::plan::{Circumstances, Ran, is_under_test, own_platform, ran, statement, times};
use crate::report;
use crate::results::{self, Decision, Outcome, ReadError, Verdict, decide};
use crate::runner::{Command, End, Runs, child_env, run_with_teardown};
use crate::settings::{Commands, Mode, Results, Settings};
use crate::template::{self, Template, Values};

/// Between SIGTERM and SIGKILL, when the tests ran out of time.
const GRACE: Duration = Duration::from_secs(10);
/// How long a teardown may take.
const TEARDOWN_LIMIT: Duration = Duration::from_secs(5 * 60);
/// What of the step's time is kept for teardown and evidence.
const KEPT_BACK: Duration = Duration::from_secs(30);
/// Name of the only test where the exit code is the result.
const EXIT_CODE_TEST: &str = "command";

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
        self.check_tags().await?;
        let ran = self.what_runs().await?;
        if self.context.common.dry_run {
            report::print_plan(self.context, self.settings, &self.found, self.words()?.as_deref());
            return Ok(());
        }
        let tested = match &self.settings.mode {
            Mode::Run(commands) => self.run_commands(commands).await?,
            Mode::Report => Tested { outcome: self.read_results()?, measured: None, problems: Vec::new() },
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
        report::tests(self.context, &tested.outcome, &decision);
        self.context.stop.check()?;
        self.check_tags().await?;
        self.attest(&ran, &decision, &tested).await?;
        match decision.result {
            Verdict::Passed => Ok(()),
            Verdict::Failed => Err(report::failure(&decision)),
        }
    }

    /// Every member's candidate tag must name what the set says.
    async fn check_tags(&self) -> Result<(), Failure> {
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
                let there = found.map_or("nothing".to_owned(), |digest| digest.to_string());
                let message = format!("{}:{tag} is {there}, not {}", member.repository, member.digest);
                return Err(Failure::new(
                    Kind::Conflict,
                    format!("refusing to vouch for a candidate whose tags do not fit: {message}"),
                )
                .hint("run registry-push again: it finishes a candidate that it began")
                .refusing("candidate.tags", there, member.digest.to_string()));
            }
        }
        Ok(())
    }

    /// The manifests that run on the platforms in question.
    async fn what_runs(&self) -> Result<Vec<Ran>, Failure> {
        let indexes = self
            .found
            .set
            .members
            .iter()
            .filter(|member| granary_oci::media_type::is_index(&member.media_type));
        let parts = indexes.map(|member| self.parts_of(member));
        Ok(try_join_all(parts).await?.concat())
    }

    async fn parts_of(&self, member: &Member) -> Result<Vec<Ran>, Failure> {
        let target = TagOrDigest::from(&member.digest);
        let raw = self.registry.manifest(&member.repository, &target).await.map_err(registry_failure)?;
        let unusable = || {
            Failure::new(Kind::BadInput, format!("{}@{} cannot be read", member.repository, member.digest))
        };
        let raw = raw.ok_or_else(|| unusable().hint("it is not there; run registry-push again"))?;
        let manifest = raw.parse().map_err(|error| unusable().caused_by(error))?;
        match ran(&member.name, &member.digest, &manifest, &self.platforms()) {
            Ok(parts) => Ok(parts),
            Err(error) if self.settings.platforms.is_empty() => {
                self.context
                    .output
                    .warn(format_args!("evidence names no platform of `{}`: {error}", member.name));
                Ok(Vec::new())
            }
            Err(error) => {
                Err(Failure::new(Kind::Settings, "`platforms` cannot be what ran").caused_by(error))
            }
        }
    }

    fn platforms(&self) -> Vec<granary_oci::Platform> {
        match self.settings.platforms.as_slice() {
            [] => vec![own_platform()],
            given => given.to_vec(),
        }
    }

    async fn run_commands(&self, commands: &Commands) -> Result<Tested, Failure> {
        let command = self.command(commands, &commands.command, self.time_for_tests())?;
        let teardown = commands.teardown.as_ref();
        let teardown =
            teardown.map(|template| self.command(commands, template, TEARDOWN_LIMIT)).transpose()?;
        let before = self.fingerprints();
        let mut redactor = Redactor::new();
        commands.env.values().for_each(|value| redactor.add(&Secret::new(value.clone())));
        let output = &self.context.output;
        output.info(format_args!("running {}", command.argv.join(" ")));
        let stop = async {
            self.context.stop.requested().await;
        };
        let mut print = |_, line: &str| output.child_line(line);
        let runs = run_with_teardown(&command, teardown.as_ref(), &redactor, &mut print, stop).await;
        if let Some(failed) = runs.teardown_failure() {
            output.warn(failed);
        }
        self.context.stop.check()?;
        self.tested(&runs, &before)
    }

    /// What a run and the files it left say together: the exit code alone proves nothing, and neither do
    /// files beside an exit code that contradicts them.
    fn tested(&self, runs: &Runs, before: &BTreeMap<PathBuf, Fingerprint>) -> Result<Tested, Failure> {
        let run = &runs.command;
        let measured = Some((run.started, run.finished));
        let not_run = |message: String| Failure::new(Kind::Tests, message);
        let code = match &run.end {
            End::Exited(code) => *code,
            End::CouldNotStart(reason) => {
                return Err(
                    not_run(format!("the test command could not be started: {reason}")).hint(reason.hint())
                );
            }
            ended => {
                return Err(not_run(format!("the test command {ended}"))
                    .hint("`timeout` is the time for the whole step"));
            }
        };
        if self.settings.results == Results::ExitCode {
            let outcome = Outcome::of_exit_code(EXIT_CODE_TEST, code, run.started, run.finished);
            return Ok(Tested { outcome, measured, problems: Vec::new() });
        }
        if let Some(stale) = self.fingerprints().iter().find(|(file, now)| before.get(*file) == Some(*now)) {
            return Err(not_run(format!("the tests left {} as it was before they ran", stale.0.display()))
                .hint("results of an earlier run count for nothing; let the tests write them anew"));
        }
        let outcome = self.read_results().map_err(|failure| match code {
            0 => failure,
            code => failure.hint(format!("the test command ended with exit code {code}")),
        })?;
        let mut problems = Vec::new();
        if code != 0 {
            problems.push(format!("the test command ended with exit code {code}"));
        }
        if run.survivors > 0 {
            problems.push(format!("{} processes that the tests started could not be ended", run.survivors));
        }
        Ok(Tested { outcome, measured, problems })
    }

    fn read_results(&self) -> Result<Outcome, Failure> {
        let Results::Files { patterns, format } = &self.settings.results else {
            return Ok(Outcome::default());
        };
        results::read(patterns, Path::new("."), *format).map_err(|error: ReadError| {
            Failure::new(error.kind(), "there are no usable test results")
                .caused_by(error)
                .hint("`results` names the files that the tests write, relative to the step's folder")
        })
    }

    /// Size and time of the files that `results` names now. Files that cannot be looked at are left to
    /// the reading.
    fn fingerprints(&self) -> BTreeMap<PathBuf, Fingerprint> {
        let Results::Files { patterns, .. } = &self.settings.results else { return BTreeMap::new() };
        let find = |pattern| results::find(std::slice::from_ref(pattern), Path::new(".")).ok();
        let files = patterns.iter().filter_map(find).flatten();
        let fingerprint = |file: PathBuf| {
            let metadata = std::fs::metadata(&file).ok()?;
            Some((file, (metadata.len(), metadata.modified().ok()?)))
        };
        files.filter_map(fingerprint).collect()
    }

    /// The time for the tests: the step's, but for what comes after them.
    fn time_for_tests(&self) -> Duration {
        self.context.remaining().saturating_sub(KEPT_BACK).max(Duration::from_secs(1))
    }

    fn command(
        &self,
        commands: &Commands,
        template: &Template,
        time_limit: Duration,
    ) -> Result<Command, Failure> {
        let argv = self.expand(template)?;
        let env = child_env(&self.context.env, &commands.pass_env, &commands.env)
            .map_err(|error| Failure::new(Kind::Settings, "`env` cannot be used").caused_by(error))?;
        Ok(Command { argv, cwd: PathBuf::from("."), env, time_limit: Some(time_limit), grace: GRACE })
    }

    fn words(&self) -> Result<Option<Vec<String>>, Failure> {
        match &self.settings.mode {
            Mode::Run(commands) => self.expand(&commands.command).map(Some),
            Mode::Report => Ok(None),
        }
    }

    fn expand(&self, template: &Template) -> Result<Vec<String>, Failure> {
        let set = &self.found.set;
        let member = |member: &Member| template::Member {
            name: member.name.clone(),
            repository: format!("{}/{}", self.settings.registry.host, member.repository),
            digest: member.digest.to_string(),
        };
        let values = Values {
            members: set.members.iter().map(member).collect(),
            lead: set.lead().name.clone(),
            tag: set.candidate.to_string(),
            version: set.candidate.base.to_string(),
            candidate: set.candidate.to_string(),
            results: self.settings.results.single_file().map(str::to_owned),
        };
        template.expand(&values).map_err(|error| {
            Failure::new(Kind::Settings, "`command` or `teardown` cannot be filled in").caused_by(error)
        })
    }

    /// Signs what was decided, also that tests failed: promote's wait ends with it.
    async fn attest(&self, ran: &[Ran], decision: &Decision, tested: &Tested) -> Result<(), Failure> {
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
            platforms: self.platforms(),
            key_exposed: matches!(self.settings.mode, Mode::Run(_)),
        };
        let unsigned = |error: Box<dyn std::error::Error + Send + Sync>| {
            Failure::new(Kind::Unexpected, "the evidence cannot be made").caused_by(error)
        };
        let statement =
            statement(&self.found, ran, decision, &circumstances).map_err(|error| unsigned(error.into()))?;
        let bundle = sign_statement(&statement, key).map_err(|error| unsigned(error.into()))?;
        let places = self.places();
        let attach = places.iter().map(|(repository, subjects)| {
            attach_bundle(self.registry, repository, subjects, bundle.clone(), self.context.now())
        });
        let attached = try_join_all(attach).await?.concat();
        report::evidence(self.context, decision, &attached, &key.public_key().hint());
        Ok(())
    }

    /// Where evidence goes: to the set and the lead, and with `attach: all` to every member.
    fn places(&self) -> Vec<(granary_oci::Repository, Vec<granary_oci::Descriptor>)> {
        let set = &self.found.set;
        let lead = set.lead();
        let set_descriptor = set.to_manifest().descriptor();
        let mut places = vec![(lead.repository.clone(), vec![set_descriptor, lead.descriptor()])];
        if self.settings.attach_to_all {
            let others = set.members.iter().filter(|member| member.repository != lead.repository);
            places.extend(others.map(|member| (member.repository.clone(), vec![member.descriptor()])));
        }
        places
    }
}

/// Size and time of a file.
type Fingerprint = (u64, SystemTime);
