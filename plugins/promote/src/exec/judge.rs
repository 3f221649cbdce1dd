//! Before the claim: order, evidence, and a look at what is there, asked at once.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use granary_oci::TagOrDigest;
use granary_plugin::{Failure, Kind, Outcome};
use granary_release::claim::{Claimant, Claiming, Next, Wanted};
use granary_release::{FoundSet, TagKind, Verdict, Version};
use granary_suite::{check_list, registry_failure};

use super::claims::{Claims, Ordered};
use super::{Manifests, Promotion, Subject};
use crate::facts::{Look, accepted_line};
use crate::places::Side;
use crate::plan::{Facts, Lists};
use crate::refusal::evidence_failure;
use crate::report;
use crate::wait::Wait;

/// What became of a set that has no version yet.
pub(super) enum Judged<'a> {
    /// Evidence had to be waited for: everything that was read before is old.
    Again,
    /// Others have written a version that the list does not have: it is older than that, or not whole. Why
    /// it is not gone by, should it not get better.
    Stale(Failure),
    /// There is nothing to do.
    Ended(Outcome),
    /// It was let in before.
    Seen(Box<Seen>),
    /// It may have a version.
    LetIn { claims: Box<Claims<'a>>, manifests: Manifests },
}

/// What ends the questions before all of them are answered.
enum Early {
    Failed(Failure),
    Stale(Failure),
    Ended(Outcome),
    Seen(Box<Seen>),
}

/// A version that this set is visible as, though the facts did not tell.
pub(super) struct Seen {
    pub(super) version: Version,
    pub(super) look: Look,
    pub(super) lists: Lists,
}

impl From<Failure> for Early {
    fn from(failure: Failure) -> Self {
        Early::Failed(failure)
    }
}

impl Promotion<'_> {
    /// Whether a set may have a version. Order comes before evidence, which comes before the bytes, in
    /// whatever order the answers arrive: whoever has been overtaken need not be tested.
    pub(super) async fn judge<'a>(
        &'a self,
        subject: &'a Subject,
        facts: Facts,
        wait: &mut Wait,
    ) -> Result<Judged<'a>, Failure> {
        let mut claims = self.claims(subject, facts);
        let asked = tokio::try_join!(
            self.find_version(subject, &mut claims),
            async { Ok::<_, Early>(self.verdict(&subject.set).await) },
            async { Ok::<_, Early>(self.manifests(subject).await) },
        );
        let ((), verdict, manifests) = match asked {
            Ok(asked) => asked,
            Err(Early::Failed(failure)) => return Err(failure),
            Err(Early::Stale(failure)) => return Ok(Judged::Stale(failure)),
            Err(Early::Ended(outcome)) => return Ok(Judged::Ended(outcome)),
            Err(Early::Seen(seen)) => return Ok(Judged::Seen(seen)),
        };
        if !self.accept(&subject.set, verdict?, wait).await? {
            return Ok(Judged::Again);
        }
        Ok(Judged::LetIn { claims: Box::new(claims), manifests: manifests? })
    }

    /// Feeds the protocol with what is known already.
    fn claims<'a>(&'a self, subject: &'a Subject, facts: Facts) -> Claims<'a> {
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
    async fn find_version(&self, subject: &Subject, claims: &mut Claims<'_>) -> Result<(), Early> {
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
                    let lists = claims.lists().clone();
                    return Err(Early::Seen(Box::new(Seen { version, look, lists })));
                }
                told => match claims.ordered(&told)? {
                    Ordered::Ended(outcome) => return Err(Early::Ended(outcome)),
                    Ordered::GoOn => continue,
                },
            };
            claims.would_claim(version);
            return self.look_at(subject, claims, version).await;
        }
    }

    async fn look_at(
        &self,
        subject: &Subject,
        claims: &mut Claims<'_>,
        version: Version,
    ) -> Result<(), Early> {
        if claims.looked_at(version).is_some() {
            return Ok(());
        }
        let look = self.lookup().look(version, &subject.places, claims.lists()).await?;
        let taken = look.holder.as_ref().is_some_and(|holder| holder.digest != subject.set.digest);
        if taken && matches!(self.wanted, Wanted::Derived(_)) {
            let tag = TagKind::VersionSet(version).tag();
            check_list(&claims.lists().tags, self.sites.lead(), &tag).map_err(Early::Stale)?;
        }
        if self.check_look(subject, version, &look)? {
            let lists = claims.lists().clone();
            return Err(Early::Seen(Box::new(Seen { version, look, lists })));
        }
        claims.keep_look(version, look);
        Ok(())
    }

    async fn verdict(&self, found: &FoundSet) -> Result<Verdict, Failure> {
        self.lookup().evidence(found, self.keys, &self.settings.evidence).await
    }

    /// Whether evidence lets a set in; `false` where it had to be waited for: by then others may have taken
    /// the version or overtaken the candidate.
    async fn accept(&self, found: &FoundSet, first: Verdict, wait: &mut Wait) -> Result<bool, Failure> {
        let mut verdict = first;
        let mut waited = false;
        loop {
            match verdict {
                Verdict::Accepted(_) if waited => return Ok(false),
                Verdict::Accepted(runs) => {
                    self.context.output.info(format_args!("evidence accepted: {}", accepted_line(&runs)));
                    report::evidence(self.context, &runs);
                    return Ok(true);
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
            verdict = self.verdict(found).await?;
        }
    }

    /// The bytes of everything that will be tagged, by digest: what is promoted is what was tested.
    pub(super) async fn manifests(&self, subject: &Subject) -> Result<Manifests, Failure> {
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
