//! Carrying out a plan.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::try_join;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use granary_oci::{Descriptor, Digest, Repository, TagOrDigest};

use super::{BlobFate, TransferError, TransferListener, TransferReport};
use crate::blob_source::Progress;
use crate::client::Registry;
use crate::error::{Class, RegistryError};
use crate::plan::{BlobWay, PlanError, PlannedBlob, PlannedManifest, TransferPlan};
use crate::upload::{BlobOutcome, PushOptions, SMALL_BLOB};

/// A plan under way.
struct Run<'a> {
    registry: &'a Registry,
    plan: &'a TransferPlan,
    listener: &'a TransferListener,
    blobs: HashMap<&'a Digest, &'a PlannedBlob>,
}

impl Registry {
    /// Carries out a plan that was made for this repository.
    ///
    /// Where a blob cannot be sent the others are given up at once: the rest of a gigabyte would only
    /// keep the reason back. Manifests are short, so those that have been begun are finished, and none of
    /// later rounds is. In either case nothing above what failed has been put, nothing has been tagged,
    /// and a new plan goes on from there.
    ///
    /// # Errors
    /// If something could not be sent, or the plan is for another place.
    pub async fn execute(
        &self,
        repository: &Repository,
        plan: &TransferPlan,
        listener: &TransferListener,
    ) -> Result<TransferReport, TransferError> {
        if plan.host != *self.host() || plan.repository != *repository {
            let planned = format!("{}/{}", plan.host, plan.repository);
            let asked = format!("{}/{repository}", self.host());
            return Err(PlanError::OtherTarget { planned, asked }.into());
        }
        let mut report = TransferReport::begin(plan);
        if plan.is_empty() {
            return Ok(report);
        }
        self.announce_writes(repository, &plan.mounts_from());
        let blobs = plan.blobs().iter().map(|blob| (&blob.descriptor.digest, blob)).collect();
        let run = Run { registry: self, plan, listener, blobs };
        for (fate, size) in run.blobs().await? {
            report.count(&fate, size);
        }
        for round in plan.rounds() {
            run.round(round).await?;
        }
        report.manifests = plan.rounds().iter().map(Vec::len).sum();
        report.referrers = plan.rounds().iter().flatten().filter(|one| one.subject.is_some()).count();
        Ok(report)
    }
}

