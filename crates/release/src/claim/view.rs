//! What one list, and what was read after it, say; and what has to be read before they say enough.
//!
//! Most is decided by a tag's name alone: whether a version is taken, whether a claim is settled, and
//! that something of others lies at or above a version.

use std::collections::BTreeSet;

use granary_oci::Digest;

use super::machine::{Claiming, Listing, Next, Reads, Wanted};
use super::{Claim, ClaimKind, ClaimName};
use crate::{FoundSet, Standing, Version, order::compare, standing};

/// Where the candidate stands beside the versions that are taken.
pub(super) enum Order {
    /// Nothing newer has one.
    Newest,
    /// These have to be read first.
    Unread(Reads),
    /// It must not go on.
    Told(Next),
}

pub(super) struct View<'a> {
    claiming: &'a Claiming,
    listing: &'a Listing,
    /// Versions that somebody can see, in either repository.
    visible: BTreeSet<Version>,
    /// Those and the ones whose set is there.
    taken: BTreeSet<Version>,
}

impl<'a> View<'a> {
    pub(super) fn new(claiming: &'a Claiming, listing: &'a Listing) -> Self {
        let visible: BTreeSet<Version> =
            listing.tags.stables.iter().chain(&listing.production).copied().collect();
        // One that was put there by hand is claimed like a free one: until somebody's set says whose it is, two may want it.
        let by_hand = claiming
            .adopted
            .filter(|version| visible.contains(version) && !listing.tags.sets.contains(version));
        let taken = visible.iter().chain(&listing.tags.sets).copied();
        let taken = taken.filter(|version| Some(*version) != by_hand).collect();
        View { claiming, listing, visible, taken }
    }

    pub(super) fn is_taken(&self, version: Version) -> bool {
        self.taken.contains(&version)
    }

