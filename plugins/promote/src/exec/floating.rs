//! Floating tags, last of all: nobody's promotion depends on one (DESIGN §4.8).
//!
//! # Design
//! A registry gives a tag to whoever writes last, and of two promotions at once the older may be the last. So
//! the list is read again right before a floating tag is written, which makes that rare, and once more after
//! it, which mends it: whoever finds a newer version than the one that he wrote puts that one's bytes there,
//! and lists again. Versions are visible before floating tags are written; so the last one to write has either
//! seen every version that was visible by then, or is followed by its run. What remains: for the moment between
//! his write and his mending such a tag names the older version, for longer where he dies in between (his rerun
//! mends it), and for good where the registry's list lags behind for longer than that takes.

use std::time::Duration;

use futures_util::future::try_join_all;
use granary_oci::{RawManifest, Tag, TagOrDigest};
use granary_plugin::{Failure, Kind, Outcome};
use granary_release::{TagKind, Version, VersionTags};
use granary_suite::check_list;

use super::{Manifests, PlacedSet, Promotion};
use crate::plan::{Follow, Following, Held, Known, Lists, Write, follows};
use crate::report;

/// How often a newer version may appear while floating tags are written.
const ROUNDS: usize = 10;

/// How often a list is asked for that has to have the version that was just written, and the first pause
/// between; each further one is twice as long.
const LIST_ATTEMPTS: u32 = 5;
const LIST_PAUSE: Duration = Duration::from_millis(200);

