//! What a promotion would do, decided from facts alone.
//!
//! Three questions, each a function, because each needs facts that only the answer before it makes
//! worth a request: which version ([`choose`]), how far it has got ([`progress`]), and what is left to
//! write ([`writes`]). Nothing here asks a registry, a clock or the environment.

use std::collections::BTreeMap;

use granary_oci::{Digest, Repository, Tag};
use granary_release::{
    CommitId, FoundSet, NumberingError, OnTaken, TagKind, Version, VersionTags, derived_version,
};
use thiserror::Error;

/// Which version is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The candidate's base, or what lies above everything where that has been taken.
    Derived(OnTaken),
    /// This one, from a Git tag or from `as_version`.
    Given(Version),
}

/// What each member's tag of one version names, by repository; members that do not have it are left out.
pub type Carried = BTreeMap<Repository, Digest>;

/// What the lead's repository says about a commit.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The set that is asked for.
    pub asked: FoundSet,
    /// Whether it was named (by `candidate`, or by the step before) rather than looked up by commit.
    pub named: bool,
    /// Every set of the commit, `asked` among them: a rebuilt commit has several.
    pub lineage: Vec<FoundSet>,
    /// All tags of the lead's repository.
    pub tags: VersionTags,
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
        let mut seen = self.carried.iter().filter(|(_, carried)| !carried.is_empty());
        seen.find_map(|(&version, _)| Some((version, self.own_set(version)?)))
    }
}

/// Which version a run is about, and which set gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The version.
    pub version: Version,
    /// The set: the one that is asked for, or the one this commit was promoted as before.
    pub set: FoundSet,
    /// Whether `set-<version>` already points to that set.
    pub begun: bool,
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
    /// A version that is asked for belongs to another set.
    #[error("version {version} is taken by set {holder}")]
    Taken {
        /// The version.
        version: Version,
        /// The set that holds it.
        holder: Digest,
    },
    /// A member's version tag names other bytes.
    #[error("{repository}:{version} is {found}, not {wanted}; a published version never moves")]
    Published {
        /// Where.
        repository: Repository,
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
/// version: none lies below the lowest base that the commit was ever published with.
pub fn versions_to_look_up(lineage: &[FoundSet], tags: &VersionTags, wanted: Wanted) -> Vec<Version> {
    let lowest = lineage.iter().map(|found| found.set.candidate.base).min();
    let given = match wanted {
        Wanted::Given(version) => Some(version),
        Wanted::Derived(_) => None,
    };
    let relevant = |version: &Version| Some(*version) >= lowest || Some(*version) == given;
    tags.sets.iter().copied().filter(relevant).collect()
}

/// Decides the version.
///
/// # Errors
/// If the commit was promoted as other bytes, the given version belongs to somebody else, or no
/// version can be derived.
pub fn choose(facts: &Facts, wanted: Wanted) -> Result<Choice, Conflict> {
    let promoted = facts.promoted();
    if let Some((version, found)) = promoted
        && facts.named
        && !found.set.same_members(&facts.asked.set.members)
    {
        return Err(Conflict::OtherBytes {
            commit: facts.asked.set.commit.clone(),
            version,
            promoted: found.digest.clone(),
            asked: facts.asked.digest.clone(),
        });
    }
    let set = promoted.map_or(&facts.asked, |(_, found)| found).clone();
    match (wanted, promoted) {
        (Wanted::Given(version), _) => match facts.version_sets.get(&version) {
            Some(holder) if holder.digest != set.digest => {
                Err(Conflict::Taken { version, holder: holder.digest.clone() })
            }
            found => Ok(Choice { version, set, begun: found.is_some() }),
        },
        (Wanted::Derived(_), Some((version, _))) => Ok(Choice { version, set, begun: true }),
        (Wanted::Derived(on_taken), None) => derive(facts, set, on_taken),
    }
}

/// The version of a commit that has none yet that could be seen: the one that a killed run had begun
/// with, where nothing of others lies at or above it, else the base, else what lies above everything.
fn derive(facts: &Facts, set: FoundSet, on_taken: OnTaken) -> Result<Choice, Conflict> {
    let is_ours =
        |version: &Version| facts.version_sets.get(version).is_some_and(|holder| holder.digest == set.digest);
    let others = || facts.tags.taken().filter(|version| !is_ours(version));
    let begun = facts.version_sets.keys().copied().filter(is_ours).max();
    if let Some(version) = begun.filter(|begun| others().all(|other| other < *begun)) {
        return Ok(Choice { version, set, begun: true });
    }
    let candidate = set.set.candidate;
    let version = derived_version(candidate.base, facts.tags.taken(), on_taken)
        .map_err(|source| Conflict::Numbering { candidate, source })?;
    Ok(Choice { version, set, begun: false })
}

/// The stable version that this one must not fall behind: the highest of all for a derived version,
/// the highest of its own X.Y line for a given one.
pub fn newest_beside(version: Version, wanted: Wanted, tags: &VersionTags) -> Option<Version> {
    let in_line = |other: &Version| match wanted {
        Wanted::Derived(_) => true,
        Wanted::Given(_) => other.same_line(version),
    };
    tags.stables.iter().copied().filter(in_line).filter(|other| *other != version).max()
}

/// Whether the newest stable version was made from the same commit as `ours`, out of other bytes: then the
/// commit is promoted, and the chain of its sets is broken.
///
/// # Errors
/// [`Conflict::OtherBytes`].
pub fn check_same_bytes(ours: &FoundSet, newest: Version, theirs: Option<&FoundSet>) -> Result<(), Conflict> {
    match theirs {
        Some(theirs)
            if theirs.set.commit == ours.set.commit && !theirs.set.same_members(&ours.set.members) =>
        {
            Err(Conflict::OtherBytes {
                commit: ours.set.commit.clone(),
                version: newest,
                promoted: theirs.digest.clone(),
                asked: ours.digest.clone(),
            })
        }
        _ => Ok(()),
    }
}

/// How far a version has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No member carries it, or no run of ours put it there: evidence and gates decide.
    Untouched,
    /// Its `set-<X.Y.Z>` is there and a member carries it: it was let in before, and is finished without
    /// being judged again.
    Begun,
    /// Everything is there.
    Complete,
}

