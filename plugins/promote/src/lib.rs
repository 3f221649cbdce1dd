//! promote: gives a tested candidate its stable version, once, resumably, and only with evidence
//! (DESIGN §7).
//!
//! `settings` (text to types) → `facts` (what the registries say) → `plan` (pure: which set, what is left to
//! write; which version is decided in `granary_release::claim`) → `exec` (the order of decisions and
//! writes) → `report`.

pub mod admission;
pub mod exec;
pub mod facts;
pub mod floating;
pub mod places;
pub mod plan;
pub mod refusal;
pub mod report;
pub mod settings;
pub mod sites;
pub mod summary;
pub mod verify;
pub mod wait;

use granary_attest::key::SigningKey;
use granary_attest::trust::{self, TrustedKey};
use granary_plugin::{COMMON, Ci, Context, Example, Failure, Group, Kind, Outcome, Plugin, REGISTRY, Reader};
use granary_suite::{Previous, Subject, check_event, pipeline_commit, previous_result, rule_text};

use crate::exec::Promotion;
use crate::facts::Clues;
use crate::settings::{Settings, TrustedKeys};
use crate::sites::Sites;

/// The plugin.
pub struct Promote;

impl Plugin for Promote {
    type Settings = Action;

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
        Example {
            purpose: "what is on record about a version, and whether it holds",
            command: "promote verify --registry registry.example.test --repo acme/app --as-version 1.5.4 --trusted-keys tests.pub --promoter-keys promoters.pub",
        },
    ];

    fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Action> {
        match reader.choice("action")? {
            "verify" => verify::resolve(reader, ci).map(|it| Action::Verify(Box::new(it))),
            _ => settings::resolve(reader, ci).map(|it| Action::Promote(Box::new(it))),
        }
    }

    async fn run(action: Action, context: &Context) -> Result<Outcome, Failure> {
        match action {
            Action::Promote(settings) => promote(&settings, context).await,
            // It writes nothing, so that every event may.
            Action::Verify(settings) => verify::run(&settings, context).await,
        }
    }
}

/// What a run is for, each with settings of its own.
pub enum Action {
    /// Gives a version.
    Promote(Box<Settings>),
    /// Reads what is on record.
    Verify(Box<verify::Settings>),
}

async fn promote(settings: &Settings, context: &Context) -> Result<Outcome, Failure> {
    check_event(&context.ci, "promote")?;
    let wanted = match &settings.wanted {
        Ok(wanted) => *wanted,
        Err(reason) => return skipped(settings, context, reason),
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
        Previous::Skip(reason) => return skipped(settings, context, &reason),
        Previous::Use(result) => Some(result),
        Previous::None => None,
    };
    let keys = load_keys(&settings.trusted_keys, "trusted_keys", context)?;
    let signing_key = signing_key(settings, &keys, context)?;
    let sites = Sites::connect(&settings.registry, settings.target.as_ref(), previous.as_deref(), context)?;
    sites.announce_leads();
    let clues =
        Clues { subject: &settings.subject, pipeline: pipeline.as_ref(), previous: previous.as_deref() };
    let signing_key = signing_key.as_ref();
    let promotion = Promotion { context, settings, wanted, keys: &keys, signing_key, sites: &sites };
    promotion.run(&clues).await
}

fn skipped(settings: &Settings, context: &Context, reason: &str) -> Result<Outcome, Failure> {
    if settings.negative_control {
        // A control that nobody asked must not look like one that was refused.
        let message = format!("the negative control was not asked for: {reason}");
        return Err(Failure::new(Kind::Undecidable, message)
            .hint("name what has to be refused with `candidate`, in a pipeline of its own"));
    }
    context.output.info(format_args!("skipped: {reason}"));
    Ok(Outcome::Skipped)
}

/// The key that signs the summary. Whoever may sign evidence must not promote by it as well: one stolen key
/// would be enough for both.
fn signing_key(
    settings: &Settings,
    trusted: &[TrustedKey],
    context: &Context,
) -> Result<Option<SigningKey>, Failure> {
    let Some(given) = &settings.signing_key else { return Ok(None) };
    let key = given.load(context)?;
    match trusted.iter().find(|trusted| trusted.key == key.public_key()) {
        None => Ok(Some(key)),
        Some(trusted) => {
            let message =
                format!("`signing_key` is the private half of `{}` in `trusted_keys`", trusted.name);
            Err(Failure::new(Kind::Settings, message).hint(
                "whoever tests must not promote: make another pair for promote (`integration-test keygen`)",
            ))
        }
    }
}

/// The keys of a setting.
fn load_keys(keys: &TrustedKeys, setting: &str, context: &Context) -> Result<Vec<TrustedKey>, Failure> {
    let text = match keys {
        TrustedKeys::Text(text) => text.clone(),
        TrustedKeys::File(pem) => rule_text(context, setting, pem)?,
    };
    trust::parse(&text).map_err(|error| {
        Failure::new(Kind::BadInput, format!("`{setting}` cannot be used"))
            .caused_by(error)
            .hint("accepted: P-256 public keys in PEM, or a JSON list of {name, key, environments, not_before, not_after}")
    })
}
