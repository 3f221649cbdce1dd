//! The state machine: what one promoter does next.

use std::collections::{BTreeMap, BTreeSet};

use granary_oci::Digest;
use jiff::Timestamp;
use thiserror::Error;

use super::view::{Order, View};
use super::{CLAIM_WRITES, Claim, ClaimKind, ClaimName};
use crate::{CommitId, FoundSet, NumberingError, OnTaken, Version, VersionTags, derived_version};

/// How many versions one run claims at most. Every further claim means that somebody else was just as
/// quick once more; of twenty that start at once, nineteen are superseded after the first.
pub const MAX_CLAIMS: usize = 16;

/// How many sets are read together with those that tell the order. A candidate that has been overtaken is
/// known for one after one or two reads; what else is taken since its base may be hundreds.
const READ_WITH_ORDER: usize = 8;

/// Which version is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The candidate's base, or what lies above everything where that has been taken.
    Derived(OnTaken),
    /// This one, from a Git tag or from `as_version`.
    Given(Version),
}

/// Who claims.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// The set that is to get a version.
    pub found: FoundSet,
    /// Which version.
    pub wanted: Wanted,
    /// The lowest base that the commit was ever published with: none of its derived versions lies below.
    pub lowest_base: Version,
    /// Whether a newer candidate of the branch is no reason to stop.
    pub allow_older: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// List the tags (after a claim that was a move: after a random pause), then [`Claiming::listed`].
    List,
    /// Read these, all at once, then [`Claiming::read_claim`] and [`Claiming::read_set`] for each.
    Read(Reads),
    /// Write the claim to this version, then [`Claiming::wrote_claim`].
    WriteClaim(Version),
    /// The version is ours: write the summary and `set-<X.Y.Z>`, then [`Claiming::wrote_set`]. Nothing
    /// that anybody can see is written yet.
    GoOn(Version),
    /// Write the members' `X.Y.Z`, the lead's last, until [`Claiming::deadline`].
    Publish(Version),
    /// This set is visible as this version already: see that through. It needs no claim, for nobody
    /// else writes a version whose set is there.
    Finish(Version),
    /// A newer candidate of the branch has a version or is about to.
    Superseded {
        /// That version.
        by: Version,
        /// Its order number.
        theirs: u64,
        /// Ours.
        ours: u64,
    },
    /// There is no telling whether this candidate is the newer one.
    Undecidable {
        /// What is missing.
        reason: String,
    },
}

/// What has to be read before anything can be said; never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Claims.
    pub claims: Vec<ClaimName>,
    /// Versions whose `set-<X.Y.Z>` is wanted.
    pub sets: Vec<Version>,
}

/// Why the version cannot be had. Nothing that anybody can see has been written.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ClaimConflict {
    /// A given version belongs to another set.
    #[error("version {version} is taken{}", holder.as_ref().map(|set| format!(" by set {set}")).unwrap_or_default())]
    Held {
        /// The version.
        version: Version,
        /// Whose it is, where this suite published it.
        holder: Option<Digest>,
    },
    /// Others claim a given version.
    #[error("version {version} is claimed for commit {commit} until {until}")]
    Claimed {
        /// The version.
        version: Version,
        /// Their commit.
        commit: CommitId,
        /// When that claim lapses.
        until: Timestamp,
    },
    /// Another run promotes the same commit to another version, or was killed while it did.
    #[error("another run promotes commit {commit} as {version} (set {set})")]
    OwnCommit {
        /// The commit.
        commit: CommitId,
        /// The version of the other run.
        version: Version,
        /// The set of the other run.
        set: Digest,
    },
    /// No version can be derived.
    #[error("no version can be derived")]
    Numbering(#[source] NumberingError),
    /// Others were quicker each time.
    #[error("{MAX_CLAIMS} versions were claimed, up to {version}, and each time others lay at or above it")]
    Crowded {
        /// The last one.
        version: Version,
    },
    /// The claim is too old to write under.
    #[error("the claim to {version} is older than 30 minutes")]
    OutOfTime {
        /// The version.
        version: Version,
    },
}