impl Promotion<'_> {
    /// What the floating tags of a version name now, one look for each; nothing where none were asked for.
    ///
    /// # Errors
    /// If a registry fails.
    pub(super) async fn held(&self, subject: &PlacedSet, version: Version) -> Result<Held, Failure> {
        // Of the newest versions only the tags and places matter here, which every list gives.
        let all = follows(&self.settings.floating, &subject.places, version, &Lists::default());
        self.named(all.into_iter().flatten()).await
    }

    async fn named(&self, follows: impl Iterator<Item = Follow>) -> Result<Held, Failure> {
        let looks = follows.map(|follow| async move {
            let registry = self.sites.registry(follow.place.side);
            let tag = TagOrDigest::from(&follow.tag);
            let found = registry.head_manifest(&follow.place.repository, &tag).await;
            let found = found.map_err(follow.place.side.failure())?;
            let known = found.map(|found| Known { ours: found.digest == follow.own, digest: found.digest });
            Ok::<_, Failure>(((follow.place, follow.tag), known))
        });
        let found = try_join_all(looks).await?;
        Ok(found.into_iter().filter_map(|(place, known)| Some((place, known?))).collect())
    }

    /// What would be written by these lists where tags name this: for a plan, and to find out whether anything
    /// is left to do.
    ///
    /// # Errors
    /// If a registry fails.
    pub(super) async fn floating_left(
        &self,
        subject: &PlacedSet,
        version: Version,
        lists: &Lists,
        held: &Held,
    ) -> Result<Vec<Vec<Write>>, Failure> {
        let mut steps = Vec::new();
        for step in follows(&self.settings.floating, &subject.places, version, lists) {
            steps.push(
                self.decided(&step, version, held).await?.into_iter().map(|(write, _)| write).collect(),
            );
        }
        steps.retain(|step: &Vec<Write>| !step.is_empty());
        Ok(steps)
    }

    /// Ends a run whose version is everywhere: floating tags that an interrupted run left behind are written.
    ///
    /// # Errors
    /// As [`Self::float`].
    pub(super) async fn float_again(
        &self,
        subject: &PlacedSet,
        version: Version,
        lists: &Lists,
    ) -> Result<Outcome, Failure> {
        let held = self.held(subject, version).await?;
        let left = self.floating_left(subject, version, lists, &held).await?;
        if left.is_empty() {
            let floating = self.followers(subject, version, lists);
            report::tags(self.context, &subject.set, version, &floating);
            return Ok(Outcome::Unchanged);
        }
        if self.context.common.dry_run {
            report::floating(self, subject, version, &left);
            return Ok(Outcome::Planned);
        }
        let manifests = self.manifests(subject).await?;
        let floating = self.float(subject, version, &manifests, held).await?;
        Ok(self.ends_well(subject, version, &floating))
    }

    /// Lets the floating tags follow, where they were asked for; returns those that name this version now.
    ///
    /// # Errors
    /// If a registry fails or the run is stopped: the version itself is there.
    pub(super) async fn float(
        &self,
        subject: &PlacedSet,
        version: Version,
        manifests: &Manifests,
        held: Held,
    ) -> Result<Vec<Tag>, Failure> {
        if self.settings.floating.is_empty() {
            return Ok(Vec::new());
        }
        let floated = self.follow(subject, version, manifests.clone(), held).await;
        floated
            .map_err(|failure| failure.hint(format!("{version} itself is promoted; floating tags are left")))
    }

    async fn follow(
        &self,
        subject: &PlacedSet,
        version: Version,
        mut manifests: Manifests,
        mut held: Held,
    ) -> Result<Vec<Tag>, Failure> {
        for _ in 0..ROUNDS {
            let lists = self.lists_with(version).await?;
            let steps = follows(&self.settings.floating, &subject.places, version, &lists);
            let mut writes = Vec::new();
            for step in &steps {
                let decided = self.decided(step, version, &held).await?;
                let step: Vec<Write> = decided.iter().map(|(write, _)| write.clone()).collect();
                manifests
                    .extend(decided.into_iter().filter_map(|(write, newer)| Some((write.digest, newer?))));
                writes.push(step);
            }
            writes.retain(|step| !step.is_empty());
            if writes.is_empty() {
                return Ok(self.followers(subject, version, &lists));
            }
            let written: Vec<Write> = writes.concat();
            self.write(writes, &manifests, None).await?;
            held.extend(written.iter().map(|write| {
                let known = Known { digest: write.digest.clone(), ours: true };
                ((write.place.clone(), write.tag.clone()), known)
            }));
            if self.settings.registry.verify {
                // Some registries answer that they took a tag and keep what another wrote at that moment.
                let all = steps.into_iter().flatten();
                let there = self.named(all.filter(|follow| {
                    written.iter().any(|write| write.place == follow.place && write.tag == follow.tag)
                }));
                held.extend(there.await?);
            }
        }
        Err(Failure::new(Kind::Conflict, "newer versions keep appearing while floating tags are written")
            .hint("run it again when the other promotions are through"))
    }

    /// The writes of one step, each with the manifest of a newer version where it is that one's.
    async fn decided(
        &self,
        step: &[Follow],
        version: Version,
        held: &Held,
    ) -> Result<Vec<(Write, Option<RawManifest>)>, Failure> {
        let decide = step.iter().map(|follow| async move {
            match follow.decide(version, held) {
                Following::Leave => Ok::<_, Failure>(None),
                Following::Write(write) => Ok(Some((write, None))),
                Following::GiveWay { named } => {
                    let registry = self.sites.registry(follow.place.side);
                    let tag = TagOrDigest::from(TagKind::Version(follow.newest).tag());
                    let newer = registry.manifest(&follow.place.repository, &tag).await;
                    let newer = newer.map_err(follow.place.side.failure())?;
                    // A release that has this image no more leaves its tags where they are.
                    let newer = newer.filter(|newer| *newer.digest() != named);
                    Ok(newer.map(|newer| (follow.write(newer.digest().clone()), Some(newer))))
                }
            }
        });
        Ok(try_join_all(decide).await?.into_iter().flatten().collect())
    }

    /// The lists, as soon as they have this version: those that have not are from before it.
    async fn lists_with(&self, version: Version) -> Result<Lists, Failure> {
        let tag = TagKind::Version(version).tag();
        let mut pause = LIST_PAUSE;
        let mut attempt = 1;
        loop {
            let lists = self.lookup().lists().await?;
            let none = VersionTags::default();
            let target = self
                .sites
                .target
                .as_ref()
                .map(|target| check_list(lists.target_tags().unwrap_or(&none), &target.lead, &tag));
            match check_list(&lists.tags, self.sites.lead(), &tag).and(target.unwrap_or(Ok(()))) {
                Ok(()) => return Ok(lists),
                Err(failure) if attempt == LIST_ATTEMPTS => return Err(failure),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
            attempt += 1;
        }
    }

    /// The floating tags that name this version where it is deployed from.
    fn followers(&self, subject: &PlacedSet, version: Version, lists: &Lists) -> Vec<Tag> {
        let released = subject.places.lead().released();
        let all = follows(&self.settings.floating, &subject.places, version, lists).into_iter().flatten();
        let ours = all.filter(|follow| follow.place == released && follow.newest == version);
        ours.map(|follow| follow.tag).collect()
    }
}