/// Compares what the members' version tags name with what they should.
///
/// # Errors
/// If one of them names other bytes; looked at for every member before the first is written.
pub fn progress(choice: &Choice, tags: &VersionTags, carried: &Carried) -> Result<Progress, Conflict> {
    for member in &choice.set.set.members {
        match carried.get(&member.repository) {
            Some(found) if *found != member.digest => {
                return Err(Conflict::Published {
                    repository: member.repository.clone(),
                    version: choice.version,
                    found: found.clone(),
                    wanted: member.digest.clone(),
                });
            }
            _ => {}
        }
    }
    let everywhere = carried.len() == choice.set.set.members.len();
    let validated = tags.has(&TagKind::Validated(&choice.set.set.commit).tag());
    // Without `set-<X.Y.Z>` nobody of ours let it in: a version tag alone, put there by hand, is no judgement.
    Ok(match (choice.begun && !carried.is_empty(), everywhere && validated) {
        (true, true) => Progress::Complete,
        (true, false) => Progress::Begun,
        (false, _) => Progress::Untouched,
    })
}

/// One tag to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub repository: Repository,
    /// Which tag.
    pub tag: Tag,
    /// What it will name.
    pub digest: Digest,
}

/// The tags that are left to write of a version that is not complete, in steps: what stands in one step may be written at once, a step
/// begins when the one before it is through (DESIGN §4.3).
///
/// Killed anywhere, the version is either invisible or finished by the next run: `set-<X.Y.Z>` says
/// whose it is before anybody can see it, the lead's tag says that all members have it, and
/// `validated-` says that everything is done.
pub fn writes(choice: &Choice, carried: &Carried) -> Vec<Vec<Write>> {
    let set = &choice.set.set;
    let lead = set.lead();
    let version_tag = TagKind::Version(choice.version).tag();
    let validated_tag = TagKind::Validated(&set.commit).tag();
    let others = || set.members.iter().filter(|member| member.repository != lead.repository);
    let write = |member: &granary_release::Member, tag: &Tag| Write {
        repository: member.repository.clone(),
        tag: tag.clone(),
        digest: member.digest.clone(),
    };
    let missing = |member: &&granary_release::Member| !carried.contains_key(&member.repository);

    let set_tag = (!choice.begun).then(|| Write {
        repository: lead.repository.clone(),
        tag: TagKind::VersionSet(choice.version).tag(),
        digest: choice.set.digest.clone(),
    });
    let mut steps = vec![
        set_tag.into_iter().collect::<Vec<_>>(),
        others().filter(missing).map(|member| write(member, &version_tag)).collect(),
        Some(lead).filter(missing).map(|lead| write(lead, &version_tag)).into_iter().collect(),
        // Written even where the list has it: seven digits may be those of another commit as well.
        others().map(|member| write(member, &validated_tag)).collect(),
        vec![write(lead, &validated_tag)],
    ];
    steps.retain(|step| !step.is_empty());
    steps
}

/// The tags that every member has in the end.
pub fn version_tags(choice: &Choice) -> [Tag; 2] {
    [TagKind::Version(choice.version).tag(), TagKind::Validated(&choice.set.set.commit).tag()]
}

#[cfg(test)]
mod tests;
