//! From sources to the members of a release set: read, named by digest, and brought into their
//! repositories. Nothing is tagged here.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use granary_net::Http;
use granary_oci::{Descriptor, Digest, RawManifest, Reference, RegistryHost, Repository, TagOrDigest};
use granary_plugin::{Context, Failure, Kind, Progress, bytes, rate, seconds};
use granary_registry::{
    BlobFate, BlobWay, Class, Content, CopyOptions, PlanError, PlannedBlob, Registry, RegistryError,
    TransferError, TransferOptions, TransferPlan, TransferReport,
};
use granary_release::Member;
use granary_suite::{connect_elsewhere, registry_failure};

use crate::settings::{NamedSource, Place, Settings};
use crate::source::{LocalSource, Provenance, SourceError, load};

/// A member, and where its bytes are.
pub struct Loaded {
    /// Name, repository, digest.
    pub member: Member,
    top: RawManifest,
    bytes: Bytes,
}

enum Bytes {
    /// On disk.
    Local(Content),
    /// In a registry.
    Remote { registry: Registry, repository: Repository },
}

/// What is needed to load members.
pub struct Loader<'a> {
    /// The run.
    pub context: &'a Context,
    /// What it was asked to do.
    pub settings: &'a Settings,
    /// The registry that is published to.
    pub registry: &'a Registry,
    /// For images in other registries.
    pub http: &'a Http,
    /// For the annotations of artifacts that are made here.
    pub provenance: Provenance,
    /// Where the members go, in the order of the sources.
    pub repositories: Vec<Repository>,
}

impl Loader<'_> {
    /// Reads every source. A tag in an `image:` source is resolved once, here.
    ///
    /// # Errors
    /// With exit code 20 or 2, if a source cannot be read; nothing has been sent then.
    pub async fn load(&self, scratch: &Path) -> Result<Vec<Loaded>, Failure> {
        let each = self.settings.sources.iter().zip(self.repositories.clone()).enumerate();
        let load = each.map(|(number, (source, repository))| {
            // Two archives may hold layers of one name.
            let scratch = scratch.join(number.to_string());
            async move { self.load_one(source, repository, &scratch).await }
        });
        try_join_all(load).await
    }

    /// Says what will be written and mounted, so that a token server is asked once for each repository
    /// and not again at the first write or mount. A dry run reads only.
    pub fn announce(&self) {
        if self.context.common.dry_run {
            return;
        }
        for (source, repository) in self.settings.sources.iter().zip(&self.repositories) {
            let mount = self.mount(source).map(|image| &image.repository);
            self.registry.announce_writes(repository, mount.map_or(&[], std::slice::from_ref));
        }
    }

    /// Whether some source is an image of the registry that is published to.
    pub fn mounts(&self) -> bool {
        self.settings.sources.iter().any(|source| self.mount(source).is_some())
    }

    fn mount<'s>(&self, source: &'s NamedSource) -> Option<&'s Reference> {
        match &source.place {
            Place::Image(image) if image.host == *self.registry.host() => Some(image),
            _ => None,
        }
    }

    async fn load_one(
        &self,
        source: &NamedSource,
        repository: Repository,
        scratch: &Path,
    ) -> Result<Loaded, Failure> {
        let (top, bytes) = match &source.place {
            Place::Local(local) => self.load_local(local, scratch).await?,
            Place::Image(reference) => self.load_image(reference).await?,
        };
        let descriptor = top.descriptor();
        let member = Member {
            name: source.name.clone(),
            repository,
            digest: descriptor.digest,
            media_type: descriptor.media_type,
            size: descriptor.size,
        };
        Ok(Loaded { member, top, bytes })
    }

    async fn load_local(&self, local: &LocalSource, scratch: &Path) -> Result<(RawManifest, Bytes), Failure> {
        std::fs::create_dir_all(scratch).map_err(|error| {
            Failure::new(Kind::BadInput, format!("cannot create {}", scratch.display())).caused_by(error)
        })?;
        let (source, folder, provenance) = (local.clone(), scratch.to_owned(), self.provenance.clone());
        let loaded = tokio::task::spawn_blocking(move || load(&source, &folder, &provenance))
            .await
            .map_err(|error| {
                Failure::new(Kind::Unexpected, format!("reading {local} was cut off")).caused_by(error)
            })?
            .map_err(source_failure)?;
        for skipped in &loaded.skipped {
            let path = skipped.path.display();
            self.context.output.warn(format_args!("{local}: {path} is left out, it is a {}", skipped.kind));
        }
        let content = loaded.content;
        let top = content.manifests.iter().find(|manifest| *manifest.digest() == content.top);
        let top = top.expect("invariant: a source gives its own top manifest").clone();
        let content = Content { manifests: content.manifests, blobs: content.blobs, top: content.top };
        Ok((top, Bytes::Local(content)))
    }

    async fn load_image(&self, reference: &Reference) -> Result<(RawManifest, Bytes), Failure> {
        let here = reference.host == *self.registry.host();
        let registry = match here {
            true => self.registry.clone(),
            false => connect_elsewhere(&reference.host, self.context, self.http, self.settings.concurrency)?,
        };
        let found = registry.manifest(&reference.repository, &reference.target).await;
        let found = found.map_err(|error| match here {
            true => registry_failure(error),
            false => elsewhere_failure(error, self.registry.host()),
        })?;
        let top = found.ok_or_else(|| {
            Failure::new(Kind::BadInput, format!("source image:{reference} is not there"))
                .hint("the step that pushes it has to run before this one, to the same place")
        })?;
        Ok((top, Bytes::Remote { registry, repository: reference.repository.clone() }))
    }
}

