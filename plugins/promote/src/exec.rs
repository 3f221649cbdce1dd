//! A promotion, from what is asked to what is written.
//!
//! The order of decisions is the order of DESIGN §4: already done, then branch, order and evidence, then
//! the claim, and only then what anybody can see. What does not depend on each other is asked at once, and
//! judged in that order all the same.

mod claims;
mod content;
mod control;
mod floating;
mod judge;
mod summary;
mod tags;

use std::collections::BTreeMap;
use std::time::Duration;

use granary_attest::key::SigningKey;
use granary_oci::{Digest, RawManifest, Tag};
use granary_plugin::{Context, Failure, Outcome};
use granary_release::claim::Wanted;
use granary_release::{FoundSet, Version};

use crate::facts::{Clues, Look, Lookup};
use crate::places::{Carried, Place, Places};
use crate::plan::{Facts, Held, Lists, check_carried, choose, is_complete};
use crate::refusal::{conflict, nothing_published};
use crate::report;
use crate::settings::Settings;
use crate::sites::Sites;
use crate::wait::Wait;

use claims::Claims;
pub(crate) use content::Copy;

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
    /// What signs the summary.
    pub signing_key: Option<&'a SigningKey>,
    /// Where candidates are, and where production is.
    pub sites: &'a Sites,
}

/// What a run is about, once that is settled: a set, and where its images go.
pub(crate) struct PlacedSet {
    pub(crate) set: FoundSet,
    pub(crate) places: Places,
}

/// The bytes of the members' manifests: what is promoted is what was tested.
type Manifests = BTreeMap<Digest, RawManifest>;

/// What ends a promotion before it has written a version.
enum Early {
    Failed(Failure),
    /// Others have written a version that the list does not have: it is older than that, or not whole. Why
    /// it is not gone by, should it not get better.
    Stale(Failure),
    /// There is nothing to do.
    Ended(Outcome),
    /// It was let in before.
    Seen(Box<Seen>),
}

/// A version that this set is visible as already, though the facts did not tell.
struct Seen {
    version: Version,
    carried: Carried,
    lists: Lists,
}

impl From<Failure> for Early {
    fn from(failure: Failure) -> Self {
        Early::Failed(failure)
    }
}

