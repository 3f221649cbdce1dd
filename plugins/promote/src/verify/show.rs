//! What a verification says: the chains as text for people, as JSON in the result file.

use granary_attest::summary::{Policy, Summary};
use granary_plugin::{Context, Failure, Kind};
use granary_release::{FoundSet, TestRun, Version};
use granary_suite::{SignedSummary, note_set_in, note_tags};
use serde_json::{Value, json};

use super::chain::{Broken, Chain, Tagged, at};
use crate::sites::Sites;

/// Prints what was read, whether it fits or not, and notes it.
///
/// # Errors
/// With exit code 2, where the settings of the target do not fit the set.
pub(super) fn chain(context: &Context, sites: &Sites, chain: &Chain) -> Result<(), Failure> {
    let places = sites.places(&chain.found.set)?;
    note_set_in(context, &chain.found, chain.version, |member| sites.released(&places, member));
    context.record(|facts| {
        facts.extra.insert("chain".to_owned(), record(chain));
    });
    for line in lines(chain) {
        context.output.print(one_line(&line));
    }
    if let (Some(version), Some(signed)) = (chain.version, &chain.summary) {
        let (looked_at, resource) = (&places, &signed.summary.resource_uri);
        let looked_at = format!("oci://{}:{version}", sites.released(looked_at, chain.found.set.lead()));
        if *resource != looked_at {
            context.output.warn(one_line(&format!(
                "production is {resource}; it was not looked at: set `target_registry`/`target_repo`"
            )));
        }
    }
    for reason in &chain.ignored {
        context.output.info(one_line(&format!("does not count: {reason}")));
    }
    for run in chain.passed_over() {
        context.output.warn(one_line(&format!(
            "failed tests that were over when the summary was signed, and that it does not name, nor a later run there: {}",
            told(run)
        )));
    }
    Ok(())
}

/// Says that it holds. Only then the version is noted as a tag of the images.
pub(super) fn held(context: &Context, chain: &Chain, version: Version) {
    note_tags(context, &[granary_release::TagKind::Version(version).tag()]);
    let count = chain.named().count();
    let runs = if count == 1 { "1 test run".to_owned() } else { format!("{count} test runs") };
    context.output.print(format_args!(
        "holds: {version} is set {}, let in on {runs}; summary and evidence verify",
        chain.found.digest
    ));
}

/// The failure for a chain that does not hold.
pub(super) fn refusal(chain: &Chain, broken: Broken) -> Failure {
    let Broken { rule, found, needed } = broken;
    let about = match chain.version {
        Some(version) => version.to_string(),
        None => chain.found.set.candidate.to_string(),
    };
    Failure::new(Kind::Evidence, one_line(&format!("the record of {about} does not hold: {found}")))
        .hint(one_line(&format!("needed: {needed}")))
        .refusing(rule, found, needed)
}

fn lines(chain: &Chain) -> Vec<String> {
    let mut lines = set_lines(chain, &chain.found);
    for run in &chain.runs {
        lines.push(format!("evidence {}", run.bundle));
        let named = if chain.names(run) { "named by the summary" } else { "not named by the summary" };
        lines.push(format!("  {}; {named}", told(run)));
        lines.extend(run.url.iter().map(|url| format!("  pipeline {url}")));
    }
    if chain.runs.is_empty() {
        lines.push("evidence none by a trusted key".to_owned());
    }
    match &chain.summary {
        Some(signed) => lines.extend(summary_lines(signed)),
        None => lines.push("summary  none by a promoter's key".to_owned()),
    }
    for other in &chain.others {
        let Summary { promotion, time_verified, .. } = &other.summary;
        lines.push(format!("also     {}: {} on {}", other.bundle, promotion.version, at(*time_verified)));
    }
    for Tagged { place, found, .. } in &chain.tags {
        let found = found.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        lines.push(format!("tag      {place} → {found}"));
    }
    lines
}

fn set_lines(chain: &Chain, found: &FoundSet) -> Vec<String> {
    let set = &found.set;
    let branch =
        set.branch.as_ref().map_or_else(|| "no branch".to_owned(), |branch| format!("branch {branch}"));
    let mut lines = Vec::new();
    if let Some(image) = &chain.image {
        lines.push(format!("image    {}@{}", image.place, image.digest));
    }
    lines.push(format!("set      {}@{}", chain.lead, found.digest));
    lines.push(format!(
        "  commit {}, {branch}, candidate {}, published {}",
        set.commit, set.candidate, set.created
    ));
    lines.extend(set.pipeline_url.iter().map(|url| format!("  pipeline {url}")));
    lines.extend(
        set.members.iter().map(|member| format!("  {} {}@{}", member.name, member.repository, member.digest)),
    );
    lines
}

