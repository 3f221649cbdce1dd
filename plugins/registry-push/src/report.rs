//! What a push says: result file, plan, summary.

use granary_oci::Tag;
use granary_plugin::{Artifact, Context, Table};
use granary_release::{FoundSet, ReleaseSet};
use granary_suite::RegistrySettings;

/// Notes what the run is about.
pub fn record(context: &Context, registry: &RegistrySettings, found: &FoundSet) {
    let artifact = |member: &granary_release::Member| Artifact {
        name: member.name.clone(),
        repository: format!("{}/{}", registry.host, member.repository),
        digest: member.digest.to_string(),
        tags: Vec::new(),
    };
    context.record(|facts| {
        facts.commit = Some(found.set.commit.to_string());
        facts.set = Some(found.digest.to_string());
        // The version that the candidate is for; promote may have to take a later one.
        facts.version = Some(found.set.candidate.base.to_string());
        facts.candidate = Some(found.set.candidate.to_string());
        facts.artifacts = found.set.members.iter().map(artifact).collect();
        facts.lead = Some(found.set.lead().name.clone());
    });
}

/// Notes and prints the tags that are there now.
pub fn record_tags(context: &Context, set: &ReleaseSet, tags: &[Tag]) {
    let names: Vec<String> = tags.iter().map(Tag::to_string).collect();
    context.record(|facts| facts.artifacts.iter_mut().for_each(|artifact| artifact.tags.clone_from(&names)));
    let mut table = Table::new(["IMAGE", "CANDIDATE", "DIGEST"]);
    for member in &set.members {
        table.row([member.repository.to_string(), set.candidate.to_string(), member.digest.to_string()]);
    }
    context.output.table(&table);
}

/// Prints what would be written.
pub fn print_plan(context: &Context, found: &FoundSet, is_new: bool, writes: &[String]) {
    let verb = if is_new { "publish" } else { "finish" };
    let set = &found.set;
    context
        .output
        .print(format_args!("plan: {verb} {} (commit {}, set {})", set.candidate, set.commit, found.digest));
    for write in writes {
        context.output.print(format_args!("  write {write}"));
    }
}
