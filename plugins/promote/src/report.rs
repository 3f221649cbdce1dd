//! What a promotion says: result file, plan, summary.

use granary_plugin::{Context, Table};
use granary_release::TestRun;
use granary_suite::{RegistrySettings, note_set, note_tags};
use serde_json::Value;

use crate::plan::{Choice, Write, version_tags};

/// Notes what the run is about, before anything is decided.
pub fn subject(context: &Context, registry: &RegistrySettings, choice: &Choice) {
    note_set(context, registry, &choice.set, choice.version);
    context.record(|facts| {
        // Without a policy nobody but the pipeline's own file says what may be promoted.
        facts.extra.insert("policy".to_owned(), Value::from("unprotected"));
    });
}

/// Notes which evidence let the set in.
pub fn evidence(context: &Context, runs: &[TestRun]) {
    let digests: Vec<Value> = runs.iter().map(|run| Value::from(run.bundle.to_string())).collect();
    context.record(|facts| {
        facts.extra.insert("evidence".to_owned(), Value::from(digests));
    });
}

/// Notes the tags that are there now.
pub fn tags(context: &Context, choice: &Choice) {
    note_tags(context, &version_tags(choice));
}

/// Prints what became of the members.
pub fn summary(context: &Context, choice: &Choice) {
    let mut table = Table::new(["IMAGE", "VERSION", "DIGEST"]);
    for member in &choice.set.set.members {
        table.row([member.repository.to_string(), choice.version.to_string(), member.digest.to_string()]);
    }
    context.output.table(&table);
    context.output.info("unprotected: no policy is configured, and no signed summary is written yet");
}

/// Prints what would be written.
pub fn plan(context: &Context, choice: &Choice, steps: &[Vec<Write>]) {
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
