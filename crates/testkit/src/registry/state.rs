//! What the registry holds, and the questions that tests ask about it.
//!
//! Blobs are stored once and *linked* per repository, as real registries do: a digest that one repository has
//! is unknown to another until it is pushed or mounted there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// `sha256:<hex>` of these bytes.
#[must_use]
pub fn sha256_digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// True for `sha256:` and 64 lower-case hex digits, the only algorithm spoken here.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// The whole content of a registry; cloning is cheap, the bytes are shared.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) blobs: HashMap<String, Bytes>,
    pub(crate) repositories: BTreeMap<String, Repository>,
    pub(crate) uploads: HashMap<String, Upload>,
    pub(crate) uploads_opened: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Repository {
    pub(crate) blobs: BTreeSet<String>,
    pub(crate) manifests: BTreeMap<String, Manifest>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) history: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// An upload session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upload {
    pub(crate) repository: String,
    pub(crate) data: Vec<u8>,
    /// Changes with every request that changes the session; a `Location` is good for one request only.
    pub(crate) turn: u64,
    /// End of the first chunk, for servers whose `Range` sticks there.
    pub(crate) first_chunk: Option<usize>,
    /// A ranged chunk below the minimum was taken: it must have been the last.
    pub(crate) short_chunk: bool,
}

impl Manifest {
    pub(crate) fn document(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }
}

impl Repository {
    /// Real servers know a repository by its manifests; blobs alone do not make one.
    pub(crate) fn exists(&self) -> bool {
        !self.manifests.is_empty() || !self.history.is_empty()
    }

    pub(crate) fn set_tag(&mut self, tag: &str, digest: &str) {
        self.tags.insert(tag.to_owned(), digest.to_owned());
        let history = self.history.entry(tag.to_owned()).or_default();
        if history.last().is_none_or(|last| last != digest) {
            history.push(digest.to_owned());
        }
    }
}

impl State {
    pub(crate) fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name).filter(|repository| repository.exists())
    }

    pub(crate) fn store_blob(&mut self, repository: &str, bytes: Bytes) -> String {
        let digest = sha256_digest(&bytes);
        self.blobs.entry(digest.clone()).or_insert(bytes);
        self.link_blob(repository, &digest);
        digest
    }

    pub(crate) fn link_blob(&mut self, repository: &str, digest: &str) {
        self.repositories.entry(repository.to_owned()).or_default().blobs.insert(digest.to_owned());
    }

    pub(crate) fn blob(&self, repository: &str, digest: &str) -> Option<&Bytes> {
        self.repositories.get(repository)?.blobs.get(digest)?;
        self.blobs.get(digest)
    }

    pub(crate) fn store_manifest(
        &mut self,
        repository: &str,
        tags: &[String],
        media_type: &str,
        bytes: Bytes,
    ) -> String {
        let digest = sha256_digest(&bytes);
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.manifests.insert(digest.clone(), Manifest { media_type: media_type.to_owned(), bytes });
        for tag in tags {
            repository.set_tag(tag, &digest);
        }
        digest
    }

    /// Digest and manifest behind a tag or a digest.
    pub(crate) fn resolve(&self, repository: &str, reference: &str) -> Option<(&str, &Manifest)> {
        let repository = self.repositories.get(repository)?;
        let digest = if reference.contains(':') { reference } else { repository.tags.get(reference)? };
        repository.manifests.get_key_value(digest).map(|(digest, manifest)| (digest.as_str(), manifest))
    }

    /// Digests of all manifests whose `subject` is this one.
    pub(crate) fn referrers(&self, repository: &str, subject: &str) -> Vec<(&str, &Manifest)> {
        let manifests = self.repositories.get(repository).into_iter().flat_map(|r| &r.manifests);
        manifests
            .filter(|(_, manifest)| manifest.document()["subject"]["digest"] == subject)
            .map(|(digest, manifest)| (digest.as_str(), manifest))
            .collect()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        for (name, repository) in self.repositories.iter().filter(|(_, repository)| repository.exists()) {
            let mut referrers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (digest, manifest) in &repository.manifests {
                if let Some(subject) = manifest.document()["subject"]["digest"].as_str() {
                    referrers.entry(subject.to_owned()).or_default().insert(digest.clone());
                }
            }
            snapshot.insert(name.clone(), RepositorySnapshot { tags: repository.tags.clone(), referrers });
        }
        snapshot
    }
}

/// What can be seen from outside, by repository; two that are equal are the same end state.
pub type Snapshot = BTreeMap<String, RepositorySnapshot>;

/// One repository of a [`Snapshot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositorySnapshot {
    /// Tag → digest.
    pub tags: BTreeMap<String, String>,
    /// Subject → digests of the manifests that refer to it.
    pub referrers: BTreeMap<String, BTreeSet<String>>,
}
