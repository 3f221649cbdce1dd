//! The fallback index on registries without the referrers API: read, and written without losing anything.
//!
//! # Design
//! No registry has a conditional write, so whoever writes the index reads it, merges, writes, and looks again
//! after a while whether everything that was ever seen in it is there still. The look comes after some
//! multiples of the time that a writer needs between reading and writing, and once more where somebody else
//! was seen writing. Within one client all that waits is written at once. A write that is not known to have
//! arrived is not repeated: by then others may have written, and the index is read again.

mod queue;

use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_net::{Answer, StatusCode, Verdict, classify_status, random_unit};
use granary_oci::{Descriptor, Digest, FallbackError, FallbackIndex, Repository, Tag, TagOrDigest};

use crate::client::Registry;
use crate::error::{Operation, RegistryError};
pub(crate) use queue::Queue;

/// Rounds of read, merge, write and read again. Every round some writer of several wins for good.
const FALLBACK_ROUNDS: u32 = 24;

/// The wait before the check that nobody has overwritten us, if all went at once.
const SHORTEST_SETTLE: Duration = Duration::from_millis(20);

/// The same at most.
const LONGEST_SETTLE: Duration = Duration::from_secs(2);

/// Entries of others that are looked into per write, to mend them. More are mended by the next one.
const MOST_MENDED: usize = 16;

/// One index that is being written.
struct Writer<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    subject: &'a Digest,
    tag: Tag,
    operation: Operation,
    /// The tag led to the subject itself before we wrote it.
    aliased: bool,
}

