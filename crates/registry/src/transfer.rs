//! Bringing whole images into a repository: a pure plan, and its execution.
//!
//! Blobs first, then manifests by digest, children before what lists them, subjects before what refers to
//! them. Nothing is tagged: what nobody can name is not published yet, so a run that is killed leaves
//! nothing half-visible.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use granary_oci::{Descriptor, Digest, Manifest, ManifestError, RawManifest, Repository, TagOrDigest};
use thiserror::Error;

use crate::blob_source::{BlobSource, Progress};
use crate::client::Registry;
use crate::error::RegistryError;
use crate::upload::{BlobOutcome, PushOptions};

/// An image or index with everything that belongs to it.
#[derive(Clone, Debug)]
pub struct Content {
    /// All manifests: children before the index that lists them, subjects before their referrers.
    pub manifests: Vec<RawManifest>,
    /// Every blob that the manifests name, and where to get it.
    pub blobs: Vec<(Descriptor, BlobSource)>,
    /// The one that stands for the whole.
    pub top: Digest,
}

/// Why content is not complete.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The top is not among the manifests.
    #[error("the content does not hold its own top manifest {top}")]
    NoTop {
        /// The top.
        top: Digest,
    },
    /// A manifest names a blob that is not there.
    #[error("manifest {manifest} names blob {blob}, which the content does not hold")]
    NoBlob {
        /// The manifest.
        manifest: Digest,
        /// The blob.
        blob: Digest,
    },
    /// An index lists a manifest that is not there, or that comes later.
    #[error("index {index} lists manifest {child}, which does not come before it")]
    NoChild {
        /// The index.
        index: Digest,
        /// The child.
        child: Digest,
    },
    /// A manifest that cannot be read.
    #[error("the content holds an unusable manifest")]
    Manifest {
        /// Why.
        #[source]
        source: ManifestError,
    },
}

/// Why content could not be pushed.
#[derive(Debug, Error)]
pub enum TransferError {
    /// It is not complete; nothing was sent.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The registry, or a source.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Told which blob has sent how many bytes.
pub type TransferProgress = Arc<dyn Fn(&Digest, u64) + Send + Sync>;

/// How to push content.
#[derive(Clone, Default)]
pub struct TransferOptions {
    /// The repository did not exist a moment ago (see [`Registry::existing_tags`]): nothing is looked
    /// for before it is sent.
    pub fresh_repository: bool,
    /// The caller has just looked for the top, and it is not there.
    pub top_absent: bool,
    /// Shows how far it is.
    pub progress: Option<TransferProgress>,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferReport {
    /// The top was there already, and with it everything below it.
    pub top_present: bool,
    /// Blobs found there.
    pub blobs_present: usize,
    /// Blobs mounted from another repository.
    pub blobs_mounted: usize,
    /// Blobs sent.
    pub blobs_uploaded: usize,
    /// Their bytes.
    pub bytes_uploaded: u64,
    /// Manifests sent.
    pub manifests: usize,
}

/// A manifest and what follows from it.
struct Step<'a> {
    raw: &'a RawManifest,
    manifest: Manifest,
    /// Steps of lower levels come first; those of one level may go together.
    level: usize,
    /// Belongs to the top, as opposed to referring to something.
    below_top: bool,
}

/// The order of things.
struct Plan<'a> {
    steps: Vec<Step<'a>>,
    sources: HashMap<&'a Digest, (&'a Descriptor, &'a BlobSource)>,
}

impl<'a> Plan<'a> {
    fn new(content: &'a Content) -> Result<Self, PlanError> {
        let sources: HashMap<_, _> = content
            .blobs
            .iter()
            .map(|(descriptor, source)| (&descriptor.digest, (descriptor, source)))
            .collect();
        let mut steps: Vec<Step<'a>> = Vec::new();
        let mut levels: HashMap<Digest, usize> = HashMap::new();
        for raw in &content.manifests {
            if levels.contains_key(raw.digest()) {
                continue;
            }
            let manifest = raw.parse().map_err(|source| PlanError::Manifest { source })?;
            if let Some(blob) = manifest.blobs().find(|blob| !sources.contains_key(&blob.digest)) {
                let (manifest, blob) = (raw.digest().clone(), blob.digest.clone());
                return Err(PlanError::NoBlob { manifest, blob });
            }
            let mut level = 0;
            for child in &manifest.manifests {
                let Some(below) = levels.get(&child.digest) else {
                    let (index, child) = (raw.digest().clone(), child.digest.clone());
                    return Err(PlanError::NoChild { index, child });
                };
                level = level.max(below + 1);
            }
            // A subject may be missing: the specification allows referrers to come first.
            let subject = manifest.subject.as_ref().and_then(|subject| levels.get(&subject.digest));
            level = level.max(subject.map_or(0, |below| below + 1));
            levels.insert(raw.digest().clone(), level);
            steps.push(Step { raw, manifest, level, below_top: false });
        }
        if !levels.contains_key(&content.top) {
            return Err(PlanError::NoTop { top: content.top.clone() });
        }
        // Parents come after their children, so one walk from the end finds everything below the top.
        let mut below: HashSet<Digest> = HashSet::from([content.top.clone()]);
        for step in steps.iter_mut().rev().filter(|step| levels.contains_key(step.raw.digest())) {
            step.below_top = below.contains(step.raw.digest());
            if step.below_top {
                below.extend(step.manifest.manifests.iter().map(|child| child.digest.clone()));
            }
        }
        Ok(Plan { steps, sources })
    }

