//! The referrers fallback index, for registries without the referrers API (distribution-spec,
//! "Referrers Tag Schema"): an ordinary index under the tag `sha256-<hex of the subject>`.
//!
//! There is no conditional write, so whoever updates it reads, merges, writes and reads again. This
//! module is the merge.

use std::collections::BTreeMap;

use serde::Serialize;
use thiserror::Error;

use crate::{Descriptor, Digest, Manifest, RawManifest, Tag, media_type};

/// Why what lies under the fallback tag cannot be used.
#[derive(Debug, Error)]
pub enum FallbackError {
    /// GitLab resolves the tag `sha256-<hex>` to the subject itself.
    #[error(
        "the registry answers the fallback tag of {subject} with the subject itself, so it cannot hold referrers"
    )]
    IsSubject {
        /// The subject's digest.
        subject: Digest,
    },
    /// Something else was tagged so.
    #[error("the fallback tag of {subject} holds `{media_type}` instead of an index")]
    NotAnIndex {
        /// The subject's digest.
        subject: Digest,
        /// What it holds.
        media_type: String,
    },
    /// An index that cannot be read.
    #[error("the fallback index of {subject} cannot be read")]
    Unreadable {
        /// The subject's digest.
        subject: Digest,
        /// What the parser said.
        #[source]
        source: crate::ManifestError,
    },
    /// So many referrers that the index would be larger than registries take.
    #[error("the fallback index of {subject} would exceed the size that registries take")]
    Full {
        /// The subject's digest.
        subject: Digest,
        /// Which limit.
        #[source]
        source: crate::ManifestError,
    },
}

/// The list of a subject's referrers as the fallback tag holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackIndex {
    subject: Digest,
    entries: Vec<Descriptor>,
}

impl FallbackIndex {
    /// The tag under which the index of `subject` lies.
    pub fn tag(subject: &Digest) -> Tag {
        // "algorithm truncated to 32 characters, - , encoded truncated to 64 characters"
        let hex = subject.hex();
        format!("{}-{}", subject.algorithm(), &hex[..hex.len().min(64)])
            .parse()
            .expect("invariant: an algorithm and hex digits form a tag")
    }

    /// Reads what lies under the tag; `None` is an empty list.
    ///
    /// # Errors
    /// If it is the subject itself, no index, or unreadable: writing over it would lose something.
    pub fn read(subject: &Digest, found: Option<&RawManifest>) -> Result<Self, FallbackError> {
        let subject = subject.clone();
        let Some(raw) = found else { return Ok(FallbackIndex { subject, entries: Vec::new() }) };
        if *raw.digest() == subject {
            return Err(FallbackError::IsSubject { subject });
        }
        if !media_type::is_index(raw.media_type()) {
            return Err(FallbackError::NotAnIndex { subject, media_type: raw.media_type().to_owned() });
        }
        match raw.parse() {
            Ok(manifest) => Ok(FallbackIndex { subject, entries: manifest.manifests }),
            Err(source) => Err(FallbackError::Unreadable { subject, source }),
        }
    }

    /// A list without entries.
    pub fn empty(subject: &Digest) -> Self {
        FallbackIndex { subject: subject.clone(), entries: Vec::new() }
    }

    /// The referrers in the list.
    pub fn entries(&self) -> &[Descriptor] {
        &self.entries
    }

    /// Whether the list has exactly this entry.
    pub fn holds(&self, entry: &Descriptor) -> bool {
        self.entries.contains(entry)
    }

    /// Adds `entry`, or mends the one with the same digest: tools have written entries without
    /// annotations or with the wrong `artifactType`, and Kyverno then finds no signature.
    pub fn merge(&mut self, entry: Descriptor) {
        match self.entries.iter_mut().find(|known| known.digest == entry.digest) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }

    /// Puts `entry` in the place of the one with the same digest, if there is one.
    pub fn mend(&mut self, entry: &Descriptor) {
        if let Some(known) = self.entries.iter_mut().find(|known| known.digest == entry.digest) {
            *known = entry.clone();
        }
    }

    /// Entries that may be wrong: tools have written the configuration's media type for an artifact type, and left out
    /// the annotations. The referrer itself says what is right.
    pub fn doubtful(&self) -> impl Iterator<Item = &Descriptor> {
        let no_type = |entry: &Descriptor| {
            entry.artifact_type.as_deref().is_none_or(|kind| kind.is_empty() || kind == media_type::OCI_EMPTY)
        };
        let bare = |entry: &Descriptor| entry.annotations.as_ref().is_none_or(BTreeMap::is_empty);
        self.entries.iter().filter(move |entry| no_type(entry) || bare(entry))
    }

    /// The entry for a referrer: its descriptor with `artifactType` and **all** annotations of the
    /// manifest pulled up.
    pub fn entry(raw: &RawManifest, manifest: &Manifest) -> Descriptor {
        Descriptor {
            artifact_type: manifest.effective_artifact_type().map(str::to_owned),
            annotations: Some(manifest.annotations.clone()).filter(|annotations| !annotations.is_empty()),
            ..raw.descriptor()
        }
    }

    /// The index to write.
    ///
    /// # Errors
    /// If it has grown beyond what registries take.
    pub fn build(&self) -> Result<RawManifest, FallbackError> {
        let document =
            Document { schema_version: 2, media_type: media_type::OCI_INDEX, manifests: &self.entries };
        let bytes = serde_json::to_vec(&document).expect("invariant: text-keyed maps and text serialise");
        RawManifest::new(bytes, media_type::OCI_INDEX)
            .map_err(|source| FallbackError::Full { subject: self.subject.clone(), source })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: &'a [Descriptor],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Digest {
        Digest::of(b"subject")
    }

    #[test]
    fn tag_of_the_spec() {
        let text = FallbackIndex::tag(&Digest::of(b"")).to_string();
        assert_eq!(text, "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn merge_adds_once_and_mends() {
        let mut index = FallbackIndex::read(&subject(), None).unwrap();
        let bare = Descriptor::of(media_type::OCI_MANIFEST, b"referrer");
        let other = Descriptor::of(media_type::OCI_MANIFEST, b"other");
        index.merge(bare.clone());
        index.merge(other.clone());
        let right = Descriptor { artifact_type: Some("application/vnd.example".to_owned()), ..bare };
        index.merge(right.clone());
        assert_eq!(index.entries(), [right, other]);
        let again = FallbackIndex::read(&subject(), Some(&index.build().unwrap())).unwrap();
        assert_eq!(again, index);
    }

    #[test]
    fn gitlab_and_strangers_are_refused() {
        let index = RawManifest::new(br#"{"manifests":[]}"#.to_vec(), "").unwrap();
        assert!(matches!(
            FallbackIndex::read(index.digest(), Some(&index)),
            Err(FallbackError::IsSubject { .. })
        ));
        let image = crate::ArtifactManifest::new("x").build();
        assert!(matches!(
            FallbackIndex::read(&subject(), Some(&image)),
            Err(FallbackError::NotAnIndex { .. })
        ));
    }
}
