//! The settings of promote, and what their texts mean.

mod table;

use std::time::Duration;

use granary_plugin::{Ci, Event, Operator, Reader};
use granary_release::claim::Wanted;
use granary_release::{EvidenceRules, OnTaken, Version};
use granary_suite::{BranchPattern, RegistrySettings, SigningKeySettings, Subject, TargetSettings};

use crate::admission::{OnSuperseded, Rules};
use crate::floating::{BadFloating, Floating};

pub use table::OWN;

/// How long a promotion on a Git tag waits by default: `git push --follow-tags` starts it together with
/// the pipeline that builds and tests.
const WAIT_ON_TAG: Duration = Duration::from_secs(30 * 60);

/// What a run of promote was asked to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The registry and the repositories.
    pub registry: RegistrySettings,
    /// Where production is, if that is elsewhere.
    pub target: Option<TargetSettings>,
    /// What is to be promoted.
    pub subject: Subject,
    /// Which version it gets, or why nothing happens on this event.
    pub wanted: Result<Wanted, String>,
    /// Who may be promoted, whatever the evidence says.
    pub admission: Rules,
    /// The keys whose evidence counts, as text or path.
    pub trusted_keys: TrustedKeys,
    /// What is asked of evidence.
    pub evidence: EvidenceRules,
    /// How long to wait for set and evidence.
    pub wait_for_evidence: Duration,
    /// The tags that follow the newest version.
    pub floating: Vec<Floating>,
    /// Whether the candidate has to be refused.
    pub negative_control: bool,
    /// What signs the summary.
    pub signing_key: Option<SigningKeySettings>,
    /// Whether a signature that a bundle would hide is a reason to refuse.
    pub protect_sig: bool,
    /// Who promotes.
    pub operator: Operator,
}

/// The setting `trusted_keys`, which is PEM, a path or JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustedKeys {
    /// The text itself.
    Text(String),
    /// A PEM file.
    File(granary_plugin::Pem),
}

/// Reads the settings. Pure.
pub fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Settings> {
    if reader.choice("action").is_some_and(|action| action != "promote") {
        reader.reject("action", "only `promote` and `verify` are built yet", "promote or verify");
    }
    reader.refuse(&["promoter_keys"], "without effect on `promote`", "with `action: verify` only");
    let registry = RegistrySettings::resolve(reader, ci);
    let target = TargetSettings::resolve(reader, registry.as_ref());
    let subject = Subject::resolve(reader, ci, true);
    let wanted = wanted(reader, ci);
    let on_superseded = match (reader.choice("on_superseded"), &ci.event) {
        (Some("skip"), _) | (None, Some(Event::Push)) => OnSuperseded::Skip,
        _ => OnSuperseded::Fail,
    };
    let branches = branches(reader, ci);
    let trusted_keys = key_list(reader, "trusted_keys");
    let is_tag = matches!(ci.event, Some(Event::Tag | Event::Release));
    let default_wait = if is_tag { WAIT_ON_TAG } else { Duration::ZERO };
    let evidence = evidence_rules(reader);
    let floating = floating(reader);
    let signing_key = SigningKeySettings::resolve(reader);
    let operator = operator(reader, ci);
    Some(Settings {
        registry: registry?,
        target: target?,
        subject: subject?,
        wanted: wanted?,
        admission: Rules { branches, allow_older: reader.flag("allow_older"), on_superseded },
        trusted_keys: trusted_keys?,
        evidence: evidence?,
        wait_for_evidence: reader.duration("wait_for_evidence").unwrap_or(default_wait),
        floating,
        negative_control: reader.flag("negative_control"),
        signing_key,
        protect_sig: reader.flag("protect_sig"),
        operator,
    })
}