    /// Each blob once, the largest first: it decides when all are done.
    fn blobs(&self) -> Vec<(&'a Descriptor, &'a BlobSource)> {
        let mut known = HashSet::new();
        let named = self.steps.iter().flat_map(|step| step.manifest.blobs());
        let mut blobs: Vec<_> = named
            .filter(|blob| known.insert(blob.digest.clone()))
            .filter_map(|blob| self.sources.get(&blob.digest).copied())
            .collect();
        blobs.sort_by_key(|(descriptor, _)| std::cmp::Reverse(descriptor.size));
        blobs
    }
}

impl Registry {
    /// Brings content into a repository, by digest only. If its top is there already, so is everything
    /// below it, and one request is all it takes.
    ///
    /// # Errors
    /// If the content is not complete (nothing is sent then), or something could not be sent.
    pub async fn push_content(
        &self,
        repository: &Repository,
        content: &Content,
        options: &TransferOptions,
    ) -> Result<TransferReport, TransferError> {
        let mut plan = Plan::new(content)?;
        let mounts: Vec<Repository> =
            content.blobs.iter().filter_map(|(_, source)| self.mountable(source)).collect();
        self.announce_writes(repository, &mounts);
        let mut report = TransferReport::default();
        if !options.fresh_repository && !options.top_absent {
            let top = TagOrDigest::from(&content.top);
            report.top_present = self.head_manifest(repository, &top).await?.is_some();
        }
        if report.top_present {
            plan.steps.retain(|step| !step.below_top);
            self.drop_listed_referrers(repository, &mut plan).await?;
        }
        // More would only wait for the registry's limit, small blobs with their content in memory.
        let at_once = self.inner().limit.most();
        let outcomes: Vec<(BlobOutcome, u64)> = stream::iter(plan.blobs())
            .map(|(descriptor, source)| self.push_planned(repository, descriptor, source, options))
            .buffer_unordered(at_once)
            .try_collect()
            .await?;
        for (outcome, size) in outcomes {
            match outcome {
                BlobOutcome::Present => report.blobs_present += 1,
                BlobOutcome::Mounted => report.blobs_mounted += 1,
                BlobOutcome::Uploaded => {
                    report.blobs_uploaded += 1;
                    report.bytes_uploaded += size;
                }
            }
        }
        report.manifests = plan.steps.len();
        let highest = plan.steps.iter().map(|step| step.level).max().unwrap_or(0);
        for level in 0..=highest {
            let steps = plan.steps.iter().filter(|step| step.level == level);
            stream::iter(steps.map(Ok))
                .try_for_each_concurrent(at_once, |step| self.push_step(repository, step, &plan, options))
                .await?;
        }
        Ok(report)
    }

    async fn push_planned(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &BlobSource,
        options: &TransferOptions,
    ) -> Result<(BlobOutcome, u64), RegistryError> {
        let progress = options.progress.clone().map(|told| {
            let digest = descriptor.digest.clone();
            Arc::new(move |bytes| told(&digest, bytes)) as Progress
        });
        let options = PushOptions { known_absent: options.fresh_repository, mount_from: None, progress };
        let outcome = self.push_blob(repository, descriptor, source, &options).await?;
        Ok((outcome, descriptor.size))
    }

