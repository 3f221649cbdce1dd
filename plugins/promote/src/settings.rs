//! The settings of promote: the table, and what their texts mean.

use std::time::Duration;

use granary_plugin::{Ci, Event, Form, Group, Reader, Setting};
use granary_release::claim::Wanted;
use granary_release::{EvidenceRules, OnTaken, Version};
use granary_suite::{BranchPattern, RegistrySettings, Subject, TargetSettings};

use crate::admission::{OnSuperseded, Rules};

/// How long a promotion on a Git tag waits by default: `git push --follow-tags` starts it together with
/// the pipeline that builds and tests.
const WAIT_ON_TAG: Duration = Duration::from_secs(30 * 60);

const GATES: &str = "gates are not built yet";
const POLICY: &str = "policies are not built yet";
const BREAK_GLASS: &str = "break-glass is not built yet, and there is no gate that it could override";

/// The settings that only this plugin has.
pub const OWN: Group = Group {
    title: "promote",
    settings: &[
        Setting::new(
            "action",
            Form::Choice(&["promote", "status", "rollback", "audit-verify", "lint"]),
            "What to do. Only `promote` is built yet.",
        )
        .default("promote"),
        Setting::new("commit", Form::Commit, "The commit to promote, 7 or more digits of its id.")
            .default_told("the pipeline's commit; on a Git tag the one that it names"),
        Setting::new(
            "candidate",
            Form::Text,
            "The candidate to promote: `X.Y.Z-rc.N`, or the digest of its release set.",
        )
        .default_told("what the steps before say, else the commit's newest set"),
        Setting::new("tag_prefix", Form::Text, "What stands before the version in Git tags.").default("v"),
        Setting::new("as_version", Form::Version, "The stable version to give, `X.Y.Z`. Taken by others: exit code 11.")
            .default_told("on a Git tag `<tag_prefix>X.Y.Z` that version, else the candidate's base"),
        Setting::new(
            "on_taken",
            Form::Choice(&["next", "refuse"]),
            "When the candidate's base has gone to another candidate: take the `next` patch version above everything, or `refuse`.",
        )
        .default("next"),
        Setting::new(
            "on_superseded",
            Form::Choice(&["skip", "fail"]),
            "When a newer candidate is stable already: `skip` with exit code 0, or `fail` with 11.",
        )
        .default_told("`skip` on push, else `fail`"),
        Setting::new(
            "allow_older",
            Form::Bool,
            "Promote a candidate although a newer one is stable, or although there is no telling which is newer.",
        )
        .default("false")
        .loosening(),
        Setting::new(
            "branches",
            Form::List,
            "The branches whose commits may be promoted; `*` stands for any characters.",
        )
        .default_told("the default branch")
        .loosening(),
        Setting::new(
            "trusted_keys",
            Form::Pem,
            "The public keys whose evidence counts: PEM text (several blocks after each other), the path of a PEM file, or a JSON \
             list of `{name, key, environments, not_before, not_after}`. Required.",
        )
        .loosening(),
        Setting::new("max_evidence_age", Form::Duration, "How old the tests may be.").default("7d"),
        Setting::new(
            "wait_for_evidence",
            Form::Duration,
            "How long to wait until the commit is published and tested. Failed tests end the wait.",
        )
        .default_told("30m on Git tags, else 0s"),
        Setting::new(
            "target_registry",
            Form::Text,
            "The registry that production takes versions from, as `host` or `host:port`.",
        )
        .default_told("`registry`"),
        Setting::new(
            "target_repo",
            Form::Text,
            "The repository there. With several images it contains `{name}` (quote it). `host/path` is accepted \
             where the host is `target_registry`.",
        )
        .default_told("`repo`"),
        Setting::new("target_username", Form::Text, "The user at the target registry.")
            .default_told("`username` where it is the same registry, else the auth file"),
        Setting::new("target_password", Form::Text, "The password or token of that user.")
            .default_told("`password` where it is the same registry, else the auth file")
            .secret(),
        Setting::not_yet("floating", "floating tags are not built yet"),
        Setting::not_yet("signing_key", "signed summaries are not built yet"),
        Setting::not_yet("signing_key_password", "signed summaries are not built yet"),
        Setting::not_yet("stage", "stages are not built yet"),
        Setting::not_yet("policy", POLICY),
        Setting::not_yet("policy_ref", POLICY),
        Setting::not_yet("request_file", "requests for manual runs are not built yet; use `commit` or `candidate`"),
        Setting::not_yet("on_denied", GATES),
        Setting::not_yet("max_wait", GATES),
        Setting::not_yet("break_glass", BREAK_GLASS),
        Setting::not_yet("break_glass_reason", BREAK_GLASS),
        Setting::not_yet("break_glass_reason_from", BREAK_GLASS),
        Setting::not_yet("break_glass_ticket", BREAK_GLASS),
        Setting::not_yet("break_glass_expires", BREAK_GLASS),
        Setting::not_yet("ci_url", "questions to Woodpecker's API are not built yet"),
        Setting::not_yet("ci_token", "questions to Woodpecker's API are not built yet"),
        Setting::not_yet("operator", "records of the operator are not built yet"),
        Setting::not_yet("max_lag", "`status` is not built yet"),
        Setting::not_yet("git_url", "questions to Git are not built yet"),
        Setting::not_yet("git_branch", "questions to Git are not built yet"),
        Setting::not_yet("git_username", "questions to Git are not built yet"),
        Setting::not_yet("git_password", "questions to Git are not built yet"),
        Setting::not_yet("ssh_key", "questions to Git are not built yet"),
        Setting::not_yet("ssh_known_hosts", "questions to Git are not built yet"),
        Setting::not_yet("forge_url", "questions to the forge are not built yet"),
        Setting::not_yet("forge_token", "questions to the forge are not built yet"),
    ],
};

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
        reader.reject("action", "only `promote` is built yet", "promote");
    }
    let registry = RegistrySettings::resolve(reader, ci);
    let target = TargetSettings::resolve(reader, registry.as_ref());
    let subject = Subject::resolve(reader, ci, true);
    let wanted = wanted(reader, ci);
    let on_superseded = match (reader.choice("on_superseded"), &ci.event) {
        (Some("skip"), _) | (None, Some(Event::Push)) => OnSuperseded::Skip,
        _ => OnSuperseded::Fail,
    };
    let branches = branches(reader, ci);
    let trusted_keys = trusted_keys(reader);
    let is_tag = matches!(ci.event, Some(Event::Tag | Event::Release));
    let default_wait = if is_tag { WAIT_ON_TAG } else { Duration::ZERO };
    let max_age = reader.duration("max_evidence_age");
    Some(Settings {
        registry: registry?,
        target: target?,
        subject: subject?,
        wanted: wanted?,
        admission: Rules { branches, allow_older: reader.flag("allow_older"), on_superseded },
        trusted_keys: trusted_keys?,
        evidence: EvidenceRules {
            max_age: max_age?,
            required_tests: Vec::new(),
            environments: Vec::new(),
            allow_warned: false,
        },
        wait_for_evidence: reader.duration("wait_for_evidence").unwrap_or(default_wait),
    })
}