/// One promoter's way to its version.
#[derive(Clone, Debug)]
pub struct Claiming {
    pub(super) claimant: Claimant,
    /// What this run has claimed; the last one is what it is about.
    pub(super) claimed: Vec<Version>,
    since: Option<Timestamp>,
    pub(super) set_written: Option<Version>,
    listing: Option<Listing>,
    /// `None` where the claim had gone when it was asked for.
    pub(super) claims: BTreeMap<ClaimName, Option<Claim>>,
    /// `None` where there is no such set: the version was not published by this suite.
    pub(super) holders: BTreeMap<Version, Option<FoundSet>>,
    pub(super) carried: BTreeSet<Version>,
    pub(super) adopted: Option<Version>,
}

/// One look at the registry.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) tags: VersionTags,
    pub(super) production: Vec<Version>,
    pub(super) now: Timestamp,
}

impl Claiming {
    /// Begins. `carried` are the versions of this set that a member besides the lead carries: the list
    /// of the lead's tags does not tell.
    pub fn new(claimant: Claimant, carried: BTreeSet<Version>) -> Self {
        Claiming {
            claimant,
            claimed: Vec::new(),
            since: None,
            set_written: None,
            listing: None,
            claims: BTreeMap::new(),
            holders: BTreeMap::new(),
            carried,
            adopted: None,
        }
    }

    /// Says that a given version is there already, with the bytes of this set wherever it is, and that
    /// nothing says whose it is: put there by hand. It is claimed like a free one.
    pub fn adopt(&mut self, version: Version) {
        self.adopted = Some(version);
    }

    /// From now on a newer candidate is no reason to stop: somebody has allowed what was found.
    pub fn allow_older(&mut self) {
        self.claimant.allow_older = true;
    }

    /// Takes in a list: all tags of the lead's candidate repository, the stable versions of its target
    /// repository where that is another one, and the registry's `Date`. The list must have been asked
    /// for *after* what was written last was answered.
    pub fn listed(&mut self, tags: VersionTags, production: Vec<Version>, now: Timestamp) {
        // A live claim stays one until it lapses. A lapsed one may have been written anew, which after
        // our set is there matters no more, unless it is our own commit's.
        let commit = &self.claimant.found.set.commit;
        let settled = self.set_written.is_some();
        self.claims.retain(|_, claim| {
            claim.as_ref().is_some_and(|claim| claim.is_live(now) || (settled && claim.commit != *commit))
        });
        self.listing = Some(Listing { tags, production, now });
    }

    /// Takes in a claim that was asked for; `None` where it has gone since.
    pub fn read_claim(&mut self, name: ClaimName, claim: Option<Claim>) {
        self.claims.insert(name, claim);
    }

    /// Takes in a `set-<X.Y.Z>`, asked for or known before (it never moves); `None` where there is none.
    pub fn read_set(&mut self, version: Version, set: Option<FoundSet>) {
        self.holders.insert(version, set);
    }

    /// The claim to write for [`Next::WriteClaim`], at `now` by the registry's `Date`.
    pub fn claim(&self, version: Version, run_url: Option<String>, now: Timestamp) -> Claim {
        let kind = match self.claimant.wanted {
            Wanted::Given(_) => ClaimKind::Given,
            Wanted::Derived(_) => ClaimKind::Derived,
        };
        Claim::new(version, kind, (&self.claimant.found.digest, &self.claimant.found.set), run_url, now)
    }

    /// The claim is written, and says that it was created at `created`.
    pub fn wrote_claim(&mut self, version: Version, created: Timestamp) {
        self.claimed.push(version);
        self.since.get_or_insert(created);
        self.listing = None;
    }

    /// `set-<version>` is written.
    pub fn wrote_set(&mut self, version: Version) {
        self.set_written = Some(version);
        self.listing = None;
    }

    /// What this run has claimed; the last one is what it is about.
    pub fn claimed(&self) -> &[Version] {
        &self.claimed
    }

    /// The version whose `set-<X.Y.Z>` this run has written.
    pub fn set_written(&self) -> Option<Version> {
        self.set_written
    }

