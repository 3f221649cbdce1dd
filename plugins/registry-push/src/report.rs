//! What a push says: result file, plan, summary.

use granary_oci::Tag;
use granary_plugin::{Context, Table};
use granary_release::{FoundSet, ReleaseSet};
use granary_suite::{RegistrySettings, note_set, note_tags};

/// Notes what the run is about. The version is the one that the candidate is for; promote may have to take
/// a later one.
pub fn subject(context: &Context, registry: &RegistrySettings, found: &FoundSet) {
    note_set(context, registry, found, found.set.candidate.base);
}

/// Notes the tags that are there now.
pub fn tags(context: &Context, tags: &[Tag]) {
    note_tags(context, tags);
}

/// Prints what became of the members.
pub fn summary(context: &Context, set: &ReleaseSet) {
    let mut table = Table::new(["IMAGE", "CANDIDATE", "DIGEST"]);
    for member in &set.members {
        table.row([member.repository.to_string(), set.candidate.to_string(), member.digest.to_string()]);
    }
    context.output.table(&table);
}

/// Prints what would be sent and written.
pub fn plan(context: &Context, found: &FoundSet, is_new: bool, writes: &[String]) {
    let verb = if is_new { "publish" } else { "finish" };
    let set = &found.set;
    context
        .output
        .print(format_args!("plan: {verb} {} (commit {}, set {})", set.candidate, set.commit, found.digest));
    for write in writes {
        context.output.print(format_args!("  {write}"));
    }
}
