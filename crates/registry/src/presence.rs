//! Which blobs are known to be in which repository, so that nobody is asked for one twice.
//!
//! Known is what this client has found, sent or had mounted, and what a manifest names that a repository
//! gave out or took: registries take none whose blobs are missing. One that lost a blob all the same says
//! so when a manifest is pushed, and is believed.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use granary_oci::{Digest, Manifest, RawManifest, Repository};

use crate::client::Registry;

/// Blobs that are remembered, about 150 bytes each. What does not fit is asked for as if it were unknown.
const MOST: usize = 10_000;

/// What is known; empty at first.
#[derive(Default)]
pub(crate) struct Presence(Mutex<HashMap<Repository, HashSet<Digest>>>);

impl Presence {
    fn knows(&self, repository: &Repository, digest: &Digest) -> bool {
        self.known().get(repository).is_some_and(|blobs| blobs.contains(digest))
    }

    fn add(&self, repository: &Repository, digests: impl IntoIterator<Item = Digest>) {
        let mut known = self.known();
        let room = MOST.saturating_sub(known.values().map(HashSet::len).sum());
        known.entry(repository.clone()).or_default().extend(digests.into_iter().take(room));
    }

    /// Whether this one was known until now.
    fn remove(&self, repository: &Repository, digest: &Digest) -> bool {
        self.known().get_mut(repository).is_some_and(|blobs| blobs.remove(digest))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Repository, HashSet<Digest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    pub(crate) fn knows_blob(&self, repository: &Repository, digest: &Digest) -> bool {
        self.inner().presence.knows(repository, digest)
    }

    pub(crate) fn remember_blob(&self, repository: &Repository, digest: &Digest) {
        self.inner().presence.add(repository, [digest.clone()]);
    }

    /// A repository has this manifest, and with it what it names.
    pub(crate) fn remember_blobs_of(&self, repository: &Repository, manifest: &RawManifest) {
        self.inner().presence.add(repository, blobs(manifest).cloned());
    }

    /// A repository misses something that this manifest names, and does not say what. Returns whether
    /// `asked` was thought to be there.
    pub(crate) fn forget_blobs_of(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
        asked: &Digest,
    ) -> bool {
        let known = |digest: &&Digest| self.inner().presence.remove(repository, digest);
        let forgotten: Vec<&Digest> = blobs(manifest).filter(known).collect();
        forgotten.contains(&asked)
    }
}

fn blobs(manifest: &RawManifest) -> impl Iterator<Item = &Digest> {
    // What cannot be read names nothing.
    manifest.parse().into_iter().flat_map(Manifest::blobs).map(|blob| &blob.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_repository_and_bounded() {
        let presence = Presence::default();
        let (app, other): (Repository, Repository) =
            ("acme/app".parse().unwrap(), "acme/other".parse().unwrap());
        let digest = |number: usize| Digest::of(&number.to_le_bytes());
        presence.add(&app, [digest(0)]);
        assert!(presence.knows(&app, &digest(0)));
        assert!(!presence.knows(&other, &digest(0)), "a blob is there or not in each repository of its own");
        presence.add(&other, (1..=MOST).map(digest));
        assert!(presence.knows(&other, &digest(MOST - 1)));
        assert!(!presence.knows(&other, &digest(MOST)), "the set is full");
        assert!(presence.remove(&app, &digest(0)));
        assert!(!presence.remove(&app, &digest(0)));
        presence.add(&other, [digest(MOST)]);
        assert!(presence.knows(&other, &digest(MOST)), "there is room again");
    }
}
