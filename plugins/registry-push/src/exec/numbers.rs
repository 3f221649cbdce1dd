//! `rc_number: sequence`: claims a number, as [`granary_release::Sequence`] says.

use std::time::Duration;

use granary_net::random_unit;
use granary_oci::{Tag, TagOrDigest};
use granary_plugin::{Failure, Kind};
use granary_release::{Candidate, FoundSet, RcClaimError, RcNext, Sequence, TagKind};
use granary_suite::registry_failure;

use super::look::Present;
use super::{Publication, Push};
use crate::plan::{Draft, is_same_publication};

/// The longest pause after a number was lost to others who were as quick: they are not to stay in step.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How many numbers may turn out to be in use without a claim. Whoever numbers by pipelines beside it
/// reaches that; then one setting for all of them is needed, not patience.
const MOST_OCCUPIED: usize = 16;

impl Push<'_> {
    /// Claims a number. Content is in place, so that a push that fails for its bytes takes none. `list` is
    /// what was listed at the beginning: old enough to be cheap, and whoever claimed since then is seen in
    /// the second list.
    pub(super) async fn claim(&self, draft: &Draft, list: Option<Vec<Tag>>) -> Result<Publication, Failure> {
        let lead = self.records.repository();
        let mut sequence = Sequence::new(draft.base(), draft.claimant());
        if let Some(list) = &list {
            sequence.listed(list);
        }
        let mut occupied = 0;
        loop {
            self.context.stop.check()?;
            match sequence.next().map_err(failure)? {
                RcNext::List => {
                    if sequence.has_moved() {
                        tokio::time::sleep(LONGEST_PAUSE.mul_f64(random_unit())).await;
                    }
                    let tags = self.registry.tags(lead).await.map_err(registry_failure)?;
                    sequence.listed(&tags);
                }
                RcNext::Claim(candidate) => {
                    let name = sequence.claim(candidate);
                    let now = self.registry.server_time().unwrap_or_else(|| self.context.now());
                    let url = self.context.ci.pipeline_url.as_deref();
                    let manifest = name.manifest(&self.commit, url, now);
                    let target = TagOrDigest::from(name.tag());
                    self.registry.put_manifest(lead, &target, &manifest).await.map_err(registry_failure)?;
                    self.context.output.debug(format_args!("claimed {candidate}: {lead}:{name}"));
                    sequence.wrote(candidate);
                }
                RcNext::Look(candidate) => {
                    let tag = TagKind::CandidateSet(candidate).tag();
                    let found = self.records.set(&TagOrDigest::from(&tag)).await?;
                    let ours = draft.numbered(candidate);
                    let is_ours = found.is_some_and(|found| is_same_publication(&found.set, &ours));
                    sequence.looked(candidate, is_ours);
                }
                RcNext::Own(candidate) => {
                    let found = FoundSet::new(draft.numbered(candidate));
                    match self.look(&found, true).await? {
                        Ok(present) => return Ok(Publication::new(found, present)),
                        Err(taken) if occupied == MOST_OCCUPIED => return Err(super::conflict(taken)),
                        Err(taken) => {
                            self.context.output.info(format_args!("{taken}; taking the next number"));
                            sequence.occupied(candidate);
                            occupied += 1;
                        }
                    }
                }
            }
        }
    }

    /// What [`Self::claim`] would come to if nobody else did anything, and the line for a plan.
    pub(super) async fn likely(
        &self,
        draft: &Draft,
        list: Option<Vec<Tag>>,
    ) -> Result<(String, Publication), Failure> {
        let lead = self.records.repository();
        let list = match list {
            Some(list) => list,
            None => self.registry.tags(lead).await.map_err(registry_failure)?,
        };
        let mut sequence = Sequence::new(draft.base(), draft.claimant());
        sequence.listed(&list);
        let candidate: Candidate = sequence.likely().map_err(failure)?;
        let found = FoundSet::new(draft.numbered(candidate));
        let line =
            format!("claim {lead}:{}, or the next number if somebody is quicker", sequence.claim(candidate));
        Ok((line, Publication::new(found, Present::default())))
    }
}

fn failure(error: RcClaimError) -> Failure {
    let (kind, hint) = match error {
        RcClaimError::Stale { .. } => (
            Kind::Unavailable,
            "a cache or proxy in front of the registry may answer for it; `sequence` needs a list that is current",
        ),
        RcClaimError::Crowded { .. } => (Kind::Conflict, "run it again when fewer push at the same moment"),
        RcClaimError::Exhausted { .. } => {
            (Kind::Conflict, "no number is left: somebody has published one near 2^64")
        }
    };
    Failure::new(kind, "refusing to number by a sequence").caused_by(error).hint(hint)
}
