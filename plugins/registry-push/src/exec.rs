//! A push, from bytes on disk to a candidate that can be seen.
//!
//! The order is DESIGN §7's: content of all members, a look at every member's candidate tag, the set, then
//! the tags, the lead's last. The look comes behind the content, which may take an hour in which somebody
//! else publishes; what is left open is the moment from the look to the tags. Killed before the set nothing
//! can be seen; killed after it, the next run adopts it. What can go together goes together: reads of all
//! members at once, then their content, within the registry's one limit of requests under way.

mod facts;
mod look;
mod numbers;
mod refusal;
mod tagging;

use std::path::Path;
use std::time::Instant;

use futures_util::future::{try_join, try_join_all};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use granary_oci::{Digest, Repository, Tag};
use granary_plugin::{Context, Failure, Outcome};
use granary_registry::{Registry, TransferPlan};
use granary_release::{CommitId, FoundSet, Member, TagKind};
use granary_suite::{Records, registry_failure, transfer_progress};

use crate::members::{Elsewhere, Loaded, Loader};
use crate::plan::{Decision, leaves_alone, tags};
use crate::report;
use crate::settings::Settings;
use facts::Known;
use look::Present;
use refusal::conflict;

/// A push under way.
pub struct Push<'a> {
    /// The run.
    pub context: &'a Context,
    /// What it was asked to do.
    pub settings: &'a Settings,
    /// The registry.
    pub registry: &'a Registry,
    /// For stable versions in another registry.
    pub elsewhere: &'a Elsewhere<'a>,
    /// The sets in the lead's repository.
    pub records: &'a Records,
    /// Where the bytes come from.
    pub loader: Loader<'a>,
    /// What was built.
    pub commit: CommitId,
    /// Further tags, from setting and file.
    pub extra_tags: Vec<Tag>,
}

/// A member, and what it takes to bring its content in; `None` where nothing has to be.
type Planned<'a> = (&'a Loaded, Option<TransferPlan>);

/// What is to be written once all content is in place.
struct Publication {
    found: FoundSet,
    /// No earlier run has written this set.
    is_new: bool,
    present: Present,
}