impl Registry {
    /// The index as the registry has it. Where the fallback tag leads to the subject itself (GitLab takes
    /// `sha256-…` for the digest), nothing can have been attached there.
    pub(crate) async fn fallback_index(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<FallbackIndex, RegistryError> {
        match self.read_fallback(repository, subject).await? {
            Ok(index) => Ok(index),
            Err(FallbackError::IsSubject { .. }) => Ok(FallbackIndex::empty(subject)),
            Err(source) => {
                let operation =
                    self.operation("reading referrers of", repository, format!("@{subject}"), false);
                Err(fallback_error(operation, source))
            }
        }
    }

    async fn read_fallback(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Result<FallbackIndex, FallbackError>, RegistryError> {
        let tag = TagOrDigest::Tag(FallbackIndex::tag(subject));
        let found = self.manifest(repository, &tag).await?;
        Ok(FallbackIndex::read(subject, found.as_ref()))
    }

    /// Enters referrers in the index of their subject.
    pub(crate) async fn enter_in_fallback(
        &self,
        repository: &Repository,
        subject: &Digest,
        entries: &[Descriptor],
        operation: Operation,
    ) -> Result<(), RegistryError> {
        // A registry may have the API and not say so when it takes a referrer (go-containerregistry's does
        // not): what it lists needs no index.
        if self.learnt().referrers_api.get() == Some(true)
            && let Some(listed) = self.referrers_by_api(repository, subject, None).await?
            && entries.iter().all(|entry| listed.iter().any(|known| known.digest == entry.digest))
        {
            return Ok(());
        }
        let queue = self.fallback_queue(repository, subject);
        let ticket = queue.wait(entries);
        let _turn = queue.turn.lock().await;
        let waiting = queue.waiting().entries.clone();
        // Somebody who had the turn before has taken them along.
        if !waiting.contains_key(&ticket.number) {
            return Ok(());
        }
        let tag = FallbackIndex::tag(subject);
        let mut writer = Writer { registry: self, repository, subject, tag, operation, aliased: false };
        let mut together: Vec<Descriptor> = Vec::new();
        for entry in waiting.values().flatten() {
            if !together.contains(entry) {
                together.push(entry.clone());
            }
        }
        writer.enter(&together, &queue).await?;
        queue.waiting().entries.retain(|number, _| !waiting.contains_key(number));
        Ok(())
    }
}

impl Writer<'_> {
    async fn enter(&mut self, entries: &[Descriptor], queue: &Arc<Queue>) -> Result<(), RegistryError> {
        // Whatever was ever seen there. Others may mend their entries, so theirs count by digest.
        let mut seen = FallbackIndex::empty(self.subject);
        let mut tries = self.registry.tries();
        let (mut index, mended) = self.first_look(entries, queue).await?;
        let (mut contended, mut confirmed) = (false, false);
        for round in 1..=FALLBACK_ROUNDS {
            let others = index.entries().iter().filter(|entry| !knows(entries, entry));
            let news = others.filter(|other| !knows(seen.entries(), other)).count();
            contended |= round > 1 && news > 0;
            seen.restore(&index);
            let complete = self.is_complete(&index, &seen, entries);
            if complete && (!contended || confirmed) {
                return Ok(());
            }
            let began = Instant::now();
            if !complete {
                (contended, confirmed) = (contended || round > 1, false);
                index.restore(&seen);
                for entry in &mended {
                    index.mend(entry);
                }
                entries.iter().for_each(|entry| index.merge(entry.clone()));
                if !self.write(&index, &mut tries).await? {
                    index = self.look().await?;
                    continue;
                }
            } else {
                confirmed = true;
            }
            // Whoever had read the index before our write lands may still write his over it. His gap
            // between reading and writing will be about as long as ours, so look after a few of those.
            let settle = (began.elapsed() * (1 + round)).clamp(SHORTEST_SETTLE, LONGEST_SETTLE);
            let settle = if contended { (settle * 4).min(LONGEST_SETTLE) } else { settle };
            tokio::time::sleep(settle + settle.mul_f64(random_unit())).await;
            index = self.look().await?;
        }
        match self.is_complete(&index, &seen, entries) {
            true => Ok(()),
            false => {
                let (operation, attempts) = (Box::new(self.operation.clone()), FALLBACK_ROUNDS);
                Err(RegistryError::Contended { operation, attempts })
            }
        }
    }

    /// Whether everything that was ever seen is there, and ours as it should be.
    fn is_complete(&self, index: &FallbackIndex, seen: &FallbackIndex, entries: &[Descriptor]) -> bool {
        seen.entries().iter().all(|one| knows(index.entries(), one))
            && entries.iter().all(|entry| index.holds(entry))
    }

    /// The index as it is, and the entries of others that it should have otherwise.
    async fn first_look(
        &mut self,
        entries: &[Descriptor],
        queue: &Arc<Queue>,
    ) -> Result<(FallbackIndex, Vec<Descriptor>), RegistryError> {
        let index = match self.registry.read_fallback(self.repository, self.subject).await? {
            Ok(index) => index,
            Err(source @ FallbackError::IsSubject { .. }) => {
                // Where it is a tag all the same, it is somebody's, and maybe only hidden.
                if self.registry.tags(self.repository).await?.contains(&self.tag) {
                    return Err(fallback_error(self.operation.clone(), source));
                }
                self.aliased = true;
                FallbackIndex::empty(self.subject)
            }
            Err(source) => return Err(fallback_error(self.operation.clone(), source)),
        };
        if entries.iter().all(|entry| index.holds(entry)) {
            return Ok((index, Vec::new()));
        }
        let doubtful: Vec<&Descriptor> = {
            let right = queue.right();
            let doubtful = index.doubtful().filter(|entry| !right.contains(&entry.digest));
            doubtful.filter(|entry| !knows(entries, entry)).take(MOST_MENDED).collect()
        };
        if doubtful.is_empty() {
            return Ok((index, Vec::new()));
        }
        let looks = doubtful.into_iter().map(|entry| self.as_it_should_be(entry, queue));
        let mended = futures_util::future::join_all(looks).await.into_iter().flatten().collect();
        // That took a while: what others have written meanwhile must not be written over.
        Ok((self.look().await?, mended))
    }

    /// The right entry for a referrer whose entry looks wrong, where it is. Mending is a courtesy: what
    /// cannot be read stays as it is.
    async fn as_it_should_be(&self, entry: &Descriptor, queue: &Arc<Queue>) -> Option<Descriptor> {
        let target = TagOrDigest::from(&entry.digest);
        let raw = self.registry.manifest(self.repository, &target).await.ok()??;
        let manifest = raw.parse().ok()?;
        let right = FallbackIndex::entry(&raw, manifest);
        let names_subject = manifest.subject.as_ref().is_some_and(|subject| subject.digest == *self.subject);
        let mut as_it_is = FallbackIndex::empty(self.subject);
        as_it_is.merge(entry.clone());
        if !names_subject || as_it_is.holds(&right) {
            queue.right().insert(entry.digest.clone());
            return None;
        }
        Some(right)
    }

    /// Reads the index again.
    async fn look(&self) -> Result<FallbackIndex, RegistryError> {
        let index = self.registry.read_fallback(self.repository, self.subject).await?;
        index.map_err(|source| fallback_error(self.operation.clone(), source))
    }

    /// Writes the index. `false` if it is not known to be written, after a pause.
    async fn write(
        &self,
        index: &FallbackIndex,
        tries: &mut crate::tries::Tries,
    ) -> Result<bool, RegistryError> {
        let built = index.build().map_err(|source| fallback_error(self.operation.clone(), source))?;
        let answer = match self.registry.put_once(&self.operation, &self.tag, &built).await {
            Ok(answer) => answer,
            Err(error) => {
                let passing = matches!(&error, RegistryError::Unreachable { source, .. } if source.verdict() == Verdict::Retry);
                return self.pause_before_another(error, None, None, passing, tries).await;
            }
        };
        if answer.status.is_success() {
            return Ok(true);
        }
        let (status, asked) = (Some(answer.status), answer.retry_after());
        let passing = classify_status(answer.status) == Verdict::Retry;
        let error = self.refusal(&answer);
        self.pause_before_another(error, status, asked, passing, tries).await
    }

    async fn pause_before_another(
        &self,
        error: RegistryError,
        status: Option<StatusCode>,
        asked: Option<Duration>,
        passing: bool,
        tries: &mut crate::tries::Tries,
    ) -> Result<bool, RegistryError> {
        let pause = if passing { tries.failed(status, asked, random_unit()) } else { None };
        let Some(pause) = pause else { return Err(error) };
        tokio::time::sleep(pause).await;
        Ok(false)
    }

    fn refusal(&self, answer: &Answer) -> RegistryError {
        let operation = self.operation.clone();
        match self.aliased && answer.status.is_client_error() {
            true => fallback_error(operation, FallbackError::IsSubject { subject: self.subject.clone() }),
            false => self.registry.refused(operation, answer),
        }
    }
}

fn knows(entries: &[Descriptor], wanted: &Descriptor) -> bool {
    entries.iter().any(|entry| entry.digest == wanted.digest)
}

fn fallback_error(operation: Operation, source: FallbackError) -> RegistryError {
    RegistryError::Fallback { operation: Box::new(operation), source: Box::new(source) }
}
