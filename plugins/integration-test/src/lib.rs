//! integration-test: runs the tests of a candidate or reads what they left, and attaches signed evidence
//! (DESIGN §7).
//!
//! `settings` (text to types) → `plan` (pure: what is under test, what evidence would say) → `exec` →
//! `report`; `runner`, `results` and `template` are the three things that a test run needs.

pub mod exec;
pub mod plan;
pub mod report;
pub mod results;
pub mod runner;
pub mod settings;
pub mod template;

use granary_attest::key::SigningKey;
use granary_plugin::{
    COMMON, Ci, Context, Example, Failure, Group, Kind, Outcome, Pem, Plugin, REGISTRY, Reader, StepResult,
};
use granary_release::FoundSet;
use granary_suite::{
    CONCURRENCY, PipelineCommit, Previous, Records, Subject, check_event, connect, http, pipeline_commit,
    previous_result,
};

use crate::exec::TestRun;
use crate::settings::{Mode, Settings};

/// The plugin.
pub struct IntegrationTest;

impl Plugin for IntegrationTest {
    type Settings = Settings;

    const NAME: &'static str = "integration-test";
    const ABOUT: &'static str =
        "Runs the integration tests of a release candidate and attaches signed evidence.";
    const GROUPS: &'static [&'static Group] = &[&settings::OWN, &REGISTRY, &COMMON];
    const EXAMPLES: &'static [Example] = &[
        Example {
            purpose: "run the tests of a candidate",
            command: "integration-test --registry registry.example.test --repo acme/app --candidate 0.1.146-rc.87 --command 'bash run.sh {image} {results}' --results results.json",
        },
        Example {
            purpose: "sign what they said",
            command: "integration-test --mode report --registry registry.example.test --repo acme/app --candidate 0.1.146-rc.87 --results results.json --signing-key-file tests.key",
        },
    ];
    /// Children have to be ended and a teardown has to run before the step's time is over.
    const OWN_TIMEOUT: bool = true;

    fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Settings> {
        settings::resolve(reader, ci)
    }

    async fn run(settings: Settings, context: &Context) -> Result<Outcome, Failure> {
        if settings.signing_key.is_some() {
            check_event(&context.ci, "sign")?;
        }
        let pipeline = match settings.subject {
            Subject::Pipeline => pipeline_commit(&context.ci, &context.workspace)?,
            _ => None,
        };
        let previous = match &pipeline {
            Some(pipeline) => previous_result(context, &["registry-push"], &pipeline.id)?,
            None => Previous::None,
        };
        let previous = match previous {
            Previous::Skip(reason) => {
                context.output.info(format_args!("skipped: {reason}"));
                return Ok(Outcome::Skipped);
            }
            Previous::Use(result) => Some(result),
            Previous::None => None,
        };
        let key = settings.signing_key.as_ref().map(|pem| signing_key(pem, context)).transpose()?;
        if key.is_some() && matches!(settings.mode, Mode::Run(_)) {
            context.output.warn(
                "the signing key lies beside the tests, which could read it; the evidence will say `keyExposed`. \
                 Sign in a step of its own with `mode: report`",
            );
        }
        let registry = connect(&settings.registry, context, &http(context)?, CONCURRENCY)?;
        let records = Records::new(registry.clone(), settings.registry.lead_repository(previous.as_deref())?);
        // One token that reads and writes, instead of one for the reading and another for the writing.
        if key.is_some() {
            registry.announce_writes(records.repository(), &[]);
        }
        let found = under_test(&records, &settings.subject, pipeline.as_ref(), previous.as_deref()).await?;
        if key.is_some() && settings.attach_to_all {
            found.set.members.iter().for_each(|member| registry.announce_writes(&member.repository, &[]));
        }
        report::subject(context, &settings.registry, &found);
        let run =
            TestRun { context, settings: &settings, registry: &registry, records: &records, found, key };
        run.run().await?;
        Ok(if context.common.dry_run { Outcome::Planned } else { Outcome::Done })
    }
}

/// The set that is tested: the one that registry-push names, else the one that settings select.
async fn under_test(
    records: &Records,
    subject: &Subject,
    pipeline: Option<&PipelineCommit>,
    previous: Option<&StepResult>,
) -> Result<FoundSet, Failure> {
    let commit = pipeline.map(|pipeline| &pipeline.id);
    let found = match previous.and_then(|previous| previous.set.as_deref()) {
        Some(digest) => Some(records.named_by_step_before(digest, commit).await?),
        None => records.select(subject, commit).await?,
    };
    found.ok_or_else(|| {
        let wanted = match (subject, pipeline) {
            (Subject::Candidate(candidate), _) => format!("no candidate {candidate}"),
            (Subject::Digest(digest), _) => format!("no {digest}"),
            (Subject::Tag(tag), _) => format!("no tag {tag}"),
            (_, Some(pipeline)) => format!("no candidate of commit {}", pipeline.id),
            (_, None) => "no candidate".to_owned(),
        };
        let failure =
            Failure::new(Kind::Tests, format!("there is nothing to test: {wanted} in {}", records.repository()))
                .hint("registry-push publishes candidates; let it run before, or name one with `candidate`");
        match pipeline.is_some_and(|pipeline| !pipeline.certain) {
            true => failure.hint(
                "on an annotated tag that may be the id of the tag object: let the pipeline's own clone step run before",
            ),
            false => failure,
        }
    })
}

fn signing_key(pem: &Pem, context: &Context) -> Result<SigningKey, Failure> {
    SigningKey::from_pem(context.load(pem)?.expose()).map_err(|error| {
        Failure::new(Kind::BadInput, "`signing_key` cannot be used")
            .caused_by(error)
            .hint("a P-256 key: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256")
    })
}