/// What is asked of evidence.
pub(crate) fn evidence_rules(reader: &mut Reader<'_>) -> Option<EvidenceRules> {
    let max_age = reader.duration("max_evidence_age");
    let mut required_tests = Vec::new();
    for text in reader.list("required_tests") {
        match text.parse() {
            Ok(pattern) => required_tests.push(pattern),
            Err(error) => {
                let error: granary_release::ParsePatternError = error;
                reader.reject("required_tests", error.to_string(), "names of tests, with `*` and `?`");
            }
        }
    }
    let environments = reader.list("required_environments");
    let allow_warned = reader.flag("allow_warned");
    Some(EvidenceRules { max_age: max_age?, required_tests, environments, allow_warned })
}

/// Who promotes: as the pipeline says, by hand as the setting says.
fn operator(reader: &mut Reader<'_>, ci: &Ci) -> Operator {
    match reader.text("operator") {
        Some(_) if ci.is_woodpecker() => {
            reader.reject("operator", "the pipeline says who started it", "this setting by hand only");
            ci.operator()
        }
        // Nobody vouches for it.
        Some(name) => Operator::Unverified(Some(name)),
        None => ci.operator(),
    }
}

/// The version that is asked for; on a Git tag the tag's own, whatever else the tag is called is not
/// for this plugin.
fn wanted(reader: &mut Reader<'_>, ci: &Ci) -> Option<Result<Wanted, String>> {
    let on_taken = match reader.choice("on_taken") {
        Some("refuse") => OnTaken::Refuse,
        _ => OnTaken::Next,
    };
    let prefix = reader.text("tag_prefix").unwrap_or_default();
    if let Some(version) = as_version(reader)? {
        return Some(Ok(Wanted::Given(version)));
    }
    let Some(Event::Tag | Event::Release) = ci.event else { return Some(Ok(Wanted::Derived(on_taken))) };
    let tag = ci.tag.as_deref().unwrap_or_default();
    let version = tag.strip_prefix(&prefix).and_then(|version| version.parse::<Version>().ok());
    Some(
        version
            .map(Wanted::Given)
            .ok_or_else(|| format!("Git tag `{tag}` is not `{prefix}X.Y.Z` (`tag_prefix`)")),
    )
}

/// The setting `as_version`; `Some(None)` where it is not set.
pub(crate) fn as_version(reader: &mut Reader<'_>) -> Option<Option<Version>> {
    if !reader.is_set("as_version") {
        return Some(None);
    }
    let parsed = reader.version_like("as_version")?.trim().parse::<Version>();
    let rejected = |error| reader.reject("as_version", format!("{error}"), "X.Y.Z in quotes");
    parsed.map_err(rejected).ok().map(Some)
}

fn floating(reader: &mut Reader<'_>) -> Vec<Floating> {
    let words = reader.list("floating");
    let refused = |errors: Vec<BadFloating>| {
        for error in errors {
            reader.reject("floating", error.to_string(), "`latest`, `{major}`, `{major}.{minor}`, in quotes");
        }
    };
    Floating::parse_all(&words).map_err(refused).unwrap_or_default()
}

fn branches(reader: &mut Reader<'_>, ci: &Ci) -> Vec<BranchPattern> {
    let mut given = reader.list("branches");
    if given.is_empty() {
        given.extend(ci.default_branch.clone());
    }
    if given.is_empty() {
        reader.reject(
            "branches",
            "there is no CI_REPO_DEFAULT_BRANCH to take instead",
            "the branches that may be promoted",
        );
    }
    let mut patterns = Vec::new();
    for text in given {
        match text.parse() {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                let error: granary_release::ParsePatternError = error;
                reader.reject("branches", error.to_string(), "branch names, with `*` and `?`");
            }
        }
    }
    patterns
}

/// The public keys of a setting.
pub(crate) fn key_list(reader: &mut Reader<'_>, setting: &str) -> Option<TrustedKeys> {
    let text = reader.text(setting);
    let text = reader.require(setting, text)?;
    match text.trim_start().starts_with('[') || text.contains("-----BEGIN ") {
        true => Some(TrustedKeys::Text(text)),
        false => reader.pem(setting).map(TrustedKeys::File),
    }
}

#[cfg(test)]
mod tests;
