//! Evidence: what was decided, signed, attached to what was tested.

use futures_util::future::try_join_all;
use granary_attest::bundle::sign_statement;
use granary_attest::test_result::TEST_RESULT;
use granary_oci::Platform;
use granary_plugin::{Failure, Kind};
use granary_redact::{Redactor, Secret};
use granary_suite::attach_bundle;

use super::{Judged, TestRun, Unjudged};
use crate::plan::{Circumstances, Ran, statement, times};
use crate::report;
use crate::results::{Decision, Outcome};
use crate::settings::Mode;

impl TestRun<'_> {
    /// Says under signature that the tests did not run to an end, where it is known: an earlier PASSED for
    /// the same bytes must not stand for a run that crashed. What stopped the run stays the news.
    pub(super) async fn attest_that_nothing_counts(
        &self,
        ran: &[Ran],
        platforms: Vec<Platform>,
        unjudged: &Unjudged,
    ) {
        if self.key.is_none() {
            return;
        }
        let nothing = Judged {
            outcome: Outcome::default(),
            decision: Decision::nothing_counts(unjudged.failure.to_string()),
            measured: None,
            history: unjudged.history,
            unrecorded: None,
        };
        if let Err(unsigned) = self.attest(ran, platforms, &nothing).await {
            self.context.output.warn(format_args!("no evidence of this failure is attached: {unsigned}"));
        }
    }

    /// Signs what was decided, also that tests failed: promote's wait ends with it.
    pub(super) async fn attest(
        &self,
        ran: &[Ran],
        platforms: Vec<Platform>,
        judged: &Judged,
    ) -> Result<(), Failure> {
        let (Some(key), Some(registry)) = (&self.key, self.registry) else {
            self.context.output.info("no evidence: a step with `mode: report` and `signing_key` makes it");
            return Ok(());
        };
        let (started_on, finished_on) =
            times(&judged.outcome, judged.history.began, judged.measured, self.context.now());
        let circumstances = Circumstances {
            environment: self.settings.test_environment.clone(),
            url: self.context.ci.pipeline_url.clone(),
            started_on,
            finished_on,
            platforms,
            key_exposed: matches!(self.settings.mode, Mode::Run(_)),
            attempts: judged.history.attempts,
            command: self.template_of_command(),
            results: self.settings.results.to_string(),
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
            passed: public(&judged.decision.passed),
            warned: public(&judged.decision.warned),
            failed: public(&judged.decision.failed),
            ..judged.decision.clone()
        };
        let statement =
            statement(&self.found, ran, decision, &circumstances).map_err(|error| unsigned(error.into()))?;
        let bundle = sign_statement(&statement, key).map_err(|error| unsigned(error.into()))?;
        let places = self.places();
        let attach = places.iter().map(|(repository, subjects)| {
            let now = self.context.now();
            attach_bundle(registry, repository, subjects, TEST_RESULT, bundle.clone(), now)
        });
        let attached = try_join_all(attach).await?.concat();
        let subjects = places.iter().flat_map(|(repository, subjects)| {
            subjects.iter().map(move |subject| format!("{repository}@{}", subject.digest))
        });
        let attached: Vec<_> = subjects.zip(attached).collect();
        report::evidence(self.context, decision, &attached, &key.public_key().hint());
        Ok(())
    }

    /// The command as its setting has it, where this step runs the tests. That of another step is not for
    /// evidence: its shell may have put a secret in.
    fn template_of_command(&self) -> Option<String> {
        match &self.settings.mode {
            Mode::Run(commands) => Some(self.context.output.redacted(&commands.command.text())),
            Mode::Report => None,
        }
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