    /// When this run must have stopped writing, by the registry's clock.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.since.map(|since| since.saturating_add(CLAIM_WRITES).unwrap_or(Timestamp::MAX))
    }

    /// Decides.
    ///
    /// # Errors
    /// [`ClaimConflict`], exit code 11.
    pub fn next(&self) -> Result<Next, ClaimConflict> {
        let Some(listing) = &self.listing else { return Ok(Next::List) };
        if let (Some(deadline), Some(&version)) = (self.deadline(), self.claimed.last())
            && listing.now >= deadline
        {
            return Err(ClaimConflict::OutOfTime { version });
        }
        let view = View::new(self, listing);
        if let Some(version) = view.own_visible() {
            return Ok(Next::Finish(version));
        }
        let mut reads = Reads::default();
        let mut undecidable = None;
        // Once the set is there, what others do changes nothing any more: they have seen our claim.
        if self.set_written.is_none() && !self.claimant.allow_older {
            match view.order_of_taken() {
                Order::Newest => {}
                Order::Unread(unread) if view.unread_sets().count() > READ_WITH_ORDER => {
                    return Ok(Next::Read(unread));
                }
                Order::Unread(unread) => reads = unread,
                // That there is no version to be had is known, whatever the order may be.
                Order::Told(told @ Next::Undecidable { .. }) if self.refuses_taken() => {
                    undecidable = Some(told);
                }
                Order::Told(told) => return Ok(told),
            }
        }
        view.add_unread(&mut reads);
        if !reads.claims.is_empty() || !reads.sets.is_empty() {
            return Ok(Next::Read(reads));
        }
        let next = match self.claimant.wanted {
            Wanted::Given(version) => self.given(&view, version),
            Wanted::Derived(on_taken) => self.derived(&view, on_taken),
        }?;
        Ok(undecidable.unwrap_or(next))
    }

    fn refuses_taken(&self) -> bool {
        self.claimant.wanted == Wanted::Derived(OnTaken::Refuse)
    }

    fn given(&self, view: &View<'_>, version: Version) -> Result<Next, ClaimConflict> {
        let own_set = view.is_own(version);
        if view.is_taken(version) && !own_set && self.set_written != Some(version) {
            let holder = view.holder(version).map(|found| found.digest.clone());
            return Err(ClaimConflict::Held { version, holder });
        }
        if self.set_written == Some(version) {
            return Ok(Next::Publish(version));
        }
        if let Some(told) = view.order_of_claims() {
            return Ok(told);
        }
        if let Some(claim) = view.live_claims_of_others().find(|claim| claim.version == version) {
            let (commit, until) = (claim.commit.clone(), claim.expires);
            return Err(ClaimConflict::Claimed { version, commit, until });
        }
        Ok(match self.claimed.last() {
            None => Next::WriteClaim(version),
            Some(_) if own_set => Next::Publish(version),
            Some(_) => Next::GoOn(version),
        })
    }

    fn derived(&self, view: &View<'_>, on_taken: OnTaken) -> Result<Next, ClaimConflict> {
        if let Some(version) = self.set_written {
            return self.unless_rivalled(view, version, Next::Publish(version));
        }
        if let Some(told) = view.order_of_claims() {
            return Ok(told);
        }
        let others = view.highest_of_others();
        let clear = |version: &Version| others.is_none_or(|other| other < *version);
        if let Some(version) = self.claimed.last().copied().filter(clear) {
            let next = match view.is_own(version) {
                true => Next::Publish(version),
                false => Next::GoOn(version),
            };
            return self.unless_rivalled(view, version, next);
        }
        let begun = match self.claimed.last() {
            None => view.highest_begun().filter(clear),
            Some(_) => None,
        };
        let version = match begun {
            Some(version) => version,
            None => derived_version(self.claimant.found.set.candidate.base, others, on_taken)
                .map_err(ClaimConflict::Numbering)?,
        };
        match self.claimed.last() {
            Some(&last) if self.claimed.len() >= MAX_CLAIMS => Err(ClaimConflict::Crowded { version: last }),
            _ => self.unless_rivalled(view, version, Next::WriteClaim(version)),
        }
    }

    fn unless_rivalled(&self, view: &View<'_>, version: Version, next: Next) -> Result<Next, ClaimConflict> {
        match view.rival(version) {
            None => Ok(next),
            Some((version, set)) => {
                let commit = self.claimant.found.set.commit.clone();
                Err(ClaimConflict::OwnCommit { commit, version, set })
            }
        }
    }
}
