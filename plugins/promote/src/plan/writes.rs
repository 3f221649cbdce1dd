//! The tags of a version, in the order in which they are written (DESIGN §4.3).

use granary_oci::{Digest, Repository, Tag};
use granary_release::claim::ClaimName;
use granary_release::{FoundSet, TagKind, Version};

use crate::places::{Carried, Place, Placed, Places, Side};

/// One tag to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub place: Place,
    /// Which tag.
    pub tag: Tag,
    /// What it will name.
    pub digest: Digest,
    /// Whether others may move it at the same moment: it floats.
    pub moves: bool,
}

/// The tag of a set's claim to a version.
pub fn claim_tag(set: &FoundSet, version: Version) -> Tag {
    ClaimName::new(version, &set.digest).tag()
}

/// `set-<X.Y.Z>`, which says whose the version is before anybody can see it.
pub fn set_write(set: &FoundSet, version: Version, lead: &Repository) -> Write {
    Write {
        place: Place { side: Side::Candidate, repository: lead.clone() },
        tag: TagKind::VersionSet(version).tag(),
        digest: set.digest.clone(),
        moves: false,
    }
}

/// The tags that are left to write of a version whose `set-<X.Y.Z>` is there, in steps: what stands in one
/// step may be written at once, a step begins when the one before it is through.
///
/// Killed anywhere, the version is either invisible or finished by the next run: the lead's tag says that
/// all members have it, and `validated-` says that everything is done. What is deployed from, the target,
/// never has to wait for where candidates are.
pub fn writes(places: &Places, set: &FoundSet, version: Version, carried: &Carried) -> Vec<Vec<Write>> {
    let version_tag = TagKind::Version(version).tag();
    let validated_tag = TagKind::Validated(&set.set.commit).tag();
    let lead = std::slice::from_ref(places.lead());
    let mut steps = Vec::new();
    for tag in [&version_tag, &validated_tag] {
        for members in [places.others(), lead] {
            for side in [Side::Target, Side::Candidate] {
                steps.push(step(members, side, tag));
            }
        }
    }
    // `validated-` is written even where the list has it: seven digits may be those of another commit as well.
    let missing = |write: &Write| write.tag != version_tag || !carried.contains_key(&write.place);
    steps.iter_mut().for_each(|step| step.retain(&missing));
    steps.retain(|step| !step.is_empty());
    steps
}

fn step(members: &[Placed], side: Side, tag: &Tag) -> Vec<Write> {
    let write = |placed: &Placed| {
        let (place, digest) = (placed.on(side)?, placed.member.digest.clone());
        Some(Write { place, tag: tag.clone(), digest, moves: false })
    };
    members.iter().filter_map(write).collect()
}

/// The tags that every member has in the end.
pub fn version_tags(set: &FoundSet, version: Version) -> [Tag; 2] {
    [TagKind::Version(version).tag(), TagKind::Validated(&set.set.commit).tag()]
}
