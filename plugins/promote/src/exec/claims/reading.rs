//! What the claim's protocol wants to know: the lists, others' claims, and whose the versions are.

use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use granary_net::random_unit;
use granary_oci::{Tag, TagOrDigest};
use granary_plugin::Failure;
use granary_release::TagKind;
use granary_release::claim::{Claim, ClaimName, Reads};
use granary_suite::{check_list, registry_failure};

use super::Claims;
use crate::places::Side;
use crate::plan::{Lists, check_same_bytes, claim_tag};
use crate::refusal::{claim_failure, conflict};

/// The longest pause before a list, for each version that was claimed before: of several that keep claiming
/// the same version one gets ahead.
const JITTER: Duration = Duration::from_millis(400);

/// How often a list is asked for that has to have what was just written, and the first pause between; each
/// further one is twice as long. A registry whose list stays behind for longer cannot be promoted in.
const LIST_ATTEMPTS: u32 = 5;
const LIST_PAUSE: Duration = Duration::from_millis(200);

impl Claims<'_> {
    /// Lists the tags of both leads, and looks at the version that is claimed.
    pub(in crate::exec) async fn list(&mut self) -> Result<(), Failure> {
        let claimed = self.machine.claimed();
        let unlooked = claimed.last().copied().filter(|_| self.machine.set_written().is_none());
        let moves = u32::try_from(claimed.len().saturating_sub(1)).unwrap_or(u32::MAX);
        if moves > 0 {
            tokio::time::sleep(JITTER.saturating_mul(moves).mul_f64(random_unit())).await;
        }
        let lookup = self.promotion.lookup();
        let look = async {
            match unlooked {
                Some(version) => Ok(Some((version, lookup.peek(version, &self.subject.places).await?))),
                None => Ok(None),
            }
        };
        let (lists, look) = try_join(self.current_lists(), look).await?;
        self.take_in(lists);
        self.look = look.or(self.look.take());
        Ok(())
    }

    /// The lists, as soon as they have what this run has written: one that has not is from before, and does
    /// not show what others have written meanwhile either.
    async fn current_lists(&self) -> Result<Lists, Failure> {
        let written = self.written();
        let mut pause = LIST_PAUSE;
        for _ in 1..LIST_ATTEMPTS {
            let lists = self.promotion.lookup().lists().await?;
            if written.iter().all(|tag| lists.tags.has(tag)) {
                return Ok(lists);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let lists = self.promotion.lookup().lists().await?;
        let lead = self.promotion.sites.lead();
        written.iter().try_for_each(|tag| check_list(&lists.tags, lead, tag))?;
        Ok(lists)
    }

    fn written(&self) -> Vec<Tag> {
        let claims = self.machine.claimed().iter().map(|&version| claim_tag(&self.subject.set, version));
        claims.chain(self.machine.set_written().map(|version| TagKind::VersionSet(version).tag())).collect()
    }

    pub(super) fn take_in(&mut self, lists: Lists) {
        let now = self.now();
        self.machine.listed(lists.tags.clone(), lists.production(), now);
        self.lists = lists;
    }

    pub(super) async fn read(&mut self, reads: Reads) -> Result<(), Failure> {
        let this = &*self;
        let claims = try_join_all(reads.claims.into_iter().map(|name| async move {
            let claim = this.their_claim(&name).await?;
            Ok::<_, Failure>((name, claim))
        }));
        let lookup = &this.promotion.lookup();
        let sets = try_join_all(reads.sets.into_iter().map(|version| async move {
            let holder = lookup.holder(version).await?;
            let tag = TagKind::VersionSet(version).tag();
            if holder.is_none() && this.lists.tags.has(&tag) {
                return Err(lookup.listed_but_absent(Side::Candidate, &tag));
            }
            Ok((version, holder.and_then(|holder| holder.found)))
        }));
        let (claims, sets) = try_join(claims, sets).await?;
        for (name, claim) in claims {
            self.machine.read_claim(name, claim);
        }
        for (version, set) in sets {
            if let Some(theirs) = set.as_ref().filter(|_| self.lists.shows(version)) {
                check_same_bytes(&self.subject.set, version, theirs).map_err(conflict)?;
            }
            self.machine.read_set(version, set);
        }
        Ok(())
    }

    async fn their_claim(&self, name: &ClaimName) -> Result<Option<Claim>, Failure> {
        let sites = self.promotion.sites;
        let target = TagOrDigest::from(name.tag());
        let raw = sites.candidates.manifest(sites.lead(), &target).await.map_err(registry_failure)?;
        raw.map(|raw| Claim::from_manifest(name, &raw).map_err(|error| claim_failure(sites.lead(), error)))
            .transpose()
    }
}
