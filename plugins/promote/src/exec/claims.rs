//! Driving the claim: which requests its protocol asks for, and what their answers mean
//! ([`granary_release::claim`] decides).

mod reading;

use std::time::{Duration, Instant};

use futures_util::future::join;
use granary_oci::TagOrDigest;
use granary_plugin::{Failure, Kind, Outcome};
use granary_release::claim::{CLAIM_LIFETIME, CLAIM_WRITES, ClaimConflict, Claiming, Next};
use granary_release::{TestRun, Version};
use granary_suite::registry_failure;
use jiff::Timestamp;

use super::summary::Summary;
use super::{Early, PlacedSet, Promotion, Seen};
use crate::admission::OnSuperseded;
use crate::facts::Look;
use crate::plan::{Lists, claim_tag, set_write};
use crate::refusal::{claim_conflict, order_unknown, superseded};
use crate::report;

/// One run's way to its version.
pub(super) struct Claims<'a> {
    promotion: &'a Promotion<'a>,
    subject: &'a PlacedSet,
    machine: Claiming,
    lists: Lists,
    /// What there is of the version that would be claimed, or is.
    look: Option<(Version, Look)>,
    /// What let the set in.
    evidence: Vec<TestRun>,
    /// As of when. Copies into a target may lie between that and the claim.
    judged_on: Timestamp,
    /// What will say so, of the version that was claimed last.
    summary: Option<Summary<'a>>,
    /// When the first claim was made, by a clock that only moves on.
    since: Option<Instant>,
}

impl<'a> Claims<'a> {
    /// Begins with lists that were just read.
    pub(super) fn new(
        promotion: &'a Promotion<'a>,
        subject: &'a PlacedSet,
        machine: Claiming,
        lists: Lists,
    ) -> Self {
        let mut claims = Claims {
            promotion,
            subject,
            machine,
            lists: Lists::default(),
            look: None,
            evidence: Vec::new(),
            judged_on: promotion.context.now(),
            summary: None,
            since: None,
        };
        claims.take_in(lists);
        claims
    }

    pub(super) fn lists(&self) -> &Lists {
        &self.lists
    }

    pub(super) fn adopt(&mut self, version: Version) {
        self.machine.adopt(version);
    }

    pub(super) fn let_in_by(&mut self, evidence: Vec<TestRun>, judged_on: Timestamp) {
        (self.evidence, self.judged_on) = (evidence, judged_on);
    }

    /// The version that would be claimed, and what there is of it.
    pub(super) fn looked_at(&self) -> &(Version, Look) {
        self.look.as_ref().expect("invariant: a set is let in when its version has been looked at")
    }

    pub(super) fn has_looked_at(&self, version: Version) -> bool {
        self.look.as_ref().is_some_and(|(looked, _)| *looked == version)
    }

    pub(super) fn keep_look(&mut self, version: Version, look: Look) {
        self.look = Some((version, look));
    }

    /// The end of this way: the set is visible as a version already, to be seen through.
    pub(super) fn seen(&self, version: Version, look: Look) -> Early {
        Early::Seen(Box::new(Seen { version, carried: look.carried, lists: self.lists.clone() }))
    }

    /// The digest of the summary that was attached to the set.
    pub(super) fn summary(&self) -> Option<&granary_oci::Digest> {
        self.summary.as_ref().and_then(Summary::on_set)
    }

    /// Answers what the protocol wants to read, until it wants something else.
    pub(super) async fn read_up(&mut self) -> Result<Next, Failure> {
        loop {
            match self.next()? {
                Next::Read(reads) => self.read(reads).await?,
                next => return Ok(next),
            }
        }
    }

    /// Claims until a version is ours and nobody else's, and nobody sees it yet.
    pub(super) async fn win(&mut self) -> Result<(Version, Look), Early> {
        loop {
            match self.next()? {
                Next::List => self.list().await?,
                Next::Read(reads) => self.read(reads).await?,
                Next::WriteClaim(version) => self.claim(version).await?,
                Next::GoOn(version) => self.take_possession(version).await?,
                Next::Publish(version) => {
                    let look = self.last_look(version).await?;
                    // Where an earlier run has written `set-<X.Y.Z>`, there is no telling whether it signed.
                    self.attach_summary(version).await?;
                    return Ok((version, look));
                }
                Next::Finish(version) => {
                    let places = &self.subject.places;
                    let look = self.promotion.lookup().look(version, places, &self.lists).await?;
                    return Err(self.seen(version, look));
                }
                told @ (Next::Superseded { .. } | Next::Undecidable { .. }) => self.ordered(&told)?,
            }
        }
    }

