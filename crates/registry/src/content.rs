//! An image, index or artifact with everything that belongs to it.

use granary_oci::{Descriptor, Digest, Manifest, RawManifest, media_type};

use crate::blob_source::BlobSource;

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

impl Content {
    /// An index and another index that it lists, if there are such: some registries take none (see
    /// [`Registry::refuses_nested_indexes`](crate::Registry::refuses_nested_indexes)). What cannot be
    /// read lists nothing.
    pub fn nested_index(&self) -> Option<(Digest, Digest)> {
        self.manifests.iter().find_map(|raw| {
            let nested = self.index_in(raw.parse().ok()?)?;
            Some((raw.digest().clone(), nested))
        })
    }

    /// An index that this one lists. Its descriptor may call it something else than it is.
    pub(crate) fn index_in(&self, index: &Manifest) -> Option<Digest> {
        let named = |digest: &Digest| self.manifests.iter().find(|raw| raw.digest() == digest);
        let is_index = |child: &&Descriptor| {
            media_type::is_index(&child.media_type)
                || named(&child.digest).is_some_and(|raw| media_type::is_index(raw.media_type()))
        };
        index.manifests.iter().find(is_index).map(|child| child.digest.clone())
    }
}