impl Loaded {
    /// The manifest or index that tags will name.
    pub fn top(&self) -> &RawManifest {
        &self.top
    }

    /// Whether the bytes come from the very repository that they are for.
    fn is_in_place(&self, registry: &Registry) -> bool {
        matches!(&self.bytes, Bytes::Remote { registry: from, repository }
            if from.is_same_as(registry) && *repository == self.member.repository)
    }

    /// Finds out what has to be sent to bring the bytes into the member's repository. Reads only, so what
    /// is incomplete or not for this registry is known before anything is written. `None` where they are
    /// there already. `is_empty`: nothing is there yet, so nothing is looked for.
    ///
    /// # Errors
    /// With exit code 20, if the content cannot be published; else if a registry fails.
    pub async fn plan(&self, registry: &Registry, is_empty: bool) -> Result<Option<TransferPlan>, Failure> {
        let place = &self.member.repository;
        let options = TransferOptions { fresh_repository: is_empty, ..TransferOptions::default() };
        match &self.bytes {
            Bytes::Local(content) => planned(registry, place, content, &options).await,
            Bytes::Remote { .. } if self.is_in_place(registry) => Ok(None),
            Bytes::Remote { registry: from, repository } => {
                // If it is there, its content need not be read at the other end.
                let target = TagOrDigest::from(&self.member.digest);
                if !is_empty
                    && registry.head_manifest(place, &target).await.map_err(registry_failure)?.is_some()
                {
                    return Ok(None);
                }
                let read = from.read_content_of(repository, &self.top, &CopyOptions::default()).await;
                let content = read.map_err(registry_failure)?;
                planned(registry, place, &content, &TransferOptions { top_absent: true, ..options }).await
            }
        }
    }

    /// Carries out the plan and says what was done. `shown` is what all members together have sent.
    ///
    /// # Errors
    /// If the registry fails or the bytes are not what their digests say.
    pub async fn push(
        &self,
        context: &Context,
        registry: &Registry,
        plan: Option<&TransferPlan>,
        shown: &Arc<Progress>,
    ) -> Result<(), Failure> {
        if self.is_in_place(registry) {
            return Ok(());
        }
        let started = Instant::now();
        let (place, digest) = (&self.member.repository, &self.member.digest);
        let report = match plan {
            None => TransferReport { top_present: true, ..TransferReport::default() },
            Some(plan) => {
                let (sent, skipped) = (shown.clone(), shown.clone());
                let waited_for: HashSet<Digest> = to_send(plan).map(|blob| blob.digest.clone()).collect();
                let options = TransferOptions {
                    progress: Some(Arc::new(move |_: &Digest, bytes| sent.add(bytes))),
                    settled: Some(Arc::new(move |blob: &Descriptor, fate: &BlobFate| {
                        if *fate != BlobFate::Uploaded && waited_for.contains(&blob.digest) {
                            skipped.skip(blob.size);
                        }
                    })),
                    ..TransferOptions::default()
                };
                registry.execute(place, plan, &options).await.map_err(transfer_failure)?
            }
        };
        let line = match report.top_present {
            true => format!("{place}@{digest} is there already"),
            false => format!("{place}@{digest} pushed: {}", told(&report, started.elapsed())),
        };
        context.output.done(line);
        Ok(())
    }
}

