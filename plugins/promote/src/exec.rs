//! A promotion, from what is asked to what is written.
//!
//! The order of decisions is the order of DESIGN §4: already done, then branch, order and evidence, then
//! the claim, and only then what anybody can see. What does not depend on each other is asked at once, and
//! judged in that order all the same.

mod claims;
mod content;
mod judge;
mod tags;

use std::collections::BTreeMap;
use std::time::Duration;

use granary_oci::{Digest, RawManifest};
use granary_plugin::{Context, Failure, Outcome};
use granary_release::claim::Wanted;
use granary_release::{FoundSet, Version};

use crate::facts::{Asked, Look, Lookup};
use crate::places::Places;
use crate::plan::{Facts, Lists, check_carried, choose, is_complete};
use crate::refusal::{conflict, nothing_published};
use crate::report;
use crate::settings::Settings;
use crate::sites::Sites;
use crate::wait::Wait;

use claims::{Claims, Won};
pub(crate) use content::Copy;
use judge::{Judged, Seen};

/// How often everything is read again because others were quicker than the list, and the pause before that.
const STALE_LISTS: u32 = 5;
const STALE_PAUSE: Duration = Duration::from_millis(200);

/// A promotion under way.
pub struct Promotion<'a> {
    /// The run.
    pub context: &'a Context,
    /// What it was asked to do.
    pub settings: &'a Settings,
    /// Which version is asked for.
    pub wanted: Wanted,
    /// The keys whose evidence counts.
    pub keys: &'a [granary_attest::trust::TrustedKey],
    /// Where candidates are, and where production is.
    pub sites: &'a Sites,
}

/// What a run is about, once that is settled.
pub(crate) struct Subject {
    pub(crate) set: FoundSet,
    pub(crate) places: Places,
}

/// The bytes of the members' manifests: what is promoted is what was tested.
type Manifests = BTreeMap<Digest, RawManifest>;

