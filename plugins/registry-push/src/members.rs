//! From sources to the members of a release set: read, named by digest, and brought into their
//! repositories. Nothing is tagged here.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use futures_util::future::try_join_all;
use granary_net::Http;
use granary_oci::{RawManifest, Reference, Repository, TagOrDigest};
use granary_plugin::{Context, Failure, Kind};
use granary_registry::{
    Class, Content, CopyOptions, PlanError, Registry, TransferError, TransferOptions, TransferReport,
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
            let mount = match &source.place {
                Place::Image(image) if image.host == *self.registry.host() => Some(&image.repository),
                _ => None,
            };
            self.registry.announce_writes(repository, mount.map_or(&[], std::slice::from_ref));
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
        let found = found.map_err(|error| match error.class() {
            Class::Auth if !here => Failure::new(Kind::Unauthorized, "refusing to publish")
                .caused_by(error)
                .hint(format!(
                    "`username` and `password` are for {} alone: for other registries use an auth file (DOCKER_CONFIG)",
                    self.registry.host()
                )),
            _ => registry_failure(error),
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

    /// Brings the bytes into the member's repository, by digest. `is_empty`: nothing is there yet, so
    /// nothing is looked for.
    ///
    /// # Errors
    /// If the registry fails or the bytes are not what their digests say.
    pub async fn push(&self, context: &Context, registry: &Registry, is_empty: bool) -> Result<(), Failure> {
        let started = Instant::now();
        let place = &self.member.repository;
        let report = match &self.bytes {
            Bytes::Local(content) => {
                let options = TransferOptions { fresh_repository: is_empty, ..TransferOptions::default() };
                send(context, registry, place, content, options).await?
            }
            Bytes::Remote { registry: from, repository }
                if from.is_same_as(registry) && repository == place =>
            {
                return Ok(());
            }
            Bytes::Remote { registry: from, repository } => {
                let target = TagOrDigest::from(&self.member.digest);
                let look = async { registry.head_manifest(place, &target).await.map_err(registry_failure) };
                if !is_empty && look.await?.is_some() {
                    TransferReport { top_present: true, ..TransferReport::default() }
                } else {
                    let options = CopyOptions::default();
                    let content = from.read_content(repository, &self.member.digest, &options).await;
                    let content = content.map_err(registry_failure)?;
                    // A mount finds out by itself what is there.
                    let fresh_repository = is_empty || from.is_same_as(registry);
                    let options =
                        TransferOptions { fresh_repository, top_absent: true, ..TransferOptions::default() };
                    send(context, registry, place, &content, options).await?
                }
            }
        };
        let digest = &self.member.digest;
        let what = match report {
            TransferReport { top_present: true, .. } => format!("{place}@{digest} is there already"),
            report => format!(
                "{place}@{digest} pushed: {} blobs sent ({} bytes), {} mounted, {} there already",
                report.blobs_uploaded, report.bytes_uploaded, report.blobs_mounted, report.blobs_present
            ),
        };
        context.output.done_in(what, started.elapsed());
        Ok(())
    }
}

async fn send(
    context: &Context,
    registry: &Registry,
    place: &Repository,
    content: &Content,
    options: TransferOptions,
) -> Result<TransferReport, Failure> {
    let total = content.blobs.iter().map(|(descriptor, _)| descriptor.size).sum();
    let shown = Mutex::new(context.output.progress(format!("pushing {place}"), Some(total)));
    let progress = std::sync::Arc::new(move |_: &granary_oci::Digest, bytes: u64| {
        shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(bytes);
    });
    let options = TransferOptions { progress: Some(progress), ..options };
    registry.push_content(place, content, &options).await.map_err(transfer_failure)
}

fn transfer_failure(error: TransferError) -> Failure {
    match error {
        TransferError::Registry(error) if error.class() == Class::Local => {
            Failure::new(Kind::BadInput, "the source is not what it says")
                .caused_by(error)
                .hint("build it again; nothing was tagged")
        }
        TransferError::Registry(error) => registry_failure(error),
        TransferError::Plan(error) => plan_failure(error),
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