/// What a plan will have to send, as far as is known before each blob is looked for.
pub fn to_send(plan: &TransferPlan) -> impl Iterator<Item = &Descriptor> {
    let sent = |blob: &&PlannedBlob| matches!(blob.way, BlobWay::Find | BlobWay::Upload);
    plan.blobs().iter().filter(sent).map(|blob| &blob.descriptor)
}

async fn planned(
    registry: &Registry,
    place: &Repository,
    content: &Content,
    options: &TransferOptions,
) -> Result<Option<TransferPlan>, Failure> {
    let plan = registry.plan_transfer(place, content, options).await.map_err(transfer_failure)?;
    Ok(Some(plan))
}

/// `3 blobs sent (12.4 MiB in 1.20s, 10.3 MiB/s), 5 mounted from acme/base, 2 there already`.
fn told(report: &TransferReport, took: Duration) -> String {
    let mut parts = Vec::new();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    if report.blobs_uploaded > 0 {
        let (count, sent) = (report.blobs_uploaded, report.bytes_uploaded);
        let (size, time, speed) = (bytes(sent), seconds(took), rate(sent, took));
        parts.push(format!("{count} blob{} sent ({size} in {time}, {speed})", plural(count)));
    }
    if report.blobs_mounted > 0 {
        let from: Vec<&str> = report.mounted_from.iter().map(Repository::as_str).collect();
        parts.push(format!("{} mounted from {}", report.blobs_mounted, from.join(", ")));
    }
    if report.blobs_present > 0 {
        parts.push(format!("{} there already", report.blobs_present));
    }
    if parts.is_empty() {
        parts.push(format!("{} manifest{}", report.manifests, plural(report.manifests)));
    }
    parts.join(", ")
}

fn transfer_failure(error: TransferError) -> Failure {
    match error {
        TransferError::Registry(error) if error.class() == Class::Local => {
            Failure::new(Kind::BadInput, "the source is not what it says")
                .caused_by(error)
                .hint("build it again; nothing was tagged")
        }
        TransferError::Registry(error) => registry_failure(error),
        TransferError::Plan(error @ PlanError::NestedIndex { .. }) => {
            Failure::new(Kind::BadInput, "refusing to publish what the registry does not take")
                .caused_by(error)
                .hint("build one index of all platforms, or choose another registry; nothing was sent")
        }
        TransferError::Plan(error) => plan_failure(error),
    }
}

/// What a failure of another registry means than `ours`, which the credentials among the settings are for.
pub fn elsewhere_failure(error: RegistryError, ours: &RegistryHost) -> Failure {
    match error.class() {
        Class::Auth => {
            Failure::new(Kind::Unauthorized, "refusing to publish").caused_by(error).hint(format!(
                "`username` and `password` are for {ours} alone: for other registries use an auth file (DOCKER_CONFIG)"
            ))
        }
        _ => registry_failure(error),
    }
}

fn plan_failure(error: PlanError) -> Failure {
    Failure::new(Kind::BadInput, "the source is not complete")
        .caused_by(error)
        .hint("build it again; nothing was sent")
}

fn source_failure(error: SourceError) -> Failure {
    let kind = if error.is_setting() { Kind::Settings } else { Kind::BadInput };
    let hint = match kind {
        Kind::Settings => "check `sources`: paths are relative to the step's folder",
        _ => "build it again; nothing was sent",
    };
    Failure::new(kind, "refusing to publish").caused_by(error).hint(hint)
}