fn summary_lines(signed: &SignedSummary) -> Vec<String> {
    let Summary { promotion, time_verified, .. } = &signed.summary;
    let vouched = if promotion.operator.verified { "verified" } else { "unverified" };
    let mut lines = vec![
        format!("summary  {}", signed.bundle),
        format!(
            "  {} for stage {}, signed by `{}`, on {}, by {} ({vouched})",
            promotion.version,
            promotion.stage,
            signed.key,
            at(*time_verified),
            promotion.operator.name
        ),
    ];
    lines.push(format!("  resource {}", signed.summary.resource_uri));
    lines.push(match &promotion.policy {
        Policy::Unprotected => "  policy unprotected".to_owned(),
        Policy::File { uri, digest } => format!("  policy {uri} ({digest})"),
    });
    if promotion.gates.is_empty() {
        lines.push("  gates none".to_owned());
    }
    for gate in &promotion.gates {
        let reasons =
            if gate.reasons.is_empty() { String::new() } else { format!(": {}", gate.reasons.join("; ")) };
        lines.push(format!("  gate {} said {}{reasons}", gate.name, gate.decision));
    }
    lines.push(match &promotion.overridden {
        None => "  override none".to_owned(),
        Some(used) => {
            let ticket = used.ticket.as_ref().map(|ticket| format!(", ticket {ticket}")).unwrap_or_default();
            format!("  override for {}: {}{ticket}", used.digest, used.reason)
        }
    });
    lines.extend(promotion.evidence.iter().map(|evidence| format!("  names evidence {}", evidence.bundle)));
    lines.extend(promotion.pipeline_url.iter().map(|url| format!("  pipeline {url}")));
    lines
}

fn told(run: &TestRun) -> String {
    let TestRun { environment, result, passed, failed, warned, key, finished_on, .. } = run;
    let mut told = format!(
        "{result} in `{environment}`, signed by `{key}`, finished {}, {} passed, {} failed, {} warned",
        at(*finished_on),
        passed.len(),
        failed.len(),
        warned.len()
    );
    if run.attempts > 1 {
        told += &format!(", {} attempts", run.attempts);
    }
    if run.key_exposed {
        told += ", the tests could read the key";
    }
    told
}

/// The same for programs. Names of tests are left out; the bundles have them.
fn record(chain: &Chain) -> Value {
    let set = &chain.found.set;
    let summary = |signed: &SignedSummary| {
        let promotion = serde_json::to_value(&signed.summary.promotion).unwrap_or_default();
        json!({
            "bundle": signed.bundle.to_string(),
            "key": signed.key,
            "time": signed.summary.time_verified.to_string(),
            "resource": signed.summary.resource_uri,
            "promotion": promotion,
        })
    };
    let run = |run: &TestRun| {
        json!({
            "bundle": run.bundle.to_string(),
            "key": run.key,
            "environment": run.environment,
            "result": run.result.to_string(),
            "finished_on": run.finished_on.to_string(),
            "passed": run.passed.len(),
            "failed": run.failed.len(),
            "warned": run.warned.len(),
            "attempts": run.attempts,
            "key_exposed": run.key_exposed,
            "named": chain.names(run),
            "pipeline": run.url,
        })
    };
    let tag = |tag: &Tagged| {
        let found = tag.found.as_ref().map(ToString::to_string);
        json!({"tag": tag.place, "digest": found, "wanted": tag.wanted.to_string()})
    };
    json!({
        "image": chain.image.as_ref().map(|image| format!("{}@{}", image.place, image.digest)),
        "set": {
            "repository": chain.lead.to_string(),
            "digest": chain.found.digest.to_string(),
            "branch": set.branch,
            "created": set.created.to_string(),
            "pipeline": set.pipeline_url,
        },
        "evidence": chain.runs.iter().map(run).collect::<Vec<_>>(),
        "summary": chain.summary.as_ref().map(summary),
        "other_summaries": chain.others.iter().map(summary).collect::<Vec<_>>(),
        "tags": chain.tags.iter().map(tag).collect::<Vec<_>>(),
        "ignored": chain.ignored,
    })
}

/// What a registry or a signer wrote, without line ends: it must not look like lines of ours.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
