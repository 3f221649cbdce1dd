//! What a push would publish, decided from facts alone.
//!
//! Two questions: what the event asks for ([`task`]), and which candidate the built bytes are
//! ([`decide`]). Nothing here asks a registry, a clock or the environment.

use granary_oci::{Digest, Repository, Tag};
use granary_plugin::Event;
use granary_release::{
    Bump, Candidate, CommitId, FoundSet, Member, NumberingError, RcClaimant, ReleaseSet, TagKind, Version,
    next_base,
};
use jiff::Timestamp;
use thiserror::Error;

/// What the event asks for (DESIGN §7, registry-push).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// The next candidate.
    Next,
    /// Git tag `vX.Y.Z-rc.N`: exactly this candidate.
    Exactly(Candidate),
    /// Git tag `vX.Y.Z`: a candidate of this version, unless the commit is published already.
    For(Version),
    /// Nothing, and why.
    Skip(String),
}

/// Reads the task off the event.
pub fn task(event: Option<&Event>, tag: Option<&str>, tag_prefix: &str) -> Task {
    let Some(Event::Tag | Event::Release) = event else { return Task::Next };
    let Some(tag) = tag else { return Task::Skip("the event names no Git tag".to_owned()) };
    let Some(name) = tag.strip_prefix(tag_prefix) else {
        return Task::Skip(format!("Git tag `{tag}` does not begin with `{tag_prefix}` (`tag_prefix`)"));
    };
    match (name.parse(), name.parse()) {
        (Ok(version), _) => Task::For(version),
        (_, Ok(candidate)) => Task::Exactly(candidate),
        _ => {
            Task::Skip(format!("Git tag `{tag}` is neither `{tag_prefix}X.Y.Z` nor `{tag_prefix}X.Y.Z-rc.N`"))
        }
    }
}

/// How a new candidate is numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// The base that is asked for, instead of the next one.
    pub base_version: Option<Version>,
    /// The base where nothing is published yet.
    pub initial_version: Version,
    /// Which number of the highest stable is raised.
    pub bump: Bump,
    /// N.
    pub rc_number: RcNumber,
}

/// Where N comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RcNumber {
    /// This one.
    Given(u64),
    /// The next one that nobody has, which has to be claimed.
    Sequence,
}

/// What is known of the run and of the registry.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What was built.
    pub commit: CommitId,
    /// From which branch; none on Git tags.
    pub branch: Option<String>,
    /// The order number of this run, where it has one.
    pub order: Option<u64>,
    /// Where the run can be read.
    pub pipeline_url: Option<String>,
    /// Now.
    pub now: Timestamp,
    /// The bytes, lead first.
    pub members: Vec<Member>,
    /// What `set-<40 hex>` of the commit says.
    pub published: Option<FoundSet>,
    /// The newest set of the commit that was published from this run's branch; of any branch, where the run
    /// knows none. Mostly [`Self::published`].
    pub ours: Option<FoundSet>,
    /// Every stable version; empty where no number has to be derived from them.
    pub stables: Vec<Version>,
}

/// What to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An earlier run wrote this set for the same bytes: its tags are finished, under its number.
    Adopt(FoundSet),
    /// A new candidate.
    Publish(ReleaseSet),
    /// A new candidate, whose number has yet to be claimed.
    Claim(Draft),
}

/// A set that lacks nothing but its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft(ReleaseSet);

impl Draft {
    /// What the candidate is for.
    pub fn base(&self) -> Version {
        self.0.candidate.base
    }

    /// Who claims a number for it.
    pub fn claimant(&self) -> RcClaimant {
        RcClaimant::of(&self.0)
    }

    /// The set under this number.
    pub fn numbered(&self, candidate: Candidate) -> ReleaseSet {
        ReleaseSet { candidate, ..self.0.clone() }
    }
}

/// Why nothing can be published.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Conflict {
    /// The base is wrong, or there is none left.
    #[error("no base version for the candidate")]
    Numbering(#[source] NumberingError),
    /// Somebody published other bytes under the candidate's version.
    #[error("{repository}:{tag} is {found}, not {wanted}; a published candidate never moves")]
    Published {
        /// Where.
        repository: Repository,
        /// The candidate, or the tag of its set.
        tag: Tag,
        /// What is there.
        found: Digest,
        /// What would be written.
        wanted: Digest,
    },
}

