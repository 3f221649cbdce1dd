//! What the result file of a step says about the release set that it was about.

use granary_oci::Tag;
use granary_plugin::{Artifact, Context};
use granary_release::{FoundSet, Member, Version};

use crate::settings::RegistrySettings;

/// Notes the set, and the version that it has or is for, as soon as they are known.
pub fn note_set(context: &Context, registry: &RegistrySettings, found: &FoundSet, version: Version) {
    note_set_in(context, found, Some(version), |member| format!("{}/{}", registry.host, member.repository));
}

/// The same for members that lie elsewhere than the set says, and while the version is not known yet:
/// `place` gives `host[:port]/path`.
pub fn note_set_in(
    context: &Context,
    found: &FoundSet,
    version: Option<Version>,
    place: impl Fn(&Member) -> String,
) {
    let set = &found.set;
    let artifact = |member: &Member| Artifact {
        name: member.name.clone(),
        repository: place(member),
        digest: member.digest.to_string(),
        tags: Vec::new(),
    };
    context.record(|facts| {
        facts.commit = Some(set.commit.to_string());
        facts.set = Some(found.digest.to_string());
        facts.version = version.map(|version| version.to_string());
        facts.candidate = Some(set.candidate.to_string());
        facts.artifacts = set.members.iter().map(artifact).collect();
        facts.lead = Some(set.lead().name.clone());
    });
}

/// Notes the tags that every member has now.
pub fn note_tags(context: &Context, tags: &[Tag]) {
    let names: Vec<String> = tags.iter().map(Tag::to_string).collect();
    context.record(|facts| facts.artifacts.iter_mut().for_each(|artifact| artifact.tags.clone_from(&names)));
}
