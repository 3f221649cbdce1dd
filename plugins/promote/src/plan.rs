//! What a promotion would do, decided from facts alone.
//!
//! Which set and whether it has its version already ([`choose`]), how far a version has got
//! ([`check_carried`], [`is_complete`]), and what is left to write ([`writes`]). Which version a set gets
//! is decided by [`granary_release::claim`]. Nothing here asks a registry, a clock or the environment.

mod follow;
mod writes;

use std::collections::BTreeMap;

use granary_oci::Digest;
use granary_release::claim::Wanted;
use granary_release::{CommitId, FoundSet, NumberingError, TagKind, Version, VersionTags};
use thiserror::Error;

use crate::places::{Carried, Places};

pub use follow::{Follow, Following, Held, Known, follows};
pub use writes::{Write, claim_tag, set_write, version_tags, writes};

/// All tags of the lead's repositories, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// Where the candidates are, and the records.
    pub tags: VersionTags,
    /// In the target, where that is elsewhere; `None` inside: there is no such repository yet.
    pub target: Option<Option<VersionTags>>,
}

impl Lists {
    /// The target's tags, where there are any.
    pub fn target_tags(&self) -> Option<&VersionTags> {
        self.target.as_ref()?.as_ref()
    }

    /// The stable versions in the target.
    pub fn production(&self) -> Vec<Version> {
        self.target_tags().map(|tags| tags.stables.clone()).unwrap_or_default()
    }

    /// Whether anybody can see this version of the lead.
    pub fn shows(&self, version: Version) -> bool {
        let has = |tags: &VersionTags| tags.stables.contains(&version);
        has(&self.tags) || self.target_tags().is_some_and(has)
    }
}

/// What the lead's repositories say about a commit.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The set that is asked for.
    pub asked: FoundSet,
    /// Whether it was named (by `candidate`, or by the step before) rather than looked up by commit.
    pub named: bool,
    /// Every set of the commit, `asked` among them: a rebuilt commit has several.
    pub lineage: Vec<FoundSet>,
    /// All tags.
    pub lists: Lists,
    /// What `set-<X.Y.Z>` points to, for every version of [`versions_to_look_up`].
    pub version_sets: BTreeMap<Version, Holder>,
    /// What the members carry of each version in `version_sets` that belongs to a set of this commit.
    pub carried: BTreeMap<Version, Carried>,
}

/// What lies under `set-<X.Y.Z>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its digest.
    pub digest: Digest,
    /// What it says, if it is a release set.
    pub found: Option<FoundSet>,
}

impl Facts {
    /// The set of this commit that a version was given to, if it was. The commit inside the set tells, not
    /// the chain of sets that replace each other: retention may have taken a link out of that.
    pub fn own_set(&self, version: Version) -> Option<&FoundSet> {
        let found = self.version_sets.get(&version)?.found.as_ref()?;
        (found.set.commit == self.asked.set.commit).then_some(found)
    }

    /// The lowest version of this commit that somebody can see: a commit is promoted to its derived version
    /// before it gets one by Git tag. A run that was killed right after it wrote `set-<X.Y.Z>` has made nothing
    /// visible yet.
    pub fn promoted(&self) -> Option<(Version, &FoundSet)> {
        let mut seen = self.carried.keys().filter(|version| self.is_seen(**version));
        seen.find_map(|&version| Some((version, self.own_set(version)?)))
    }

    /// Whether any member carries this version of the commit.
    pub fn is_seen(&self, version: Version) -> bool {
        self.carried.get(&version).is_some_and(|carried| !carried.is_empty())
    }

    /// The lowest base that the commit was ever published with.
    pub fn lowest_base(&self) -> Version {
        let bases = self.lineage.iter().map(|found| found.set.candidate.base);
        bases.min().unwrap_or(self.asked.set.candidate.base)
    }
}

/// Which set a run is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The set: the one that is asked for, or the one this commit was promoted as before.
    pub set: FoundSet,
    /// The version that it was let in as before: members carry it, and `set-<X.Y.Z>` says that it is its.
    pub seen: Option<Version>,
}

