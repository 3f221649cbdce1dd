//! The tags of the members, the lead's last: who sees the lead's candidate sees all of it.

use std::time::Instant;

use futures_util::future::join_all;
use granary_oci::Tag;
use granary_plugin::Failure;
use granary_release::{Member, ReleaseSet, TagKind};
use granary_suite::registry_failure;

use super::look::Present;
use super::{Push, line};
use crate::members::Loaded;
use crate::plan::tags;

/// The tags that a member has to get.
pub(super) struct Writes<'a> {
    pub member: &'a Member,
    pub tags: Vec<Tag>,
}

impl Writes<'_> {
    pub(super) fn line(&self) -> String {
        line(&self.member.repository, &self.tags, &self.member.digest)
    }

    /// `acme/app:1.2.3-rc.4, edge`.
    fn names(&self) -> String {
        let names: Vec<&str> = self.tags.iter().map(Tag::as_str).collect();
        format!("{}:{}", self.member.repository, names.join(", "))
    }
}

impl Push<'_> {
    /// Which tags are missing.
    pub(super) fn writes<'a>(&self, set: &'a ReleaseSet, present: &Present) -> Vec<Writes<'a>> {
        let wanted = tags(set, &self.extra_tags);
        let candidate = TagKind::Candidate(set.candidate).tag();
        let found = |member: &Member, tag: &Tag| present.tags.get(&(member.repository.clone(), tag.clone()));
        let missing = |member: &Member, tag: &Tag| match found(member, tag) {
            None => true,
            Some(digest) if *digest == member.digest => false,
            // A member that was tagged before keeps its further tags where they are: a newer commit has
            // moved them on since, and a restart of this one must not take them back.
            Some(_) => !(self.extra_tags.contains(tag) && found(member, &candidate).is_some()),
        };
        set.members
            .iter()
            .map(|member| Writes {
                member,
                tags: wanted.iter().filter(|tag| missing(member, tag)).cloned().collect(),
            })
            .collect()
    }

    /// Tags every member, the lead last. Where one fails the others are finished, so that what is written
    /// is known, and the lead stays untagged.
    pub(super) async fn write_tags(
        &self,
        loaded: &[Loaded],
        mut writes: Vec<Writes<'_>>,
    ) -> Result<bool, Failure> {
        writes.retain(|write| !write.tags.is_empty());
        let changed = !writes.is_empty();
        let (lead, others): (Vec<_>, Vec<_>) =
            writes.iter().partition(|write| write.member.repository == *self.records.repository());
        let mut written: Vec<&Writes<'_>> = Vec::new();
        for step in [others, lead] {
            self.context.stop.check()?;
            let results = join_all(step.iter().map(|write| self.tag_member(loaded, write))).await;
            let mut failed = None;
            for (write, result) in step.into_iter().zip(results) {
                match result {
                    Ok(()) => written.push(write),
                    Err(failure) => failed = failed.or(Some(failure)),
                }
            }
            if let Some(failure) = failed {
                return Err(unfinished(failure, &writes, &written));
            }
        }
        Ok(changed)
    }

    async fn tag_member(&self, loaded: &[Loaded], write: &Writes<'_>) -> Result<(), Failure> {
        let started = Instant::now();
        let top = loaded
            .iter()
            .find(|loaded| loaded.member.name == write.member.name)
            .map(Loaded::top)
            .expect("invariant: the members of the set are those that were loaded");
        let place = &write.member.repository;
        self.registry.put_tags(place, top, &write.tags).await.map_err(registry_failure)?;
        self.context.output.done_in(write.line(), started.elapsed());
        Ok(())
    }
}

/// Says how far it came, and that a rerun goes on from there.
fn unfinished(failure: Failure, writes: &[Writes<'_>], written: &[&Writes<'_>]) -> Failure {
    let is_written =
        |write: &&Writes<'_>| written.iter().any(|other| other.member.repository == write.member.repository);
    let names = |of: Vec<&Writes<'_>>| of.into_iter().map(Writes::names).collect::<Vec<_>>().join("; ");
    let (done, left): (Vec<_>, Vec<_>) = writes.iter().partition(is_written);
    let failure = match done.is_empty() {
        true => failure,
        false => failure.hint(format!("tagged: {}", names(done))),
    };
    failure.hint(format!(
        "not tagged, or in part: {}; the lead is tagged last. Run it again: it keeps the candidate and finishes",
        names(left)
    ))
}