    /// Claims a version and looks who else does. The summary is brought meanwhile: each version needs one of
    /// its own, and waiting for it afterwards would cost two round trips.
    async fn claim(&mut self, version: Version) -> Result<(), Failure> {
        self.promotion.context.stop.check()?;
        let mut summary =
            self.promotion.sign_summary(self.subject, version, (&self.evidence, self.judged_on))?;
        let left = self.time_left();
        let bring = async {
            match &mut summary {
                Some(summary) => tokio::time::timeout(left, summary.bring()).await,
                None => Ok(Ok(())),
            }
        };
        let claim = async {
            self.write_claim(version).await?;
            self.list().await
        };
        let (brought, claimed) = join(bring, claim).await;
        claimed?;
        brought.map_err(|_| self.refused(ClaimConflict::OutOfTime { version }))??;
        self.summary = summary;
        Ok(())
    }

    async fn write_claim(&mut self, version: Version) -> Result<(), Failure> {
        let Promotion { context, sites, .. } = self.promotion;
        let started = Instant::now();
        let claim = self.machine.claim(version, context.ci.pipeline_url.clone(), self.now());
        let manifest = claim.to_manifest();
        let (lead, tag) = (sites.lead(), claim.name().tag());
        // The empty configuration that it names is there with the set that was read.
        // Another run of the same commit writes it too, with another time in it: the list says that it is there.
        let target = TagOrDigest::from(&tag);
        let write = sites.candidates.put_shared(lead, &target, &manifest);
        self.in_time(version, write).await?.map_err(registry_failure)?;
        context.output.done_in(format!("{lead}:{tag} → {}", manifest.digest()), started.elapsed());
        self.since.get_or_insert(started);
        self.machine.wrote_claim(version, claim.created);
        Ok(())
    }

    /// The version is nobody else's. What has to hold right before anybody can see it is made sure of here,
    /// with all content in place (DESIGN §4.5): every member's X.Y.Z is looked at on every side. Then the
    /// summary says who let it in, and `set-<X.Y.Z>` whose it is.
    async fn take_possession(&mut self, version: Version) -> Result<(), Early> {
        let Promotion { context, sites, .. } = self.promotion;
        let look = self.last_look(version).await?;
        let own = look.holder.as_ref().is_some_and(|holder| holder.digest == self.subject.set.digest);
        if own && !look.carried.is_empty() {
            return Err(self.seen(version, look));
        }
        self.attach_summary(version).await?;
        context.stop.check().map_err(Failure::from)?;
        self.check_deadline(version)?;
        let started = Instant::now();
        let write = set_write(&self.subject.set, version, sites.lead());
        let target = TagOrDigest::from(&write.tag);
        let manifest = self.subject.set.manifest();
        let write_set = sites.candidates.put_manifest(sites.lead(), &target, manifest);
        self.in_time(version, write_set).await?.map_err(registry_failure)?;
        let line = format!("{} → {}", report::place(sites, &write), write.digest);
        context.output.done_in(line, started.elapsed());
        self.machine.wrote_set(version);
        self.keep_look(version, look);
        Ok(())
    }

    /// Makes the summary findable from the set and from every member, before anybody can see the version.
    async fn attach_summary(&mut self, version: Version) -> Result<(), Failure> {
        let Some(mut summary) = self.summary.take() else { return Ok(()) };
        self.promotion.context.stop.check()?;
        self.check_deadline(version)?;
        let attached = self.in_time(version, summary.attach()).await;
        self.summary = Some(summary);
        attached?
    }

