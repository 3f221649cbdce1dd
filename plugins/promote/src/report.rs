//! What a promotion says: result file, plan, summary.

use granary_plugin::{Artifact, Context, Table};
use granary_release::TestRun;
use granary_suite::RegistrySettings;
use serde_json::Value;

use crate::exec::version_tags;
use crate::plan::{Choice, Write};

/// Notes what the run is about, before anything is decided.
pub fn record(context: &Context, registry: &RegistrySettings, choice: &Choice) {
    let set = &choice.set.set;
    let artifact = |member: &granary_release::Member| Artifact {
        name: member.name.clone(),
        repository: format!("{}/{}", registry.host, member.repository),
        digest: member.digest.to_string(),
        tags: Vec::new(),
    };
    context.record(|facts| {
        facts.commit = Some(set.commit.to_string());
        facts.set = Some(choice.set.digest.to_string());
        facts.version = Some(choice.version.to_string());
        facts.candidate = Some(set.candidate.to_string());
        facts.artifacts = set.members.iter().map(artifact).collect();
        facts.lead = Some(set.lead().name.clone());
        // Without a policy nobody but the pipeline's own file says what may be promoted.
        facts.extra.insert("policy".to_owned(), Value::from("unprotected"));
    });
}

/// Notes which evidence let the set in.
pub fn record_evidence(context: &Context, runs: &[TestRun]) {
    let digests: Vec<Value> = runs.iter().map(|run| Value::from(run.bundle.to_string())).collect();
    context.record(|facts| {
        facts.extra.insert("evidence".to_owned(), Value::from(digests));
    });
}

/// Notes the tags that are there now.
pub fn record_tags(context: &Context, choice: &Choice) {
    let tags: Vec<String> = version_tags(choice).iter().map(ToString::to_string).collect();
    context.record(|facts| facts.artifacts.iter_mut().for_each(|artifact| artifact.tags.clone_from(&tags)));
}

/// Prints what became of the members.
pub fn print_summary(context: &Context, choice: &Choice) {
    let mut table = Table::new(["IMAGE", "VERSION", "DIGEST"]);
    for member in &choice.set.set.members {
        table.row([member.repository.to_string(), choice.version.to_string(), member.digest.to_string()]);
    }
    context.output.table(&table);
    context.output.info("unprotected: no policy is configured, and no signed summary is written yet");
}

/// Prints what would be written.
pub fn print_plan(context: &Context, choice: &Choice, steps: &[Vec<Write>]) {
    let set = &choice.set;
    context.output.print(format_args!(
        "plan: {} (commit {}, set {}) becomes {}",
        set.set.candidate, set.set.commit, set.digest, choice.version
    ));
    for (number, step) in steps.iter().enumerate() {
        for write in step {
            context.output.print(format_args!("  {}. write {} → {}", number + 1, place(write), write.digest));
        }
    }
}

/// `repository:tag`.
pub fn place(write: &Write) -> String {
    format!("{}:{}", write.repository, write.tag)
}
