//! The referrers fallback index, for registries without the referrers API (distribution-spec,
//! "Referrers Tag Schema"): an ordinary index under the tag `sha256-<hex of the subject>`.
//!
//! There is no conditional write, so whoever updates it reads, merges, writes and reads again. This module is
//! the merge. What others wrote is kept, also where it means nothing here: `urls`, annotations of the index,
//! fields of tomorrow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
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
#[derive(Clone, Debug)]
pub struct FallbackIndex {
    subject: Digest,
    entries: Vec<Descriptor>,
    /// The entries as somebody else wrote them, where somebody else did.
    written: Vec<Option<Map<String, Value>>>,
    /// What the index says besides.
    rest: Map<String, Value>,
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
        let mut index = FallbackIndex::empty(subject);
        let Some(raw) = found else { return Ok(index) };
        let subject = subject.clone();
        if *raw.digest() == subject {
            return Err(FallbackError::IsSubject { subject });
        }
        if !media_type::is_index(raw.media_type()) {
            return Err(FallbackError::NotAnIndex { subject, media_type: raw.media_type().to_owned() });
        }
        match raw.parse() {
            Ok(manifest) => index.entries = manifest.manifests.clone(),
            Err(source) => return Err(FallbackError::Unreadable { subject, source }),
        }
        // It has been read as an index above, so neither reading gives less.
        let document: Found = serde_json::from_slice(raw.bytes()).unwrap_or_default();
        index.written = document.manifests.into_iter().map(Some).collect();
        index.written.resize(index.entries.len(), None);
        index.rest = document.rest;
        for known in ["schemaVersion", "mediaType"] {
            index.rest.remove(known);
        }
        Ok(index)
    }

    /// A list without entries.
    pub fn empty(subject: &Digest) -> Self {
        let (entries, written, rest) = (Vec::new(), Vec::new(), Map::new());
        FallbackIndex { subject: subject.clone(), entries, written, rest }
    }

    /// The referrers in the list.
    pub fn entries(&self) -> &[Descriptor] {
        &self.entries
    }

    /// Whether the list says of a referrer all that `entry` says; it may say more.
    pub fn holds(&self, entry: &Descriptor) -> bool {
        self.entries.iter().any(|known| says(known, entry))
    }

    /// Adds `entry`, or mends the one with the same digest: tools have written entries without
    /// annotations or with the wrong `artifactType`, and Kyverno then finds no signature.
    pub fn merge(&mut self, entry: Descriptor) {
        if !self.mend(&entry) {
            self.entries.push(entry);
            self.written.push(None);
        }
    }

    /// Makes the entry with the same digest say what `entry` says, if there is one. What it says besides
    /// stays.
    pub fn mend(&mut self, entry: &Descriptor) -> bool {
        let Some(at) = self.entries.iter().position(|known| known.digest == entry.digest) else {
            return false;
        };
        let known = &mut self.entries[at];
        let mut annotations = known.annotations.take().unwrap_or_default();
        annotations.extend(entry.annotations.clone().unwrap_or_default());
        let platform = entry.platform.clone().or(known.platform.take());
        let data = entry.data.clone().or(known.data.take());
        let annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
        *known = Descriptor { annotations, platform, data, ..entry.clone() };
        if let Some(written) = &mut self.written[at] {
            let mut right = fields(known);
            // A platform is known here in part only.
            if entry.platform.is_none() {
                right.remove("platform");
            }
            if known.artifact_type.is_none() {
                written.remove("artifactType");
            }
            written.extend(right);
        }
        true
    }

    /// Takes over the entries of another reading of the same list that this one has not, as they were
    /// written.
    pub fn restore(&mut self, other: &FallbackIndex) {
        for (entry, written) in other.entries.iter().zip(&other.written) {
            if !self.entries.iter().any(|known| known.digest == entry.digest) {
                self.entries.push(entry.clone());
                self.written.push(written.clone());
            }
        }
    }

    /// Entries that may be wrong: tools have written the configuration's media type for an artifact type, and
    /// left out the annotations. The referrer itself says what is right.
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
        let manifests = self.entries.iter().zip(&self.written);
        let document = Document {
            schema_version: 2,
            media_type: media_type::OCI_INDEX,
            manifests: manifests
                .map(|(entry, written)| written.as_ref().map_or(Entry::Ours(entry), Entry::Theirs))
                .collect(),
            rest: &self.rest,
        };
        let bytes = serde_json::to_vec(&document).expect("invariant: text-keyed maps and text serialise");
        RawManifest::new(bytes, media_type::OCI_INDEX)
            .map_err(|source| FallbackError::Full { subject: self.subject.clone(), source })
    }
}

