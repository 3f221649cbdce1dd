//! What the registry says about the candidate: where its tags point, and which manifests run.

use futures_util::future::try_join_all;
use granary_oci::{Platform, TagOrDigest};
use granary_plugin::{Context, Failure, Kind};
use granary_registry::Registry;
use granary_release::{FoundSet, Member, TagKind};
use granary_suite::registry_failure;

use crate::plan::{Ran, own_platform, ran};

/// When the tags are looked at.
#[derive(Clone, Copy)]
pub(crate) enum Moment {
    /// Before the tests.
    Before,
    /// After them.
    After,
}

/// A look at one candidate.
pub(crate) struct Look<'a> {
    pub(crate) context: &'a Context,
    pub(crate) registry: &'a Registry,
    pub(crate) found: &'a FoundSet,
    /// What settings say ran; empty: this step's own platform.
    pub(crate) platforms: &'a [Platform],
}

impl Look<'_> {
    /// The first look: the tags fit, and this is what runs on which platforms.
    pub(crate) async fn first(&self) -> Result<(Vec<Ran>, Vec<Platform>), Failure> {
        let (tags, parts) = (self.check_tags(Moment::Before), self.what_runs());
        Ok(tokio::try_join!(tags, parts)?.1)
    }

    /// Every member's candidate tag must name what the set says.
    pub(crate) async fn check_tags(&self, moment: Moment) -> Result<(), Failure> {
        let tag = TagKind::Candidate(self.found.set.candidate).tag();
        let look = self.found.set.members.iter().map(|member| {
            let target = TagOrDigest::from(&tag);
            async move {
                let found = self.registry.head_manifest(&member.repository, &target).await;
                found.map(|found| (member, found)).map_err(registry_failure)
            }
        });
        for (member, found) in try_join_all(look).await? {
            let found = found.map(|descriptor| descriptor.digest);
            if found.as_ref() != Some(&member.digest) {
                let hint = match (&found, moment) {
                    (None, Moment::Before) => {
                        "run registry-push again: it finishes a candidate that it began"
                    }
                    _ => {
                        "candidates never move: find out who pushed to that tag, and publish the commit anew"
                    }
                };
                let there = found.map_or("not there".to_owned(), |digest| digest.to_string());
                let message =
                    format!("{}:{tag} is {there}, the set says {}", member.repository, member.digest);
                let refusal = match moment {
                    Moment::Before => "refusing to test a candidate whose tags do not fit",
                    Moment::After => "refusing to vouch for a candidate that changed while it was tested",
                };
                return Err(Failure::new(Kind::Conflict, format!("{refusal}: {message}"))
                    .hint(hint)
                    .refusing("candidate.tags", there, member.digest.to_string()));
            }
        }
        Ok(())
    }

    /// The manifests that run on the platforms in question, and those platforms; none where an index has
    /// nothing for this step's own: then the tests ran somewhere that nobody has named.
    async fn what_runs(&self) -> Result<(Vec<Ran>, Vec<Platform>), Failure> {
        let indexes = self
            .found
            .set
            .members
            .iter()
            .filter(|member| granary_oci::media_type::is_index(&member.media_type));
        let parts = indexes.map(|member| self.parts_of(member));
        let parts = try_join_all(parts).await?;
        let platforms = if parts.iter().all(Option::is_some) { self.platforms() } else { Vec::new() };
        Ok((parts.into_iter().flatten().flatten().collect(), platforms))
    }

    async fn parts_of(&self, member: &Member) -> Result<Option<Vec<Ran>>, Failure> {
        let target = TagOrDigest::from(&member.digest);
        let raw = self.registry.manifest(&member.repository, &target).await.map_err(registry_failure)?;
        let unusable = || {
            Failure::new(Kind::BadInput, format!("{}@{} cannot be read", member.repository, member.digest))
        };
        let raw = raw.ok_or_else(|| unusable().hint("it is not there; run registry-push again"))?;
        let manifest = raw.parse().map_err(|error| unusable().caused_by(error))?;
        match ran(&member.name, &member.digest, manifest, &self.platforms()) {
            Ok(parts) => Ok(Some(parts)),
            Err(error) if self.platforms.is_empty() => {
                self.context.output.warn(format_args!(
                    "{error}, and `platforms` does not say which was tested: evidence will name none"
                ));
                Ok(None)
            }
            Err(error) => Err(Failure::new(Kind::Settings, "`platforms` cannot be what ran")
                .caused_by(error)
                .hint("name the platforms that the tests ran")),
        }
    }

    fn platforms(&self) -> Vec<Platform> {
        match self.platforms {
            [] => vec![own_platform()],
            given => given.to_vec(),
        }
    }
}