impl Promotion<'_> {
    /// Promotes.
    ///
    /// # Errors
    /// With the exit code of DESIGN §6; nothing is written unless everything is decided.
    pub async fn run(&self, clues: &Clues<'_>) -> Result<Outcome, Failure> {
        let mut wait = Wait::new(self.settings.wait_for_evidence);
        let mut stale = 0;
        loop {
            let facts = self.facts(clues, &mut wait).await?;
            let choice = choose(&facts, self.wanted).map_err(conflict)?;
            let places = self.sites.places(&choice.set.set)?;
            let subject = PlacedSet { set: choice.set, places };
            if self.settings.negative_control {
                return self.control(&subject, facts.promoted().map(|(version, _)| version), &mut wait).await;
            }
            report::subject(self.context, self.sites, &subject.places, &subject.set, choice.seen);
            if let Some(version) = choice.seen {
                let carried = facts.carried.get(&version).cloned().unwrap_or_default();
                return self.see_through(&subject, Seen { version, carried, lists: facts.lists }).await;
            }
            if let Some(refused) = self.settings.admission.refuse_branch(&subject.set.set) {
                return Err(crate::refusal::not_admitted(&subject.set, refused));
            }
            let ended = match self.judge(&subject, facts, &mut wait).await {
                // Evidence had to be waited for: everything that was read before is old.
                Ok(None) => continue,
                Ok(Some((claims, manifests))) => self.claim_and_write(&subject, claims, manifests).await,
                Err(early) => Err(early),
            };
            match ended {
                Ok(outcome) | Err(Early::Ended(outcome)) => return Ok(outcome),
                Err(Early::Failed(failure)) => return Err(failure),
                Err(Early::Stale(failure)) if stale == STALE_LISTS => return Err(failure),
                Err(Early::Stale(_)) => {
                    stale += 1;
                    tokio::time::sleep(STALE_PAUSE).await;
                }
                Err(Early::Seen(seen)) => {
                    report::version(self.context, seen.version);
                    return self.see_through(&subject, *seen).await;
                }
            }
        }
    }

    /// The facts, once what is asked for is published.
    async fn facts(&self, clues: &Clues<'_>, wait: &mut Wait) -> Result<Facts, Failure> {
        loop {
            if let Some(facts) = self.lookup().facts(clues, self.wanted).await? {
                return Ok(facts);
            }
            if !wait.again(self.context, "the commit to be published").await? {
                return Err(nothing_published(clues, self.sites.lead()));
            }
        }
    }

    fn lookup(&self) -> Lookup<'_> {
        Lookup { context: self.context, sites: self.sites, admission: &self.settings.admission }
    }

    /// A set that evidence has let in: content, claim, and what can be seen.
    async fn claim_and_write(
        &self,
        subject: &PlacedSet,
        mut claims: Claims<'_>,
        manifests: Manifests,
    ) -> Result<Outcome, Early> {
        self.check_hidden_signatures(subject, claims.lists())?;
        let content = self.plan_content(subject, &manifests, claims.lists(), None).await?;
        if self.context.common.dry_run {
            let (version, look) = claims.looked_at();
            report::version(self.context, *version);
            let floating = self.floating_left(subject, *version, claims.lists(), &Held::new()).await?;
            report::plan(self, subject, *version, &content, &look.carried, true, &floating);
            return Ok(Outcome::Planned);
        }
        let sent = self.send_content(&content).await;
        if sent.map_err(|failure| failure.hint("nothing was claimed or tagged"))? {
            // That may have taken an hour: numbers and clock are old by now.
            claims.list().await?;
        }
        let (version, look) = claims.win().await?;
        report::version(self.context, version);
        let steps = crate::plan::writes(&subject.places, &subject.set, version, &look.carried);
        self.write(steps, &manifests, Some(&claims)).await?;
        let floating = self.float(subject, version, &manifests, Held::new()).await?;
        let outcome = self.ends_well(subject, version, &floating);
        report::signature(self.context, claims.summary());
        Ok(outcome)
    }

    /// A version that was let in before: nothing is judged again, and nobody else writes it. Whether a summary
    /// says so was that run's business: it came before anything could be seen.
    async fn see_through(&self, subject: &PlacedSet, seen: Seen) -> Result<Outcome, Failure> {
        let PlacedSet { set, places } = subject;
        let Seen { version, carried, lists } = seen;
        check_carried(places, version, &carried, |place: &Place| self.sites.name(place)).map_err(conflict)?;
        report::earlier(self.context, self.signing_key.is_some());
        let candidate = set.set.candidate;
        if is_complete(places, &set.set.commit, &lists, &carried) {
            self.context.output.info(format_args!("{candidate} is promoted already, as {version}"));
            return self.float_again(subject, version, &lists).await;
        }
        self.context.output.info(format_args!(
            "{version} is let in already; bringing it to where it is missing, without judging again"
        ));
        let manifests = self.manifests(subject).await?;
        let content = self.plan_content(subject, &manifests, &lists, Some(version)).await?;
        if self.context.common.dry_run {
            let floating = self.floating_left(subject, version, &lists, &Held::new()).await?;
            report::plan(self, subject, version, &content, &carried, false, &floating);
            return Ok(Outcome::Planned);
        }
        self.send_content(&content).await?;
        let steps = crate::plan::writes(places, set, version, &carried);
        self.write(steps, &manifests, None).await?;
        let held = self.held(subject, version).await?;
        let floating = self.float(subject, version, &manifests, held).await?;
        Ok(self.ends_well(subject, version, &floating))
    }

    fn ends_well(&self, subject: &PlacedSet, version: Version, floating: &[Tag]) -> Outcome {
        report::tags(self.context, &subject.set, version, floating);
        report::summary(self.context, self.sites, &subject.places, version);
        Outcome::Done
    }

    /// What is there of a version that is about to be written; `true` if this set is visible as it already.
    ///
    /// # Errors
    /// If it is another set's, or any member carries other bytes as it.
    fn check_look(&self, subject: &PlacedSet, version: Version, look: &Look) -> Result<bool, Failure> {
        let PlacedSet { set, places } = subject;
        let own = match &look.holder {
            Some(holder) if holder.digest != set.digest => {
                let holder = holder.digest.clone();
                return Err(conflict(crate::plan::Conflict::Taken { version, holder }));
            }
            holder => holder.is_some(),
        };
        let name = |place: &Place| self.sites.name(place);
        check_carried(places, version, &look.carried, name).map_err(conflict)?;
        Ok(own && !look.carried.is_empty())
    }
}