/// Whether `known` says all that `entry` says.
fn says(known: &Descriptor, entry: &Descriptor) -> bool {
    let said = |annotation: (&String, &String)| {
        known.annotations.as_ref().is_some_and(|known| known.get(annotation.0) == Some(annotation.1))
    };
    known.bare() == entry.bare()
        && known.artifact_type == entry.artifact_type
        && entry.annotations.iter().flatten().all(said)
        && (entry.platform.is_none() || entry.platform == known.platform)
        && (entry.data.is_none() || entry.data == known.data)
}

fn fields(entry: &Descriptor) -> Map<String, Value> {
    match serde_json::to_value(entry) {
        Ok(Value::Object(fields)) => fields,
        _ => unreachable!("invariant: a descriptor serialises as an object"),
    }
}

/// An index as somebody wrote it.
#[derive(Default, Deserialize)]
struct Found {
    #[serde(default)]
    manifests: Vec<Map<String, Value>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Entry<'a>>,
    #[serde(flatten)]
    rest: &'a Map<String, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Ours(&'a Descriptor),
    Theirs(&'a Map<String, Value>),
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
        assert_eq!(again.entries(), index.entries());
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let bare = Descriptor::of(media_type::OCI_MANIFEST, b"referrer");
        let other = Descriptor::of(media_type::OCI_MANIFEST, b"other");
        let theirs = |entry: &Descriptor| {
            serde_json::json!({
                "mediaType": entry.media_type, "digest": entry.digest, "size": entry.size,
                "urls": ["https://example.test/x"], "annotations": {"theirs": "1"}, "new": {"field": [1, 2.5]},
                "platform": {"os": "windows", "architecture": "amd64", "os.version": "10"},
            })
        };
        let document = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [theirs(&bare), theirs(&other)],
            "annotations": {"of": "the index"}, "later": true,
        });
        let raw = RawManifest::new(document.to_string().into_bytes(), "").unwrap();
        let mut index = FallbackIndex::read(&subject(), Some(&raw)).unwrap();
        let annotations = Some(BTreeMap::from([("ours".to_owned(), "2".to_owned())]));
        let right = Descriptor { artifact_type: Some("application/x".to_owned()), annotations, ..bare };
        assert!(!index.holds(&right));
        index.merge(right.clone());
        assert!(index.holds(&right));
        let mut lost = FallbackIndex::empty(&subject());
        lost.merge(right.clone());
        lost.restore(&index);
        assert_eq!((lost.entries().len(), lost.entries()[0].annotations.as_ref().unwrap().len()), (2, 1));

        let mut expected = document.clone();
        expected["manifests"][0]["artifactType"] = "application/x".into();
        expected["manifests"][0]["annotations"]["ours"] = "2".into();
        let built: Value = serde_json::from_slice(index.build().unwrap().bytes()).unwrap();
        assert_eq!(built, expected);
        let built: Value = serde_json::from_slice(lost.build().unwrap().bytes()).unwrap();
        assert_eq!(built["manifests"][1], expected["manifests"][1], "put back as it was");
        let again = FallbackIndex::read(&subject(), Some(&index.build().unwrap())).unwrap();
        assert!(again.holds(&right));
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