impl Push<'_> {
    /// Publishes.
    ///
    /// # Errors
    /// With the exit code of DESIGN §6.
    pub async fn run(&self, scratch: &Path) -> Result<Outcome, Failure> {
        let Known { published, loaded, lead_tags, stables } = self.known(scratch).await?;
        // A Git tag changes nothing about a commit that is published.
        if let Some(found) = published.as_ref().filter(|found| leaves_alone(&self.settings.task, Some(found)))
        {
            self.context.output.info(format_args!(
                "commit {} is published already, as {}",
                self.commit, found.set.candidate
            ));
            report::subject(self.context, &self.settings.registry, found);
            return Ok(Outcome::Unchanged);
        }
        // The registry says that there is no such repository: nothing need be looked for in it.
        let is_first = lead_tags.as_ref().is_some_and(Option::is_none);
        match self.decision(&loaded, published, lead_tags.as_ref(), stables).await? {
            Decision::Adopt(found) => {
                report::subject(self.context, &self.settings.registry, &found);
                let present = self.look(&found, false).await?.map_err(conflict)?;
                let untagged = loaded.iter().filter(|loaded| !present.has(&loaded.member));
                let planned = self.plans(untagged, is_first).await?;
                let mut publication = Publication { found, is_new: false, present };
                if self.context.common.dry_run {
                    return Ok(self.show(&planned, &publication, &[]));
                }
                if self.push_content(&planned, is_first, false).await? {
                    publication.present = self.look(&publication.found, false).await?.map_err(conflict)?;
                }
                self.publish(&loaded, publication).await
            }
            Decision::Publish(set) => {
                let found = FoundSet::new(set);
                // Nothing hangs on an earlier look but this: what the lead's list shows to be taken is said
                // before anything is sent.
                let is_listed = is_listed(&found, lead_tags.as_ref());
                let early = async {
                    match self.context.common.dry_run || is_listed {
                        true => Ok(Some(self.look(&found, true).await?)),
                        false => Ok(None),
                    }
                };
                let (early, planned) = try_join(early, self.plans(loaded.iter(), is_first)).await?;
                let early = early.transpose().map_err(conflict)?;
                report::subject(self.context, &self.settings.registry, &found);
                if self.context.common.dry_run {
                    let publication = Publication::new(found, early.unwrap_or_default());
                    return Ok(self.show(&planned, &publication, &[]));
                }
                let has_sent = self.push_content(&planned, is_first, true).await?;
                let present = match early {
                    Some(present) if !has_sent => present,
                    _ => self.look(&found, true).await?.map_err(conflict)?,
                };
                let publication = Publication::new(found, present);
                report::subject(self.context, &self.settings.registry, &publication.found);
                self.publish(&loaded, publication).await
            }
            Decision::Claim(draft) => {
                let planned = self.plans(loaded.iter(), is_first).await?;
                let list = lead_tags.map(Option::unwrap_or_default);
                if self.context.common.dry_run {
                    let (claim, publication) = self.likely(&draft, list).await?;
                    report::subject(self.context, &self.settings.registry, &publication.found);
                    return Ok(self.show(&planned, &publication, &[claim]));
                }
                self.push_content(&planned, is_first, true).await?;
                let publication = self.claim(&draft, list).await?;
                report::subject(self.context, &self.settings.registry, &publication.found);
                self.publish(&loaded, publication).await
            }
        }
    }

    /// What it takes to bring in the content of these members. Reads only, and of all members before
    /// anything of one is sent: what cannot be published is said first.
    async fn plans<'l>(
        &self,
        members: impl Iterator<Item = &'l Loaded>,
        is_first: bool,
    ) -> Result<Vec<Planned<'l>>, Failure> {
        let plan = members.map(|loaded| async move {
            let is_empty = is_first && loaded.member.repository == *self.records.repository();
            Ok((loaded, loaded.plan(self.registry, is_empty).await?))
        });
        try_join_all(plan).await
    }

    /// Brings the content of all members in, and the content of the record beside it; `true` where anything
    /// of the members had to be sent, so that what was seen before is old.
    async fn push_content(
        &self,
        planned: &[Planned<'_>],
        is_first: bool,
        with_record: bool,
    ) -> Result<bool, Failure> {
        self.context.stop.check()?;
        let label = match planned {
            [] => String::new(),
            [(one, _)] => format!("pushing {}", one.member.repository),
            several => format!("pushing {} images", several.len()),
        };
        let shown =
            transfer_progress(self.context, label, planned.iter().filter_map(|(_, plan)| plan.as_ref()));
        // More at once would only wait for the registry's limit, small blobs with their content in memory.
        let pushes: Vec<_> = planned
            .iter()
            .map(|(loaded, plan)| loaded.push(self.context, self.registry, plan.as_ref(), &shown))
            .collect();
        let members = stream::iter(pushes)
            .buffer_unordered(self.settings.concurrency)
            .try_fold(false, |sent, one| async move { Ok(sent || one) });
        let record = async {
            if with_record {
                let pushed = self.registry.push_empty(self.records.repository(), is_first).await;
                pushed.map_err(registry_failure)?;
            }
            Ok(())
        };
        let (has_sent, ()) = shown.during(try_join(members, record)).await?;
        Ok(has_sent)
    }

    /// Writes the record and the tags.
    async fn publish(&self, loaded: &[Loaded], publication: Publication) -> Result<Outcome, Failure> {
        let Publication { found, is_new, present } = publication;
        let set_tags = set_tags(&found, is_new, &present);
        self.write_set(&found, &set_tags).await?;
        let writes = self.writes(&found.set, &present);
        let changed = self.write_tags(loaded, writes).await? || !set_tags.is_empty();
        report::tags(self.context, &tags(&found.set, &self.extra_tags));
        report::summary(self.context, &found.set);
        Ok(match changed {
            true => Outcome::Done,
            false => {
                self.context.output.info(format_args!("{} is published already", found.set.candidate));
                Outcome::Unchanged
            }
        })
    }

    /// Prints what would be done.
    fn show(&self, planned: &[Planned<'_>], publication: &Publication, claims: &[String]) -> Outcome {
        let Publication { found, is_new, present } = publication;
        let mut lines: Vec<String> = planned
            .iter()
            .flat_map(|(loaded, plan)| match plan {
                Some(plan) => plan.lines(),
                None => vec![format!(
                    "{}/{}@{}: there already, nothing to do",
                    self.registry.host(),
                    loaded.member.repository,
                    loaded.member.digest
                )],
            })
            .collect();
        lines.extend_from_slice(claims);
        let set_tags = set_tags(found, *is_new, present);
        if !set_tags.is_empty() {
            lines.push(format!("write {}", line(self.records.repository(), &set_tags, &found.digest)));
        }
        let writes = self.writes(&found.set, present);
        let changed = writes.iter().filter(|write| !write.tags.is_empty());
        lines.extend(changed.map(|write| format!("write {}", write.line())));
        report::plan(self.context, found, *is_new, &lines);
        Outcome::Planned
    }

    /// Writes the record: first where the commit is looked up, so that a run killed in between is adopted.
    async fn write_set(&self, found: &FoundSet, set_tags: &[Tag]) -> Result<(), Failure> {
        self.context.stop.check()?;
        if set_tags.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        self.records.write(found, set_tags).await?;
        let line = line(self.records.repository(), set_tags, &found.digest);
        self.context.output.done_in(line, started.elapsed());
        Ok(())
    }
}

impl Publication {
    /// A new set; where a run at the same moment has published the same, its set.
    fn new(found: FoundSet, present: Present) -> Self {
        let found = present.candidate_set.clone().unwrap_or(found);
        Publication { found, is_new: true, present }
    }
}

/// Whether a list of the lead's tags shows the candidate or its set.
fn is_listed(found: &FoundSet, lead_tags: Option<&Option<Vec<Tag>>>) -> bool {
    let candidate = found.set.candidate;
    let ours = [TagKind::Candidate(candidate).tag(), TagKind::CandidateSet(candidate).tag()];
    lead_tags.and_then(Option::as_ref).is_some_and(|tags| ours.iter().any(|tag| tags.contains(tag)))
}

/// The tags that the record has to get.
fn set_tags(found: &FoundSet, is_new: bool, present: &Present) -> Vec<Tag> {
    let of_commit = is_new.then(|| TagKind::CommitSet(&found.set.commit).tag());
    let of_candidate =
        present.candidate_set.is_none().then(|| TagKind::CandidateSet(found.set.candidate).tag());
    of_commit.into_iter().chain(of_candidate).collect()
}

fn line(place: &Repository, tags: &[Tag], digest: &Digest) -> String {
    let names = tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ");
    format!("{place}:{names} → {digest}")
}

/// The members without what is needed to push them.
fn members(loaded: &[Loaded]) -> Vec<Member> {
    loaded.iter().map(|loaded| loaded.member.clone()).collect()
}
