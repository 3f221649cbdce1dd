//! What is left in a registry, so that two runs can be compared.

use std::collections::BTreeMap;

use granary_testkit::registry::{Registry, Snapshot};
use serde_json::Value;

/// When the set was made: the only thing in it that two runs of one pipeline do not share.
const CREATED: &str = "org.opencontainers.image.created";

/// What a release set says, by annotation.
pub type Set = BTreeMap<String, String>;

/// The release set behind a tag or digest.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn set(registry: &Registry, repository: &str, reference: &str) -> Set {
    let (_, bytes) = registry
        .manifest(repository, reference)
        .unwrap_or_else(|| panic!("there is no {repository}:{reference} in {:?}", registry.tags(repository)));
    let manifest: Value = serde_json::from_slice(&bytes).expect("a set is JSON");
    let annotations = manifest["annotations"].as_object().expect("a set has annotations");
    let text = |value: &Value| value.as_str().expect("annotations are texts").to_owned();
    annotations.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// One field of a release set, by the last part of its name (`replaces`, `order`, `branch`).
///
/// # Panics
/// Where there is no set.
#[must_use]
pub fn set_field(registry: &Registry, repository: &str, reference: &str, name: &str) -> Option<String> {
    set(registry, repository, reference).get(&format!("life.celestium.granary.{name}")).cloned()
}

/// Every tag of every repository with what it leads to: a release set with its content but the time it was made at,
/// everything else with its digest. Claims are left out, as in [`settled`].
///
/// # Panics
/// Where a `set-` tag leads to something else than a set.
#[must_use]
pub fn end_state(registry: &Registry) -> BTreeMap<String, BTreeMap<String, String>> {
    let content = |repository: &str, tag: &str, digest: String| {
        if !tag.starts_with("set-") {
            return digest;
        }
        let mut set = set(registry, repository, tag);
        set.remove(CREATED);
        format!("{set:?}")
    };
    let tags = |repository: &str| {
        let tags = registry.tags(repository).into_iter().filter(|(tag, _)| !tag.starts_with("claim-"));
        tags.map(|(tag, digest)| (tag.clone(), content(repository, &tag, digest))).collect()
    };
    registry.snapshot().into_keys().map(|repository| (repository.clone(), tags(&repository))).collect()
}

/// A snapshot without claims: they say when they were made and by whom, and stay when a run was killed.
#[must_use]
pub fn settled(registry: &Registry) -> Snapshot {
    let mut snapshot = registry.snapshot();
    snapshot.values_mut().for_each(|found| found.tags.retain(|tag, _| !tag.starts_with("claim-")));
    snapshot
}

/// Published versions and candidates that ever named more than one thing; empty where the promise is kept that they
/// never move. `set-<X.Y.Z>` and `set-<X.Y.Z-rc.N>` are promised the same.
#[must_use]
pub fn moved(registry: &Registry) -> Vec<String> {
    let mut moved = Vec::new();
    for (repository, found) in registry.snapshot() {
        for tag in found.tags.keys() {
            let version = tag.strip_prefix("set-").unwrap_or(tag);
            let is_version =
                version.starts_with(|first: char| first.is_ascii_digit()) && version.contains('.');
            if is_version && registry.history(&repository, tag).len() != 1 {
                moved.push(format!("{repository}:{tag} {:?}", registry.history(&repository, tag)));
            }
        }
    }
    moved
}