impl Promotion<'_> {
    /// Promotes.
    ///
    /// # Errors
    /// With the exit code of DESIGN §6; nothing is written unless everything is decided.
    pub async fn run(&self, asked: &Asked<'_>) -> Result<Outcome, Failure> {
        let mut wait = Wait::new(self.settings.wait_for_evidence);
        let mut stale = 0;
        loop {
            let facts = self.facts(asked, &mut wait).await?;
            let choice = choose(&facts, self.wanted).map_err(conflict)?;
            let places = self.sites.places(&choice.set.set)?;
            let subject = Subject { set: choice.set, places };
            report::subject(self.context, self.sites, &subject.places, &subject.set, choice.seen);
            if let Some(version) = choice.seen {
                let carried = facts.carried.get(&version).cloned().unwrap_or_default();
                return self.see_through(&subject, &facts.lists, version, carried, None).await;
            }
            if let Some(refused) = self.settings.admission.refuse_branch(&subject.set.set) {
                return Err(crate::refusal::not_admitted(&subject.set, refused));
            }
            match self.judge(&subject, facts, &mut wait).await? {
                Judged::Again => {}
                Judged::Stale(failure) if stale == STALE_LISTS => return Err(failure),
                Judged::Stale(_) => {
                    stale += 1;
                    tokio::time::sleep(STALE_PAUSE).await;
                }
                Judged::Ended(outcome) => return Ok(outcome),
                Judged::Seen(seen) => {
                    let Seen { version, look, lists } = *seen;
                    report::version(self.context, version);
                    return self.see_through(&subject, &lists, version, look.carried, None).await;
                }
                Judged::LetIn { claims, manifests } => {
                    return self.claim_and_write(&subject, *claims, manifests).await;
                }
            }
        }
    }

    /// The facts, once what is asked for is published.
    async fn facts(&self, asked: &Asked<'_>, wait: &mut Wait) -> Result<Facts, Failure> {
        loop {
            if let Some(facts) = self.lookup().facts(asked, self.wanted).await? {
                return Ok(facts);
            }
            if !wait.again(self.context, "the commit to be published").await? {
                return Err(nothing_published(asked, self.sites.lead()));
            }
        }
    }

    fn lookup(&self) -> Lookup<'_> {
        Lookup { context: self.context, sites: self.sites, admission: &self.settings.admission }
    }

    /// A set that evidence has let in: content, claim, and what can be seen.
    async fn claim_and_write(
        &self,
        subject: &Subject,
        mut claims: Claims<'_>,
        manifests: Manifests,
    ) -> Result<Outcome, Failure> {
        let content = self.plan_content(subject, &manifests, claims.lists()).await?;
        if self.context.common.dry_run {
            let version = claims.candidate_version();
            report::version(self.context, version);
            let carried = claims.look().map(|look| look.carried.clone()).unwrap_or_default();
            report::plan(self.context, self.sites, subject, version, &content, &carried);
            return Ok(Outcome::Planned);
        }
        let sent = self.send_content(&content).await;
        if sent.map_err(|failure| failure.hint("nothing was claimed or tagged"))? {
            // That may have taken an hour: numbers and clock are old by now.
            claims.list().await?;
        }
        match claims.win().await? {
            Won::Ended(outcome) => Ok(outcome),
            Won::Version { version, look } => {
                report::version(self.context, version);
                let steps = crate::plan::writes(&subject.places, &subject.set, version, &look.carried);
                self.write(steps, &manifests, Some(&claims)).await?;
                Ok(self.ends_well(subject, version))
            }
            Won::Seen { version, look } => {
                report::version(self.context, version);
                self.see_through(subject, claims.lists(), version, look.carried, Some(manifests)).await
            }
        }
    }

    /// A version that was let in before: nothing is judged again, and nobody else writes it.
    async fn see_through(
        &self,
        subject: &Subject,
        lists: &Lists,
        version: Version,
        carried: crate::places::Carried,
        manifests: Option<Manifests>,
    ) -> Result<Outcome, Failure> {
        let Subject { set, places } = subject;
        let name = |place: &crate::places::Place| self.sites.name(place);
        check_carried(places, version, &carried, name).map_err(conflict)?;
        let candidate = set.set.candidate;
        if is_complete(places, &set.set.commit, lists, &carried) {
            self.context.output.info(format_args!("{candidate} is promoted already, as {version}"));
            report::tags(self.context, set, version);
            return Ok(Outcome::Unchanged);
        }
        self.context.output.info(format_args!(
            "{version} was let in by an earlier run that did not finish; finishing it without judging again"
        ));
        let manifests = match manifests {
            Some(manifests) => manifests,
            None => self.manifests(subject).await?,
        };
        let content = self.plan_content(subject, &manifests, lists).await?;
        if self.context.common.dry_run {
            report::rest(self.context, self.sites, subject, version, &content, &carried);
            return Ok(Outcome::Planned);
        }
        self.send_content(&content).await?;
        let steps = crate::plan::writes(places, set, version, &carried);
        self.write(steps, &manifests, None).await?;
        Ok(self.ends_well(subject, version))
    }

    fn ends_well(&self, subject: &Subject, version: Version) -> Outcome {
        report::tags(self.context, &subject.set, version);
        report::summary(self.context, self.sites, &subject.places, version);
        Outcome::Done
    }

    /// What is there of a version that is about to be written; `true` if this set is visible as it already.
    ///
    /// # Errors
    /// If it is another set's, or any member carries other bytes as it.
    fn check_look(&self, subject: &Subject, version: Version, look: &Look) -> Result<bool, Failure> {
        let Subject { set, places } = subject;
        let own = match &look.holder {
            Some(holder) if holder.digest != set.digest => {
                let holder = holder.digest.clone();
                return Err(conflict(crate::plan::Conflict::Taken { version, holder }));
            }
            holder => holder.is_some(),
        };
        let name = |place: &crate::places::Place| self.sites.name(place);
        check_carried(places, version, &look.carried, name).map_err(conflict)?;
        Ok(own && !look.carried.is_empty())
    }
}
