//! What is attached to a set, and what the tags of its version name.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use granary_oci::{Digest, TagOrDigest};
use granary_plugin::Failure;
use granary_release::{FoundSet, TagKind, Version};
use granary_suite::{SignedSummary, collect};

use super::Verification;
use super::chain::{Chain, Tagged};
use super::find::Found;

/// What `set-<X.Y.Z>` names, by version.
pub(super) type Holders = BTreeMap<Version, Option<Digest>>;

impl Verification<'_> {
    /// Reads both chains of a set.
    ///
    /// # Errors
    /// If a registry fails, or so much is attached that some of it may be there to hide the rest.
    pub(super) async fn read(&self, found: Found) -> Result<Chain, Failure> {
        let Found { set: found, image } = found;
        let lead = self.sites.lead().clone();
        let collected =
            collect(&self.sites.candidates, &lead, &found.digest, self.testers, self.promoters).await?;
        self.tell_unread(&collected, &found.digest);
        let mut runs = collected.runs;
        runs.sort_by(|one, other| {
            (&one.environment, one.finished_on).cmp(&(&other.environment, other.finished_on))
        });
        let versions: Vec<Version> = collected.summaries.iter().filter_map(version_of).collect();
        let holders = self.holders(versions.into_iter().chain(self.settings.version)).await?;
        let (summary, others) = self.choose(&found, collected.summaries, &holders);
        let version = self.settings.version.or_else(|| summary.as_ref().and_then(version_of));
        let holder = version.and_then(|version| holders.get(&version).cloned().flatten());
        let tags = match version {
            Some(version) => self.tags(&found, version).await?,
            None => Vec::new(),
        };
        let ignored = collected.ignored;
        Ok(Chain { lead, found, image, runs, ignored, summary, others, version, holder, tags })
    }

    /// Which sets became these versions.
    ///
    /// # Errors
    /// If the registry fails.
    pub(super) async fn holders(&self, versions: impl Iterator<Item = Version>) -> Result<Holders, Failure> {
        let mut versions: Vec<Version> = versions.collect();
        versions.sort_unstable();
        versions.dedup();
        let tags: Vec<_> = versions.iter().map(|&version| TagKind::VersionSet(version).tag()).collect();
        let digests = self.sites.records.digests(&tags).await?;
        Ok(versions.into_iter().zip(digests).collect())
    }

    /// The summary to judge: of the version that was asked for, else of one that the set became, else any; of
    /// several the newest. A promotion that had to give way leaves a summary of a version that went to others.
    fn choose(
        &self,
        found: &FoundSet,
        mut summaries: Vec<SignedSummary>,
        holders: &Holders,
    ) -> (Option<SignedSummary>, Vec<SignedSummary>) {
        summaries.sort_by_key(|signed| {
            let version = version_of(signed);
            let became = version.and_then(|version| holders.get(&version)?.as_ref()) == Some(&found.digest);
            Reverse((became, signed.summary.time_verified))
        });
        let fits = |signed: &SignedSummary| {
            self.settings.version.is_none_or(|wanted| version_of(signed) == Some(wanted))
        };
        match summaries.iter().position(fits) {
            Some(at) => (Some(summaries.remove(at)), summaries),
            None => (None, summaries),
        }
    }

    async fn tags(&self, found: &FoundSet, version: Version) -> Result<Vec<Tagged>, Failure> {
        let places = self.sites.places(&found.set)?;
        let tag = TagKind::Version(version).tag();
        let looks = places.all().map(|(place, member)| {
            let (tag, wanted) = (&tag, member.digest.clone());
            async move {
                let registry = self.sites.registry(place.side);
                let found = registry.head_manifest(&place.repository, &TagOrDigest::from(tag)).await;
                let found = found.map_err(place.side.failure())?.map(|found| found.digest);
                Ok::<_, Failure>(Tagged {
                    place: format!("{}:{tag}", self.sites.name(&place)),
                    wanted,
                    found,
                })
            }
        });
        try_join_all(looks).await
    }
}

pub(super) fn version_of(signed: &SignedSummary) -> Option<Version> {
    signed.summary.promotion.version.parse().ok()
}