    async fn push_step(
        &self,
        repository: &Repository,
        step: &Step<'_>,
        plan: &Plan<'_>,
        options: &TransferOptions,
    ) -> Result<(), RegistryError> {
        match self.push_manifest_of(repository, step).await {
            Err(error) if error.misses_blob() => {
                // What was thought to be there is forgotten by now, so it is looked for and sent.
                for blob in step.manifest.blobs() {
                    if let Some((descriptor, source)) = plan.sources.get(&blob.digest) {
                        self.push_planned(repository, descriptor, source, options).await?;
                    }
                }
                self.push_manifest_of(repository, step).await
            }
            done => done,
        }
    }

    async fn push_manifest_of(&self, repository: &Repository, step: &Step<'_>) -> Result<(), RegistryError> {
        match &step.manifest.subject {
            Some(subject) => self.attach(repository, subject, step.raw).await,
            None => {
                let target = TagOrDigest::from(step.raw.digest());
                self.put_manifest(repository, &target, step.raw).await.map(|_| ())
            }
        }
    }

    /// Leaves out referrers that are found from their subject already. That the manifest is there would
    /// not be enough: a run may have died before it was entered in the fallback index.
    async fn drop_listed_referrers(
        &self,
        repository: &Repository,
        plan: &mut Plan<'_>,
    ) -> Result<(), RegistryError> {
        let subjects: HashSet<&Digest> =
            plan.steps.iter().filter_map(|step| step.manifest.subject.as_ref()).map(|s| &s.digest).collect();
        let listings = subjects.into_iter().map(|subject| self.referrers(repository, subject, None));
        let listed = futures_util::future::try_join_all(listings).await?;
        let listed: HashSet<Digest> = listed.into_iter().flatten().map(|entry| entry.digest).collect();
        plan.steps.retain(|step| !listed.contains(step.raw.digest()));
        Ok(())
    }

    /// The repository of this registry that a source could be mounted from.
    fn mountable(&self, source: &BlobSource) -> Option<Repository> {
        match source {
            BlobSource::Remote { registry, repository } if registry.is_same_as(self) => {
                Some(repository.clone())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use granary_oci::{ArtifactManifest, EMPTY_JSON, empty_descriptor, media_type};

    fn artifact(name: &str, subject: Option<&RawManifest>) -> RawManifest {
        let manifest = ArtifactManifest::new(name);
        match subject {
            Some(subject) => manifest.with_subject(&subject.descriptor()).build(),
            None => manifest.build(),
        }
    }

    fn index(children: &[&RawManifest]) -> RawManifest {
        let children: Vec<Descriptor> = children.iter().map(|child| child.descriptor()).collect();
        let document = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children});
        RawManifest::new(document.to_string().into_bytes(), "").unwrap()
    }

    fn content(manifests: &[&RawManifest], top: &RawManifest) -> Content {
        let empty = (empty_descriptor(), BlobSource::Bytes(Bytes::from_static(EMPTY_JSON)));
        let manifests = manifests.iter().map(|raw| (*raw).clone()).collect();
        Content { manifests, blobs: vec![empty], top: top.digest().clone() }
    }

    #[test]
    fn children_then_index_then_referrers() {
        let (a, b) = (artifact("a", None), artifact("b", None));
        let index = index(&[&a, &b]);
        let evidence = artifact("evidence", Some(&index));
        let on_child = artifact("on child", Some(&a));
        let content = content(&[&a, &b, &index, &evidence, &on_child], &index);
        let plan = Plan::new(&content).unwrap();
        let shape: Vec<(usize, bool)> = plan.steps.iter().map(|step| (step.level, step.below_top)).collect();
        assert_eq!(shape, [(0, true), (0, true), (1, true), (2, false), (1, false)]);
        assert_eq!(plan.blobs().len(), 1, "the same blob is sent once");
    }

    #[test]
    fn incomplete_content_is_named() {
        let (a, b) = (artifact("a", None), artifact("b", None));
        let index = index(&[&a, &b]);
        let message = |content: &Content| match Plan::new(content) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        let without_blob = Content { blobs: Vec::new(), ..content(&[&a], &a) };
        let table = [
            (content(&[&a], &b), format!("the content does not hold its own top manifest {}", b.digest())),
            (
                content(&[&a, &index, &b], &index),
                format!(
                    "index {} lists manifest {}, which does not come before it",
                    index.digest(),
                    b.digest()
                ),
            ),
            (
                without_blob,
                format!(
                    "manifest {} names blob {}, which the content does not hold",
                    a.digest(),
                    empty_descriptor().digest
                ),
            ),
        ];
        for (content, expected) in &table {
            assert_eq!(message(content), *expected);
        }
    }
}
