//! From whatever was asked about to its release set.

use granary_oci::{Digest, RawManifest, Repository, Tag, TagOrDigest, media_type};
use granary_plugin::{Failure, Kind};
use granary_release::{FoundSet, SET_ARTIFACT_TYPE, TagKind, Version};
use granary_suite::{Collected, SignedSummary, Subject, collect, pipeline_commit, set_failure};

use super::chain::Image;
use super::read::version_of;
use super::{Asked, Verification};
use crate::places::{Place, Side};

/// How many sets of a commit are asked about, from the newest on.
const MOST_REBUILDS: usize = 10;

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
            Asked::Content { sides, repository, target, tag } => {
                self.of_content(sides, repository.as_ref(), target, tag.as_ref()).await
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
            Some(set) => {
                let by_commit = matches!(subject, Subject::Pipeline | Subject::Commit(_));
                let set = if by_commit { self.promoted_of(set).await? } else { set };
                Ok(Found { set, image: None })
            }
            None => {
                let what = subject.told(commit);
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
        tag: Option<&Tag>,
    ) -> Result<Found, Failure> {
        let mut looked_in = Vec::new();
        for &side in sides {
            let lead = match (side, &self.sites.target) {
                (Side::Target, Some(target)) => &target.lead,
                _ => self.sites.lead(),
            };
            let place = Place { side, repository: repository.unwrap_or(lead).clone() };
            let found = self.sites.registry(side).manifest(&place.repository, target).await;
            let found = found.map_err(side.failure())?;
            if let (Some(raw), Some(tag)) = (&found, tag) {
                self.check_tag(&place, tag, raw.digest()).await?;
            }
            match found {
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

    /// `repository:tag@digest` says that the tag names the digest.
    async fn check_tag(&self, place: &Place, tag: &Tag, digest: &Digest) -> Result<(), Failure> {
        let registry = self.sites.registry(place.side);
        let named = registry.head_manifest(&place.repository, &TagOrDigest::from(tag)).await;
        let named = named.map_err(place.side.failure())?.map(|named| named.digest);
        if named.as_ref() == Some(digest) {
            return Ok(());
        }
        let place = self.sites.name(place);
        let named = named.map_or_else(|| "is not there".to_owned(), |named| format!("names {named}"));
        Err(unknown("version.tag", format!("{place}:{tag} {named}"), digest.as_str()))
    }

    /// What is attached to an image names its set; see [`Self::set_of`].
    async fn of_image(&self, place: &Place, raw: &RawManifest) -> Result<Found, Failure> {
        let digest = raw.digest();
        let image = Image { place: self.sites.name(place), digest: digest.clone() };
        let registry = self.sites.registry(place.side);
        let attached = collect(registry, &place.repository, digest, self.testers, self.promoters).await?;
        self.tell_unread(&attached, digest);
        let Some(set) = self.set_of(&attached).await? else { return Err(no_way_up(&image, raw, &attached)) };
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

    /// The newest promotion that a version came of, else the newest that died before, else the newest test.
    async fn set_of(&self, attached: &Collected) -> Result<Option<Digest>, Failure> {
        let wanted = self.settings.version;
        let told = |signed: &SignedSummary| {
            let version = version_of(signed)?;
            let set: Digest = signed.summary.promotion.set.parse().ok()?;
            let fits = wanted.is_none_or(|wanted| version == wanted);
            fits.then_some((version, set, signed.summary.time_verified))
        };
        let told: Vec<_> = attached.summaries.iter().filter_map(told).collect();
        let holders = self.holders(told.iter().map(|(version, ..)| *version)).await?;
        let became =
            |version: &Version, set: &Digest| holders.get(version).cloned().flatten().as_ref() == Some(set);
        let promoted = told.iter().max_by_key(|(version, set, time)| (became(version, set), *time));
        Ok(match promoted {
            Some((_, set, _)) => Some(set.clone()),
            None => attached.runs.iter().max_by_key(|run| run.finished_on).map(|run| run.set.clone()),
        })
    }

    /// Of the sets of one commit the newest that a version came of; `newest` where none did. A commit that was
    /// built again after its promotion has a newer set, which nobody promoted.
    async fn promoted_of(&self, newest: FoundSet) -> Result<FoundSet, Failure> {
        if newest.set.replaces.is_none() {
            return Ok(newest);
        }
        let lineage = self.sites.records.lineage(newest.clone()).await?;
        for found in lineage.into_iter().take(MOST_REBUILDS) {
            let lead = self.sites.lead();
            let attached =
                collect(&self.sites.candidates, lead, &found.digest, self.testers, self.promoters).await?;
            let versions = attached.summaries.iter().filter_map(version_of);
            let holders = self.holders(versions.chain(self.settings.version)).await?;
            if holders.values().any(|holder| holder.as_ref() == Some(&found.digest)) {
                return Ok(found);
            }
        }
        Ok(newest)
    }

    pub(super) fn tell_unread(&self, collected: &Collected, digest: &Digest) {
        if collected.unread > 0 {
            self.context.output.info(format_args!(
                "{} older summaries on {digest} were not read; `as_version` alone asks about any version",
                collected.unread
            ));
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
