//! From sources to the members of a release set: read, named by digest, and brought into their
//! repositories. Nothing is tagged here.

mod content;
mod elsewhere;
mod failures;

use std::path::Path;

use futures_util::future::try_join_all;
use granary_oci::{RawManifest, Reference, Repository};
use granary_plugin::{Context, Failure, Kind};
use granary_registry::{Content, Registry};
use granary_release::Member;
use granary_suite::registry_failure;

use crate::settings::{NamedSource, Place, Settings};
use crate::source::{LocalSource, Provenance, load};
pub use elsewhere::Elsewhere;
pub use failures::elsewhere_failure;
use failures::source_failure;

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
    pub elsewhere: &'a Elsewhere<'a>,
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
            false => self.elsewhere.registry(&reference.host)?,
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