    /// The set that a taken version belongs to, as far as known.
    pub(super) fn holder(&self, version: Version) -> Option<&'a FoundSet> {
        self.claiming.holders.get(&version)?.as_ref()
    }

    /// Whether `set-<version>` is this set.
    pub(super) fn is_own(&self, version: Version) -> bool {
        self.holder(version).is_some_and(|found| found.digest == self.own().digest)
    }

    /// The version that this set is visible as: the given one, or the lowest.
    pub(super) fn own_visible(&self) -> Option<Version> {
        let seen =
            |version: &Version| self.visible.contains(version) || self.claiming.carried.contains(version);
        let asked = |version: &Version| match self.claiming.claimant.wanted {
            Wanted::Given(given) => *version == given,
            Wanted::Derived(_) => *version >= self.claiming.claimant.lowest_base,
        };
        self.taken.iter().copied().filter(seen).filter(asked).find(|&version| self.is_own(version))
    }

    /// Compares with the highest version that is taken and, below given ones, with the next lower.
    pub(super) fn order_of_taken(&self) -> Order {
        let own = &self.own().set;
        for &version in self.taken.iter().rev().filter(|version| self.is_beside(**version)) {
            let named: Vec<&ClaimName> =
                self.listing.tags.claims.iter().filter(|name| name.version == version).collect();
            let derived = matches!(self.claiming.claimant.wanted, Wanted::Derived(_));
            let lowest = self.taken.first() == Some(&version);
            let unread = |name: &&&ClaimName| derived && !lowest && !self.claiming.claims.contains_key(name);
            let reads = Reads {
                claims: named.iter().filter(unread).map(|&name| name.clone()).collect(),
                sets: self.unread_set(version).into_iter().collect(),
            };
            if !reads.sets.is_empty() || !reads.claims.is_empty() {
                return Order::Unread(reads);
            }
            let holder = self.holder(version);
            match told(standing(own, Some((version, holder.map(|found| &found.set)))), version) {
                Some(told) => return Order::Told(told),
                None if !derived => return Order::Newest,
                None => {}
            }
            let ours = holder.is_some_and(|found| found.set.commit == own.commit);
            let given = holder.is_some_and(|found| {
                let claim = self.known(&ClaimName::new(version, &found.digest));
                claim.is_some_and(|claim| claim.kind == ClaimKind::Given)
            });
            if !ours && !given {
                return Order::Newest;
            }
        }
        Order::Newest
    }

    /// Whether a live claim of a newer candidate of the branch is in the way.
    pub(super) fn order_of_claims(&self) -> Option<Next> {
        let claimant = &self.claiming.claimant;
        let own = &claimant.found.set;
        let of_branch = |claim: &&Claim| {
            claim.commit != own.commit && claim.branch.is_some() && claim.branch == own.branch
        };
        let mut beside = self
            .live_claims_of_others()
            .filter(of_branch)
            .filter(|claim| claimant.wanted_beside(claim.version))
            .filter(|_| !claimant.allow_older);
        beside.find_map(|claim| told(compare(own.order, claim.version, claim.order), claim.version))
    }

    /// Claims of other sets that are live and not settled.
    pub(super) fn live_claims_of_others(&self) -> impl Iterator<Item = &'a Claim> {
        self.open_claims(false).filter_map(|name| self.live(name))
    }

    /// The highest version that others have, or that their claims keep from being derived.
    pub(super) fn highest_of_others(&self) -> Option<Version> {
        let taken = self.taken.iter().copied().filter(|&version| !self.is_own(version));
        let counts = |name: &&ClaimName| {
            let claim = self.known(name);
            claim.is_some_and(|claim| claim.kind == ClaimKind::Derived || claim.is_live(self.listing.now))
        };
        let claimed = self.open_claims(false).filter(counts).map(|name| name.version);
        taken.chain(claimed).max()
    }

    /// The highest version that an earlier run of this set has derived, claimed or begun.
    pub(super) fn highest_begun(&self) -> Option<Version> {
        let given = |version: Version| {
            let claim = self.known(&ClaimName::new(version, &self.own().digest));
            claim.is_some_and(|claim| claim.kind == ClaimKind::Given)
        };
        let claimed =
            self.open_claims(true).filter(|name| self.known(name).is_some()).map(|name| name.version);
        let held = self.held_unseen().filter(|&(_, found)| found.digest == self.own().digest);
        claimed.chain(held.map(|(version, _)| version)).filter(|&version| !given(version)).max()
    }

    /// Another run that promotes this commit as another derived version than `version`, as far as it
    /// may still be writing.
    pub(super) fn rival(&self, version: Version) -> Option<(Version, Digest)> {
        let own = self.own();
        let derived = |claim: &&Claim| claim.kind == ClaimKind::Derived;
        let of_commit = |claim: &&Claim| claim.commit == own.set.commit;
        // Of another set of this commit whatever kind: a run by Git tag may have written its claim over that of a
        // derived one of the same set, and with other bytes there is but one of them anyway.
        let other_sets = self.live_claims_of_others().filter(of_commit);
        let same_set = self.open_claims(true).filter(|name| name.version != version);
        let same_set = same_set.filter_map(|name| self.live(name)).filter(derived);
        let claimed = other_sets.chain(same_set).map(|claim| (claim.version, claim.set.clone()));

        // A version that this run has moved away from, and whose set somebody wrote all the same: what
        // the claim says is our own word, so there is no telling whether the writer still lives.
        let begun = self.held_unseen().filter(|&(held, found)| {
            let same = found.digest == own.digest;
            let live = self.live(&ClaimName::new(held, &found.digest));
            let writing = live.is_some_and(|claim| derived(&claim) || !same);
            !(same && held == version) && (writing || (same && self.claiming.claimed.contains(&held)))
        });
        let visible = self
            .held_by_commit()
            .filter(|&(held, found)| found.digest != own.digest && self.visible.contains(&held));
        let held = begun.chain(visible).map(|(held, found)| (held, found.digest.clone()));
        claimed.chain(held).next()
    }

    /// The taken versions that may be this commit's, as far as it is not known whose they are.
    pub(super) fn unread_sets(&self) -> impl Iterator<Item = Version> {
        let claimant = &self.claiming.claimant;
        let relevant = |version: &Version| match claimant.wanted {
            Wanted::Given(given) => *version == given,
            Wanted::Derived(_) => *version >= claimant.lowest_base,
        };
        self.taken.iter().copied().filter(relevant).filter_map(|version| self.unread_set(version))
    }

    /// Adds what has to be read besides what the order of taken versions needs.
    pub(super) fn add_unread(&self, reads: &mut Reads) {
        let wanted = self.claiming.claimant.wanted;
        reads.sets.extend(self.unread_sets());
        reads.sets.sort_unstable();
        reads.sets.dedup();

        let beside = |name: &&ClaimName| self.claiming.claimant.wanted_beside(name.version);
        let mut claims: Vec<ClaimName> = self.open_claims(false).filter(beside).cloned().collect();
        if matches!(wanted, Wanted::Derived(_)) {
            claims.extend(self.open_claims(true).cloned());
            let held = self.held_unseen().map(|(version, found)| ClaimName::new(version, &found.digest));
            claims.extend(held.filter(|name| self.listing.tags.claims.contains(name) && !self.is_mine(name)));
        }
        reads.claims.extend(claims.into_iter().filter(|name| !self.claiming.claims.contains_key(name)));
        reads.claims.sort_unstable();
        reads.claims.dedup();
    }

    fn own(&self) -> &'a FoundSet {
        &self.claiming.claimant.found
    }

    fn known(&self, name: &ClaimName) -> Option<&'a Claim> {
        self.claiming.claims.get(name)?.as_ref()
    }

    fn live(&self, name: &ClaimName) -> Option<&'a Claim> {
        self.known(name).filter(|claim| claim.is_live(self.listing.now))
    }

    fn is_mine(&self, name: &ClaimName) -> bool {
        name.is_of(&self.own().digest) && self.claiming.claimed.contains(&name.version)
    }

    /// Claims on versions that are not taken, of this set (but not of this run) or of others.
    fn open_claims(&self, own: bool) -> impl Iterator<Item = &'a ClaimName> {
        let open = self.listing.tags.claims.iter().filter(|name| !self.is_taken(name.version));
        open.filter(move |name| name.is_of(&self.own().digest) == own && !self.is_mine(name))
    }

    fn unread_set(&self, version: Version) -> Option<Version> {
        let known =
            self.claiming.holders.contains_key(&version) || self.claiming.set_written == Some(version);
        (!known).then_some(version)
    }

    /// Versions that belong to a set of this commit, besides the one whose set this run has written.
    fn held_by_commit(&self) -> impl Iterator<Item = (Version, &'a FoundSet)> {
        let versions = self.taken.iter().copied();
        let held = versions.filter_map(|version| Some((version, self.holder(version)?)));
        held.filter(|(_, found)| found.set.commit == self.own().set.commit)
    }

    /// Those of them that nobody can see yet.
    fn held_unseen(&self) -> impl Iterator<Item = (Version, &'a FoundSet)> {
        self.held_by_commit().filter(|(version, _)| !self.visible.contains(version))
    }

    /// Whether a taken version is one that the wanted one must not fall behind.
    fn is_beside(&self, version: Version) -> bool {
        match self.claiming.claimant.wanted {
            Wanted::Derived(_) => true,
            Wanted::Given(given) => version.same_line(given) && version != given,
        }
    }
}

impl super::Claimant {
    /// Whether a claim to `version` can concern this one.
    fn wanted_beside(&self, version: Version) -> bool {
        match self.wanted {
            Wanted::Derived(_) => true,
            Wanted::Given(given) => version.same_line(given),
        }
    }
}

fn told(standing: Standing, version: Version) -> Option<Next> {
    match standing {
        Standing::Newest => None,
        Standing::Superseded { theirs, ours, .. } => Some(Next::Superseded { by: version, theirs, ours }),
        Standing::Undecidable { reason } => Some(Next::Undecidable { reason }),
    }
}
