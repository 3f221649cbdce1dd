//! From one descriptor to everything below it: manifests checked by digest, blobs by presence and size.

use std::collections::HashSet;

use granary_oci::{Descriptor, Digest, MAX_MANIFEST_BYTES, RawManifest};
use granary_registry::BlobSource;

use super::store::Store;
use super::{Content, Problem};

/// Manifests above each other: an index of indexes of images is three, and one to spare.
const MAX_DEPTH: usize = 4;

/// Manifests of one artifact.
const MAX_MANIFESTS: usize = 1000;

/// All manifests of one artifact together, in bytes: they are held in memory until they are uploaded.
const MAX_ALL_MANIFESTS_BYTES: usize = 64 * 1024 * 1024;

/// Reads the manifest that `top` names and everything that it names.
pub(super) fn collect(store: &dyn Store, top: &Descriptor) -> Result<Content, Problem> {
    let mut walk = Walk::default();
    walk.manifest(store, top, MAX_DEPTH)?;
    Ok(Content { manifests: walk.manifests, blobs: walk.blobs, top: top.digest.clone() })
}

/// Where a layout keeps a blob. A digest is hex behind a known algorithm: no other path can come of it.
pub(super) fn blob_entry(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

#[derive(Default)]
struct Walk {
    manifests: Vec<RawManifest>,
    bytes: usize,
    blobs: Vec<(Descriptor, BlobSource)>,
    /// Apart from each other: an artifact's layer may be another artifact's manifest, and is then needed
    /// as both.
    seen_manifests: HashSet<Digest>,
    seen_blobs: HashSet<Digest>,
}

impl Walk {
    fn manifest(&mut self, store: &dyn Store, descriptor: &Descriptor, levels: usize) -> Result<(), Problem> {
        let digest = &descriptor.digest;
        if digest.algorithm() != "sha256" {
            return Err(Problem::Algorithm { digest: digest.clone() });
        }
        let entry = blob_entry(digest);
        let stretch = store.find(&entry)?;
        check_size(&entry, stretch.size, descriptor)?;
        if !self.seen_manifests.insert(digest.clone()) {
            return Ok(());
        }
        if levels == 0 {
            return Err(Problem::TooMany { what: "levels of indexes", limit: MAX_DEPTH });
        }
        let bytes = stretch.read(&entry, MAX_MANIFEST_BYTES as u64)?;
        self.bytes += bytes.len();
        if self.bytes > MAX_ALL_MANIFESTS_BYTES {
            let limit = MAX_ALL_MANIFESTS_BYTES as u64;
            return Err(Problem::TooLarge { what: "the sum of all manifests".to_owned(), limit });
        }
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(Problem::Digest { entry, found, expected: digest.clone() });
        }
        let bad = |source| Problem::Manifest { entry: entry.clone(), source };
        let raw = RawManifest::new(bytes, &descriptor.media_type).map_err(bad)?;
        let manifest = raw.parse().map_err(bad)?;
        for child in &manifest.manifests {
            self.manifest(store, child, levels - 1)?;
        }
        for blob in manifest.blobs() {
            self.blob(store, blob)?;
        }
        if self.manifests.len() == MAX_MANIFESTS {
            return Err(Problem::TooMany { what: "manifests", limit: MAX_MANIFESTS });
        }
        self.manifests.push(raw);
        Ok(())
    }

    fn blob(&mut self, store: &dyn Store, descriptor: &Descriptor) -> Result<(), Problem> {
        let entry = blob_entry(&descriptor.digest);
        let stretch = store.find(&entry)?;
        // Also of a blob that was met before: two descriptors of it may disagree.
        check_size(&entry, stretch.size, descriptor)?;
        if self.seen_blobs.insert(descriptor.digest.clone()) {
            self.blobs.push((descriptor.clone(), stretch.into_blob()));
        }
        Ok(())
    }
}

fn check_size(entry: &str, found: u64, descriptor: &Descriptor) -> Result<(), Problem> {
    match found == descriptor.size {
        true => Ok(()),
        false => Err(Problem::Size { entry: entry.to_owned(), found, expected: descriptor.size }),
    }
}