/// Why there is no version for a commit. Nothing has been written when one of these is returned.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Conflict {
    /// The commit has a stable version made of other bytes.
    #[error("commit {commit} is already {version}, made from set {promoted}; set {asked} has other bytes")]
    OtherBytes {
        /// The commit.
        commit: CommitId,
        /// The version it has.
        version: Version,
        /// The set that was promoted.
        promoted: Digest,
        /// The set that is asked for.
        asked: Digest,
    },
    /// A version belongs to another set.
    #[error("version {version} is taken by set {holder}")]
    Taken {
        /// The version.
        version: Version,
        /// The set that holds it.
        holder: Digest,
    },
    /// A member's version tag names other bytes.
    #[error("{place}:{version} is {found}, not {wanted}; a published version never moves")]
    Published {
        /// Where.
        place: String,
        /// The version.
        version: Version,
        /// What is there.
        found: Digest,
        /// What would be written.
        wanted: Digest,
    },
    /// No version can be derived.
    #[error("no version can be derived for candidate {candidate}")]
    Numbering {
        /// The candidate.
        candidate: granary_release::Candidate,
        /// Why.
        #[source]
        source: NumberingError,
    },
}

/// The versions whose `set-<X.Y.Z>` has to be read before [`choose`] can tell whether this commit has a
/// version: none lies below the lowest base that the commit was ever published with, and none is claimed
/// by others alone. A version that nobody claims may be anybody's: retention has taken its claim.
pub fn versions_to_look_up(lineage: &[FoundSet], tags: &VersionTags, wanted: Wanted) -> Vec<Version> {
    let lowest = lineage.iter().map(|found| found.set.candidate.base).min();
    let given = match wanted {
        Wanted::Given(version) => Some(version),
        Wanted::Derived(_) => None,
    };
    let may_be_ours = |version: &Version| {
        let mut claims = tags.claims.iter().filter(|claim| claim.version == *version).peekable();
        claims.peek().is_none() || claims.any(|claim| lineage.iter().any(|found| claim.is_of(&found.digest)))
    };
    let relevant = |version: &Version| Some(*version) >= lowest && may_be_ours(version);
    tags.sets.iter().copied().filter(|version| relevant(version) || Some(*version) == given).collect()
}

/// Decides which set a run is about, and whether it has its version already.
///
/// # Errors
/// If the commit was promoted as other bytes.
pub fn choose(facts: &Facts, wanted: Wanted) -> Result<Choice, Conflict> {
    let promoted = facts.promoted();
    if let Some((version, found)) = promoted.filter(|_| facts.named) {
        check_same_bytes(&facts.asked, version, found)?;
    }
    let set = promoted.map_or(&facts.asked, |(_, found)| found).clone();
    let seen = match wanted {
        Wanted::Derived(_) => promoted.map(|(version, _)| version),
        Wanted::Given(version) => {
            let own = facts.own_set(version).is_some_and(|found| found.digest == set.digest);
            (own && facts.is_seen(version)).then_some(version)
        }
    };
    Ok(Choice { set, seen })
}

/// Whether a version that can be seen was made from the same commit as `ours`, out of other bytes.
///
/// # Errors
/// [`Conflict::OtherBytes`].
pub fn check_same_bytes(ours: &FoundSet, version: Version, theirs: &FoundSet) -> Result<(), Conflict> {
    if theirs.set.commit != ours.set.commit || theirs.set.same_members(&ours.set.members) {
        return Ok(());
    }
    Err(Conflict::OtherBytes {
        commit: ours.set.commit.clone(),
        version,
        promoted: theirs.digest.clone(),
        asked: ours.digest.clone(),
    })
}

/// Compares what the members' version tags name with what they should, on every side. `name` is what a
/// place is called in a message.
///
/// # Errors
/// If one of them names other bytes; looked at for every member before the first is written.
pub fn check_carried(
    places: &Places,
    version: Version,
    carried: &Carried,
    name: impl Fn(&crate::places::Place) -> String,
) -> Result<(), Conflict> {
    for (place, member) in places.all() {
        match carried.get(&place) {
            Some(found) if *found != member.digest => {
                let (place, found, wanted) = (name(&place), found.clone(), member.digest.clone());
                return Err(Conflict::Published { place, version, found, wanted });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether nothing is left to write of a version that was let in: it is everywhere, on both sides, and the
/// lead's `validated-` says so.
pub fn is_complete(places: &Places, commit: &CommitId, lists: &Lists, carried: &Carried) -> bool {
    let validated = TagKind::Validated(commit).tag();
    let target =
        lists.target.as_ref().is_none_or(|tags| tags.as_ref().is_some_and(|tags| tags.has(&validated)));
    let everywhere = places.all().all(|(place, _)| carried.contains_key(&place));
    everywhere && lists.tags.has(&validated) && target
}

#[cfg(test)]
mod tests;
