//! Before the claim: order, evidence, and a look at what is there, asked at once.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use granary_oci::TagOrDigest;
use granary_plugin::{Failure, Kind};
use granary_release::claim::{Claimant, Claiming, Next, Wanted};
use granary_release::{FoundSet, TagKind, TestRun, Verdict, Version};
use granary_suite::{check_list, registry_failure};
use jiff::Timestamp;

use super::claims::Claims;
use super::{Early, Manifests, PlacedSet, Promotion};
use crate::facts::accepted_line;
use crate::places::Side;
use crate::plan::Facts;
use crate::refusal::evidence_failure;
use crate::report;
use crate::wait::Wait;

impl Promotion<'_> {
    /// Whether a set may have a version; `None` where evidence had to be waited for. Order comes before
    /// evidence, which comes before the bytes, in whatever order the answers arrive: whoever has been
    /// overtaken need not be tested.
    pub(super) async fn judge<'a>(
        &'a self,
        subject: &'a PlacedSet,
        facts: Facts,
        wait: &mut Wait,
    ) -> Result<Option<(Claims<'a>, Manifests)>, Early> {
        let mut claims = self.claims(subject, facts);
        let ((), verdict, manifests) = tokio::try_join!(
            self.find_version(subject, &mut claims),
            async { Ok::<_, Early>(self.verdict(&subject.set).await) },
            async { Ok::<_, Early>(self.manifests(subject).await) },
        )?;
        let (verdict, judged_on) = verdict?;
        let Some(runs) = self.accept(&subject.set, verdict, wait).await? else { return Ok(None) };
        claims.let_in_by(runs, judged_on);
        Ok(Some((claims, manifests?)))
    }

    /// Feeds the protocol with what is known already.
    fn claims<'a>(&'a self, subject: &'a PlacedSet, facts: Facts) -> Claims<'a> {
        let own = |version: &Version| {
            let own = facts.own_set(*version).is_some_and(|found| found.digest == subject.set.digest);
            own && facts.is_seen(*version)
        };
        let carried: BTreeSet<Version> = facts.carried.keys().copied().filter(own).collect();
        let claimant = Claimant {
            found: subject.set.clone(),
            wanted: self.wanted,
            lowest_base: facts.lowest_base(),
            // What it would stop for is found first, and then said.
            allow_older: false,
        };
        let mut machine = Claiming::new(claimant, carried);
        for (version, holder) in facts.version_sets {
            machine.read_set(version, holder.found);
        }
        Claims::new(self, subject, machine, facts.lists)
    }

    /// Reads until it is clear which version would be claimed, and what is there of it. A list may be older
    /// than the last promotion, so what is about to be written is looked at itself.
    async fn find_version(&self, subject: &PlacedSet, claims: &mut Claims<'_>) -> Result<(), Early> {
        if let Wanted::Given(version) = self.wanted
            && claims.lists().shows(version)
            && !claims.lists().tags.sets.contains(&version)
        {
            // Visible, and no set says whose it is: put there by hand. With our bytes it is not moved.
            self.look_at(subject, claims, version).await?;
            claims.adopt(version);
        }
        loop {
            let version = match claims.read_up().await? {
                Next::WriteClaim(version) => version,
                Next::Finish(version) => {
                    let look = self.lookup().look(version, &subject.places, claims.lists()).await?;
                    return Err(claims.seen(version, look));
                }
                told => {
                    claims.ordered(&told)?;
                    continue;
                }
            };
            return self.look_at(subject, claims, version).await;
        }
    }

    async fn look_at(
        &self,
        subject: &PlacedSet,
        claims: &mut Claims<'_>,
        version: Version,
    ) -> Result<(), Early> {
        if claims.has_looked_at(version) {
            return Ok(());
        }
        let look = self.lookup().look(version, &subject.places, claims.lists()).await?;
        let taken = look.holder.as_ref().is_some_and(|holder| holder.digest != subject.set.digest);
        if taken && matches!(self.wanted, Wanted::Derived(_)) {
            let tag = TagKind::VersionSet(version).tag();
            check_list(&claims.lists().tags, self.sites.lead(), &tag).map_err(Early::Stale)?;
        }
        if self.check_look(subject, version, &look)? {
            return Err(claims.seen(version, look));
        }
        claims.keep_look(version, look);
        Ok(())
    }

    pub(super) async fn verdict(&self, found: &FoundSet) -> Result<(Verdict, Timestamp), Failure> {
        self.lookup().evidence(found, self.keys, &self.settings.evidence).await
    }

    /// The evidence that lets a set in; `None` where it had to be waited for: by then others may have taken
    /// the version or overtaken the candidate.
    ///
    /// # Errors
    /// With exit code 14 where there is none that does.
    pub(super) async fn accept(
        &self,
        found: &FoundSet,
        first: Verdict,
        wait: &mut Wait,
    ) -> Result<Option<Vec<TestRun>>, Failure> {
        let mut verdict = first;
        let mut waited = false;
        loop {
            match verdict {
                Verdict::Accepted(_) if waited => return Ok(None),
                Verdict::Accepted(runs) => {
                    self.context.output.info(format_args!("evidence accepted: {}", accepted_line(&runs)));
                    report::evidence(self.context, &runs);
                    return Ok(Some(runs));
                }
                Verdict::Rejected(rejection) => return Err(evidence_failure(found, rejection)),
                Verdict::Missing(rejection) => {
                    waited = wait.again(self.context, "evidence").await?;
                    if !waited {
                        return Err(evidence_failure(found, rejection)
                            .hint("`log_level: debug` names the bundles that do not count, and why"));
                    }
                }
            }
            (verdict, _) = self.verdict(found).await?;
        }
    }

    /// The bytes of everything that will be tagged, by digest: what is promoted is what was tested.
    pub(super) async fn manifests(&self, subject: &PlacedSet) -> Result<Manifests, Failure> {
        let registry = self.sites.registry(Side::Candidate);
        let fetch = subject.set.set.members.iter().map(|member| async move {
            let (place, digest) = (&member.repository, &member.digest);
            let found =
                registry.manifest(place, &TagOrDigest::from(digest)).await.map_err(registry_failure)?;
            let raw = found.ok_or_else(|| {
                let set = &subject.set.digest;
                let message = format!("{place}@{digest} is not there, although release set {set} names it");
                Failure::new(Kind::BadInput, message)
                    .hint("the registry's garbage collection may have taken it; publish the commit anew")
            })?;
            Ok::<_, Failure>((digest.clone(), raw))
        });
        Ok(try_join_all(fetch).await?.into_iter().chain([own(&subject.set)]).collect())
    }
}

fn own(set: &FoundSet) -> (granary_oci::Digest, granary_oci::RawManifest) {
    (set.digest.clone(), set.manifest().clone())
}
