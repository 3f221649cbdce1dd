//! integration-test: runs the tests of a candidate or reads what they left, and attaches signed evidence
//! (DESIGN §7).
//!
//! `settings` (text to types) → `plan` (pure: what is under test, what evidence would say) → `exec` →
//! `report`; `runner`, `results` and `template` are the three things that a test run needs. `install` and
//! `keygen` are modes of their own, `installed` is what a copy of this program finds beside itself.

pub mod exec;
pub mod files;
pub mod install;
pub mod installed;
pub mod keygen;
pub mod plan;
pub mod report;
pub mod results;
pub mod runner;
pub mod settings;
pub mod template;

use granary_plugin::settings::{SettingError, SettingErrors};
use granary_plugin::{
    COMMON, Ci, Context, Example, Failure, Form, Group, Kind, Outcome, Plugin, REGISTRY, Reader, StepResult,
};
use granary_registry::Registry;
use granary_release::FoundSet;
use granary_suite::{
    CONCURRENCY, PipelineCommit, Previous, Records, RegistrySettings, Subject, check_event, connect, http,
    pipeline_commit, previous_result,
};

use crate::exec::TestRun;
use crate::installed::Installed;
use crate::settings::{Mode, Place, Settings, Work};

/// The plugin.
pub struct IntegrationTest;

impl Plugin for IntegrationTest {
    type Settings = Work;

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
        Example {
            purpose: "make a signing key: tests.key and tests.pub",
            command: "integration-test keygen --keygen-to tests",
        },
    ];
    /// Children have to be ended and a teardown has to run before the step's time is over.
    const OWN_TIMEOUT: bool = true;

    fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Work> {
        settings::resolve(reader, ci)
    }

    async fn run(work: Work, context: &Context) -> Result<Outcome, Failure> {
        match work {
            Work::Keygen(settings) => keygen::keygen(&settings, context)?,
            Work::Install(settings) => {
                let Some(steps) = steps_before(&settings.subject, context)? else {
                    return Ok(Outcome::Skipped);
                };
                let (registry, host) = (&settings.registry, &settings.registry.host);
                let registry = connect(registry, context, &http(context)?, CONCURRENCY)?;
                let found = look_up(&registry, &settings.registry, &settings.subject, &steps).await?;
                report::subject(context, host, &found, "installing for");
                let pipeline = steps.pipeline.map(|pipeline| pipeline.id);
                install::install(&settings, context, &registry, host, found, pipeline).await?;
            }
            Work::Test(settings) => match &settings.place {
                Place::Beside => test_beside(&settings, context).await?,
                Place::Registry(registry, subject) => {
                    let Some(steps) = steps_before(subject, context)? else {
                        return Ok(Outcome::Skipped);
                    };
                    test_there(&settings, registry, subject, &steps, context).await?;
                }
            },
        }
        Ok(if context.common.dry_run { Outcome::Planned } else { Outcome::Done })
    }
}

/// What the pipeline and its earlier steps say about the candidate.
struct StepsBefore {
    pipeline: Option<PipelineCommit>,
    previous: Option<Box<StepResult>>,
}

/// `None` where the step before published nothing, so that there is nothing to do.
fn steps_before(subject: &Subject, context: &Context) -> Result<Option<StepsBefore>, Failure> {
    let pipeline = match subject {
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
            return Ok(None);
        }
        Previous::Use(result) => Some(result),
        Previous::None => None,
    };
    Ok(Some(StepsBefore { pipeline, previous }))
}

/// Tests a candidate in a registry, or judges its tests.
async fn test_there(
    settings: &Settings,
    there: &RegistrySettings,
    subject: &Subject,
    steps: &StepsBefore,
    context: &Context,
) -> Result<(), Failure> {
    if settings.signing_key.is_some() {
        check_event(&context.ci, "sign")?;
    }
    let key = settings.signing_key.as_ref().map(|key| key.load(context)).transpose()?;
    if key.is_some() && matches!(settings.mode, Mode::Run(_)) {
        context.output.warn(
            "the signing key lies beside the tests, which could read it; the evidence will say `keyExposed`. \
             Sign in a step of its own with `mode: report`",
        );
    }
    let http = http(context)?;
    let registry = connect(there, context, &http, CONCURRENCY)?;
    // One token that reads and writes, instead of one for the reading and another for the writing.
    if key.is_some() {
        registry.announce_writes(&there.lead_repository(steps.previous.as_deref())?, &[]);
    }
    let found = look_up(&registry, there, subject, steps).await?;
    if key.is_some() && settings.attach_to_all {
        found.set.members.iter().for_each(|member| registry.announce_writes(&member.repository, &[]));
    }
    report::subject(context, &there.host, &found, "testing");
    let (host, registry, parts) = (there.host.clone(), Some(&registry), Vec::new());
    TestRun { context, settings, host, registry, http: &http, found, parts, key }.run().await
}

/// Runs the tests as a copy that mode `install` has left.
async fn test_beside(settings: &Settings, context: &Context) -> Result<(), Failure> {
    let installed = installed_beside(context)?;
    let Installed { registry: host, found, parts, .. } = installed;
    report::subject(context, &host, &found, "testing");
    let http = http(context)?;
    TestRun { context, settings, host, registry: None, http: &http, found, parts, key: None }.run().await
}

/// What lies beside this program, if it is about this pipeline.
fn installed_beside(context: &Context) -> Result<Installed, Failure> {
    let own = std::env::current_exe().map_err(|error| {
        Failure::new(Kind::Unexpected, "this program does not know where it lies").caused_by(error)
    })?;
    let path = own.with_file_name(installed::NAME);
    let unusable = |message: &str| {
        Failure::new(Kind::BadInput, message.to_owned())
            .hint("let the step with `mode: install` run in this pipeline, before this one")
    };
    let read = Installed::read(&path)
        .map_err(|error| unusable("what mode `install` left cannot be used").caused_by(error))?;
    let Some(installed) = read else {
        // A run without `registry` is no copy's but somebody's who forgot it.
        let missing = SettingError {
            name: "registry".to_owned(),
            reason: "required, set PLUGIN_REGISTRY or --registry".to_owned(),
            accepted: Form::Text.accepted(),
        };
        return Err(Failure::from(SettingErrors(vec![missing])).hint(format!(
            "a copy that mode `install` leaves finds all that in {}, which is not there",
            path.display()
        )));
    };
    let ours = pipeline_commit(&context.ci, &context.workspace)?.filter(|commit| commit.certain);
    match (&ours, &installed.pipeline) {
        (Some(ours), Some(theirs)) if ours.id != *theirs => Err(unusable(&format!(
            "{} was left by a pipeline of commit {theirs}, this one is of {}",
            path.display(),
            ours.id
        ))),
        _ => Ok(installed),
    }
}

/// Finds the candidate.
async fn look_up(
    registry: &Registry,
    there: &RegistrySettings,
    subject: &Subject,
    steps: &StepsBefore,
) -> Result<FoundSet, Failure> {
    let records = Records::new(registry.clone(), there.lead_repository(steps.previous.as_deref())?);
    under_test(&records, subject, steps.pipeline.as_ref(), steps.previous.as_deref()).await
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