/// Whether nothing is to be done, because a Git tag changes nothing about a commit that is published.
pub fn leaves_alone(task: &Task, published: Option<&FoundSet>) -> bool {
    matches!(task, Task::For(_)) && published.is_some()
}

/// Whether [`decide`] needs the stable versions: a listing is one request per thousand tags.
pub fn needs_stables(task: &Task, members: &[Member], ours: Option<&FoundSet>) -> bool {
    *task == Task::Next && !ours.is_some_and(|found| found.set.same_members(members))
}

/// The newest of a commit's sets that was published from this run's branch. A commit that a merge brings to
/// another branch without changing it is a candidate of that branch as well, with a set, an order number and
/// evidence of its own. A run that knows no branch, a Git tag's, takes the newest of all.
pub fn of_branch<'a>(lineage: &'a [FoundSet], branch: Option<&str>) -> Option<&'a FoundSet> {
    lineage.iter().find(|found| branch.is_none() || found.set.branch.as_deref() == branch)
}

/// Decides which candidate the bytes are.
///
/// # Errors
/// If no base version can be had.
pub fn decide(task: &Task, numbering: &Numbering, facts: &Facts) -> Result<Decision, Conflict> {
    if let Some(found) = &facts.ours {
        let same = found.set.same_members(&facts.members);
        match task {
            Task::Next if same => return Ok(Decision::Adopt(found.clone())),
            Task::Exactly(candidate) if same && found.set.candidate == *candidate => {
                return Ok(Decision::Adopt(found.clone()));
            }
            _ => {}
        }
    }
    let number = match numbering.rc_number {
        RcNumber::Given(number) => Some(number),
        RcNumber::Sequence => None,
    };
    let (base, number) = match task {
        Task::Exactly(candidate) => (candidate.base, Some(candidate.number)),
        Task::For(base) => (*base, number),
        Task::Next | Task::Skip(_) => {
            let base =
                next_base(&facts.stables, numbering.base_version, numbering.bump, numbering.initial_version);
            (base.map_err(Conflict::Numbering)?, number)
        }
    };
    let ours = facts.ours.as_ref().map(|found| &found.set);
    let branch = facts.branch.clone().or_else(|| ours.and_then(|set| set.branch.clone()));
    // The commit keeps the place in the order of its branch under which it first appeared there.
    let first = ours.filter(|set| set.branch == branch).and_then(|set| set.order);
    let set = ReleaseSet {
        commit: facts.commit.clone(),
        branch,
        candidate: Candidate { base, number: number.unwrap_or(0) },
        order: first.or(facts.order),
        pipeline_url: facts.pipeline_url.clone(),
        created: facts.now,
        members: facts.members.clone(),
        replaces: facts.published.as_ref().map(|found| found.digest.clone()),
    };
    Ok(match number {
        Some(_) => Decision::Publish(set),
        None => Decision::Claim(Draft(set)),
    })
}

/// Whether two sets publish the same bytes of a commit as the same candidate of the same branch: two runs at
/// the same moment wrote them, and whichever stays says all that the other said.
pub fn is_same_publication(one: &ReleaseSet, other: &ReleaseSet) -> bool {
    one.commit == other.commit
        && one.branch == other.branch
        && one.candidate == other.candidate
        && one.same_members(&other.members)
}

/// The tags that every member of a set gets, the candidate's version first.
pub fn tags(set: &ReleaseSet, extra: &[Tag]) -> Vec<Tag> {
    let ours = [
        TagKind::Candidate(set.candidate).tag(),
        TagKind::Commit(&set.commit).tag(),
        TagKind::Integration(&set.commit).tag(),
    ];
    let mut tags = ours.to_vec();
    tags.extend(extra.iter().filter(|tag| !ours.contains(tag)).cloned());
    tags
}

#[cfg(test)]
mod tests;
