//! Putting signed bundles beside what they speak of, in one step or two.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::try_join_all;
use granary_attest::bundle;
use granary_oci::{ArtifactManifest, Descriptor, Digest, Repository};
use granary_plugin::Failure;
use granary_registry::{BlobSource, BlobWay, PushOptions, Registry, RegistryError};
use jiff::Timestamp;

use crate::failures::registry_failure;

pub(crate) const CREATED: &str = "org.opencontainers.image.created";

/// On what carries a summary: the version that it is about. Unsigned, so only for whoever lists referrers and
/// wants to leave out what he need not read; the summary itself says what holds.
pub const SUMMARY_VERSION: &str = "life.celestium.granary.version";

/// A bundle whose content lies in a repository and is attached to nothing yet.
#[derive(Clone, Debug)]
pub struct PushedBundle {
    repository: Repository,
    layer: Descriptor,
    annotations: BTreeMap<String, String>,
}

/// Pushes the content of a signed bundle, whose statement has this predicate type, to one repository, where
/// nobody sees it until [`attach_pushed`] names it.
///
/// # Errors
/// If the registry fails.
pub async fn push_bundle(
    registry: &Registry,
    repository: &Repository,
    predicate_type: &str,
    bundle: impl Into<Bytes>,
    now: Timestamp,
) -> Result<PushedBundle, RegistryError> {
    let bundle = bundle.into();
    let layer = Descriptor::of(bundle::MEDIA_TYPE, &bundle);
    let annotations = BTreeMap::from([
        (CREATED.to_owned(), now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        (bundle::CONTENT_ANNOTATION.to_owned(), bundle::CONTENT_DSSE.to_owned()),
        (bundle::PREDICATE_TYPE_ANNOTATION.to_owned(), predicate_type.to_owned()),
    ]);
    let content = BlobSource::Bytes(bundle);
    // Just signed, so nobody can have pushed it.
    let new = PushOptions { way: BlobWay::Upload, ..PushOptions::default() };
    tokio::try_join!(
        registry.push_empty(repository, false),
        registry.push_blob(repository, &layer, &content, &new),
    )?;
    Ok(PushedBundle { repository: repository.clone(), layer, annotations })
}

impl PushedBundle {
    /// With an annotation for the manifests that will carry it.
    #[must_use]
    pub fn with_annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Attaches a pushed bundle to manifests of its repository; returns the digests of the referrers, in the
/// order of the subjects.
///
/// # Errors
/// If the registry fails. What was attached before stays.
pub async fn attach_pushed(
    registry: &Registry,
    pushed: &PushedBundle,
    subjects: &[Descriptor],
) -> Result<Vec<Digest>, RegistryError> {
    let attach = subjects.iter().map(async |subject| {
        let manifest = ArtifactManifest::new(bundle::MEDIA_TYPE)
            .with_layers(vec![pushed.layer.clone()])
            .with_subject(subject)
            .with_annotations(pushed.annotations.clone())
            .build();
        registry.attach(&pushed.repository, subject, &manifest).await?;
        Ok(manifest.digest().clone())
    });
    try_join_all(attach).await
}

/// Pushes a signed bundle, whose statement has this predicate type, and attaches it to manifests of one
/// repository; returns the digests of the referrers, in the order of the subjects.
///
/// # Errors
/// If the registry fails. What was attached before stays.
pub async fn attach_bundle(
    registry: &Registry,
    repository: &Repository,
    subjects: &[Descriptor],
    predicate_type: &str,
    bundle: impl Into<Bytes>,
    now: Timestamp,
) -> Result<Vec<Digest>, Failure> {
    let pushed = push_bundle(registry, repository, predicate_type, bundle, now).await;
    attach_pushed(registry, &pushed.map_err(registry_failure)?, subjects).await.map_err(registry_failure)
}
