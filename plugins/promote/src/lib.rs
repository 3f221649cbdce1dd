//! promote: gives a tested candidate its stable version, once, resumably, and only with evidence
//! (DESIGN §7).
//!
//! `settings` (text to types) → `facts` (what the registries say) → `plan` (pure: which set, what is left to
//! write; which version is decided in `granary_release::claim`) → `exec` (the order of decisions and
//! writes) → `report`.

pub mod admission;
pub mod exec;
pub mod facts;
pub mod places;
pub mod plan;
pub mod refusal;
pub mod report;
pub mod settings;
pub mod sites;
pub mod wait;

use granary_attest::trust::{self, TrustedKey};
use granary_plugin::{
    COMMON, Ci, Context, Example, Failure, Group, Kind, Outcome, Plugin, REGISTRY, Reader, StepResult,
};
use granary_suite::{
    CONCURRENCY, Previous, Records, Subject, check_event, connect, http, pipeline_commit, previous_result,
    rule_text,
};

use crate::exec::Promotion;
use crate::facts::Asked;
use crate::settings::{Settings, TrustedKeys};
use crate::sites::{Sites, Target};

/// The plugin.
pub struct Promote;

impl Plugin for Promote {
    type Settings = Settings;

    const NAME: &'static str = "promote";
    const ABOUT: &'static str = "Gives a tested release candidate its stable version.";
    const GROUPS: &'static [&'static Group] = &[&settings::OWN, &REGISTRY, &COMMON];
    const EXAMPLES: &'static [Example] = &[
        Example {
            purpose: "what would happen to a candidate",
            command: "promote --registry registry.example.test --repo acme/app --candidate 0.1.146-rc.87 --trusted-keys tests.pub --branches main --dry-run",
        },
        Example {
            purpose: "an emergency version of a commit that is tested",
            command: "promote --registry registry.example.test --repo acme/app --commit 3f2a91c --as-version 1.5.4 --trusted-keys tests.pub --branches main",
        },
    ];

    fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Settings> {
        settings::resolve(reader, ci)
    }

    async fn run(settings: Settings, context: &Context) -> Result<Outcome, Failure> {
        check_event(&context.ci, "promote")?;
        let wanted = match &settings.wanted {
            Ok(wanted) => *wanted,
            Err(reason) => return Ok(skipped(context, reason)),
        };
        // A digest or tag may be a member's, which belongs to a set only together with its commit.
        let pipeline = match settings.subject {
            Subject::Pipeline | Subject::Digest(_) | Subject::Tag(_) => {
                pipeline_commit(&context.ci, &context.workspace)?
            }
            Subject::Commit(_) | Subject::Candidate(_) => None,
        };
        let own = pipeline.as_ref().filter(|_| settings.subject == Subject::Pipeline);
        if let Some(pipeline) = own.filter(|pipeline| pipeline.certain) {
            context.record(|facts| facts.commit = Some(pipeline.id.to_string()));
        }
        let previous = match own {
            Some(pipeline) => previous_result(context, &["integration-test", "registry-push"], &pipeline.id)?,
            None => Previous::None,
        };
        let previous = match previous {
            Previous::Skip(reason) => return Ok(skipped(context, &reason)),
            Previous::Use(result) => Some(result),
            Previous::None => None,
        };
        let keys = trusted_keys(&settings.trusted_keys, context)?;
        let sites = sites(&settings, previous.as_deref(), context)?;
        let asked =
            Asked { subject: &settings.subject, pipeline: pipeline.as_ref(), previous: previous.as_deref() };
        let promotion = Promotion { context, settings: &settings, wanted, keys: &keys, sites: &sites };
        promotion.run(&asked).await
    }
}

/// The clients of both sides.
fn sites(settings: &Settings, previous: Option<&StepResult>, context: &Context) -> Result<Sites, Failure> {
    let http = http(context)?;
    let candidates = connect(&settings.registry, context, &http, CONCURRENCY)?;
    let records = Records::new(candidates.clone(), settings.registry.lead_repository(previous)?);
    // One token that reads and writes, instead of one for the reading and another for the writing.
    candidates.announce_writes(records.repository(), &[]);
    let target = match &settings.target {
        Some(target) => {
            let lead = target.lead_repository(&settings.registry, previous)?;
            let registry = target.connect(&candidates, context, &http, CONCURRENCY)?;
            let mounts = registry.is_same_as(&candidates).then(|| records.repository().clone());
            registry.announce_writes(&lead, mounts.as_slice());
            Some(Target { registry, repo: target.repo.clone(), lead })
        }
        None => None,
    };
    Ok(Sites { candidates, records, target })
}

fn skipped(context: &Context, reason: &str) -> Outcome {
    context.output.info(format_args!("skipped: {reason}"));
    Outcome::Skipped
}

fn trusted_keys(keys: &TrustedKeys, context: &Context) -> Result<Vec<TrustedKey>, Failure> {
    let text = match keys {
        TrustedKeys::Text(text) => text.clone(),
        TrustedKeys::File(pem) => rule_text(context, "trusted_keys", pem)?,
    };
    trust::parse(&text).map_err(|error| {
        Failure::new(Kind::BadInput, "`trusted_keys` cannot be used")
            .caused_by(error)
            .hint("accepted: P-256 public keys in PEM, or a JSON list of {name, key, environments, not_before, not_after}")
    })
}