impl Run<'_> {
    /// All blobs. Those that stream wait for each other, and the small ones do not wait for them.
    async fn blobs(&self) -> Result<Vec<(BlobFate, u64)>, RegistryError> {
        let (large, small): (Vec<&PlannedBlob>, Vec<&PlannedBlob>) =
            self.plan.blobs().iter().partition(|blob| blob.descriptor.size > SMALL_BLOB);
        let (mut done, more) = try_join(self.lane(large), self.lane(small)).await?;
        done.extend(more);
        Ok(done)
    }

    async fn lane(&self, blobs: Vec<&PlannedBlob>) -> Result<Vec<(BlobFate, u64)>, RegistryError> {
        // More at once would only wait for the registry's limit, small blobs with their content in memory.
        let at_once = self.registry.inner().limit.most();
        let settled: Vec<_> = blobs.into_iter().map(|blob| self.settle(blob)).collect();
        stream::iter(settled).buffer_unordered(at_once).try_collect().await
    }

    async fn settle(&self, blob: &PlannedBlob) -> Result<(BlobFate, u64), RegistryError> {
        let fate = self.bring(blob, &blob.way).await?;
        if let Some(settled) = &self.listener.settled {
            settled(&blob.descriptor, &fate);
        }
        Ok((fate, blob.descriptor.size))
    }

    async fn bring(&self, blob: &PlannedBlob, way: &BlobWay) -> Result<BlobFate, RegistryError> {
        let (repository, descriptor) = (&self.plan.repository, &blob.descriptor);
        let counted = self.listener.progress.as_ref().map(|_| Arc::new(AtomicU64::new(0)));
        let progress = counted.clone().and_then(|counted| self.progress(blob, counted));
        let options = PushOptions { way: way.clone(), progress };
        let outcome = self.registry.push_blob(repository, descriptor, &blob.source, &options).await?;
        if let (BlobOutcome::Uploaded, Some(counted), Some(told)) =
            (outcome, counted, &self.listener.progress)
        {
            // What was sent from memory has told nothing yet.
            let before = counted.fetch_max(descriptor.size, Ordering::Relaxed);
            told(&descriptor.digest, descriptor.size.saturating_sub(before));
        }
        Ok(match (outcome, way) {
            (BlobOutcome::Uploaded, _) => BlobFate::Uploaded,
            (BlobOutcome::Mounted, BlobWay::Mount { from, .. }) => BlobFate::Mounted { from: from.clone() },
            (_, BlobWay::Known) => BlobFate::Known,
            (BlobOutcome::Present | BlobOutcome::Mounted, _) => BlobFate::Found,
        })
    }

    /// From "so many so far", which begins anew with a retry, to "so many more".
    fn progress(&self, blob: &PlannedBlob, counted: Arc<AtomicU64>) -> Option<Progress> {
        let (told, digest) = (self.listener.progress.clone()?, blob.descriptor.digest.clone());
        Some(Arc::new(move |so_far| {
            let before = counted.fetch_max(so_far, Ordering::Relaxed);
            if so_far > before {
                told(&digest, so_far - before);
            }
        }))
    }

    /// The manifests of one round, all at once. Once one has failed, no other is begun.
    async fn round(&self, manifests: &[PlannedManifest]) -> Result<(), RegistryError> {
        let failed = AtomicBool::new(false);
        let at_once = self.registry.inner().limit.most();
        let puts: Vec<_> = manifests.iter().map(|manifest| self.put_unless(&failed, manifest)).collect();
        let results: Vec<Result<Left<'_>, RegistryError>> =
            stream::iter(puts).buffered(at_once).collect().await;
        let mut unlisted = Vec::new();
        // In order, for they may refer to each other.
        for left in results.into_iter().collect::<Result<Vec<_>, _>>()? {
            match left {
                Left::Nothing => {}
                Left::Unlisted(manifest) => unlisted.push(manifest),
                Left::Refused(manifest) => unlisted.extend(self.put(manifest).await?.then_some(manifest)),
            }
        }
        self.list(&unlisted).await
    }

    /// Puts a manifest, unless another one has failed.
    async fn put_unless<'m>(
        &self,
        failed: &AtomicBool,
        manifest: &'m PlannedManifest,
    ) -> Result<Left<'m>, RegistryError> {
        if failed.load(Ordering::Relaxed) {
            return Ok(Left::Nothing);
        }
        match self.put(manifest).await {
            Ok(false) => Ok(Left::Nothing),
            Ok(true) => Ok(Left::Unlisted(manifest)),
            Err(error) if manifest.beside_subject && is_refusal(&error) => Ok(Left::Refused(manifest)),
            Err(error) => {
                failed.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Returns whether it is a referrer that the registry does not list by itself.
    async fn put(&self, manifest: &PlannedManifest) -> Result<bool, RegistryError> {
        match self.put_once(manifest).await {
            Err(error) if error.misses_blob() => {
                // What was thought to be there is forgotten by now, so it is looked for and sent. Not
                // mounted: maybe it was that, in words only.
                let blobs = manifest.blobs.iter().filter_map(|blob| self.blobs.get(blob));
                let brought: Vec<_> = blobs.map(|blob| self.bring(blob, &BlobWay::Find)).collect();
                let at_once = self.registry.inner().limit.most();
                stream::iter(brought).buffer_unordered(at_once).try_collect::<Vec<_>>().await?;
                self.put_once(manifest).await
            }
            done => done,
        }
    }

    async fn put_once(&self, manifest: &PlannedManifest) -> Result<bool, RegistryError> {
        let target = TagOrDigest::from(manifest.raw.digest());
        let outcome = self.registry.put_manifest(&self.plan.repository, &target, &manifest.raw).await?;
        if outcome.subject_acknowledged {
            self.registry.learnt().referrers_api.set(true);
        }
        Ok(manifest.subject.is_some() && !outcome.subject_acknowledged)
    }

    /// Enters stored referrers in the fallback indexes of their subjects: those of one subject together,
    /// which takes one write and two looks in place of as many for each.
    async fn list(&self, referrers: &[&PlannedManifest]) -> Result<(), RegistryError> {
        let mut entries: BTreeMap<&Digest, Vec<Descriptor>> = BTreeMap::new();
        for referrer in referrers {
            if let Some(subject) = &referrer.subject {
                entries.entry(&subject.digest).or_default().push(referrer.entry.clone());
            }
        }
        let at_once = self.registry.inner().limit.most();
        let entered: Vec<_> =
            entries.into_iter().map(|(subject, entries)| self.enter(subject, entries)).collect();
        stream::iter(entered).buffer_unordered(at_once).try_collect().await
    }

    async fn enter(&self, subject: &Digest, entries: Vec<Descriptor>) -> Result<(), RegistryError> {
        let repository = &self.plan.repository;
        let operation = self.registry.operation("attaching to", repository, format!("@{subject}"), true);
        self.registry.enter_in_fallback(repository, subject, &entries, operation).await
    }
}

/// What is left to do for a manifest at the end of its round.
enum Left<'a> {
    Nothing,
    /// It is stored, and its subject's fallback index has to say so.
    Unlisted(&'a PlannedManifest),
    /// Some registry may not like referrers that come before their subject, which is there by then.
    Refused(&'a PlannedManifest),
}

fn is_refusal(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Status { .. }) && error.class() == Class::Refused
}