    /// What there is of the claimed version, looked at after the claim and borne out by the list.
    async fn last_look(&mut self, version: Version) -> Result<Look, Failure> {
        let lookup = self.promotion.lookup();
        let places = &self.subject.places;
        let known = self.look.as_ref().filter(|(looked, _)| *looked == version).map(|(_, look)| look);
        let look = match known {
            // From before `set-<X.Y.Z>` was written, and good since.
            Some(look) if self.machine.set_written() == Some(version) => return Ok(look.clone()),
            Some(look) if lookup.check_listed(version, places, &self.lists, look).is_ok() => look.clone(),
            // None yet, or one from a moment before the list.
            _ => lookup.look(version, places, &self.lists).await?,
        };
        self.promotion.check_look(self.subject, version, &look)?;
        Ok(look)
    }

    /// A newer candidate has a version, or may have one: goes on where that is allowed.
    ///
    /// # Errors
    /// Where it is not.
    pub(super) fn ordered(&mut self, told: &Next) -> Result<(), Early> {
        let rules = &self.promotion.settings.admission;
        let output = &self.promotion.context.output;
        let found = match told {
            Next::Superseded { by, theirs, ours } => {
                format!("{by} is newer: it was made from pipeline {theirs}, this candidate from {ours}")
            }
            Next::Undecidable { reason } => reason.clone(),
            other => {
                let message = format!("the claim protocol asks for {other:?} out of turn");
                return Err(Failure::new(Kind::Unexpected, message).into());
            }
        };
        if rules.allow_older {
            output.warn(format_args!("allow_older: promoting although {found}"));
            self.machine.allow_older();
            return Ok(());
        }
        let is_superseded = matches!(told, Next::Superseded { .. });
        if let Some(version) = self.machine.claimed().last().filter(|_| is_superseded) {
            let tag = claim_tag(&self.subject.set, *version);
            output.info(format_args!("{tag} stays behind: claims are never deleted, they lapse"));
        }
        let set = &self.subject.set;
        Err(match (is_superseded, rules.on_superseded) {
            (true, OnSuperseded::Skip) => {
                output.info(format_args!("skipped, superseded: {found}"));
                Early::Ended(Outcome::Skipped)
            }
            (true, OnSuperseded::Fail) => superseded(set, found).into(),
            (false, _) => order_unknown(set, found).into(),
        })
    }

    /// Stops where the claim is too old to write under, by the registry's clock or by ours: the registry's is
    /// known from its last answer.
    ///
    /// # Errors
    /// With exit code 11.
    pub(super) fn check_deadline(&self, version: Version) -> Result<(), Failure> {
        let lasted = self.since.is_some_and(|since| since.elapsed() >= CLAIM_WRITES.unsigned_abs());
        match lasted || self.machine.deadline().is_some_and(|deadline| self.now() >= deadline) {
            true => Err(self.refused(ClaimConflict::OutOfTime { version })),
            false => Ok(()),
        }
    }

    /// Gives up on a write that takes so long, with all its retries, that others may stop minding the claim
    /// before it lands.
    ///
    /// # Errors
    /// With exit code 11.
    pub(super) async fn in_time<T>(
        &self,
        version: Version,
        write: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let written = tokio::time::timeout(self.time_left(), write).await;
        written.map_err(|_| self.refused(ClaimConflict::OutOfTime { version }))
    }

    fn time_left(&self) -> Duration {
        let latest = (CLAIM_WRITES.unsigned_abs() + CLAIM_LIFETIME.unsigned_abs()) / 2;
        self.since.map_or(latest, |since| latest.saturating_sub(since.elapsed()))
    }

    /// The version that was claimed last.
    pub(super) fn version(&self) -> Version {
        let claimed = self.machine.claimed().last().copied();
        claimed.expect("invariant: what is written under a claim was claimed")
    }

    fn next(&self) -> Result<Next, Failure> {
        self.machine.next().map_err(|error| self.refused(error))
    }

    fn refused(&self, error: ClaimConflict) -> Failure {
        claim_conflict(&self.subject.set, &self.lists, error)
    }

    /// The registry's clock, which all promoters share; ours where it does not tell.
    fn now(&self) -> Timestamp {
        let promotion = self.promotion;
        promotion.sites.candidates.server_time().unwrap_or_else(|| promotion.context.now())
    }
}