/// The version that is asked for; on a Git tag the tag's own, whatever else the tag is called is not
/// for this plugin.
fn wanted(reader: &mut Reader<'_>, ci: &Ci) -> Option<Result<Wanted, String>> {
    let on_taken = match reader.choice("on_taken") {
        Some("refuse") => OnTaken::Refuse,
        _ => OnTaken::Next,
    };
    let prefix = reader.text("tag_prefix").unwrap_or_default();
    if reader.is_set("as_version") {
        let text = reader.version_like("as_version")?;
        return match text.trim().parse::<Version>() {
            Ok(version) => Some(Ok(Wanted::Given(version))),
            Err(error) => {
                reader.reject("as_version", error.to_string(), "X.Y.Z in quotes");
                None
            }
        };
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
                let error: granary_suite::BadPattern = error;
                reader.reject("branches", error.to_string(), "branch names, with `*` for any characters");
            }
        }
    }
    patterns
}

fn trusted_keys(reader: &mut Reader<'_>) -> Option<TrustedKeys> {
    let text = reader.text("trusted_keys");
    let text = reader.require("trusted_keys", text)?;
    match text.trim_start().starts_with('[') || text.contains("-----BEGIN ") {
        true => Some(TrustedKeys::Text(text)),
        false => reader.pem("trusted_keys").map(TrustedKeys::File),
    }
}

#[cfg(test)]
mod tests;
