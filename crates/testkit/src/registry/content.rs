//! The direct ways in and out: what tests set up and assert without HTTP. Nothing here is checked or logged.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Registry, Snapshot, State};
use crate::image::Image;

impl Registry {
    /// Tag → digest; empty for an unknown repository.
    #[must_use]
    pub fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        self.server.state().repositories.get(repository).map(|r| r.tags.clone()).unwrap_or_default()
    }

    /// Media type and bytes of the manifest behind a tag or digest.
    #[must_use]
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Bytes)> {
        let state = self.server.state();
        let (_, manifest) = state.resolve(repository, reference)?;
        Some((manifest.media_type.clone(), manifest.bytes.clone()))
    }

    /// The bytes of a blob that this repository has.
    #[must_use]
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Bytes> {
        self.server.state().blob(repository, digest).cloned()
    }

    /// Digests of the manifests whose `subject` is `digest`, sorted.
    #[must_use]
    pub fn referrers(&self, repository: &str, digest: &str) -> Vec<String> {
        let state = self.server.state();
        state.referrers(repository, digest).into_iter().map(|(digest, _)| digest.to_owned()).collect()
    }

    /// Every digest that a tag ever named, in order; a published version has one.
    #[must_use]
    pub fn history(&self, repository: &str, tag: &str) -> Vec<String> {
        let state = self.server.state();
        state.repositories.get(repository).and_then(|r| r.history.get(tag)).cloned().unwrap_or_default()
    }

    /// Stores a manifest as it is, unchecked, under these tags (none: by digest only). Returns its digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        tags: &[&str],
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> String {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.server.state().store_manifest(repository, &tags, media_type, bytes.into())
    }

    /// Stores a blob. Returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> String {
        self.server.state().store_blob(repository, bytes.into())
    }

    /// Stores an image or index with all that belongs to it and tags its top.
    pub fn put_image(&self, repository: &str, tags: &[&str], image: &Image) {
        let mut state = self.server.state();
        for blob in image.blobs() {
            state.store_blob(repository, blob.bytes.clone());
        }
        for manifest in image.manifests() {
            let own = if manifest.digest == image.digest() { tags } else { &[] };
            let own: Vec<String> = own.iter().map(|tag| (*tag).to_owned()).collect();
            state.store_manifest(repository, &own, &manifest.media_type, manifest.bytes.clone());
        }
    }

    /// What can be seen from outside: repository → tags and referrers.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.server.state().snapshot()
    }

    /// A copy of all content, open uploads included, to start other registries from.
    #[must_use]
    pub fn clone_state(&self) -> State {
        self.server.state().clone()
    }
}
