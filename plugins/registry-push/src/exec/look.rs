//! A look at what is there, before anything is tagged.

use std::collections::BTreeMap;

use futures_util::future::{try_join, try_join_all};
use granary_oci::{Digest, Repository, Tag, TagOrDigest};
use granary_plugin::Failure;
use granary_release::{FoundSet, Member, TagKind};
use granary_suite::registry_failure;

use super::Push;
use crate::plan::{Conflict, is_same_publication, tags};

/// What was found when looking.
#[derive(Default)]
pub(super) struct Present {
    /// Tags of members.
    pub tags: BTreeMap<(Repository, Tag), Digest>,
    /// The set under `set-<X.Y.Z-rc.N>`: the one looked for, or one that publishes the same.
    pub candidate_set: Option<FoundSet>,
}

impl Present {
    /// Whether some tag leads to the member already, so that its content is there.
    pub(super) fn has(&self, member: &Member) -> bool {
        let leads = |((place, _), digest): (&(Repository, Tag), &Digest)| {
            *place == member.repository && *digest == member.digest
        };
        self.tags.iter().any(leads)
    }
}

impl Push<'_> {
    /// Looks at the candidate in every member's repository (other bytes: a conflict), and for a set that
    /// is adopted at all its other tags. All at once, at the price of one round trip: a listing may lag
    /// behind, and a candidate must not move.
    pub(super) async fn look(
        &self,
        found: &FoundSet,
        is_new: bool,
    ) -> Result<Result<Present, Conflict>, Failure> {
        let set = &found.set;
        let (candidate, candidate_set) =
            (TagKind::Candidate(set.candidate).tag(), TagKind::CandidateSet(set.candidate).tag());
        let lead = self.records.repository();
        // The readers' tags of a new set are written whatever they named before: no need to look.
        let wanted: Vec<Tag> =
            tags(set, &self.extra_tags).into_iter().filter(|tag| *tag == candidate || !is_new).collect();
        let places: Vec<(&Member, &Tag)> =
            set.members.iter().flat_map(|member| wanted.iter().map(move |tag| (member, tag))).collect();
        let digests = places.iter().map(|(member, tag)| {
            let (place, target) = (&member.repository, TagOrDigest::from(*tag));
            // What must not move is read, not only asked for by HEAD: a HEAD's 404 has no body, and may come
            // from anything in between.
            let must_stay = **tag == candidate;
            async move {
                let found = match must_stay {
                    true => self
                        .registry
                        .manifest(place, &target)
                        .await
                        .map(|raw| raw.map(|raw| raw.descriptor())),
                    false => self.registry.head_manifest(place, &target).await,
                };
                found.map_err(registry_failure)
            }
        });
        let target = TagOrDigest::from(&candidate_set);
        let (digests, record) = try_join(try_join_all(digests), self.records.set(&target)).await?;
        let mut present = Present::default();
        for ((member, tag), digest) in places.into_iter().zip(digests) {
            let Some(digest) = digest.map(|descriptor| descriptor.digest) else { continue };
            if *tag == candidate && digest != member.digest {
                let (repository, tag, wanted) =
                    (member.repository.clone(), tag.clone(), member.digest.clone());
                return Ok(Err(Conflict::Published { repository, tag, found: digest, wanted }));
            }
            present.tags.insert((member.repository.clone(), tag.clone()), digest);
        }
        if let Some(record) = record {
            if record.digest != found.digest && !is_same_publication(&record.set, set) {
                let (repository, tag, wanted) = (lead.clone(), candidate_set, found.digest.clone());
                return Ok(Err(Conflict::Published { repository, tag, found: record.digest, wanted }));
            }
            present.candidate_set = Some(record);
        }
        Ok(Ok(present))
    }
}
