//! A push, from bytes on disk to a candidate that can be seen.
//!
//! The order is DESIGN §7's: content of all members, a look at every member's candidate tag, the set, then
//! the tags, the lead's last. Killed before the set nothing can be seen; killed after it, the next run
//! adopts it. What can go together goes together: reads of all members at once, then their content, within
//! the registry's one limit of requests under way.

mod facts;
mod look;
mod numbers;
mod tagging;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::{try_join, try_join_all};
use futures_util::stream::{self, TryStreamExt as _};
use granary_net::Http;
use granary_oci::{Digest, EMPTY_JSON, Repository, Tag, empty_descriptor};
use granary_plugin::{Context, Failure, Kind, Outcome};
use granary_registry::{BlobSource, PushOptions, Registry, TransferPlan};
use granary_release::{CommitId, FoundSet, Member, NumberingError, TagKind};
use granary_suite::{Records, registry_failure};

use crate::members::{Loaded, Loader};
use crate::plan::{Conflict, Decision, leaves_alone, tags};
use crate::report;
use crate::settings::Settings;
use facts::Known;
use look::Present;

/// A push under way.
pub struct Push<'a> {
    /// The run.
    pub context: &'a Context,
    /// What it was asked to do.
    pub settings: &'a Settings,
    /// The registry.
    pub registry: &'a Registry,
    /// For stable versions in another registry.
    pub http: &'a Http,
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
                let present = self.look(&found, false, is_first).await?.map_err(conflict)?;
                let untagged = loaded.iter().filter(|loaded| !present.has(&loaded.member));
                let planned = self.plans(untagged, is_first).await?;
                let publication = Publication { found, is_new: false, present };
                match self.context.common.dry_run {
                    true => Ok(self.show(&planned, &publication, &[])),
                    false => {
                        self.push_content(&planned, is_first, false).await?;
                        self.publish(&loaded, publication).await
                    }
                }
            }
            Decision::Publish(set) => {
                let found = FoundSet::new(set);
                let look = self.look(&found, true, is_first);
                let (present, planned) = try_join(look, self.plans(loaded.iter(), is_first)).await?;
                let publication = Publication::new(found, present.map_err(conflict)?);
                report::subject(self.context, &self.settings.registry, &publication.found);
                match self.context.common.dry_run {
                    true => Ok(self.show(&planned, &publication, &[])),
                    false => {
                        self.push_content(&planned, is_first, true).await?;
                        self.publish(&loaded, publication).await
                    }
                }
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

    /// Brings the content of all members in, and the content of the record beside it.
    async fn push_content(
        &self,
        planned: &[Planned<'_>],
        is_first: bool,
        with_record: bool,
    ) -> Result<(), Failure> {
        self.context.stop.check()?;
        let label = match planned {
            [] => String::new(),
            [(one, _)] => format!("pushing {}", one.member.repository),
            several => format!("pushing {} images", several.len()),
        };
        let total: u64 =
            planned.iter().filter_map(|(_, plan)| plan.as_ref()).map(TransferPlan::bytes_to_send).sum();
        let shown = Arc::new(self.context.output.progress(label, Some(total)));
        // More at once would only wait for the registry's limit, small blobs with their content in memory.
        let members = stream::iter(planned.iter().map(Ok))
            .try_for_each_concurrent(self.settings.concurrency, |(loaded, plan)| {
                loaded.push(self.context, self.registry, plan.as_ref(), &shown)
            });
        let record = async {
            if with_record {
                let empty = BlobSource::Bytes(Bytes::from_static(EMPTY_JSON));
                let options = PushOptions { known_absent: is_first, ..PushOptions::default() };
                let lead = self.records.repository();
                let pushed = self.registry.push_blob(lead, &empty_descriptor(), &empty, &options).await;
                pushed.map_err(registry_failure)?;
            }
            Ok(())
        };
        try_join(members, record).await?;
        Ok(())
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

/// What a refusal to publish is called in the result file.
const RULE: &str = "candidate.immutable";

fn conflict(error: Conflict) -> Failure {
    let failure = |kind| Failure::new(kind, "refusing to publish");
    match &error {
        Conflict::Numbering(NumberingError::NotAbove { highest, .. }) => {
            failure(Kind::Settings).hint(format!("set `base_version` above {highest}, or leave it out"))
        }
        Conflict::Numbering(_) => {
            failure(Kind::Conflict).hint("no version is left: somebody has published a number near 2^64")
        }
        Conflict::Published { found, wanted, .. } => failure(Kind::Conflict)
            .refusing(RULE, found.to_string(), wanted.to_string())
            .hint("a new pipeline gets a new number; by hand give another `rc_number`"),
    }
    .caused_by(error)
}
