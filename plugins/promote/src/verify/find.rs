//! From whatever was asked about to its release set.

use granary_oci::{Digest, RawManifest, Repository, TagOrDigest, media_type};
use granary_plugin::{Failure, Kind};
use granary_release::{FoundSet, SET_ARTIFACT_TYPE, TagKind, Version};
use granary_suite::{Collected, Subject, collect, pipeline_commit, set_failure};

use super::chain::Image;
use super::{Asked, Verification};
use crate::places::{Place, Side};

/// A set, and how it was found.
pub(super) struct Found {
    pub(super) set: FoundSet,
    /// The image that led to it.
    pub(super) image: Option<Image>,
}

impl Verification<'_> {
    /// Finds the set.
    ///
    /// # Errors
    /// With exit code 14 where nothing leads to one.
    pub(super) async fn find(&self) -> Result<Found, Failure> {
        match &self.settings.asked {
            Asked::Version(version) => self.of_version(*version).await,
            Asked::Set(subject) => self.of_subject(subject).await,
            Asked::Content { sides, repository, target } => {
                self.of_content(sides, repository.as_ref(), target).await
            }
        }
    }

    async fn of_version(&self, version: Version) -> Result<Found, Failure> {
        let tag = TagKind::VersionSet(version).tag();
        match self.sites.records.set(&TagOrDigest::from(&tag)).await? {
            Some(set) => Ok(Found { set, image: None }),
            None => {
                let found = format!("{} has no {tag}", self.sites.lead());
                Err(unknown("version.set", found, "a version that promote gave").hint(
                    "either nobody promoted that version here, or `repo` is another one; retention must keep `set-<X.Y.Z>`",
                ))
            }
        }
    }

    async fn of_subject(&self, subject: &Subject) -> Result<Found, Failure> {
        let pipeline = match subject {
            Subject::Pipeline => pipeline_commit(&self.context.ci, &self.context.workspace)?,
            _ => None,
        };
        let commit = pipeline.as_ref().map(|pipeline| &pipeline.id);
        match self.sites.records.select(subject, commit).await? {
            Some(set) => Ok(Found { set, image: None }),
            None => {
                let what = match (subject, commit) {
                    (Subject::Commit(commit), _) => format!("commit `{commit}`"),
                    (Subject::Candidate(candidate), _) => format!("candidate {candidate}"),
                    (_, Some(commit)) => format!("commit {commit}"),
                    _ => "this pipeline".to_owned(),
                };
                let found = format!("{} has nothing published for {what}", self.sites.lead());
                Err(unknown("set", found, "a release set written by registry-push"))
            }
        }
    }

    async fn of_content(
        &self,
        sides: &[Side],
        repository: Option<&Repository>,
        target: &TagOrDigest,
    ) -> Result<Found, Failure> {
        let mut looked_in = Vec::new();
        for &side in sides {
            let lead = match (side, &self.sites.target) {
                (Side::Target, Some(target)) => &target.lead,
                _ => self.sites.lead(),
            };
            let place = Place { side, repository: repository.unwrap_or(lead).clone() };
            let found = self.sites.registry(side).manifest(&place.repository, target).await;
            match found.map_err(side.failure())? {
                Some(raw) if is_set(&raw) => {
                    return Ok(Found { set: FoundSet::read(raw).map_err(set_failure)?, image: None });
                }
                Some(raw) => return self.of_image(&place, &raw).await,
                None => looked_in.push(self.sites.name(&place)),
            }
        }
        let found = format!("{target} is not in {}", looked_in.join(" or "));
        Err(unknown("digest", found, "a digest or tag that is there").hint(
            "an image that is not the lead lies in a repository of its own: give `candidate` as `repository@sha256:…`",
        ))
    }

    /// What is attached to an image names its set: the newest promotion, else the newest test.
    async fn of_image(&self, place: &Place, raw: &RawManifest) -> Result<Found, Failure> {
        let digest = raw.digest();
        let image = Image { place: self.sites.name(place), digest: digest.clone() };
        let registry = self.sites.registry(place.side);
        let attached = collect(registry, &place.repository, digest, self.testers, self.promoters).await?;
        let Some(set) = self.set_of(&attached) else { return Err(no_way_up(&image, raw, &attached)) };
        match self.sites.records.set(&TagOrDigest::from(&set)).await? {
            Some(set) => Ok(Found { set, image: Some(image) }),
            None => {
                let lead = self.sites.lead();
                let found = format!("what is attached to {digest} names set {set}, which is not in {lead}");
                Err(unknown("set", found, "the release set").hint(
                    "sets lie with the candidates, in the lead's repository: `registry`, `repo` and `lead` say where; \
                     production elsewhere is `target_registry` and `target_repo`",
                ))
            }
        }
    }

    fn set_of(&self, attached: &Collected) -> Option<Digest> {
        let wanted = self.settings.version.map(|version| version.to_string());
        let summaries = attached.summaries.iter().map(|signed| &signed.summary);
        let summaries = summaries
            .filter(|summary| wanted.as_ref().is_none_or(|wanted| summary.promotion.version == *wanted));
        let promoted = summaries.max_by_key(|summary| summary.time_verified);
        match promoted {
            Some(summary) => summary.promotion.set.parse().ok(),
            None => attached.runs.iter().max_by_key(|run| run.finished_on).map(|run| run.set.clone()),
        }
    }
}

fn is_set(raw: &RawManifest) -> bool {
    raw.parse().is_ok_and(|manifest| manifest.artifact_type.as_deref() == Some(SET_ARTIFACT_TYPE))
}

/// Nothing that counts is attached to an image. Of an index' platforms that is always so.
fn no_way_up(image: &Image, raw: &RawManifest, attached: &Collected) -> Failure {
    let Image { place, digest } = image;
    let what = match attached.ignored.first() {
        Some(reason) => format!("nothing that counts is attached to {digest} in {place}: {reason}"),
        None => format!("nothing is attached to {digest} in {place}"),
    };
    let failure = unknown("digest", what, "a digest with a summary or evidence by a known key");
    match media_type::is_index(raw.media_type()) {
        true => failure,
        false => failure.hint(
            "if this is one platform of an index: OCI has no way from a platform's manifest up to its index; give the \
             index' digest, or the version",
        ),
    }
}

fn unknown(rule: &str, found: String, needed: &str) -> Failure {
    Failure::new(Kind::Evidence, format!("cannot verify: {found}")).refusing(rule, found, needed)
}
